"""Values that somebody may put into a task document: anything that JSON, BSON or a Python caller can hold."""

from datetime import UTC, datetime

from hypothesis import strategies as st

NAMES = [
    "image",
    "command",
    "entrypoint",
    "env",
    "stdin",
    "working_dir",
    "user",
    "network",
    "init",
    "files",
    "artifacts",
    "limits",
    "runtime",
    "on_output_limit",
    "retries",
    "labels",
    "keep",
]
LIMITS = ["cpus", "memory", "pids", "timeout", "output", "tmp", "cpu_time", "artifacts", "shm"]

text = st.text(st.characters(), max_size=20)  # lone surrogates and NUL included
near = st.sampled_from(
    [
        "", "\0", "\ud800", "a\n", "128m", "1h", "30s", "0", "-1", "1000:1000", "0:0", "/srv", "/", "..", "a/../b", "busybox",
        "busybox:1", "Busy box", "sh -c true", "A=B", "$where", "a.b", "NaN", "true", "9" * 40, "x" * 600, "\u0661",
    ]
)  # fmt: skip
numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, 1, -1, 0.001, 1.0, 1e18, 2**53, 2**63, float("nan"), float("inf"), -0.0]),
    st.builds(pow, st.just(10), st.sampled_from([400, 5000])),
)
leaves = st.one_of(
    st.none(), st.booleans(), numbers, text, near, st.binary(max_size=9), st.just(datetime(2026, 1, 1, tzinfo=UTC))
)


def nested(depth: int) -> object:
    """A list in a list, ``depth`` times."""
    value: object = []
    for _ in range(depth):
        value = [value]
    return value


keys = st.one_of(text, near, st.sampled_from(["base64", *NAMES, *LIMITS]))
values = st.recursive(
    st.one_of(leaves, st.builds(nested, st.sampled_from([3, 5000]))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=8,
)
documents = st.one_of(
    st.dictionaries(keys, values, max_size=6),
    st.dictionaries(st.sampled_from(NAMES), values, max_size=6).map(lambda given: {"image": "busybox", **given}),
    st.dictionaries(st.sampled_from(LIMITS), values).map(lambda given: {"image": "busybox", "limits": given}),
)
_words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
_content = st.one_of(st.text(st.characters(codec="utf-8"), max_size=8), st.sampled_from([{"base64": "eQ=="}, {"base64": ""}]))
_sizes = st.one_of(st.integers(1 << 23, 1 << 30), st.sampled_from(["8m", "128M", "1.5 GiB", "8192k", 1e9]))
plausible = st.fixed_dictionaries(
    {"image": st.sampled_from(["busybox", "python:3.12-slim", "registry.example:5000/a/b@sha256:" + "0" * 64])},
    optional={
        "command": st.one_of(st.none(), _words, st.lists(_words, min_size=1, max_size=3)),
        "env": st.dictionaries(st.from_regex(r"\A[^=\0]{1,5}\Z"), _words, max_size=3),
        "stdin": _content,
        "working_dir": st.from_regex(r"\A/[^\n\0]{0,9}\Z"),
        "user": st.from_regex(r"\A[0-9]{1,5}(:[0-9]{1,5})?\Z", alphabet="0123456789:"),
        "network": st.booleans(),
        "init": st.booleans(),
        "entrypoint": st.one_of(st.none(), _words, st.lists(_words, max_size=3)),
        "files": st.dictionaries(st.sampled_from(["a", "b/c", "b/d", "..e", "f\n"]), _content),
        "limits": st.fixed_dictionaries(
            {},
            optional={
                "cpus": st.one_of(st.none(), st.floats(0.01, 64), st.integers(1, 64)),
                "memory": _sizes,
                "pids": st.sampled_from([1, 5.0, 4096]),
                "timeout": st.one_of(st.floats(0.001, 1e6), st.sampled_from(["30", "1.5s", "2M", "1h30m"])),
                "output": _sizes,
                "tmp": _sizes,
            },
        ),
        "retries": st.integers(0, 10),
        "labels": st.dictionaries(_words, _words, max_size=3),
    },
)
"""Requests that are right but for what their rules grant."""
