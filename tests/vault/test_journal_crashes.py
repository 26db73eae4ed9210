"""The journal when a process is killed, a disk is full or a folder cannot be reached."""

import errno
import fcntl
import logging
import os

import pytest

from consent_service.errors import DiskFull, Unavailable
from consent_service.vault.journal import BEFORE_FIRST, Head, LineKind
from tests.vault.journals import AT, Desk, raw_lines, write


@pytest.mark.parametrize("left", [1, 20, 200, -2, -1])
def test_an_unfinished_last_line_is_cut_off_and_noted(
    desk: Desk, caplog: pytest.LogCaptureFixture, left: int
) -> None:
    """Killed while writing: the line was never acknowledged, and the service goes on by itself."""
    write(desk.open(), 2)
    whole = desk.path.read_bytes()
    write(desk.open(), 1)
    torn = raw_lines(desk)[2][:left]
    desk.path.write_bytes(whole + torn)

    assert desk.open().verify().number == desk.open().head().number == 2
    with caplog.at_level(logging.WARNING):
        (line,) = write(desk.open(), 1)

    assert line.number == 3
    assert desk.open().verify() == line.head
    assert f"cut off {len(torn)} bytes after line 2" in caplog.text


def test_an_unfinished_line_longer_than_the_next_is_cut_off_whole(desk: Desk) -> None:
    """What is left of a long batch must not stand behind the short line that comes after."""
    journal = desk.open()
    (line,) = write(journal, 1)
    with desk.path.open("ab") as file:
        file.write(b'{"at":"2026' + b"0" * 5000)

    last = desk.open().append(LineKind.UNDO, {}, AT)

    assert len(raw_lines(desk)) == 2
    assert [read.head for read in journal.lines()] == [line.head, last.head]


def test_a_killed_first_line_leaves_an_empty_journal(desk: Desk) -> None:
    """Killed while writing the very first line."""
    journal = desk.open()
    desk.path.write_bytes(b'{"at":')

    assert journal.head() == BEFORE_FIRST
    assert write(journal, 1)[0].number == 1


def test_a_line_is_on_the_disk_before_it_is_acknowledged(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is destroyed after this; without the line a restore could bring it back."""
    journal = desk.open()
    synced: list[bytes] = []

    def fdatasync(fd: int) -> None:
        assert os.fstat(fd).st_ino == desk.path.stat().st_ino
        synced.append(desk.path.read_bytes())

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    write(journal, 1)

    assert synced == [desk.path.read_bytes()]


@pytest.mark.parametrize(
    ("call", "code", "expected"),
    [
        ("write", errno.ENOSPC, DiskFull),
        ("write", errno.EIO, Unavailable),
        ("fdatasync", errno.EIO, Unavailable),
    ],
)
def test_a_line_that_cannot_be_written_leaves_nothing(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
    expected: type[Unavailable],
) -> None:
    """The act is refused and may be tried again, as if it had never been asked for."""
    journal = desk.open()
    write(journal, 1)
    before = desk.path.read_bytes()
    real = os.write

    def fail(fd: int, *content: bytes) -> int:
        if content:
            real(fd, content[0][:100])
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail)
        with pytest.raises(expected):
            write(journal, 1)

    assert desk.path.read_bytes() == before
    assert write(journal, 1)[0].number == 2


def test_a_line_that_cannot_be_taken_back_is_cut_off_by_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails while writing and while cutting: the fault told is the first one."""
    journal = desk.open()
    write(journal, 1)
    real = os.write

    def write_a_little(fd: int, content: bytes) -> int:
        if len(content) < 200:
            raise OSError(errno.ENOSPC, "full")
        return real(fd, content[:-100])

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", write_a_little)
        broken.setattr(os, "ftruncate", fail)
        with pytest.raises(DiskFull):
            write(journal, 1)
    assert not desk.path.read_bytes().endswith(b"\n")

    assert write(desk.open(), 1)[0].number == 2
    assert write(journal, 1)[0].number == 3


def test_a_journal_that_cannot_be_reached_is_unavailable(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong mount or right is no broken journal: nothing needs to be put back."""
    journal = desk.open()

    def fail(*_: object) -> None:
        raise OSError(errno.EACCES, "no")

    monkeypatch.setattr(os, "open", fail)

    for act in (journal.head, journal.verify, lambda: journal.require_contains(1, "0" * 64)):
        with pytest.raises(Unavailable, match="EACCES") as refused:
            act()
        assert str(desk.path) not in refused.value.message


def test_the_lock_is_let_go_when_an_append_fails(desk: Desk) -> None:
    """One refused line must not stop every other process."""
    journal = desk.open()
    with pytest.raises(ValueError, match="at most"):
        journal.append(LineKind.UNDO, {"keys": ["a" * 8000] * 200}, AT)

    with desk.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    assert journal.head() == Head(*BEFORE_FIRST)
