"""The time after the last fault, in which everything has to end."""

from collections.abc import Sequence

from statemachine import TERMINAL
from tests.model.judge import check
from tests.model.model_site import Site
from tests.model.parts import HOSTS

_ROUNDS = 12


def settle(site: Site, *, thaw_first: bool, lost_host: str | None) -> None:
    """No more faults: workers come and go until nothing is left to do. Threads that stand go on before or after."""
    if thaw_first:
        _thaw(site)
    if lost_host:
        site.give_up_engines()
        _work(site, [host for host in HOSTS if host != lost_host])
    _work(site, HOSTS)
    check(site)
    _thaw(site)
    _work(site, HOSTS)
    check(site)


def _thaw(site: Site) -> None:
    while site.actors:
        site.finish(site.actors[0])


def _work(site: Site, hosts: Sequence[str]) -> None:
    standing = set(site.actors)
    for _ in range(_ROUNDS):
        site.world.expire_leases()
        for worker in map(site.worker, hosts):
            site.sweep(worker)
            while site.deliver(worker):
                pass
            while fresh := [actor for actor in site.actors if actor not in standing]:
                site.finish(fresh[0])
        if _is_calm(site, hosts):
            return


def _is_calm(site: Site, hosts: Sequence[str]) -> bool:
    left = [name for host in hosts for name in site.world.engines[host].containers]
    return not left and all(task.settled and task.status in TERMINAL for task in site.stored)
