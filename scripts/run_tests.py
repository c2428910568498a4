"""Run the tests in two lanes, side by side: ``python -m scripts.run_tests [ARGUMENT...]``, the arguments are pytest's.

The tests that need the engine wait most of the time, for programs and deadlines. The others need the processor, so they run
beside them and give way to them. With a path among the arguments there is one lane only.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

ENGINE = ("tests/abuse", "tests/acceptance", "tests/contract/engine", "tests/faults", "tests/hosts")
"""The folders of the tests that need the engine."""
GIVE_WAY = ("nice", "-n", "19")
CI = ("-p", "scripts.no_skips", "--maxfail=20")
"""No test may be skipped. A defect that fails all tests is told in minutes; each of them may wait for minutes."""
NOTHING_RAN = 5
"""Pytest's exit status when no test was chosen."""


def main(arguments: Sequence[str]) -> int:
    """The exit status: that of the lane that failed, and pytest's for "nothing ran" where no lane ran a test."""
    command = [sys.executable, "-m", "pytest", *(CI if os.environ.get("CI") else ()), *arguments]
    if any(argument.startswith("tests") for argument in arguments):
        return subprocess.run(command, check=False).returncode
    with tempfile.TemporaryFile() as printed:
        rest = [*GIVE_WAY, *command, *(f"--ignore={folder}" for folder in ENGINE)]
        others = subprocess.Popen(rest, stdout=printed, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            statuses = [subprocess.run([*command, *ENGINE], check=False).returncode, others.wait()]
        finally:
            others.terminate()
            others.wait()
            printed.seek(0)
            print(f"\nbeside them, all other tests:\n{printed.read().decode(errors='replace')}", flush=True)
    return judged(statuses)


def judged(statuses: Sequence[int]) -> int:
    """The exit status of all lanes together."""
    return next((status for status in statuses if status not in {0, NOTHING_RAN}), min(statuses))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
