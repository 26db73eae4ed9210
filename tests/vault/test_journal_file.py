"""The journal's file: tampering, crashes, full disks, many processes."""

import base64
import errno
import fcntl
import json
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rfc8785

from consent_service.errors import DiskFull, JournalBroken, Unavailable
from consent_service.vault import journal_file
from consent_service.vault.journal import BEFORE_FIRST, Head, LineKind, open_journal
from consent_service.vault.journal_line import LINE_BYTES_MAX
from consent_service.vault.signing import (
    SigningUse,
    load_signer,
    make_signing_keys,
    public_keys,
)
from tests.vault.journals import AT, ORDER, Desk, new_signer, write


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Keys and a place for the file."""
    return Desk.at(tmp_path / "outside" / "journal.jsonl")


def raw_lines(desk: Desk) -> list[bytes]:
    """The file's lines, with their newlines."""
    return desk.path.read_bytes().splitlines(keepends=True)


def refusal(act: Callable[[], object]) -> JournalBroken:
    """What `act` is refused with."""
    with pytest.raises(JournalBroken) as refused:
        act()
    return refused.value


def resigned(desk: Desk, raw: bytes, **changes: object) -> bytes:
    """The line with some members changed, signed again with the journal's own key."""
    members = json.loads(raw) | changes
    del members["signature"]
    signature = base64.b64encode(desk.signer.sign(rfc8785.dumps(members))).decode()
    return rfc8785.dumps(members | {"signature": signature}) + b"\n"


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


# --- tampering


def test_every_flipped_byte_is_found_and_its_line_named(desk: Desk) -> None:
    """Whoever can write the file must not be able to change one bit of it unseen."""
    write(desk.open(), 3)
    whole = desk.path.read_bytes()

    for place in range(len(whole)):
        desk.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused = refusal(desk.open().verify)
        number = whole[:place].count(b"\n") + 1
        assert refused.details["line"] == number, f"byte {place}: {refused.message}"


def test_a_lost_last_line_is_found_by_whoever_remembers_it(desk: Desk) -> None:
    """A shorter journal is whole in itself: the database's memory of the head finds it."""
    *_, last = write(desk.open(), 3)
    desk.path.write_bytes(b"".join(raw_lines(desk)[:-1]))

    refused = refusal(lambda: desk.open().require_contains(*last.head))

    assert (refused.code, refused.details) == ("cut_short", {"line": 3})


def test_a_running_process_remembers_what_it_wrote(desk: Desk) -> None:
    """Cut or overwritten while the service runs: nothing is appended to it."""
    journal = desk.open()
    write(journal, 3)
    lines = raw_lines(desk)

    for wrong in (lines[:2], [*lines[:2], lines[2][:-1] + b" "], []):
        desk.path.write_bytes(b"".join(wrong))
        assert refusal(lambda: write(journal, 1)).details["line"] in {1, 3}
        assert desk.path.read_bytes() == b"".join(wrong)


@pytest.mark.parametrize("after", [0, 1])
def test_swapped_lines_are_found(desk: Desk, after: int) -> None:
    """The order of acts is part of what is signed."""
    write(desk.open(), 4)
    first, second, third, fourth = raw_lines(desk)
    desk.path.write_bytes(first + third + second + fourth)

    refused = refusal(lambda: list(desk.open().lines(after)))

    assert (refused.code, refused.details) == ("wrong_number", {"line": 2})


def test_a_line_taken_out_is_found(desk: Desk) -> None:
    """One hold less, one withdrawal less: the next line tells."""
    write(desk.open(), 4)
    first, _, third, fourth = raw_lines(desk)
    desk.path.write_bytes(first + third + fourth)

    assert refusal(desk.open().verify).details == {"line": 2}
    assert refusal(lambda: desk.open().require_contains(2, "0" * 64)).code == "wrong_number"


def test_a_line_said_twice_is_found(desk: Desk) -> None:
    """Splicing an old line in again must not pass."""
    write(desk.open(), 3)
    lines = raw_lines(desk)
    desk.path.write_bytes(b"".join([*lines, lines[-1]]))

    assert refusal(desk.open().verify).details == {"line": 4}


def test_a_line_with_our_signature_in_another_chain_is_found(desk: Desk) -> None:
    """Two writers that did not share a lock, or a fork: numbers fit, the chain does not."""
    write(desk.open(), 3)
    first, second, third = raw_lines(desk)
    desk.path.write_bytes(first + resigned(desk, second, body={"order": "other"}) + third)

    refused = refusal(desk.open().verify)

    assert (refused.code, refused.details) == ("wrong_previous", {"line": 3})


def test_a_foreign_signature_is_found(desk: Desk) -> None:
    """A whole journal, chained without fault, by somebody else's key."""
    write(desk.open(), 1)
    foreign = Desk.at(desk.path.with_name("foreign.jsonl"))
    write(foreign.open(), 2)
    desk.path.write_bytes(foreign.path.read_bytes())

    for act in (desk.open().verify, desk.open().head, lambda: write(desk.open(), 1)):
        refused = refusal(act)
        assert refused.code == "unknown_key"
        assert "not of a published key" in refused.message


def test_a_key_of_another_use_does_not_sign_the_journal(desk: Desk) -> None:
    """Who holds the certificates key cannot make withdrawals disappear."""
    signer = new_signer(SigningUse.CERTIFICATES)
    other = Desk(desk.path, signer, [*desk.keys, signer.published(AT)])
    write(desk.open(), 1)
    journal = desk.open()
    journal._signer = other.signer  # type: ignore[attr-defined]

    assert refusal(lambda: write(journal, 1)).code == "unknown_key"
    assert len(raw_lines(desk)) == 1


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
    desk: Desk, changes: dict[str, object]
) -> None:
    """Even with a good signature: a reader that guesses is a reader that can be fooled."""
    write(desk.open(), 2)
    first, second = raw_lines(desk)
    desk.path.write_bytes(first + resigned(desk, second, **changes))

    assert refusal(desk.open().verify).details == {"line": 2}
    assert refusal(desk.open().head).details == {"line": 2}


@pytest.mark.parametrize(
    "junk", [b"", b"null", b"[1]", b"{}", b"\xff", b"[" * 100_000, b'{"number": NaN}', b"1" * 5000]
)
def test_junk_between_lines_is_refused_wherever_it_is_met(desk: Desk, junk: bytes) -> None:
    """Reading on, finding by bisection and appending must all refuse, naming the line."""
    write(desk.open(), 3)
    lines = raw_lines(desk)
    desk.path.write_bytes(b"".join([*lines, junk, b"\n"]))

    acts = (desk.open().verify, desk.open().head, lambda: write(desk.open(), 1))
    for act in acts:
        assert refusal(act).details == {"line": 4}
    assert refusal(lambda: desk.open().require_contains(5, "0" * 64)).details == {"line": 4}


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


# --- crashes and faults


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


def test_a_line_written_in_another_way_is_refused(desk: Desk) -> None:
    """The same meaning and a good signature, but other bytes: the next line would not fit it."""
    write(desk.open(), 1)
    whole = desk.path.read_bytes()

    for other in (b" " + whole, whole[:-2] + b" }\n", whole.replace(b'"at"', b'"\\u0061t"')):
        desk.path.write_bytes(other)
        assert refusal(desk.open().head).details == {"line": 1}


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


def test_a_line_before_the_last_that_grew_stops_a_running_process(desk: Desk) -> None:
    """The last line is the same and lies elsewhere: something before it is not what it was."""
    journal = desk.open()
    write(journal, 2)
    first, second = raw_lines(desk)
    desk.path.write_bytes(b" " + first + second)

    assert refusal(lambda: write(journal, 1)).code == "moved"


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


def test_the_lock_is_let_go_when_an_append_fails(desk: Desk) -> None:
    """One refused line must not stop every other process."""
    journal = desk.open()
    with pytest.raises(ValueError, match="at most"):
        journal.append(LineKind.UNDO, {"keys": ["a" * 8000] * 200}, AT)

    with desk.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    assert journal.head() == Head(*BEFORE_FIRST)
