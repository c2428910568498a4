"""A sweep looks at spools while their workers remove them."""

from pathlib import Path

import pytest

from orchestrator.reconcile import reconciler


def test_a_folder_that_goes_while_it_is_looked_at_is_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker has just removed it, so there is nothing to discard, and the others are looked at."""
    gone, there = tmp_path / "orchestrator-a-1", tmp_path / "orchestrator-b-1" / "nonce"
    there.mkdir(parents=True)
    monkeypatch.setattr(reconciler, "folders", lambda _: [gone, there.parent])
    assert [*reconciler._spooled(tmp_path)] == [(gone, "a", 1, None), (there, "b", 1, "nonce")]
    assert reconciler._age(gone) == 0.0
