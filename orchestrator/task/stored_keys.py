"""The keys of the objects that a task document names. It reads any document, also one that no worker wrote."""

from collections.abc import Iterator, Mapping

from orchestrator.task.values import Document


def keys_of(document: Document) -> Iterator[str]:
    """The keys of all attempts: logs, figures over time, artifacts. An empty stream has none."""
    for attempt in (document, *_items(document, "attempts")):
        logs = _within(attempt, "logs")
        objects = (_within(logs, "stdout"), _within(logs, "stderr"), _within(_within(attempt, "metrics"), "series"))
        for each in (*objects, *_items(attempt, "artifacts_stored")):
            key = each.get("key")
            if isinstance(key, str) and key:
                yield key


def _within(document: Document, name: str) -> Document:
    value = document.get(name)
    return value if isinstance(value, Mapping) else {}


def _items(document: Document, name: str) -> Iterator[Document]:
    value = document.get(name)
    return (each for each in value if isinstance(each, Mapping)) if isinstance(value, list | tuple) else iter(())
