"""A team's own leaflet file comes in whole, or is refused with the line to look at."""

import hashlib
from datetime import date
from pathlib import Path

import pytest

from consent_service.domain.leaflet_file import MAX_BYTES, parse_leaflet_file
from consent_service.errors import PolicyFault

GOLDEN = Path(__file__).parent.parent / "golden" / "leaflet-T2042-v3.txt"
CONTROL = "T1, V1, 01/02/2025 (Archive: 01/02/2028)"


def refusal_of(raw: bytes) -> str:
    with pytest.raises(PolicyFault) as caught:
        parse_leaflet_file(raw, "swim.txt")
    return caught.value.message


def test_the_parts_of_a_leaflet_file_are_read() -> None:
    """Title, words and control line are what the register shows and the date jobs work with."""
    draft = parse_leaflet_file(GOLDEN.read_bytes())

    assert draft.title == "Baby swimming for beginners (BSB)"
    assert (draft.code, draft.version) == ("T2042", 3)
    assert (draft.issued_on, draft.archive_on) == (date(2025, 2, 2), date(2028, 2, 2))
    assert draft.body.startswith("Baby swimming is a half hour")
    assert draft.body.endswith("You can stop coming whenever you like.")


def test_every_byte_of_the_file_is_kept() -> None:
    """What a family was given must be provable, so nothing is tidied."""
    raw = b"\xef\xbb\xbfTitle\r\n\r\n  Words \t\r\n" + CONTROL.encode() + b"\r\n\r\n"

    draft = parse_leaflet_file(raw)

    assert draft.raw == raw
    assert draft.sha256 == hashlib.sha256(raw).hexdigest()
    assert draft.text == raw.decode("utf-8-sig")
    assert draft.title == "Title"


def test_a_quotation_mark_that_is_never_closed_is_kept_with_a_note() -> None:
    """A slip of the pen in a leaflet that was given for years is no reason to refuse it."""
    draft = parse_leaflet_file(GOLDEN.read_bytes())

    assert draft.notes == ("line 9: a quotation mark is opened and never closed; kept as it is",)
    assert "“She slept so well after it.\n" in draft.text


def test_quotes_are_listed_so_that_their_permission_can_be_asked_after() -> None:
    """Printing somebody's words needs their yes; these came in with permission unknown."""
    draft = parse_leaflet_file(GOLDEN.read_bytes())

    assert draft.quotes == (
        "swim nappy",
        "He laughed the whole time.",
        "She slept so well after it.",
        "We made friends who live on our street.",
        "I was nervous and nobody minded.",
    )


def test_a_closing_mark_without_an_opening_one_is_noted() -> None:
    """Otherwise a lost opening mark would hide somebody's words."""
    draft = parse_leaflet_file(f"Title\nSo good” she said.\n{CONTROL}".encode())

    assert draft.notes == ("line 2: a quotation mark is closed and never opened; kept as it is",)


def test_a_second_opening_mark_and_the_end_of_the_file_end_an_open_quote() -> None:
    """Two quotes must not run into one another, and the last is not lost."""
    draft = parse_leaflet_file(f"Title\n“One “Two”\nwords “\n\n“Three\n{CONTROL}".encode())

    assert draft.quotes == ("One", "Two", f"Three {CONTROL}")
    assert [note[:7] for note in draft.notes] == ["line 2:", "line 3:", "line 5:"]


def test_a_draft_becomes_a_version_with_owner_and_language() -> None:
    """Owner and language are policy, the rest is in the file."""
    draft = parse_leaflet_file(GOLDEN.read_bytes())

    version = draft.version_of(owner="Pool team", language="en")

    assert version.control_line == "T2042, V3, 02/02/2025 (Archive: 02/02/2028)"
    assert version.texts == {"en": draft.text}
    assert (version.owner, version.languages, version.quotes) == (
        "Pool team",
        ("en",),
        draft.quotes,
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "swim.txt:1: the file is empty, expected a title, words and a control line"),
        (" \n\n\t\n", "swim.txt:1: the file is empty"),
        ("Title\nWords\nThe end\n", "swim.txt:3: the last line is no control line, expected such"),
        (f"Title\nWords\n{CONTROL}\nP.S.\n", "swim.txt:4: the last line is no control line"),
        (
            "Title\nWords\nT1, V1, 31/02/2023 (Archive: 01/02/2028)",
            "swim.txt:3: 31/02/2023 is no day of the calendar, expected a real day",
        ),
        (
            "Title\nWords\nT1, V1, 01/02/2025 (Archive: 29/02/2027)",
            "swim.txt:3: 29/02/2027 is no day of the calendar",
        ),
        (
            "Title\nWords\n\nT1, V1, 01/02/2025 (Archive: 31/01/2025)",
            "swim.txt:4: the archive date is not after the issue date, expected a later",
        ),
        (
            "Title\nWords\nT1, V1, 01/02/2025 (Archive: 01/02/2025)",
            "swim.txt:3: the archive date is not after the issue date",
        ),
        ("Title\nWords\nT1, V0, 01/02/2025 (Archive: 01/02/2028)", "swim.txt:3: the last line"),
        (f"\nTitle\n{CONTROL}", "swim.txt:2: the leaflet has no words, expected a title and"),
        (CONTROL, "swim.txt:1: the leaflet has no words"),
        (f"Title\nWo\x00rds\n{CONTROL}", "swim.txt:2: the line holds a zero byte, expected plain"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_with_its_line(text: str, fault: str) -> None:
    """A wrong date would keep an old leaflet in use, or take a current one away."""
    assert refusal_of(text.encode()).startswith(fault)


def test_a_file_that_is_not_utf_8_is_refused_with_its_line() -> None:
    """Guessing an encoding would change what a family read."""
    assert refusal_of(b"Title\nCaf\xe9\n" + CONTROL.encode()).startswith(
        "swim.txt:2: the file is not UTF-8, expected"
    )


def test_a_file_that_is_no_leaflet_by_its_size_is_refused() -> None:
    """A film chosen by mistake must not be read into memory as words."""
    assert refusal_of(b"x" * (MAX_BYTES + 1)).startswith(
        "swim.txt:1: the file is larger than 1 MiB"
    )
