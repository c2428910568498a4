"""To add a state, a limit, a cause, a setting or a backend, one place is edited: each test adds one to a copy of the code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]


class Copy:
    """A copy of the code that can be edited and run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for package in ("orchestrator", "statemachine", "scripts"):
            shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))

    def add(self, file: str, before: str, text: str) -> None:
        """Put a text before another one, which is there once."""
        self.replace(file, before, text + before)

    def replace(self, file: str, old: str, new: str) -> None:
        """Put one text in place of another, which is there once."""
        path = self.root / file
        content = path.read_text(encoding="utf-8")
        assert content.count(old) == 1, f"{old!r} is {content.count(old)} times in {file}"
        path.write_text(content.replace(old, new), encoding="utf-8")

    def write(self, file: str, text: str) -> None:
        """A new file."""
        (self.root / file).parent.mkdir(exist_ok=True)
        (self.root / file).write_text(dedent(text), encoding="utf-8")

    def run(self, code: str) -> None:
        """Run a script of assertions in the copy."""
        environment = {**os.environ, "PYTHONPATH": str(self.root)}
        argv = [sys.executable, "-c", dedent(code)]
        done = subprocess.run(argv, cwd=self.root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def code(tmp_path: Path) -> Copy:
    """A fresh copy."""
    return Copy(tmp_path)


def test_a_cause_is_one_row(code: Copy) -> None:
    """Schema, reference, stored form, retries, the exit code of `run` and the sentence for people follow."""
    row = '    QUOTA = "quota", Rule("the quota of its owner was used up", is_retried=True, keeps_exit_code=True)\n'
    code.add("orchestrator/cause.py", '    INFRASTRUCTURE = "infrastructure"', row)
    code.run("""
        from types import SimpleNamespace
        from attrs import evolve
        from orchestrator.cause import Cause
        from orchestrator.cli.run import exit_code
        from orchestrator.outcome.verdict import _sentence
        from orchestrator.task.codec import fits
        from orchestrator.task.limits import Limits
        from orchestrator.task.schema import task_schema
        from orchestrator.testing import MemoryServices
        from scripts.pages import causes_page

        assert fits("quota", Cause)
        assert {"enum": [*Cause]} in task_schema()["properties"]["cause"]["anyOf"]
        assert "| `quota` | the quota of its owner was used up | yes | yes |" in causes_page()
        services = MemoryServices()
        services.client.submit({"image": "a"})
        (task,) = services.run_queued()
        assert exit_code(evolve(task, cause=Cause.QUOTA, exit_code=7)) == 7
        facts = SimpleNamespace(limits=Limits(), ended_for=Cause.QUOTA, too_late=False)
        assert _sentence(Cause.QUOTA, facts) == "the quota of its owner was used up"
    """)


LIMIT = """    sockets: int = _limit(
        kinds.POSITIVE,
        16,
        "--sockets",
        help="Sockets it may have.",
        unit="sockets",
        beyond="none are made",
        ceiling=64,
        default_is="sockets",
        ceiling_is="most sockets",
    )
"""


def test_a_limit_is_one_field_and_its_part_of_the_container(code: Copy) -> None:
    """Schema, check, ceiling, settings, flag and three pages follow."""
    code.add("orchestrator/task/limits.py", "\n\ndef about_limits()", LIMIT)
    bound = '    "sockets": lambda plan: {"Sysctls": {"sockets": plan.limits.sockets}},\n'
    code.add("orchestrator/adapters/docker/container_config.py", '    "pids": lambda plan', bound)
    code.run("""
        from click.testing import CliRunner
        from orchestrator.adapters.docker.container_config import container_config
        from orchestrator.cli import main
        from orchestrator.errors import InvalidTask, SettingsError
        from orchestrator.ports import ContainerPlan
        from orchestrator.settings.settings import Settings
        from orchestrator.task.request import parse_request
        from orchestrator.task.schema import task_schema
        from orchestrator.testing import MemoryServices
        from scripts.cli_page import cli_page
        from scripts.pages import environment_example, limits_page, settings_page

        limits = task_schema()["properties"]["limits"]["anyOf"][0]["properties"]
        assert limits["sockets"]["description"] == "a whole number of 1 or more"

        settings = Settings.load({"DEFAULT_SOCKETS": "9", "MAX_SOCKETS": "20"})
        assert (settings.defaults.sockets, settings.ceilings.sockets) == (9, 20)
        assert (Settings().defaults.sockets, Settings().ceilings.sockets) == (16, 64)
        for environment, problem in {
            ("DEFAULT_SOCKETS", "none"): "DEFAULT_SOCKETS: 'none' is not a whole number of 1 or more",
            ("MAX_SOCKETS", "9"): "DEFAULT_SOCKETS: 16 is above MAX_SOCKETS, which is 9",
        }.items():
            try:
                Settings.load(dict([environment]))
            except SettingsError as error:
                assert str(error) == problem, error
            else:
                raise AssertionError(problem)
        try:
            parse_request("t", {"image": "a", "limits": {"sockets": 21}}, settings.rules)
        except InvalidTask as error:
            assert error.problems == ("limits.sockets: 21 is above the ceiling of 20",)

        services = MemoryServices()
        result = CliRunner().invoke(main, ["submit", "--sockets", "5", "--id", "t", "busybox"], obj=services.client)
        assert result.exit_code == 0, result.output
        assert services.client.get("t").request["limits"] == {"sockets": 5}

        assert "| `--sockets N` | Sockets it may have. |" in cli_page()
        assert "| `DEFAULT_SOCKETS` | `16` | sockets of a task that names none |" in settings_page()
        assert "#MAX_SOCKETS=64" in environment_example()
        assert "| `sockets` | sockets | none are made | DEFAULT_SOCKETS, `16` | MAX_SOCKETS, `64` | `--s" in limits_page()

        limits = parse_request("t", {"image": "a", "limits": {"sockets": 5}}, settings.rules).limits
        plan = ContainerPlan(name="n", image="a", command=None, env={}, working_dir=None, user="1:1", network=False,
                             stdin=None, files={}, limits=limits, labels={})
        assert container_config(plan)["HostConfig"]["Sysctls"] == {"sockets": 5}
    """)


def test_a_setting_is_one_line(code: Copy) -> None:
    """Variable, check, reference, `.env.example` and what `env` hands on follow."""
    line = '    haste: float = _setting(2.5, text.SECONDS, "seconds between two hasty looks")\n'
    code.add("orchestrator/settings/settings.py", "    defaults: Limits = field(", line)
    code.run("""
        import os
        from click.testing import CliRunner
        from orchestrator.cli import main
        from orchestrator.errors import SettingsError
        from orchestrator.settings.settings import Settings
        from scripts.pages import environment_example, settings_page

        assert (Settings().haste, Settings.load({"HASTE": "500ms"}).haste) == (2.5, 0.5)
        try:
            Settings.load({"HASTE": "soon"})
        except SettingsError as error:
            assert str(error) == "HASTE: 'soon' is not a time such as 30s"
        else:
            raise AssertionError
        assert "| `HASTE` | `2.5` | seconds between two hasty looks |" in settings_page()
        assert "# seconds between two hasty looks\\n#HASTE=2.5" in environment_example()
        os.environ["HASTE"] = "7"
        assert "HASTE=7" in CliRunner().invoke(main, ["env"]).output
    """)


def test_a_state_is_its_rows_and_its_step(code: Copy) -> None:
    """The machine goes through it, its failure is allowed, and diagram, tables and schema show it."""
    code.add("statemachine/states.py", '    UPLOADING = "uploading"', '    SCANNING = "scanning", Policy(is_decided=True)\n')
    code.add("statemachine/table.py", '    UPLOAD = "upload"', '    SCAN = "scan"\n')
    collect = "Row(Trigger.COLLECT, State.COLLECTING, State.UPLOADING,"
    code.replace("statemachine/table.py", collect, collect.replace("UPLOADING", "SCANNING"))
    scan = '    Row(Trigger.SCAN, State.SCANNING, State.UPLOADING, "look for viruses"),\n'
    code.add("statemachine/table.py", "    Row(Trigger.UPLOAD, State.UPLOADING, State.SUCCEEDED", scan)
    code.write(
        "orchestrator/execution/steps/scan.py",
        '''
        """SCAN: look for viruses."""

        def scan(claim):
            return {"evidence": {**claim.task.evidence, "viruses": 0}}
        ''',
    )
    imported = "from orchestrator.execution.steps.scan import scan\n"
    code.add("orchestrator/execution/assembly.py", "from orchestrator.execution.steps.start import Start\n", imported)
    code.add("orchestrator/execution/assembly.py", "            Trigger.UPLOAD: Upload(", "            Trigger.SCAN: scan,\n")
    code.run("""
        from orchestrator.task.schema import task_schema
        from orchestrator.testing import MemoryServices
        from scripts.pages import transitions_page
        from scripts.state_diagram import state_diagram, state_graph
        from statemachine import INITIAL, KEEPING, TABLE, State

        services = MemoryServices()
        task = services.client.submit({"image": "a"})
        (ended,) = services.run_queued()
        assert [event.status for event in services.client.watch(task.id)] == [
            "queued", "running", "collecting", "scanning", "uploading", "succeeded"
        ]
        assert ended.evidence["viruses"] == 0
        assert State.SCANNING in KEEPING
        assert "scanning" in task_schema()["properties"]["status"]["enum"]
        assert "scanning --> uploading" in state_diagram(TABLE, INITIAL)
        assert "scanning" in state_graph(TABLE, INITIAL)
        assert "| `scan` | `scanning` | `uploading` | work (look for viruses), record | announce |" in transitions_page()
        assert "| `fail` | `scanning` | `failed` |" in transitions_page()
    """)


def test_a_backend_is_a_folder_and_its_place_in_the_wiring(code: Copy) -> None:
    """Here an object store and an engine: what is above the wiring knows ports alone, so tasks run on them."""
    adapters = "orchestrator/adapters/notes"
    code.write(f"{adapters}/__init__.py", '"""Adapters of another kind."""\n')
    code.write(
        f"{adapters}/object_store.py",
        '''
        """Objects on notes."""

        from orchestrator.testing import MemoryObjectStore

        class NoteStore(MemoryObjectStore):
            """An ObjectStore."""

            def __init__(self, settings):
                super().__init__(f"notes of {settings.minio_bucket}")
        ''',
    )
    code.write(
        f"{adapters}/engine.py",
        '''
        """Programs on notes."""

        from orchestrator.testing import MemoryEngine

        class NoteEngine(MemoryEngine):
            """An Engine."""

            def __init__(self, settings):
                super().__init__(name="notes")
        ''',
    )
    code.replace(
        "orchestrator/wiring.py",
        "adapters.s3.object_store import MinioObjectStore",
        "adapters.notes.object_store import NoteStore",
    )
    code.replace("orchestrator/wiring.py", "return MinioObjectStore(settings)", "return NoteStore(settings)")
    code.replace(
        "orchestrator/wiring.py",
        "    from orchestrator.adapters.docker.engine import DockerEngine\n"
        "    from orchestrator.adapters.docker.registry import PullRules\n\n"
        "    rules = PullRules(settings.pull_timeout, settings.pull_max, settings.registries_allowed, settings.image_ttl)\n"
        "    ahead = PullPolicy.NEVER if settings.pull_policy is PullPolicy.NEVER else PullPolicy.MISSING\n"
        "    return DockerEngine(settings.docker_host, pull_rules=rules, pull_ahead=ahead)\n",
        "    from orchestrator.adapters.notes.engine import NoteEngine\n\n    return NoteEngine(settings)\n",
    )
    code.run("""
        import sys
        import tempfile
        from pathlib import Path
        from attrs import evolve
        from orchestrator import wiring
        from orchestrator.client import Client
        from orchestrator.settings.settings import Settings
        from orchestrator.testing import MemoryEventBus, MemoryQueue, MemoryTaskStore

        wiring._store = lambda _: store
        wiring._queue = lambda _: queue
        wiring._events = lambda _: MemoryEventBus()
        store, queue = MemoryTaskStore(), MemoryQueue()
        with tempfile.TemporaryDirectory() as folder:
            services = wiring.connect(Settings(spool_dir=Path(folder)))
            task = Client(services).submit({"image": "a"})
            ended = services.runner.run(task.id)
        assert ended.status == "succeeded"
        assert ended.logs.bucket == "notes of task-logs"
        assert ended.engine == "notes"
        assert "orchestrator.adapters.docker.engine" not in sys.modules
    """)
