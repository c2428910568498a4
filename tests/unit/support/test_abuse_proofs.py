"""What proves that a hostile program was held is not fooled itself."""

import pytest

from tests.abuse.walls import PRIVILEGE
from tests.support.abuse_program import Seen

UNSHARE = next(program for program in PRIVILEGE if program.does == "unshare and setns")


def test_every_refusal_is_looked_at_and_not_only_the_last_of_each_call() -> None:
    """One call is tried with several arguments."""
    refused = Seen({}, b"unshare EPERM\nunshare ENOSYS\nsetns EPERM\n", b"")
    assert UNSHARE.proof(refused) == "unshare EPERM, unshare ENOSYS, setns EPERM"
    with pytest.raises(AssertionError):
        UNSHARE.proof(Seen({}, b"unshare DONE\nunshare EPERM\nsetns EPERM\n", b""))
