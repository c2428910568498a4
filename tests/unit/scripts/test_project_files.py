"""What the project says of itself: make's targets, the package's metadata, the image's labels, the changelog."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import trove_classifiers

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_make_alone_tells_what_can_be_made_and_makes_nothing() -> None:
    """Every target is told of in one line."""
    told, helped = (
        subprocess.run(["make", "--no-print-directory", *target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for target in ([], ["help"])
    )
    (phony,) = re.findall(r"(?m)^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE)
    assert told == helped
    assert [line.split()[0] for line in told.splitlines()] == re.findall(r"(?m)^([a-z-]+):", MAKEFILE)
    assert {line.split()[0] for line in told.splitlines()} == set(phony.replace("\\\n", "").split())
    assert all(len(line.split()) > 2 for line in told.splitlines())


def test_unit_tests_make_neither_an_engine_nor_a_server_ready() -> None:
    """A checkout with .venv is all that they need."""
    (needs, command) = re.findall(r"(?m)^unit: (\w+) #.*\n\t(.*)$", MAKEFILE)[0]
    assert needs == "setup"
    assert "tests/unit tests/model --ignore=tests/unit/embedded" in command


def test_the_classifiers_are_known_ones_and_name_no_python_that_is_not_meant() -> None:
    """A registry refuses a package with an unknown one."""
    assert set(PROJECT["classifiers"]) <= trove_classifiers.classifiers
    assert PROJECT["classifiers"] == sorted(PROJECT["classifiers"])
    assert "Typing :: Typed" in PROJECT["classifiers"]
    assert PROJECT["requires-python"] == ">=3.11"
    versions = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", name)]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]


def test_the_image_says_what_is_in_it_as_the_package_does() -> None:
    """Users of a registry see the version of an image without a start."""
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', (ROOT / "Dockerfile").read_text(encoding="utf-8")))
    assert labels == {"title": PROJECT["name"], "description": PROJECT["description"], "version": PROJECT["version"]}


def test_every_line_of_the_changelog_is_in_a_section() -> None:
    """In the order that readers know."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    head, *sections = re.split(r"(?m)^### ", text)
    assert "## [Unreleased]" in head
    assert not re.search(r"(?m)^- ", head)
    assert [section.partition("\n")[0] for section in sections] == ["Added", "Changed", "Fixed", "Security"]
    assert all(re.search(r"(?m)^- ", section) for section in sections)


def test_every_file_that_a_page_names_is_there() -> None:
    """Modules and tests are moved now and then; what `make machines-test` writes may be missing."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    named = {name for page in pages for name in re.findall(_FILE, page.read_text(encoding="utf-8"))}
    assert "tests/support/pace.py" in named
    assert {name for name in named if not (ROOT / name).exists()} <= {"docs/hosts.md", "docs/hosts.jsonl"}


_FILE = r"`((?:orchestrator|statemachine|tests|scripts|docs|deploy|diagrams)/[\w./-]+)`"


def test_no_file_of_tests_has_the_name_of_a_module_of_pythons() -> None:
    """Pytest puts the folders of tests before the standard library on the path: a library would import the test's file."""
    names = {path.stem for path in ROOT.glob("tests/**/*.py")}
    assert names & sys.stdlib_module_names == set()


def test_no_two_files_of_tests_have_one_name() -> None:
    """Pytest imports these by their names alone, and takes the first for both."""
    names = [path.name for path in ROOT.glob("tests/**/test_*.py")]
    assert sorted(names) == sorted({*names})
