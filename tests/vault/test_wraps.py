"""Wraps: the key of a film exists only while everyone in it agrees."""

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.errors import ContainerCorrupt, KeyDestroyed
from consent_service.vault.wraps import (
    Sidecar,
    Wrap,
    derive_kek,
    kek_info,
    make_wrap,
    open_wrap,
    parse_sidecar,
    sidecar_bytes,
    unwrap_data_key,
    wrap_data_key,
)

ASSET = "00112233445566778899aabbccddeeff"
MOTHER = "a0" * 16
BABY = "0b" * 16
PLACE = (ASSET, 7, "care")
DATA_KEY = bytes(range(32))
ASSET_KEY = b"\xaa" * 32
KEYS = {MOTHER: b"\x01" * 32, BABY: b"\x02" * 32}


def test_the_info_has_the_published_layout() -> None:
    """Written down once, so that films stay readable whatever becomes of this code."""
    info = kek_info(ASSET, 7, "care", [MOTHER, BABY])

    assert info == b"".join(
        [
            b"consent-service/kek/v1\x00",
            bytes.fromhex(ASSET),
            b"\x00\x00\x00\x07",
            b"\x00\x04care",
            b"\x00\x02",
            bytes.fromhex(BABY),
            bytes.fromhex(MOTHER),
        ]
    )


def test_the_length_of_a_purpose_is_counted_in_bytes() -> None:
    """A use may be named in any script."""
    assert b"\x00\x06\xe7\xa7\x91\xe7\xa0\x94" in kek_info(ASSET, 0, "科研", [])


def test_the_key_is_hkdf_of_rfc_5869_with_an_empty_salt() -> None:
    """Computed here by hand, so that anybody can."""
    info = kek_info(*PLACE, KEYS)

    extracted = hmac.digest(bytes(32), ASSET_KEY + KEYS[BABY] + KEYS[MOTHER], hashlib.sha256)
    expanded = hmac.digest(extracted, info + b"\x01", hashlib.sha256)

    assert derive_kek(ASSET_KEY, KEYS, info) == expanded


def test_the_order_of_people_makes_no_difference() -> None:
    """Keys come out of sets and rows in any order."""
    turned = dict(reversed(KEYS.items()))

    assert kek_info(*PLACE, KEYS) == kek_info(*PLACE, turned)
    assert derive_kek(ASSET_KEY, KEYS, b"i") == derive_kek(ASSET_KEY, turned, b"i")


def test_one_key_named_twice_is_refused() -> None:
    """Counting somebody twice would hide that somebody else is missing."""
    with pytest.raises(ValueError, match="twice"):
        kek_info(ASSET, 1, "care", [MOTHER, MOTHER])


@pytest.mark.parametrize("short", [b"", b"\x01" * 31, b"\x01" * 33])
def test_a_key_of_another_length_is_refused(short: bytes) -> None:
    """Keys are joined without separators: lengths must be fixed."""
    with pytest.raises(ValueError, match="32 bytes"):
        derive_kek(ASSET_KEY, {MOTHER: short}, b"i")


def test_a_wrap_opens_with_everyones_keys() -> None:
    """The ordinary case: all agree, the film plays."""
    wrap = make_wrap(PLACE, DATA_KEY, ASSET_KEY, KEYS)

    assert open_wrap(wrap, ASSET_KEY, KEYS | {"c" * 32: b"\x03" * 32}) == DATA_KEY
    assert wrap.key_ids == (BABY, MOTHER)
    assert DATA_KEY not in wrap.wrapped


@pytest.mark.parametrize("gone", [MOTHER, BABY])
def test_without_one_persons_key_a_film_does_not_open(gone: str) -> None:
    """One withdrawal is enough."""
    wrap = make_wrap(PLACE, DATA_KEY, ASSET_KEY, KEYS)
    live = {key_id: key for key_id, key in KEYS.items() if key_id != gone}

    with pytest.raises(KeyDestroyed) as refused:
        open_wrap(wrap, ASSET_KEY, live)

    assert refused.value.details == {"asset_id": ASSET, "key_ids": [gone]}


def test_without_the_asset_key_a_film_does_not_open() -> None:
    """Retention ends one film and leaves the consent keys."""
    wrap = make_wrap(PLACE, DATA_KEY, ASSET_KEY, KEYS)

    with pytest.raises(KeyDestroyed):
        open_wrap(wrap, None, KEYS)


def test_other_keys_under_the_same_ids_do_not_open_it() -> None:
    """A key made again is another key."""
    wrap = make_wrap(PLACE, DATA_KEY, ASSET_KEY, KEYS)

    with pytest.raises(ContainerCorrupt):
        open_wrap(wrap, b"\xab" * 32, KEYS)
    with pytest.raises(ContainerCorrupt):
        open_wrap(wrap, ASSET_KEY, KEYS | {BABY: b"\x09" * 32})


@pytest.mark.parametrize(
    "elsewhere", [("f" * 32, 7, "care"), (ASSET, 8, "care"), (ASSET, 7, "training")]
)
def test_a_wrap_moved_to_another_place_does_not_open(elsewhere: tuple[str, int, str]) -> None:
    """Consent to care must not open a film for training."""
    wrap = make_wrap(PLACE, DATA_KEY, ASSET_KEY, KEYS)

    with pytest.raises(ContainerCorrupt):
        open_wrap(Wrap(*elsewhere, wrap.key_ids, wrap.wrapped), ASSET_KEY, KEYS)


@given(st.integers(0, 59), st.integers(1, 255))
def test_an_altered_wrap_does_not_open(index: int, flip: int) -> None:
    """Every bit of nonce, key and tag counts."""
    kek, info = b"\x05" * 32, b"info"
    wrapped = bytearray(wrap_data_key(kek, DATA_KEY, info))
    wrapped[index] ^= flip

    with pytest.raises(ContainerCorrupt):
        unwrap_data_key(kek, bytes(wrapped), info)


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_as_a_wrap(content: bytes) -> None:
    """Whatever a damaged row holds, the answer is one refusal."""
    with pytest.raises(ContainerCorrupt):
        unwrap_data_key(b"\x05" * 32, content, b"info")


def test_two_wraps_of_one_key_differ() -> None:
    """A nonce is never used twice."""
    once, again = (make_wrap(PLACE, DATA_KEY, ASSET_KEY, KEYS) for _ in range(2))

    assert once.wrapped[:12] != again.wrapped[:12]
    assert once.wrapped != again.wrapped


def test_a_wrap_survives_json() -> None:
    """Rows and sidecars keep wraps as JSON."""
    wrap = make_wrap(PLACE, DATA_KEY, ASSET_KEY, KEYS)

    assert Wrap.from_json(json.loads(json.dumps(wrap.to_json()))) == wrap


GOOD_WRAP = Wrap(*PLACE, (BABY, MOTHER), b"wrapped").to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"asset": "short"},
        {"asset": ASSET.upper()},
        {"generation": -1},
        {"generation": "7"},
        {"generation": 2**32},
        {"purpose": None},
        {"keys": [MOTHER, "../../etc"]},
        {"keys": [MOTHER, MOTHER]},
        {"wrapped": "no base64!"},
        {"name": "somebody"},
    ],
)
def test_a_wrap_that_is_not_one_is_refused(change: dict[str, object]) -> None:
    """A sidecar can be put there by anybody who can write to the store."""
    with pytest.raises(ContainerCorrupt):
        Wrap.from_json(GOOD_WRAP | change)


SIDECAR = Sidecar(
    ASSET,
    7,
    "recording",
    "ee" * 16,
    (Wrap(*PLACE, (BABY, MOTHER), b"one"), Wrap(ASSET, 7, "training", (BABY,), b"two")),
)


def test_a_sidecar_comes_back_as_it_was() -> None:
    """Blobs and keyring alone suffice for recovery."""
    assert parse_sidecar(sidecar_bytes(SIDECAR)) == SIDECAR


def test_a_sidecar_is_canonical() -> None:
    """The same wraps give the same bytes, so that a rewrite without a change is seen as none."""
    turned = Sidecar(ASSET, 7, "recording", "ee" * 16, tuple(reversed(SIDECAR.wraps)))

    assert sidecar_bytes(turned) == sidecar_bytes(SIDECAR)


def test_a_sidecar_says_what_it_says_and_nothing_more() -> None:
    """Golden: ids, numbers and wraps, nothing about a person."""
    one = {"asset": ASSET, "generation": 7, "keys": [BABY, MOTHER], "purpose": "care"}
    two = {"asset": ASSET, "generation": 7, "keys": [BABY], "purpose": "training"}

    assert json.loads(sidecar_bytes(SIDECAR)) == {
        "format": "consent-service/sidecar/v1",
        "asset": ASSET,
        "generation": 7,
        "kind": "recording",
        "asset_key": "ee" * 16,
        "wraps": [
            one | {"wrapped": base64.b64encode(b"one").decode()},
            two | {"wrapped": base64.b64encode(b"two").decode()},
        ],
    }


@pytest.mark.parametrize(
    "other", [Wrap("f" * 32, 7, "care", (), b""), Wrap(ASSET, 8, "x", (), b"")]
)
def test_a_sidecar_holds_the_wraps_of_one_object(other: Wrap) -> None:
    """A wrap of another film or an older generation could never open this one."""
    with pytest.raises(ValueError, match="one asset and generation"):
        sidecar_bytes(Sidecar(ASSET, 7, "recording", "ee" * 16, (other,)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        sidecar_bytes(SIDECAR)[:-1],
        sidecar_bytes(SIDECAR).replace(b"sidecar/v1", b"sidecar/v2"),
        sidecar_bytes(SIDECAR).replace(b'"generation":7,"keys"', b'"generation":6,"keys"', 1),
        sidecar_bytes(SIDECAR).replace(b'"kind"', b'"name":"somebody","kind"'),
        sidecar_bytes(SIDECAR).replace(base64.b64encode(b"one"), b"*"),
    ],
)
def test_a_sidecar_that_is_not_one_is_refused(content: bytes) -> None:
    """Altered, cut or foreign: one refusal."""
    with pytest.raises(ContainerCorrupt):
        parse_sidecar(content)
