"""Which images an allow-list lets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InvalidTask
from orchestrator.task.image_policy import allowed
from orchestrator.task.request import Rules, parse_request

PIN = "@sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("pattern", "image"),
    [
        ("python", "python"),
        ("python", "python:3.12-slim"),
        ("python", f"python{PIN}"),
        ("python:latest", "python"),
        ("python:3.*", "python:3.12"),
        ("python", f"python:3.12{PIN}"),
        ("python*", f"python:3.12{PIN}"),
        ("registry.example:5000/team/*", f"registry.example:5000/team/a:1{PIN}"),
        ("docker.io/library/python", "python:3"),
        ("python", "docker.io/library/python:3"),
        ("registry.example:5000/team/*", "registry.example:5000/team/a/b:1"),
        ("*@sha256:*", f"python{PIN}"),
        (f"python{PIN}", f"python{PIN}"),
        (f"python{PIN}", f"python:3.12{PIN}"),
        ("*", "anything/at-all:1"),
        ("[::1]:5000/*", "[::1]:5000/team/a:1"),
        ("[2001:db8::*]:5000/*", f"[2001:db8::7]:5000/a{PIN}"),
        ("*@sha512:*", "python@sha512:" + "0" * 128),
        ("pytho[nm]", "python:3"),
    ],
)
def test_a_pattern_lets_through(pattern: str, image: str) -> None:
    """Names, tags and digests, short and long."""
    assert allowed(image, ["nothing", pattern])


@pytest.mark.parametrize(
    ("pattern", "image"),
    [
        ("python", "python2"),
        ("python", "evil/python"),
        ("python", "registry.example/python"),
        ("python:3.12", "python:3.13"),
        ("python:3.12", "python"),
        ("python:3.12", f"python{PIN}"),
        ("python:3.12", f"python:3.12{PIN}"),
        ("python:3.*", f"python:3.12{PIN}"),
        ("python:*", f"python:3.12{PIN}"),
        ("*:3.12*", f"python:3.12{PIN}"),
        (f"python{PIN}", f"python:3.12@sha256:{'1' * 64}"),
        ("*@sha256:*", "python:3.12"),
        ("registry.example/team/*", "registry.example.evil/team/a"),
        ("registry.example/*", "registry.example:5000/a"),
        ("python", "PYTHON"),
        ("[::1]:5000/*", ":5000/a"),
        ("[::1]:5000/*", "1:5000/a"),
    ],
)
def test_a_pattern_holds_back(pattern: str, image: str) -> None:
    """What only looks like it."""
    assert not allowed(image, [pattern])


@given(st.from_regex(r"\A[a-z]{1,5}(/[a-z]{1,5})?\Z"), st.from_regex(r"\A[a-z0-9]{1,5}\Z"))
def test_a_reference_allows_itself_and_its_name_all_tags(name: str, tag: str) -> None:
    """Written as a pattern, it is the least that can be meant."""
    assert allowed(f"{name}:{tag}", [f"{name}:{tag}"])
    assert allowed(f"{name}:{tag}", [name])
    assert not allowed(f"{name}:{tag}", [f"{name}:{tag}x"])


@given(st.from_regex(r"\A[a-z]{1,5}\Z"), st.from_regex(r"\A[a-z0-9.*?]{1,5}\Z"), st.from_regex(r"\A[a-z0-9]{1,5}\Z"))
def test_no_tag_vouches_for_a_digest(name: str, pattern: str, tag: str) -> None:
    """The engine runs what the digest says, so a tag beside it proves nothing, however it is matched."""
    assert not allowed(f"{name}:{tag}{PIN}", [f"{name}:{pattern}"])
    assert not allowed(f"{name}{PIN}", [f"{name}:{pattern}"])


def test_a_refusal_names_the_image_and_the_patterns() -> None:
    """And happens before anything is stored or pulled."""
    with pytest.raises(InvalidTask, match=r"image: 'evil:1' is not allowed here; allowed are python:3\.\*, busybox"):
        parse_request("t1", {"image": "evil:1"}, Rules(images=("python:3.*", "busybox")))
    assert parse_request("t1", {"image": "busybox:1"}, Rules(images=("python:3.*", "busybox"))).image == "busybox:1"


@pytest.mark.parametrize(
    ("runtimes", "message"),
    [((), "allowed are none but the default"), (("runc", "kata"), "'runsc' is not allowed here; allowed are runc, kata")],
)
def test_a_runtime_has_to_be_listed(runtimes: tuple[str, ...], message: str) -> None:
    """A task chooses only among what the settings name."""
    with pytest.raises(InvalidTask, match=message):
        parse_request("t1", {"image": "a", "runtime": "runsc"}, Rules(runtimes=runtimes))
    assert parse_request("t1", {"image": "a", "runtime": "runsc"}, Rules(runtimes=("runsc",))).runtime == "runsc"
    assert parse_request("t1", {"image": "a", "runtime": "runsc"}, Rules().waived()).runtime == "runsc"
