"""The worker process: it takes jobs from RQ and runs the tasks that they name."""
