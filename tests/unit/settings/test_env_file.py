"""Files of variables are read as `docker run --env-file` reads them, which was tried with the same bytes."""

import pytest

from orchestrator.settings.env_file import entries


@pytest.mark.parametrize(
    ("data", "variables"),
    [
        (b"\xef\xbb\xbfA=1\r\n", [("A", "1")]),
        ("B=x\u2028y\x85z\x0cw\x1dv\n".encode(), [("B", "x\u2028y\x85z\x0cw\x1dv")]),
        (b" \t# c\n\x0c  C= a b \n", [("C", " a b ")]),
        (b"D=#no\nE\n", [("D", "#no"), ("E", None)]),
        (b'G="q" # t\nH=\r\n', [("G", '"q" # t'), ("H", "")]),
        (b"\x1cF=2", [("\x1cF", "2")]),
        (b"A=\xef\xbb\xbf1\rB=2\r\r\n", [("A", "\ufeff1\rB=2\r")]),
        ("\u2028\x85\xa0A=1".encode(), [("A", "1")]),
        (b"", []),
        (b"\n\r\n \n", []),
    ],
)
def test_a_file_is_read_as_docker_reads_it(data: bytes, variables: list[tuple[str, str | None]]) -> None:
    """A line feed alone ends a line, and a value is what follows the first =, quotes and blanks too."""
    assert [*entries(data)] == variables


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"A=1\nA B=2\n", "line 2 has a blank in the name"),
        (b"E \n", "line 1 has a blank in the name"),
        (b"=x\n", "line 1 has no name before the ="),
        (b"\nA=\xff\n", "line 2 is not UTF-8 text"),
    ],
)
def test_a_line_that_docker_refuses_is_refused(data: bytes, sentence: str) -> None:
    """By its number, without the value."""
    with pytest.raises(ValueError, match=sentence):
        [*entries(data)]
