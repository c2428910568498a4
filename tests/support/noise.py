"""Makes an engine busy with what is nobody's concern: volumes of the test's own, made and removed, two events each."""

import threading
import time
import uuid
from types import TracebackType
from typing import Self

import docker

from tests.support.containers import LABEL, WHERE


class Noise:
    """For the length of a block, ``rate`` events a second; ``burst`` makes many at once."""

    def __init__(self, rate: float, where: str = WHERE) -> None:
        self._rate = rate
        self._client = docker.DockerClient(base_url=where, version="1.41")
        self._name = f"orchestrator-noise-{uuid.uuid4().hex[:12]}"
        self._over = threading.Event()
        self._making = threading.Lock()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._client.close()

    def burst(self, events: int) -> None:
        """So many events, as fast as the engine takes them."""
        for _ in range(events // 2):
            self._pair()

    def _go_on(self) -> None:
        due = time.monotonic()
        while self._rate and not self._over.wait(max(due - time.monotonic(), 0)):
            self._pair()
            due += 2 / self._rate

    def _pair(self) -> None:
        with self._making:
            self._client.api.create_volume(self._name, labels={LABEL: self._name})
            self._client.api.remove_volume(self._name)
