"""Every generated file is in step with the code, and the check says which one is not."""

from pathlib import Path

import pytest

from orchestrator.settings.settings import Settings
from scripts import generate
from scripts.layers import Layers, flowchart, layers_page
from scripts.pages import environment_example, settings_page
from scripts.sequence import sequence_page


def test_every_generated_file_is_in_step() -> None:
    """Otherwise run ``make diagrams``."""
    assert [str(path.relative_to(generate.ROOT)) for path in generate.stale(generate.ROOT)] == []


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files to be made in another folder."""
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "GENERATED", {"a/one.md": lambda: "one\n", "two.md": lambda: "zwei → 2\n"})
    monkeypatch.setattr(generate, "DRAWN", {})
    return tmp_path


def test_files_are_written_once(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second run finds nothing to do."""
    assert generate.main([]) == 0
    assert capsys.readouterr().out == "wrote a/one.md\nwrote two.md\n"
    assert (elsewhere / "two.md").read_text(encoding="utf-8") == "zwei → 2\n"
    assert generate.main([]) == 0
    assert capsys.readouterr().out == ""


def test_check_names_what_is_stale_and_touches_nothing(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file and a changed one fail the check."""
    (elsewhere / "two.md").write_text("old", encoding="utf-8")
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().out == "a/one.md is stale\ntwo.md is stale\n"
    assert [path.name for path in elsewhere.iterdir()] == ["two.md"]
    assert (elsewhere / "two.md").read_text(encoding="utf-8") == "old"


def test_check_is_quiet_when_all_is_in_step(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 0."""
    generate.main([])
    capsys.readouterr()
    assert generate.main(["--check"]) == 0
    assert capsys.readouterr().out == ""
    assert elsewhere.is_dir()


def test_example_environment_is_the_defaults() -> None:
    """Taking every # away changes nothing."""
    lines = [line[1:] for line in environment_example().splitlines() if line.startswith("#") and not line.startswith("# ")]
    environment = dict(line.split("=", 1) for line in lines)
    assert len(environment) == settings_page().count("\n| `")
    assert Settings.load(environment) == Settings.load({"DOCKER_HOST": Settings().docker_host})


def test_recorded_sequence_is_the_same_each_time() -> None:
    """It holds no id, time or order that differs from run to run, and goes from the submission to the release."""
    pages = {sequence_page() for _ in range(3)}
    (page,) = pages
    calls = [line.strip() for line in page.splitlines() if "->>" in line]
    assert [call.partition("(")[0] for call in calls[:2]] == ["owner->>store: deployment", "owner->>store: insert"]
    assert "worker->>store: advance(uploading → succeeded)" in calls
    assert any(call.startswith("worker->>engine: remove") for call in calls)


def test_layers_hold_every_named_component() -> None:
    """And the arrows follow the direction of the contract."""
    page = layers_page()
    assert "orchestrator.task --> statemachine" in page
    assert "statemachine -->" not in page
    assert page.index("<b>orchestrator.cli</b>") < page.index("<b>orchestrator.ports</b>") < page.index("<b>statemachine</b>")


def test_an_import_against_the_contract_is_shown_as_such() -> None:
    """The picture tells what is there, also while the linter complains."""
    top, left, right = "orchestrator.top", "orchestrator.left", "orchestrator.right"
    imports = {top: frozenset({left, right}), left: frozenset({right}), right: frozenset({top, "attrs"})}
    drawing = flowchart(Layers([[top], [left, right]], {part: [part] for part in imports}, imports))
    assert f"{top} --> {left}" in drawing
    assert f"{left} -. breaks the contract .-> {right}" in drawing
    assert f"{right} -. breaks the contract .-> {top}" in drawing
    assert f'{right}["<b>{right}</b><br><i>attrs</i>"]' in drawing


def test_a_picture_is_drawn_again_with_its_source(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not compared: only a stale source, or a picture that is missing, makes it stale."""
    monkeypatch.setattr(generate, "DRAWN", {"one.svg": ("two.md", lambda: "drawn")})
    assert generate.main([]) == 0
    (elsewhere / "one.svg").write_text("drawn with other fonts", encoding="utf-8")
    assert generate.main(["--check"]) == 0
    (elsewhere / "two.md").write_text("old", encoding="utf-8")
    assert generate.main([]) == 0
    assert (elsewhere / "one.svg").read_text(encoding="utf-8") == "drawn"
