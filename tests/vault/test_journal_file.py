"""The journal's file: made once, followed by many processes, found without reading it all."""

import multiprocessing
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consent_service.vault import journal_file
from consent_service.vault.journal import LineKind, open_journal
from consent_service.vault.signing import (
    SigningUse,
    load_signer,
    make_signing_keys,
    public_keys,
)
from tests.vault.journals import AT, ORDER, Desk, raw_lines, refusal, write

# --- making and finding


def test_a_new_journal_is_made_for_the_service_alone(desk: Desk) -> None:
    """Ids are pseudonymous, and still nobody else's."""
    desk.open()

    assert desk.path.stat().st_mode & 0o777 == 0o600
    assert desk.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_new_journal_has_its_name_on_the_disk(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines are of no use in a file whose name a power cut takes away."""
    desk.path.parent.mkdir()
    synced: list[str] = []

    def fsync(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)

    monkeypatch.setattr(os, "fsync", fsync)
    desk.open()

    assert synced == [desk.path.name, desk.path.parent.name]


def test_a_journal_that_must_exist_is_not_made(desk: Desk) -> None:
    """A database that knows of lines and finds no journal must not begin a new one."""
    refused = refusal(lambda: desk.open(must_exist=True))

    assert refused.code == "missing"
    assert "Put back" in refused.message
    assert not desk.path.exists()


def test_a_journal_that_goes_missing_is_not_begun_anew(desk: Desk) -> None:
    """Removed while the service runs: the next act must be refused, not be line 1 again."""
    journal = desk.open()
    write(journal, 1)
    desk.path.unlink()

    for act in (lambda: write(journal, 1), lambda: list(journal.lines()), journal.head):
        assert refusal(act).code == "missing"
    assert not desk.path.exists()


def test_a_journal_is_continued_by_the_next_start(desk: Desk) -> None:
    """The chain goes on across restarts."""
    write(desk.open(), 2)

    (line,) = write(desk.open(must_exist=True), 1)

    assert line.number == 3
    assert desk.open().verify() == line.head


# --- what others do meanwhile


def test_lines_of_another_process_are_followed(desk: Desk) -> None:
    """Web and worker both append: each must go on from the true end."""
    here, there = desk.open(), desk.open()

    numbers = [write(journal, 1)[0].number for journal in (here, there, there, here, there)]

    assert numbers == [1, 2, 3, 4, 5]
    assert here.head() == there.head() == desk.open().verify()


def test_a_bad_line_of_another_process_is_not_built_upon(desk: Desk) -> None:
    """A broken chain must not be continued: nobody could tell later where it broke."""
    journal = desk.open()
    write(journal, 2)
    other = Desk(desk.path.with_name("other.jsonl"), desk.signer, desk.keys)
    other.open().append(LineKind.UNDO, {"order": ORDER}, AT)
    write(other.open(), 2)
    with desk.path.open("ab") as file:
        file.write(raw_lines(other)[2])

    refused = refusal(lambda: write(journal, 1))

    assert (refused.code, refused.details) == ("wrong_previous", {"line": 3})


def test_a_newer_copy_in_its_place_is_followed(desk: Desk) -> None:
    """The operator puts the newest copy back while the service waits: that is the remedy."""
    journal = desk.open()
    write(journal, 2)
    copy = Desk(desk.path.with_name("copy.jsonl"), desk.signer, desk.keys)
    copy.path.write_bytes(desk.path.read_bytes())
    write(copy.open(), 1)
    copy.path.replace(desk.path)

    (line,) = write(journal, 1)

    assert line.number == 4
    assert journal.verify() == line.head


def test_another_journal_in_its_place_is_refused(desk: Desk) -> None:
    """An older copy or another history, put there while the service runs."""
    journal = desk.open()
    write(journal, 2)
    other = Desk(desk.path.with_name("other.jsonl"), desk.signer, desk.keys)
    other.open().append(LineKind.UNDO, {"order": ORDER}, AT)
    for count, code in ((0, "cut_short"), (1, "forked")):
        write(other.open(), count)
        placed = desk.path.with_name("placed.jsonl")
        placed.write_bytes(other.path.read_bytes())
        placed.replace(desk.path)

        assert refusal(lambda: write(journal, 1)).code == code


def test_threads_keep_one_chain(desk: Desk) -> None:
    """Web servers append from many threads."""
    journal = desk.open()

    threads = [threading.Thread(target=write, args=(journal, 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert journal.verify().number == 40


def append_from_a_process(path: Path, keys: Path, start: "threading.Barrier") -> None:
    """What one node does: open its own journal and write."""
    signer = load_signer(keys, SigningUse.JOURNAL)
    journal = open_journal(f"file://{path}", signer, lambda: public_keys(keys))
    start.wait()
    write(journal, 25)


def test_processes_keep_one_chain(desk: Desk, tmp_path: Path) -> None:
    """Several nodes on one machine: every line acknowledged, none lost, one chain."""
    keys = tmp_path / "signing"
    make_signing_keys(keys, datetime(2026, 11, 22, tzinfo=UTC))
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(3)
    writers = [
        spawn.Process(target=append_from_a_process, args=(desk.path, keys, start)) for _ in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)

    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    signer = load_signer(keys, SigningUse.JOURNAL)
    journal = open_journal(f"file://{desk.path}", signer, lambda: public_keys(keys))
    assert journal.verify().number == 75


def test_readers_do_not_hold_up_writers(desk: Desk) -> None:
    """Replay takes as long as it takes; a withdrawal must not wait for it."""
    journal = desk.open()
    write(journal, 2)
    reading = journal.lines()
    first = next(reading)

    write(journal, 1)

    assert [first.number, *(line.number for line in reading)] == [1, 2]


# --- cost


def test_appending_and_finding_do_not_read_a_long_journal(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line each minute for years: a withdrawal must not wait for all of them."""
    journal = desk.open()
    lines = write(journal, 600)
    size = desk.path.stat().st_size
    block = 1024
    monkeypatch.setattr(journal_file, "_BLOCK_BYTES", block)
    read = 0
    real = os.pread

    def counted(fd: int, length: int, offset: int) -> bytes:
        nonlocal read
        content = real(fd, length, offset)
        read += len(content)
        return content

    monkeypatch.setattr(os, "pread", counted)
    desk.open().append(LineKind.UNDO, {}, AT)
    first = read
    journal.head()
    read = 0
    journal.append(LineKind.UNDO, {}, AT)
    again = read
    read = 0
    desk.open().require_contains(*lines[250].head)
    found = read

    assert first <= 3 * block
    assert again <= 2 * block
    assert found <= 3 * block * size.bit_length(), "bisection reads a few blocks at each step"
