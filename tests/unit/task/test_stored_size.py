"""The size of a document is known without its database."""

from datetime import UTC, datetime

import bson
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.task.stored_size import size_of

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NAMED = TEXT.map(lambda text: text[:5])
FIXED = (
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats() | st.just(datetime(2030, 1, 1, tzinfo=UTC))
)
VALUES = st.recursive(
    FIXED | TEXT | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(NAMED, inner, max_size=5),
    max_leaves=30,
)


@given(document=st.dictionaries(NAMED, VALUES, max_size=5))
def test_a_document_takes_no_more_than_is_counted(document: dict[str, object]) -> None:
    """And not much less."""
    stored = len(bson.encode(document))
    assert stored <= size_of(document) <= 4 * stored


def test_a_text_that_cannot_be_stored_has_a_size() -> None:
    """It is refused elsewhere."""
    assert size_of({"a": "\ud800"}) > 0
