"""A database that is a copy of another one, as the restoration of a dump makes it."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.fault_site import Site


@contextmanager
def copy_of(site: Site) -> Iterator[dict[str, str]]:
    """The settings of a copy's workers, on a host of their own; the copy is made by ``restore``."""
    name = f"{site.settings.mongo_db_name}-copy"
    yield {"MONGO_DB_NAME": name, "QUEUE": f"{site.settings.queue}-copy", "SPOOL_DIR": str(site.folder / "spool-of-copy")}
    site.mongo.drop_database(name)


def restore(site: Site, name: str) -> None:
    """Make the copy: the same documents, in collections of their own."""
    source, target = site.mongo[site.settings.mongo_db_name], site.mongo[name]
    for collection in ("meta", "tasks"):
        target[collection].insert_many(source[collection].find())
