"""What the engine remembers of events, oldest first: a few hundred, of all containers."""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager

from requests import Response

from orchestrator.adapters.docker.client import Reading

END = "die"
"""The last that befalls a program."""


def events(
    stream: Callable[..., AbstractContextManager[Response]], silence: float, filters: Mapping[str, object], until: float
) -> Generator[Reading]:
    """Those that the filters let through, up to a time of the engine's, in seconds; one that is to come is waited for.

    ``stream`` is the client's that the connection is to be had by. Raises InfrastructureError.
    """
    wanted = {"filters": json.dumps(filters), "since": "0", "until": f"{until:.6f}"}
    with stream("GET", "/events", silence=silence, params=wanted) as response:
        yield from (json.loads(line) for line in response.iter_lines() if line)
