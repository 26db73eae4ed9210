"""Lists that are as long as the service is old are printed as they are read."""

import json
from collections.abc import Iterator

import pytest

from consent_service.cli import terminal


def _rows(many: int, seen: list[int]) -> Iterator[dict[str, object]]:
    for number in range(many):
        seen.append(number)
        yield {"id": number, "words": 'a "b"\nc', "left_out": None}


@pytest.mark.parametrize("many", [0, 1, 3])
def test_a_list_is_one_json_document_of_exactly_the_columns(
    many: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Programs read it whole, however it was printed."""
    terminal.print_rows(_rows(many, []), ("id", "words"), as_json=True)

    printed = capsys.readouterr().out
    assert json.loads(printed) == [{"id": n, "words": 'a "b"\nc'} for n in range(many)]
    assert printed == json.dumps(json.loads(printed), indent=2) + "\n"


def test_a_row_is_printed_before_the_next_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundred thousand orders must not be in memory at once."""
    seen: list[int] = []
    printed_after: list[int] = []
    monkeypatch.setattr(
        terminal.click, "echo", lambda *_args, **_how: printed_after.append(len(seen))
    )

    terminal.print_rows(_rows(3, seen), ("id",), as_json=True)

    assert printed_after[:3] == [1, 2, 3]


def test_a_long_table_is_printed_in_parts_with_all_its_rows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Widths are known only for rows that were read."""
    terminal.print_rows(_rows(terminal.ROWS_OF_A_TABLE + 1, []), ("id",), as_json=False)

    lines = capsys.readouterr().out.split()
    assert lines.count("Id") == 2
    assert len(lines) == terminal.ROWS_OF_A_TABLE + 3


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Silence could be a fault."""
    terminal.print_rows(iter(()), ("id",), as_json=False)

    assert capsys.readouterr().out == "Nothing to show.\n"
