"""Requests about tasks, over a socket, on services in memory."""

import json
from pathlib import Path

import httpx
import jsonschema
import pytest
from attrs import evolve

from orchestrator.errors import InfrastructureError
from orchestrator.testing import MemoryServices
from tests.support.http_server import Served, served

SPEAK = {"image": "busybox", "command": ["speak"]}
SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "task.schema.json").read_text())


def _ended(http: httpx.Client, services: MemoryServices, **more: object) -> dict[str, object]:
    task = http.post("/v1/tasks", json={**SPEAK, **more}).json()
    services.run_queued()
    found: dict[str, object] = http.get(f"/v1/tasks/{task['_id']}").json()
    return found


def test_a_task_is_handed_in_and_shown(http: httpx.Client, services: MemoryServices) -> None:
    """As its schema says, before and after it has run."""
    answer = http.post("/v1/tasks", json=SPEAK)
    task = answer.json()
    assert (answer.status_code, task["status"], answer.headers["Location"]) == (201, "queued", f"/v1/tasks/{task['_id']}")
    services.run_queued()
    ended = http.get(answer.headers["Location"]).json()
    assert ended["status"] == "succeeded"
    for document in (task, ended):
        jsonschema.validate(document, SCHEMA)


def test_waiting_gives_the_end(http: httpx.Client, services: MemoryServices) -> None:
    """Or the task as it is when the time is over."""
    with services.working():
        assert http.post("/v1/tasks?wait=30s", json=SPEAK).json()["status"] == "succeeded"
    late = http.post("/v1/tasks?wait=10ms", json=SPEAK)
    assert (late.status_code, late.json()["status"]) == (201, "queued")


def test_an_own_id_may_be_sent_again(http: httpx.Client, services: MemoryServices) -> None:
    """The same request is answered with its task, another one is refused; nothing runs twice."""
    mine = {**SPEAK, "id": "mine", "files": {"a": {"base64": "AA=="}}, "limits": {"memory": "64m", "cpus": 1.0}}
    statuses = [http.post("/v1/tasks", json=mine).status_code for _ in range(3)]
    assert statuses == [201, 200, 200]
    assert len(services.run_queued()) == 1
    assert http.post("/v1/tasks?wait=10s", json=mine).json()["status"] == "succeeded"
    other = http.post("/v1/tasks", json={**mine, "command": ["fail"]})
    assert (other.status_code, other.json()["detail"]) == (409, "id: the id 'mine' is that of a task with another request")
    services.store.mark_deleting({"mine": services.store.find("mine")["nonce"]}, "token")
    assert http.post("/v1/tasks", json=mine).status_code == 404


def test_every_bad_field_is_named(http: httpx.Client) -> None:
    """In the words of the worker."""
    answer = http.post("/v1/tasks", json={"image": "NO", "limits": {"memory": "x"}, "id": "-"})
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == "id"
    problem = http.post("/v1/tasks", json={"image": "NO", "limits": {"memory": "x"}}).json()
    assert [error["field"] for error in problem["errors"]] == ["image", "limits.memory"]
    assert "'NO' is not an image reference" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        ("{", "application/json", 400, "is not JSON"),
        ("[]", "application/json", 400, "is not a JSON object"),
        ('{"image": NaN}', "application/json", 400, "NaN is no number"),
        ('{"image": "a", "image": "b"}', "application/json", 400, "given twice"),
        ("[" * 100_000, "application/json", 400, "nested too deeply"),
        ("{}", "text/plain", 415, "application/json"),
        (b"\xff", "application/json; charset=utf-8", 400, "is not JSON"),
    ],
)
def test_a_body_that_is_no_task_is_refused(http: httpx.Client, body: str, kind: str, status: int, words: str) -> None:
    """With what is wrong with it."""
    answer = http.post("/v1/tasks", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_a_batch_answers_for_each_task(http: httpx.Client, services: MemoryServices) -> None:
    """One that is refused takes nothing from the others."""
    http.post("/v1/tasks", json={**SPEAK, "id": "b"})
    given = [{**SPEAK, "id": "a"}, {**SPEAK, "id": "b"}, {"image": "c", "id": "b"}, {"image": "NO"}, 3, SPEAK]
    told = http.post("/v1/tasks:batch", json={"tasks": given}).json()["tasks"]
    assert [each["status"] for each in told] == [201, 200, 409, 422, 422, 201]
    assert [each["id"] for each in told[:5]] == ["a", "b", "b", None, None]
    assert told[0]["task"]["_id"] == "a"
    assert told[3]["problem"]["errors"][0]["field"] == "image"
    assert len(services.run_queued()) == 3
    for body in ({"tasks": [SPEAK] * 1001}, {"tasks": {}}, {"tasks": [], "more": 1}, {}):
        assert http.post("/v1/tasks:batch", json=body).status_code == 422


def test_lists_are_filtered_and_paged(http: httpx.Client, services: MemoryServices) -> None:
    """Newest first, to the last page; with some fields alone."""
    ids = [http.post("/v1/tasks", json={**SPEAK, "labels": {"n": str(n % 2)}}).json()["_id"] for n in range(5)]
    services.run_queued()
    http.post("/v1/tasks", json={"image": "other"})
    found, page = [], {"next": ""}
    while page["next"] is not None:
        query = {"limit": 2, "status": "succeeded", **({"cursor": page["next"]} if page["next"] else {})}
        page = http.get("/v1/tasks", params=query).json()
        found += [task["_id"] for task in page["tasks"]]
    assert sorted(found) == sorted(ids)
    assert http.get("/v1/tasks?limit=5&status=succeeded").json()["next"] is None
    ones = http.get("/v1/tasks?label=n=1&fields=status,labels").json()["tasks"]
    assert ones == [{"_id": ids[n], "status": "succeeded", "labels": {"n": "1"}} for n in (3, 1)]
    assert len(http.get("/v1/tasks?image=other&since=1h").json()["tasks"]) == 1
    assert http.get("/v1/tasks?until=2020-01-01T00:00:00Z").json() == {"tasks": [], "next": None}
    assert http.get("/v1/tasks?cause=exit").json()["tasks"] == []
    gone = http.get("/v1/tasks?cursor=gone")
    assert (gone.status_code, gone.json()["errors"][0]["field"]) == (404, "cursor")


def test_a_page_ends_behind_a_task_that_cannot_be_read(http: httpx.Client, services: MemoryServices) -> None:
    """It is left out, wherever it is, and the next page goes on behind it."""
    ids = [http.post("/v1/tasks", json=SPEAK).json()["_id"] for _ in range(4)]
    foreign = {**services.store.find(ids[2]), "_id": "foreign", "status": "running", "history": 5}  # type: ignore[dict-item]
    services.store.insert(foreign)
    found, cursor = [], ""
    while cursor is not None:
        page = http.get("/v1/tasks", params={"limit": 1, **({"cursor": cursor} if cursor else {})}).json()
        found += [task["_id"] for task in page["tasks"]]
        cursor = page["next"]
    assert sorted(found) == sorted(ids)


def test_every_bad_parameter_is_named(http: httpx.Client) -> None:
    """And a name that there is not, which would change nothing unsaid."""
    query = "limit=0&status=done&label=x&since=today&fields=a&wrong=1&cause=exit&cause=exit"
    answer = http.get(f"/v1/tasks?{query}")
    fields = [error["field"] for error in answer.json()["errors"]]
    assert (answer.status_code, sorted(fields)) == (400, ["cause", "fields", "label", "limit", "since", "status", "wrong"])
    assert http.get("/v1/ids").json()["errors"][0]["field"] == "prefix"
    assert http.get("/v1/ids?prefix=abc").status_code == 400
    assert http.post("/v1/tasks?wait=301s", json=SPEAK).status_code == 400


def test_ids_are_found_by_their_beginning(http: httpx.Client) -> None:
    """The first ten."""
    for number in range(12):
        http.post("/v1/tasks", json={**SPEAK, "id": f"abcd{number:02}"})
    assert http.get("/v1/ids?prefix=abcd").json()["ids"] == [f"abcd{number:02}" for number in range(10)]


def test_a_task_is_cancelled(http: httpx.Client) -> None:
    """One that waits ends at once."""
    task = http.post("/v1/tasks", json=SPEAK).json()
    answer = http.post(f"/v1/tasks/{task['_id']}/cancel")
    assert (answer.status_code, answer.json()["status"], answer.json()["cause"]) == (202, "failed", "cancelled")


def test_an_ended_task_is_tried_again_as_a_new_one(http: httpx.Client, services: MemoryServices) -> None:
    """With all that it asked for; one that has not ended is not."""
    old = _ended(http, services, files={"a": "text"}, labels={"team": "red"})
    answer = http.post(f"/v1/tasks/{old['_id']}/retry")
    new = answer.json()
    assert answer.status_code == 201
    assert new["_id"] != old["_id"]
    assert {name: new[name] for name in ("image", "command", "files", "labels")} == {
        name: old[name] for name in ("image", "command", "files", "labels")
    }
    again = http.post(f"/v1/tasks/{new['_id']}/retry")
    assert (again.status_code, "has not ended" in again.json()["detail"]) == (409, True)


def test_a_task_may_be_tried_again_under_an_own_id(http: httpx.Client, services: MemoryServices) -> None:
    """So that it is safe to send again; nothing else can be changed."""
    path = f"/v1/tasks/{_ended(http, services, id='old')['_id']}/retry"
    assert [http.post(path, json={"id": "new"}).status_code for _ in range(2)] == [201, 200]
    assert [task.id for task in services.run_queued()] == ["new"]
    refused = [http.post(path, json=body).json()["errors"][0]["field"] for body in ({"image": "a"}, {"id": "-"}, {"id": "old"})]
    assert refused == ["image", "id", "id"]
    assert http.post(path, content=b"{}").status_code == 415
    assert http.post(path, json={}).status_code == 201


def _lost(*_: object) -> None:
    raise InfrastructureError("redis", "away")


def test_a_task_that_is_stored_runs_also_when_the_queue_is_away(
    http: httpx.Client, services: MemoryServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep puts it in line, so nobody is told to try again: that would run it twice."""
    _ended(http, services, id="old")
    monkeypatch.setattr(services.queue, "enqueue", _lost)
    for path, body in (("/v1/tasks", SPEAK), ("/v1/tasks/old/retry", None)):
        answer = http.post(path, json=body)
        assert (answer.status_code, http.get(answer.headers["Location"]).json()["status"]) == (201, "queued")
    given = [SPEAK, {"image": "NO"}, {**SPEAK, "id": "a"}, {"image": "b", "id": "old"}]
    told = http.post("/v1/tasks:batch", json={"tasks": given}).json()["tasks"]
    assert [each["status"] for each in told] == [201, 422, 201, 409]


def test_a_task_that_is_not_stored_is_to_be_sent_again(
    http: httpx.Client, services: MemoryServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone and in a batch."""
    monkeypatch.setattr(services.store, "insert", _lost)
    monkeypatch.setattr(services.store, "insert_many", _lost)
    assert http.post("/v1/tasks", json=SPEAK).status_code == 503
    told = http.post("/v1/tasks:batch", json={"tasks": [SPEAK, {"image": "NO"}]}).json()["tasks"]
    assert [each["status"] for each in told] == [503, 422]


def test_an_ended_task_is_deleted(http: httpx.Client, services: MemoryServices) -> None:
    """And one that has not ended is not."""
    old = _ended(http, services)
    open_one = http.post("/v1/tasks", json=SPEAK).json()
    assert http.delete(f"/v1/tasks/{open_one['_id']}").status_code == 409
    answer = http.delete(f"/v1/tasks/{old['_id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert http.get(f"/v1/tasks/{old['_id']}").status_code == 404


@pytest.mark.parametrize("rest", ["", "/events", "/logs?follow=1", "/logs/stdout", "/metrics", "/artifacts", "/artifacts/a/b"])
def test_a_task_that_there_is_not_is_not_found(http: httpx.Client, rest: str) -> None:
    """Whatever is asked of it, also by an id that no task can have."""
    for task_id in ("nobody", "-", "a%00b", "%F0%9F%98%80"):
        answer = http.get(f"/v1/tasks/{task_id}{rest}")
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    for verb in ("cancel", "retry"):
        assert http.post(f"/v1/tasks/nobody/{verb}").status_code == 404
    assert http.delete("/v1/tasks/nobody").status_code == 404


def test_a_full_queue_takes_no_more() -> None:
    """It says when to come again; a request that was taken before is still answered with its task."""
    services = MemoryServices()
    object.__setattr__(services, "settings", evolve(services.settings, max_queued=2))
    with served(services) as server, server.client() as http:
        for name in ("a", "b"):
            assert http.post("/v1/tasks", json={**SPEAK, "id": name}).status_code == 201
        refused = http.post("/v1/tasks", json=SPEAK)
        assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (429, True)
        assert "MAX_QUEUED" in refused.json()["detail"]
        assert http.post("/v1/tasks", json={**SPEAK, "id": "a"}).status_code == 200
        told = http.post("/v1/tasks:batch", json={"tasks": [SPEAK]}).json()["tasks"]
        assert told[0]["status"] == 429
        services.run_queued()
        assert http.post("/v1/tasks", json=SPEAK).status_code == 201


def test_a_method_that_there_is_not_is_told_those_that_are(server: Served) -> None:
    """By the header for it."""
    with server.client() as http:
        answer = http.put("/v1/tasks")
        assert (answer.status_code, {*answer.headers["Allow"].split(", ")}) == (405, {"GET", "HEAD", "POST"})
        assert http.get("/v1/nothing").status_code == 404
