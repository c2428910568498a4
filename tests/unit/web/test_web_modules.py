"""The parts of the page that need no browser, run by Node.js's own test runner."""

import os
import re
import subprocess

import pytest

from scripts import page


def test_the_modules_of_the_page_do_what_they_say() -> None:
    """Output in bounded memory, colours of a terminal, times and sizes, the path of a task, the form's checks."""
    if not (page.MODULES / ".locked").is_file() and not os.environ.get("CI"):
        pytest.skip("the packages of the page are not installed; run `make page`")
    try:
        said = page.run(page.install(), "test")
    except subprocess.CalledProcessError as error:
        pytest.fail(error.output)
    assert re.search(r"\bpass [1-9]", said)
