"""The HTTP API: one process that answers for the tasks of a deployment, thin over the client."""
