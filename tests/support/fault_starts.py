"""Counts how often the engine has started a container for each attempt of each task, and how those ended: the engine's word."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import docker
import requests
from docker.errors import DockerException
from urllib3.exceptions import HTTPError

from orchestrator.execution.naming import named
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, TASK
from scripts.engine import answers

_PAUSE = 0.2


class Starts:
    """Listens to the engine's events of one deployment, over restarts of the engine."""

    def __init__(self, docker_host: str, deployment: str) -> None:
        self._host, self._deployment = docker_host, deployment
        self._since = int(time.time()) - 1
        self._seen: set[tuple[str, int]] = set()
        self._counts: Counter[tuple[str, int]] = Counter()
        self._exited_0: set[tuple[str, int]] = set()
        self._closed = threading.Event()
        self._stream: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def of(self, task_id: str) -> dict[int, int]:
        """Starts by attempt."""
        return {attempt: count for (task, attempt), count in [*self._counts.items()] if task == task_id}

    def exited_0(self, task_id: str) -> set[int]:
        """The attempts whose program has exited with 0."""
        return {attempt for task, attempt in [*self._exited_0] if task == task_id}

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        if self._stream is not None:
            with suppress(OSError, AttributeError):
                self._stream.close()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._closed.is_set():
            with suppress(DockerException, requests.RequestException, HTTPError, OSError, ValueError):
                self._listen()
            self._closed.wait(_PAUSE)

    def _listen(self) -> None:
        if answers(self._host) is None:  # the library leaks a socket for each connection that is refused
            return
        client = docker.APIClient(base_url=self._host, version="auto", timeout=60)
        wanted = {"type": "container", "event": ["start", "die"], "label": f"{DEPLOYMENT}={self._deployment}"}
        try:
            self._stream = client.events(since=self._since, filters=wanted, decode=True)
            for event in self._stream:
                self._note(event)
        finally:
            client.close()

    def _note(self, event: Mapping[str, Any]) -> None:
        key = event["Actor"]["ID"], event["timeNano"]  # an event that is told again has the same time
        if key not in self._seen:
            self._seen.add(key)
            labels = event["Actor"]["Attributes"]
            # the container that holds its folder /out runs nothing of the task's, nor does one that waits for a program
            if named(labels["name"]) and TASK in labels:
                attempt = labels[TASK], int(labels[ATTEMPT])
                if event["Action"] == "start":
                    self._counts[attempt] += 1
                elif labels.get("exitCode") == "0":
                    self._exited_0.add(attempt)
