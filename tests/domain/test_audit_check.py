"""The rules by which a log is believed, fed by hand: what no reader should ever send."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind, body
from consent_service.domain.audit_check import (
    BadEntry,
    LogCheck,
    LogFault,
    LostRange,
    Trust,
    VerifyReport,
)
from consent_service.domain.checkpoint import Checkpoint, epoch_origin, sign_checkpoint
from consent_service.domain.merkle import TILE_HEIGHT, Frontier, first_difference, leaf_hash
from consent_service.vault.signing import Signer, SigningUse

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()
SIGNER = Signer(SigningUse.LOG, KEY)
TRUST = Trust([KEY.public_key()])
LEAVES = [leaf_hash(bytes([number])) for number in range(10)]
FIRST = b"{}"


def origin(epoch: int = 1) -> str:
    return epoch_origin("log.clinic.example", epoch)


def head(size: int, previous: int = 0, epoch: int = 1) -> str:
    tree = Frontier()
    tree.extend(LEAVES[:size])
    checkpoint = Checkpoint(origin(epoch), size, tree.root(), AT, previous)
    return sign_checkpoint(checkpoint, SIGNER)


def test_a_bad_entry_is_told_in_one_sentence() -> None:
    """What is amiss may be a sentence already, with a full stop of its own."""
    for what in ("it was cut", "it was cut."):
        assert str(BadEntry(1, 9, None, what)) == "Epoch 1, entry 9: it was cut."


def fault(act) -> BadEntry:  # type: ignore[no-untyped-def]
    with pytest.raises(LogFault) as found:
        act()
    assert str(found.value) == str(found.value.bad)
    return found.value.bad


def test_a_log_of_two_heads_is_believed():
    """The plain case: leaves, a head, more leaves, the next head."""
    check = LogCheck(TRUST)
    check.begin_epoch(1, origin(), FIRST)
    check.add_leaves("a", LEAVES[:4])
    check.add_checkpoint(head(4))
    check.add_leaves("b", LEAVES[4:6])
    check.add_checkpoint(head(6, 4))

    report = check.finish(unsealed=3)

    assert (report.ok, report.entries, report.checkpoints, report.unsealed) == (True, 6, 2, 3)


def test_leaves_before_any_epoch_are_refused():
    """Nothing stands in the log that does not belong to one of its lives."""
    assert fault(lambda: LogCheck(TRUST).add_leaves("a", LEAVES[:1])).epoch == 0
    assert fault(lambda: LogCheck(TRUST).add_checkpoint(head(1))).epoch == 0


def test_leaves_that_no_head_covers_are_refused():
    """What is not signed is not sealed, whatever the table says."""
    check = LogCheck(TRUST)
    check.begin_epoch(1, origin(), FIRST)
    check.add_leaves("a", LEAVES[:4])
    check.add_checkpoint(head(4))
    check.add_leaves("b", LEAVES[4:])

    assert fault(check.finish) == BadEntry(1, 4, "b", "no checkpoint covers it")


@pytest.mark.parametrize("size", [3, 5])
def test_a_head_of_another_size_is_refused(size):
    """It names the first entry that the two disagree on."""
    check = LogCheck(TRUST)
    check.begin_epoch(1, origin(), FIRST)
    check.add_leaves("a", LEAVES[:4])

    assert fault(lambda: check.add_checkpoint(head(size))).index == min(4, size)


def test_epochs_come_in_order_and_are_called_by_their_number():
    """A later life cannot come before an earlier one."""
    check = LogCheck(TRUST)
    check.begin_epoch(1, origin(), FIRST)

    assert "origin" in fault(lambda: check.begin_epoch(1, origin(), FIRST)).what
    assert "origin" in fault(lambda: check.begin_epoch(2, origin(3), FIRST)).what
    assert "origin" in fault(lambda: LogCheck(TRUST).begin_epoch(1, "no origin", FIRST)).what
    assert "no first entry" in fault(lambda: LogCheck(TRUST).begin_epoch(1, origin(), None)).what


def after_four() -> LogCheck:
    """Go over four leaves that no head covers yet."""
    check = LogCheck(TRUST)
    check.begin_epoch(1, origin(), FIRST)
    check.add_leaves("a", LEAVES[:2])
    check.add_leaves("c", LEAVES[2:4])
    return check


def test_leaves_come_in_as_many_pieces_as_the_reader_likes():
    """Pages of a database and lines of a file are cut in different places."""
    check = after_four()

    assert check.add_checkpoint(head(4)).size == 4


def test_a_whole_tile_counts_by_its_root():
    """A long log is checked by the roots of its tiles, without hashing every leaf again."""
    leaves = [leaf_hash(number.to_bytes(2)) for number in range(2**TILE_HEIGHT)]
    tree = Frontier()
    tree.extend(leaves)
    check = LogCheck(TRUST)
    check.begin_epoch(1, origin(), FIRST)
    check.add_leaves("a", leaves, tree.root())

    checkpoint = Checkpoint(origin(), len(leaves), tree.root(), AT, 0)

    assert check.add_checkpoint(sign_checkpoint(checkpoint, SIGNER)) == checkpoint


def test_leaves_that_are_not_what_was_signed_are_refused():
    """The first entry that may be wrong is the first that the head before did not cover."""
    check = LogCheck(TRUST)
    check.begin_epoch(1, origin(), FIRST)
    check.add_leaves("a", [LEAVES[0], LEAVES[2]])

    bad = fault(lambda: check.add_checkpoint(head(2)))

    assert (bad.index, bad.entry_id) == (0, "a")
    assert bad.what == "it or a later one up to 1 is not what the checkpoint signs"
    assert check.failed(bad) == VerifyReport(False, 2, 1, 0, first_bad=bad)


def test_a_head_of_nobody_we_know_is_refused():
    """Whoever can write the table can write a head; only the key makes it one of ours."""
    stranger = Signer(SigningUse.LOG, Ed25519PrivateKey.generate())
    tree = Frontier()
    tree.extend(LEAVES[:4])
    forged = sign_checkpoint(Checkpoint(origin(), 4, tree.root(), AT, 0), stranger)

    assert "is not valid" in fault(lambda: after_four().add_checkpoint(forged)).what
    published = LogCheck(Trust(TRUST.keys, (forged,)))
    assert "published" in fault(published.expect_published).what


def test_a_head_whose_predecessor_is_missing_is_refused():
    """Heads are a chain too: none may be taken out."""
    bad = fault(lambda: after_four().add_checkpoint(head(4, previous=2)))

    assert bad.what == "the checkpoint of size 2 before it is missing"


def test_another_head_of_the_same_size_that_was_published_is_a_fork():
    """Two histories were signed: one was shown outside, another stands here."""
    tree = Frontier()
    tree.extend(LEAVES[1:5])
    shown = sign_checkpoint(Checkpoint(origin(), 4, tree.root(), AT, 0), SIGNER)
    check = LogCheck(Trust(TRUST.keys, (shown,)))
    check.expect_published()
    check.begin_epoch(1, origin(), FIRST)
    check.add_leaves("a", LEAVES[:4])

    assert "a fork" in fault(lambda: check.add_checkpoint(head(4))).what


def epoch_start(**details: int | str) -> bytes:
    event = AuditEvent(
        EventKind.LOG_EPOCH_STARTED, Actor(ActorKind.SYSTEM, "audit-log"), details=details
    )
    return body(event, "ab" * 16, AT)


def after_two(first: bytes, published: tuple[str, ...] = ()) -> LogCheck:
    """Go through an epoch of two entries and begin the next with `first`."""
    check = LogCheck(Trust(TRUST.keys, published))
    check.expect_published()
    check.begin_epoch(1, origin(), FIRST)
    check.add_leaves("a", LEAVES[:2])
    check.add_checkpoint(head(2))
    check.begin_epoch(2, origin(2), first)
    return check


KEPT = {"kept_epoch": 1, "kept_size": 2}


def test_an_epoch_owns_up_to_what_was_lost():
    """The published head of what was lost is then no contradiction."""
    lost = {"previous_epoch": 1, "previous_size": 5, "previous_root": "00"}

    report = after_two(epoch_start(**KEPT, **lost), (head(5, 2),)).finish()

    assert report.lost == (LostRange(1, 2, 1, 5),)


def test_an_epoch_after_a_whole_log_was_lost_says_so():
    """A database put back from before the first entry holds nothing of the old log."""
    check = LogCheck(Trust(TRUST.keys, (head(5),)))
    check.expect_published()
    nothing = {"kept_epoch": 0, "kept_size": 0, "previous_epoch": 1, "previous_size": 5}

    check.begin_epoch(2, origin(2), epoch_start(**nothing, previous_root="00"))

    assert check.finish().lost == (LostRange(0, 0, 1, 5),)


def test_an_epoch_may_go_on_from_the_very_head_before():
    """A log that was begun anew in good order lost nothing."""
    tree = Frontier()
    tree.extend(LEAVES[:2])
    same = {"previous_epoch": 1, "previous_size": 2, "previous_root": tree.root().hex()}

    report = after_two(epoch_start(**KEPT, **same)).finish()

    assert (report.ok, report.epochs, report.lost) == (True, 2, ())


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"kept_epoch": 1, "kept_size": 1},
        {"kept_epoch": 0, "kept_size": 0},
        KEPT,
        KEPT | {"previous_epoch": "one", "previous_size": 5},
        KEPT | {"previous_epoch": 1, "previous_size": 1},
        KEPT | {"previous_epoch": 1, "previous_size": 2, "previous_root": "00"},
    ],
)
def test_an_epoch_that_does_not_commit_to_the_one_before_is_refused(details):
    """Otherwise a restore would be the way to make entries disappear."""
    assert fault(lambda: after_two(epoch_start(**details))).epoch == 2


def test_an_epoch_that_begins_with_another_entry_is_refused():
    """Its first entry is always the one that tells of the restore."""
    other = AuditEvent(EventKind.FILM_VIEWED, Actor(ActorKind.SYSTEM, "x"), "ab" * 16)

    for first in (body(other, "ab" * 16, AT), b"no json"):
        assert "does not commit" in fault(lambda first=first: after_two(first)).what


def test_a_published_head_of_an_epoch_that_is_not_there_is_missed():
    """A whole life of the log cannot vanish."""
    check = LogCheck(Trust(TRUST.keys, (head(2, epoch=3),)))
    check.expect_published()

    bad = fault(check.finish)

    assert (bad.epoch, bad.index) == (3, 0)


@pytest.mark.parametrize(
    ("ours", "theirs", "place"),
    [([], [], 0), ([1], [1], 1), ([1, 2], [1, 3], 1), ([1], [1, 2], 1), ([1, 2], (1,), 1)],
)
def test_the_first_difference_is_found(ours, theirs, place):
    """It is what makes the difference between "something" and "this entry"."""
    assert first_difference(ours, theirs) == place
