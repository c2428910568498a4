"""A site whose workers reach every server, and the engine, through a proxy; who looks from outside does not."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen

from tests.support.containers import WHERE
from tests.support.fault_proxy import Proxy
from tests.support.fault_site import Site
from tests.support.servers import Corner

_VARIABLES = {"s3": "MINIO_ENDPOINT", "mongo": "MONGO_URI", "redis": "REDIS_URL"}


@frozen
class Detour:
    """The site and the four ways."""

    site: Site
    s3: Proxy
    mongo: Proxy
    redis: Proxy
    docker: Proxy

    @property
    def ways(self) -> tuple[Proxy, ...]:
        """All proxies."""
        return self.s3, self.mongo, self.redis, self.docker


@contextmanager
def detoured(corner: Corner, folder: Path, engine: str = WHERE) -> Iterator[Detour]:
    """For the length of a block."""
    with ExitStack() as stack:
        proxies = {"docker": stack.enter_context(Proxy(engine.removeprefix("unix://"), folder / "docker.sock"))}
        environment = {**corner.environment, "DOCKER_HOST": f"unix://{folder}/docker.sock"}
        for name, variable in _VARIABLES.items():
            host, port = _address(environment[variable])
            proxies[name] = stack.enter_context(Proxy((host, port)))
            environment[variable] = environment[variable].replace(f":{port}", f":{proxies[name].port}")
        direct = {**corner.environment, "DOCKER_HOST": engine}
        yield Detour(stack.enter_context(Site(environment, folder, direct)), **proxies)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    return str(parts.hostname), int(parts.port or 0)
