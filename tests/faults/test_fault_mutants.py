"""A worker without one guard fails each row that it must fail, by a comparison and not by a timeout."""

from collections.abc import Callable, Mapping

import pytest
from attrs import frozen

from tests.faults import test_fault_copy as copy
from tests.faults import test_fault_crowd as crowd
from tests.faults import test_fault_stop as stop
from tests.faults import test_fault_worker as frozen_worker
from tests.support.fault_mutants import MUTANTS
from tests.support.fault_rows import Row
from tests.support.fault_site import Site

pytestmark = pytest.mark.long


@frozen
class Caught:
    """The row that catches a mutant, how the row is tried, and with what words it fails."""

    row: Row
    words: str
    run: Callable[[Site], None]


OF_ONE_SITE: Mapping[str, Caught] = {
    "adoption": Caught(
        Row.TERM_TWICE,
        "the program started 2 times over all attempts, not 1",
        lambda site: stop.test_a_second_sigterm_hands_over_what_runs(site, Row.TERM_TWICE),
    ),
    "finished is final": Caught(
        Row.BUSY_ENGINE,
        "the program started 3 times over all attempts, not 1",
        crowd.test_a_program_that_ended_on_a_busy_engine_is_not_run_again,
    ),
    "fencing token": Caught(
        Row.FROZEN_TWICE,
        "a worker that had lost its lease has recorded the outcome",
        frozen_worker.test_a_worker_that_thaws_before_its_heir_records_nothing,
    ),
    "store before publish": Caught(
        Row.FROZEN_TWICE,
        "a subscriber was told what is not stored",
        frozen_worker.test_a_worker_that_thaws_before_its_heir_records_nothing,
    ),
    "copies are told": Caught(
        Row.COPIED_DATABASE, "lost to a copy", copy.test_a_copy_of_the_database_takes_no_program_from_the_original
    ),
}
OF_TWO_SITES = {"sweep of its own": Row.NEIGHBOURS}


@pytest.mark.parametrize("guard", OF_ONE_SITE)
def test_a_worker_without_a_guard_fails_its_row(site: Site, guard: str) -> None:
    """The row's own test is run with workers that lack the guard."""
    site.environment["FAULT_MUTANT"] = guard
    with pytest.raises(AssertionError, match=OF_ONE_SITE[guard].words):
        OF_ONE_SITE[guard].run(site)


@pytest.mark.parametrize("guard", OF_TWO_SITES)
def test_a_worker_without_a_guard_fails_the_row_of_neighbours(neighbours: tuple[Site, Site], guard: str) -> None:
    """It removes the containers of the other installation, which are a test's."""
    for site, other in (neighbours, neighbours[::-1]):
        site.environment |= {"FAULT_MUTANT": guard, "FAULT_PREY": other.services.deployment}
    with pytest.raises(AssertionError, match="lost to a neighbour"):
        crowd.test_neighbours_on_one_queue_and_one_engine_lose_nothing(neighbours)


def test_every_mutant_has_a_row_that_catches_it() -> None:
    """And each row that is named has a mutant."""
    assert {*OF_ONE_SITE, *OF_TWO_SITES} == set(MUTANTS)
