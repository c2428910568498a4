"""Which release this is. Its distribution has another name than the package, whose name another project has on PyPI."""

from importlib import metadata

DISTRIBUTION = "task-orchestrator"


def version() -> str:
    """As a text such as "0.1.0"."""
    return metadata.version(DISTRIBUTION)


def how_to_install(extra: str) -> str:
    """The command that adds an extra. The distribution is on no index, so it needs a checkout."""
    return f"pip install '.[{extra}]' in a checkout of this package"
