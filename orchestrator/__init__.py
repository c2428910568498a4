"""Worker service: takes tasks from a queue and runs each in an isolated container.

A program that imports it gets no log lines; ``logger.enable("orchestrator")`` of loguru turns them on.
"""

from loguru import logger

logger.disable("orchestrator")
