"""The labels on everything that the worker makes on an engine. What lacks them is not the worker's and is never touched."""

TASK = "orchestrator.task"
ATTEMPT = "orchestrator.task.attempt"
WORKER = "orchestrator.task.worker"
ENGINE = "orchestrator.task.engine"
DEPLOYMENT = "orchestrator.deployment"
NETWORK = "orchestrator.network"
