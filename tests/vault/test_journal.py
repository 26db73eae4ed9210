"""What every journal promises, tried on every adapter."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent_service.errors import JournalBroken, SettingsFault
from consent_service.vault.journal import (
    BEFORE_FIRST,
    Journal,
    JournalLine,
    LineKind,
    MemoryJournal,
    open_journal,
)
from consent_service.vault.journal_scratch import ScratchJournal
from consent_service.vault.signing import SigningUse
from tests.support.seaweed import Seaweed
from tests.vault.journals import AT, ORDER, Desk, new_signer, write


@pytest.fixture(params=["file", "memory", "bucket"])
def journal(request: pytest.FixtureRequest, desk: Desk) -> Journal:
    """Each adapter, empty."""
    match request.param:
        case "file":
            return desk.open()
        case "memory":
            return desk.open_memory()
        case _:
            # With versions, as every bucket with object lock has them.
            server: Seaweed = request.getfixturevalue("object_store")
            url = server.store_url(versions=True)
            return open_journal(url, desk.signer, lambda: desk.keys)


def test_a_line_comes_back_as_it_was_written(journal: Journal) -> None:
    """Replay does again what the line says, so nothing of it may be lost on the way."""
    body: dict[str, Any] = {
        "order": ORDER,
        "people": [ORDER, ORDER[::-1]],
        "scope": {"purposes": ["publication:open-day", "care"], "assets": None},
        "count": 3,
        "complete": True,
        "ends_at": "2026-11-22T09:30:00+00:00",
    }

    written = journal.append(LineKind.CONSENT_ENDED, body, AT, audit_hash="ab" * 32)

    (read,) = journal.lines()
    assert read == written
    assert (read.number, read.kind, read.at, read.body, read.audit_hash) == (
        1,
        LineKind.CONSENT_ENDED,
        AT,
        body,
        "ab" * 32,
    )


def test_lines_are_numbered_and_chained(journal: Journal) -> None:
    """The chain is what makes a line impossible to take out unseen."""
    lines = write(journal, 3)

    assert [line.number for line in lines] == [1, 2, 3]
    assert [line.previous_hash for line in lines] == ["0" * 64, lines[0].hash, lines[1].hash]


def test_an_instant_is_written_in_utc(journal: Journal) -> None:
    """Two nodes in different zones must write one moment in one way."""
    summer = AT.astimezone(timezone(timedelta(hours=1)))

    line = journal.append(LineKind.HOLD_PLACED, {}, summer)

    assert line.at == AT
    assert line.at.tzinfo is UTC


def test_an_empty_journal_has_a_head(journal: Journal) -> None:
    """A first start has nothing to replay, and that is no fault."""
    assert journal.head() == journal.verify() == BEFORE_FIRST
    assert list(journal.lines()) == []
    journal.require_contains(*BEFORE_FIRST)


def test_the_head_is_the_last_line(journal: Journal) -> None:
    """The database remembers the head, to notice that a backup was restored."""
    *_, last = write(journal, 5)

    assert journal.head() == journal.verify() == last.head == (5, last.hash)


@given(after=st.integers(0, 12))
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_lines_can_be_read_after_any_number(journal: Journal, after: int) -> None:
    """Each minute every node reads only what it has not seen."""
    missing = 12 - journal.head().number
    write(journal, missing)

    read = list(journal.lines(after))

    assert [line.number for line in read] == list(range(after + 1, 13))
    assert all(isinstance(line, JournalLine) for line in read)


def test_a_journal_contains_what_it_acknowledged(journal: Journal) -> None:
    """Every line that the database knows of is found by its number and hash."""
    lines = write(journal, 40)

    for line in lines:
        journal.require_contains(*line.head)


def test_long_lines_are_found(journal: Journal) -> None:
    """A batch of destroyed keys is a line of many disk blocks between short ones."""
    batch = [f"{n:032x}" for n in range(5000)]
    lines = [
        journal.append(LineKind.KEY_DESTROYED, {"keys": keys}, AT)
        for keys in (batch, [], batch, batch, [])
    ]

    for line in lines:
        journal.require_contains(*line.head)
    assert journal.head() == lines[-1].head


def test_a_journal_that_was_cut_is_refused(journal: Journal) -> None:
    """An old copy put in its place would bring back what was erased."""
    write(journal, 3)

    for act in (lambda: journal.require_contains(4, "0" * 64), lambda: list(journal.lines(4))):
        with pytest.raises(JournalBroken, match=r"ends with line 3, but line 4 .*Put back") as no:
            act()
        assert (no.value.code, no.value.details) == ("cut_short", {"line": 4})


def test_a_journal_that_was_forked_is_refused(journal: Journal) -> None:
    """Two histories: after a restore somebody went on writing another journal."""
    write(journal, 3)

    with pytest.raises(JournalBroken, match="Line 2 of the journal") as refused:
        journal.require_contains(2, "ab" * 32)

    assert (refused.value.code, refused.value.details) == ("forked", {"line": 2})


def test_the_key_may_be_renewed_between_lines(journal: Journal, desk: Desk) -> None:
    """A journal outlives its keys; old lines stay valid, without a restart of the readers."""
    old = write(journal, 2)
    new = new_signer()
    desk.keys = [*desk.keys, new.published(AT)]
    journal._signer = new  # type: ignore[attr-defined]  # as another process would hold it

    write(journal, 2)

    assert [line.key_id for line in journal.lines()] == [old[0].key_id] * 2 + [new.key_id] * 2


@pytest.mark.parametrize(
    "body",
    [
        {"name": "Ana Example"},
        {"mail": "ana@clinic.example"},
        {"note": "Grüße"},
        {"empty": ""},
        {"list": [["two words"]]},
        {"deep": {"note": "two\nlines"}},
        {"ratio": 0.5},
        {"raw": b"bytes"},
        {"Name": 1},
        {"with space": 1},
        {1: "key"},
        {"long": "a" * 8193},
        {"at": AT},
        {"huge": 2**53},
    ],
)
def test_what_could_be_personal_is_not_written(journal: Journal, body: Any) -> None:
    """No line is ever erased, so no name or free text may get into one."""
    with pytest.raises((ValueError, TypeError)):
        journal.append(LineKind.UNDO, body, AT)

    assert journal.head() == BEFORE_FIRST


def test_a_line_needs_an_aware_instant_and_a_whole_hash(journal: Journal) -> None:
    """A moment without a zone or half a hash cannot be compared with anything later."""
    with pytest.raises(ValueError, match="aware"):
        journal.append(LineKind.UNDO, {}, datetime(2026, 11, 22))
    with pytest.raises(ValueError, match="64"):
        journal.append(LineKind.UNDO, {}, AT, audit_hash="ABCD")


def test_a_batch_that_is_too_long_is_refused(journal: Journal) -> None:
    """Readers take lines into memory; a batch of a thousand keys fits thirty times over."""
    thousand = [f"{n:032x}" for n in range(1000)]
    journal.append(LineKind.KEY_DESTROYED, {"keys": thousand}, AT)

    with pytest.raises(ValueError, match="at most 1 MiB"):
        journal.append(LineKind.KEY_DESTROYED, {"keys": thousand * 40}, AT)

    assert journal.verify().number == 1


def test_a_signer_that_nobody_could_check_is_refused(desk: Desk) -> None:
    """Better at the start than when a restored backup needs the journal."""
    for signer in (new_signer(), new_signer(SigningUse.LOG)):
        keys = [signer.published(AT)] if signer.use is SigningUse.LOG else desk.keys
        with pytest.raises(SettingsFault, match="CONSENT_SIGNING_KEYS"):
            open_journal("memory://", signer, lambda keys=keys: keys)  # type: ignore[misc]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/journal",
        "ftp://host/journal",
        "file://host/journal",
        "s3://",
        "s3://bucket/j?regoin=x",
    ],
)
def test_an_address_that_means_nothing_names_the_setting(desk: Desk, url: str) -> None:
    """A misspelt address must stop the start, not begin a second journal somewhere."""
    with pytest.raises(SettingsFault, match="CONSENT_JOURNAL_URL"):
        open_journal(url, desk.signer, lambda: desk.keys)


def test_every_kind_can_be_written_and_read(journal: Journal) -> None:
    """The kinds are a format: a spelling that changes makes old journals unreadable."""
    for kind in LineKind:
        journal.append(kind, {"order": ORDER}, AT)

    assert [str(line.kind) for line in journal.lines()] == [
        "consent-ended",
        "undo",
        "hold-placed",
        "hold-released",
        "access-revoked",
        "key-destroyed",
        "master-destroyed",
        "key-backup-made",
        "key-backup-expired",
        "checkpoint",
        "restored",
    ]


def test_anyone_can_check_a_journal_with_the_format_alone(desk: Desk) -> None:
    """The file is plain: canonical JSON, SHA-256 and Ed25519, without a line of our code."""
    lines = write(desk.open(), 3)

    previous = "0" * 64
    for raw, line in zip(desk.path.read_bytes().splitlines(), lines, strict=True):
        members = json.loads(raw)
        assert rfc8785.dumps(members) == raw
        assert members["previous_hash"] == previous
        previous = hashlib.sha256(raw).hexdigest()
        assert previous == line.hash


def test_a_journal_in_memory_is_new_each_time(desk: Desk) -> None:
    """Tests must not see each other's lines."""
    write(desk.open_memory(), 1)

    fresh = desk.open_memory()

    assert isinstance(fresh, MemoryJournal)
    assert fresh.head() == BEFORE_FIRST


def test_only_a_bucket_can_be_write_once(desk: Desk) -> None:
    """A file is kept by its chain alone, and an operator is not told otherwise."""
    real = desk.open()

    assert not real.is_write_once()
    assert not desk.open_memory().is_write_once()
    assert not ScratchJournal(real, desk.signer, lambda: desk.keys).is_write_once()
