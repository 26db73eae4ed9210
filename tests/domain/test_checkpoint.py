"""Checkpoints: what is under the signature of the log, and nothing else passes for one."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from consent_service.domain.checkpoint import (
    Checkpoint,
    checkpoint_text,
    epoch_origin,
    open_checkpoint,
    origin_epoch,
    parse_checkpoint,
    sign_checkpoint,
)
from consent_service.domain.signed_note import sign_note
from consent_service.errors import IntegrityFault
from consent_service.vault.signing import Signer, SigningUse

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
ORIGIN = epoch_origin("log.clinic.example", 1)
HEAD = Checkpoint(ORIGIN, 300, b"\x07" * 32, AT, 200)
KEY = Ed25519PrivateKey.generate()
SIGNER = Signer(SigningUse.LOG, KEY)


def test_the_text_begins_as_other_tools_expect_it():
    """Witnesses elsewhere read origin, size and root, and pass over what follows."""
    assert checkpoint_text(HEAD).split("\n") == [
        "log.clinic.example/epoch/1",
        "300",
        "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
        "at 2026-03-01T09:30:00.000000Z",
        "previous 200",
        "",
    ]


@given(
    size=st.integers(1, 2**60),
    root=st.binary(min_size=32, max_size=32),
    at=st.datetimes(timezones=st.just(UTC)),
    part=st.integers(0, 100),
)
def test_a_checkpoint_read_back_is_the_same(size, root, at, part):
    """The restored log is compared with heads that were written long ago."""
    head = Checkpoint(ORIGIN, size, root, at, (size - 1) * part // 100)

    note = sign_checkpoint(head, SIGNER)

    assert open_checkpoint(note, [KEY.public_key()], ORIGIN) == head


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("300", "0300"),
        ("300", "+300"),
        ("300", "3e2"),
        ("300", "200"),
        ("300", "-1"),
        ("BwcH", "Bwc"),
        ("Bwc=", "Bwd="),
        ("at 2026", "2026"),
        ("09:30:00.000000Z", "09:30:00Z"),
        ("2026-03-01", "2026-02-30"),
        ("previous 200", "previous -1"),
        ("previous 200", "previous  200"),
        ("previous 200\n", "previous 200\nmore\n"),
        ("previous 200\n", "previous 200"),
        ("previous 200\n", ""),
        ("log.clinic.example/epoch/1", ""),
        ("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", "Bwc="),
    ],
)
def test_a_text_that_is_not_exactly_a_checkpoint_is_refused(old, new):
    """One meaning, one text: otherwise two heads could claim to be the same."""
    text = checkpoint_text(HEAD)
    assert old in text

    with pytest.raises(IntegrityFault) as refusal:
        parse_checkpoint(text.replace(old, new, 1))

    assert refusal.value.code == "no_checkpoint"


def test_a_checkpoint_of_another_log_is_refused_even_when_it_is_signed():
    """A key that signs two logs must not let one be shown as the other."""
    text = checkpoint_text(HEAD).replace("/epoch/1", "/epoch/2")
    note = sign_note(text, SIGNER, ORIGIN)

    with pytest.raises(IntegrityFault, match="another log"):
        open_checkpoint(note, [KEY.public_key()], ORIGIN)


def test_a_checkpoint_signed_by_another_key_is_refused():
    """Anybody can write such a text; only one can sign it."""
    stranger = Ed25519PrivateKey.generate()

    with pytest.raises(IntegrityFault, match="No known key"):
        open_checkpoint(sign_checkpoint(HEAD, SIGNER), [stranger.public_key()], ORIGIN)


@pytest.mark.parametrize("origin", ["", "log", "log/epoch/", "log/epoch/x", "log/epoch/01"])
def test_an_origin_without_its_epoch_is_refused(origin):
    """The epoch says after which restore the log was written."""
    with pytest.raises(IntegrityFault):
        origin_epoch(origin)


def test_an_origin_gives_its_epoch_back():
    """Whatever the log is called."""
    assert origin_epoch(epoch_origin("a/epoch/b", 12)) == 12
