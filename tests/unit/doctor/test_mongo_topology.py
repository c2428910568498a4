"""What the doctor says of the kind of MongoDB that it finds."""

import pytest

from orchestrator.doctor.mongo import topology


@pytest.mark.parametrize(
    ("hello", "words"),
    [
        ({}, "standalone server; what is stored is in its journal, and without it or its disk tasks stand still"),
        ({"msg": "isdbgrid"}, "sharded cluster; what is stored is in the journals of a majority of a shard's members"),
        (
            {"setName": "rs", "hosts": ["a"]},
            "with data: 1; what is stored outlasts a failover, and tasks stand still with one away",
        ),
        (
            {"setName": "rs", "hosts": ["a", "b", "c"]},
            "replica set rs, members with data: 3; what is stored outlasts a failover",
        ),
        ({"setName": "rs", "hosts": ["a", "b"], "passives": ["c"]}, "tasks go on with 1 of them away"),
        ({"setName": "rs", "hosts": ["a", "b", "c", "d", "e"]}, "tasks go on with 2 of them away"),
        ({"setName": "rs", "hosts": ["a", "b"], "arbiters": ["c"]}, "with data: 2 and arbiters without data: 1; "),
        ({"setName": "rs", "hosts": ["a", "b"], "arbiters": ["c"]}, "tasks stand still with one away"),
    ],
)
def test_the_topology_is_named_with_what_it_means(hello: dict[str, object], words: str) -> None:
    """A majority of all that vote has to have a write, and arbiters have none."""
    assert words in topology(hello)
