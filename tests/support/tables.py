"""Tables that nobody drew by hand, for the pictures to cope with."""

from hypothesis import strategies as st

from statemachine import Row

STATES = ["a", "bee", "sea", "dee", "an_even_longer_state", "eff", "gee", "h"]
TRIGGERS = ["go", "stop", "a_long_trigger", "u"]
GUARDS = [None, None, "if_so", "if_something_quite_long_holds"]


def rows(states: list[str]) -> st.SearchStrategy[Row]:
    """A row between any two of the states, back and to itself included. The renderers need no more than text."""
    return st.builds(
        Row,
        st.sampled_from(TRIGGERS),
        st.sampled_from(states),
        st.sampled_from(states),
        st.just("work"),
        st.sampled_from(GUARDS),
    )


tables = st.integers(2, len(STATES)).flatmap(lambda count: st.lists(rows(STATES[:count]), min_size=1, max_size=14))
