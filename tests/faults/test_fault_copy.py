"""The database is copied while programs run, and the copy has workers of its own on the same engine."""

import signal

from tests.faults.report import note
from tests.faults.test_fault_worker import taken_by
from tests.support.fault_programs import talker
from tests.support.fault_proof import prove
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.restored import copy_of, restore

EAGER = {"ORPHAN_GRACE": "0.1", "SWEEP_INTERVAL": "0.2", "LEASE_TTL": "2"}
"""Settings of the copy's worker: whatever it may sweep, it sweeps at once."""


def test_a_copy_of_the_database_takes_no_program_from_the_original(site: Site) -> None:
    """Neither one that the copy knows, nor one that began later, nor one whose worker died."""
    with copy_of(site) as settings:
        queue = f"{site.environment['QUEUE']}-victim"
        victim, live = site.worker("victim", QUEUE=queue), site.worker("live")
        known, orphan = site.submit(talker(8)), site.submit(talker(8), queue)
        taken_by(site, live, known)
        taken_by(site, victim, orphan)
        restore(site, settings["MONGO_DB_NAME"])
        later = site.submit(talker(8))
        copied = site.worker("copy", **settings, **EAGER)
        victim.signal(signal.SIGKILL)
        tasks = [known, orphan, later]
        site.ended(tasks)
        causes = [site.document(task_id)["cause"] for task_id in tasks]
        assert causes == [None] * len(tasks), f"lost to a copy: {causes}"
        assert [site.document(task_id)["attempt"] for task_id in tasks] == [1] * len(tasks)
        assert site.document(orphan)["finished_by"] == "live"
        copied.says("the database is a copy")
        held = prove(site, *tasks, slots=4)
        assert copied.alive
    note(Row.COPIED_DATABASE, held, runs=len(tasks))
