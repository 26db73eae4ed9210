"""A journal that somebody changed: every kind of tampering is found, and its line is named."""

import os

import pytest

from consent_service.vault.journal import LineKind
from consent_service.vault.journal_line import LINE_BYTES_MAX
from consent_service.vault.signing import (
    SigningUse,
)
from tests.vault.journals import AT, Desk, new_signer, raw_lines, refusal, resigned, write


def test_every_flipped_byte_is_found_and_its_line_named(desk: Desk) -> None:
    """Whoever can write the file must not be able to change one bit of it unseen."""
    write(desk.open(), 3)
    whole = desk.path.read_bytes()

    for place in range(len(whole)):
        desk.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused = refusal(desk.open().verify)
        number = whole[:place].count(b"\n") + 1
        assert refused.details["line"] == number, f"byte {place}: {refused.message}"


def test_a_lost_last_line_is_found_by_whoever_remembers_it(shelf: Desk) -> None:
    """A shorter journal is whole in itself: the database's memory of the head finds it."""
    *_, last = write(shelf.open(), 3)
    shelf.put(raw_lines(shelf)[:-1])

    refused = refusal(lambda: shelf.open().require_contains(*last.head))

    assert (refused.code, refused.details) == ("cut_short", {"line": 3})


def test_a_running_process_remembers_what_it_wrote(shelf: Desk) -> None:
    """Cut or overwritten while the service runs: nothing is appended to it."""
    journal = shelf.open()
    write(journal, 3)
    lines = raw_lines(shelf)

    for wrong in (lines[:2], [*lines[:2], lines[2][:-1] + b" "], []):
        shelf.put(wrong)
        assert refusal(lambda: write(journal, 1)).code in {"cut_short", "not_a_line", "missing"}
        assert raw_lines(shelf) == wrong


@pytest.mark.parametrize("after", [0, 1])
def test_swapped_lines_are_found(shelf: Desk, after: int) -> None:
    """The order of acts is part of what is signed."""
    write(shelf.open(), 4)
    first, second, third, fourth = raw_lines(shelf)
    shelf.put([first, third, second, fourth])

    refused = refusal(lambda: list(shelf.open().lines(after)))

    assert (refused.code, refused.details) == ("wrong_number", {"line": 2})


def test_a_line_taken_out_is_found(shelf: Desk) -> None:
    """One hold less, one withdrawal less: the next line tells."""
    write(shelf.open(), 4)
    first, _, third, fourth = raw_lines(shelf)
    shelf.put([first, third, fourth])

    assert refusal(shelf.open().verify).details == {"line": 2}
    assert refusal(lambda: shelf.open().require_contains(2, "0" * 64)).code == "wrong_number"


def test_a_line_said_twice_is_found(shelf: Desk) -> None:
    """Splicing an old line in again must not pass."""
    write(shelf.open(), 3)
    lines = raw_lines(shelf)
    shelf.put([*lines, lines[-1]])

    assert refusal(shelf.open().verify).details == {"line": 4}


def test_a_line_with_our_signature_in_another_chain_is_found(shelf: Desk) -> None:
    """Two writers that did not share a lock, or a fork: numbers fit, the chain does not."""
    write(shelf.open(), 3)
    first, second, third = raw_lines(shelf)
    shelf.put([first, resigned(shelf, second, body={"order": "other"}), third])

    refused = refusal(shelf.open().verify)

    assert (refused.code, refused.details) == ("wrong_previous", {"line": 3})


def test_a_foreign_signature_is_found(shelf: Desk) -> None:
    """A whole journal, chained without fault, by somebody else's key."""
    write(shelf.open(), 1)
    foreign = Desk.at(shelf.path.with_name("foreign.jsonl"))
    write(foreign.open(), 2)
    shelf.put(raw_lines(foreign))

    for act in (shelf.open().verify, shelf.open().head, lambda: write(shelf.open(), 1)):
        refused = refusal(act)
        assert refused.code == "unknown_key"
        assert "not of a published key" in refused.message


def test_a_key_of_another_use_does_not_sign_the_journal(shelf: Desk) -> None:
    """Who holds the certificates key cannot make withdrawals disappear."""
    signer = new_signer(SigningUse.CERTIFICATES)
    other = Desk(shelf.path, signer, [*shelf.keys, signer.published(AT)])
    write(shelf.open(), 1)
    journal = shelf.open()
    journal._signer = other.signer  # type: ignore[attr-defined]

    assert refusal(lambda: write(journal, 1)).code == "unknown_key"
    assert len(raw_lines(shelf)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "lunch"},
        {"at": "yesterday"},
        {"at": 5},
        {"number": 2.5},
        {"number": "2"},
        {"extra": 1},
    ],
)
def test_a_line_that_says_what_no_line_can_say_is_refused(
    shelf: Desk, changes: dict[str, object]
) -> None:
    """Even with a good signature: a reader that guesses is a reader that can be fooled."""
    write(shelf.open(), 2)
    first, second = raw_lines(shelf)
    shelf.put([first, resigned(shelf, second, **changes)])

    assert refusal(shelf.open().verify).details == {"line": 2}
    assert refusal(shelf.open().head).details == {"line": 2}


@pytest.mark.parametrize(
    "junk", [b"", b"null", b"[1]", b"{}", b"\xff", b"[" * 100_000, b'{"number": NaN}', b"1" * 5000]
)
def test_junk_between_lines_is_refused_wherever_it_is_met(shelf: Desk, junk: bytes) -> None:
    """Reading on, finding by bisection and appending must all refuse, naming the line."""
    write(shelf.open(), 3)
    lines = raw_lines(shelf)
    shelf.put([*lines, junk + b"\n"])

    fresh = shelf.open()
    for act in (fresh.verify, fresh.head, lambda: write(fresh, 1)):
        assert refusal(act).details == {"line": 4}
    # A bucket is asked for line 5 itself, which is not there either.
    assert refusal(lambda: fresh.require_contains(5, "0" * 64)).details["line"] in {4, 5}


def test_a_line_without_end_does_not_fill_the_memory(desk: Desk) -> None:
    """A file of gigabytes without a newline must be refused, not be read."""
    write(desk.open(), 1)
    with desk.path.open("ab") as file:
        file.write(b"x" * (LINE_BYTES_MAX + 2 * 65536) + b"\n")

    for act in (desk.open().verify, desk.open().head):
        assert refusal(act).details == {"line": 2}


def test_a_file_cut_while_it_is_read_is_refused(desk: Desk) -> None:
    """What was promised to be there is gone: the reader must not end as if all were read."""
    journal = desk.open()
    filler = ["a" * 8000] * 10
    for _ in range(3):
        journal.append(LineKind.CHECKPOINT, {"note": filler}, AT)
    reading = journal.lines()
    next(reading)
    os.truncate(desk.path, 10)

    assert refusal(lambda: list(reading)).code == "not_a_line"


def test_a_line_written_in_another_way_is_refused(shelf: Desk) -> None:
    """The same meaning and a good signature, but other bytes: the next line would not fit it."""
    write(shelf.open(), 1)
    [whole] = raw_lines(shelf)

    for other in (b" " + whole, whole[:-2] + b" }\n", whole.replace(b'"at"', b'"\\u0061t"')):
        shelf.put([other])
        assert refusal(shelf.open().head).details == {"line": 1}


def test_a_line_before_the_last_that_grew_stops_a_running_process(desk: Desk) -> None:
    """The last line is the same and lies elsewhere: something before it is not what it was."""
    journal = desk.open()
    write(journal, 2)
    first, second = raw_lines(desk)
    desk.path.write_bytes(b" " + first + second)

    assert refusal(lambda: write(journal, 1)).code == "moved"
