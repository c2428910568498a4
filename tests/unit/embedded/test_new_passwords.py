"""The program of docs/operate.md gives the embedded servers new passwords, and their data stays."""

import re
import sys
from pathlib import Path
from subprocess import run

import pytest
from pymongo.errors import OperationFailure

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.embedded import Embedded
from orchestrator.settings.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "operate.md"


def test_the_page_gives_all_servers_new_passwords(tmp_path: Path) -> None:
    """What was stored is there with the new one, and the old one is refused."""
    (program,) = re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"))
    folder = tmp_path / ".orchestrator"
    with Embedded(folder) as servers:
        old = dict(servers.environment)
        with mongo_client(Settings.load(old)) as client:
            client.kept.kept.insert_one({"_id": 1})
    run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    with Embedded(folder) as servers:
        new = dict(servers.environment)
        with mongo_client(Settings.load(new)) as client:
            assert client.kept.kept.count_documents({}) == 1
        with mongo_client(Settings.load(old)) as client, pytest.raises(OperationFailure):
            client.kept.kept.count_documents({})
    assert all(old[name] != new[name] for name in ("MONGO_URI", "REDIS_URL", "MINIO_SECRET_KEY"))
