"""A journal for drills: reads what is there, and leaves no line behind."""

from pathlib import Path

import pytest

from consent_service.errors import JournalBroken
from consent_service.vault.journal_scratch import ScratchJournal
from tests.vault.journals import Desk, raw_lines, refusal, write


def test_lines_follow_the_real_ones_and_stay_here(tmp_path: Path) -> None:
    """What a drill writes must look like a journal to the drill, and to nobody else."""
    desk = Desk.at(tmp_path / "journal.jsonl")
    real = desk.open()
    before = write(real, 3)
    scratch = ScratchJournal(real, desk.signer, lambda: desk.keys)

    added = write(scratch, 2)
    later = write(real, 1)

    assert [line.number for line in added] == [4, 5]
    assert [line.hash for line in scratch.lines()] == [n.hash for n in (*before, *added)]
    assert [line.number for line in scratch.lines(2)] == [3, 4, 5]
    assert [line.number for line in scratch.lines(4)] == [5]
    assert scratch.verify() == scratch.head() == added[-1].head
    assert real.head() == later[-1].head
    assert [line.number for line in desk.open().lines()] == [1, 2, 3, 4]


def test_it_holds_what_it_should_and_nothing_else(tmp_path: Path) -> None:
    """A backup that remembers a line of another journal does not fit this one."""
    desk = Desk.at(tmp_path / "journal.jsonl")
    real = desk.open()
    [first] = write(real, 1)
    scratch = ScratchJournal(real, desk.signer, lambda: desk.keys)
    [second] = write(scratch, 1)

    scratch.require_contains(1, first.hash)
    scratch.require_contains(2, second.hash)
    for number, known in ((1, second.hash), (2, first.hash), (3, first.hash)):
        with pytest.raises(JournalBroken):
            scratch.require_contains(number, known)


def test_a_real_journal_cut_under_the_drill_is_said(tmp_path: Path) -> None:
    """A drill that passes over a cut would report a restore that the real one cannot do."""
    desk = Desk.at(tmp_path / "journal.jsonl")
    real = desk.open()
    write(real, 3)
    scratch = ScratchJournal(real, desk.signer, lambda: desk.keys)
    write(scratch, 1)

    desk.path.write_bytes(b"".join(raw_lines(desk)[:2]))

    fault = refusal(scratch.verify)
    assert (fault.code, fault.details["line"]) == ("cut_short", 3)
