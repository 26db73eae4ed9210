"""The keyring: what stands, what is sealed, what is gone for ever."""

import hashlib
from collections.abc import Sequence

import pytest

from consent_service.errors import IntegrityFault, KeyDestroyed
from consent_service.ids import new_id
from consent_service.vault.key_providers import MemoryKeyProvider
from consent_service.vault.keyring import (
    KeyKind,
    Keyring,
    KeyStatus,
    NewKey,
    Tombstone,
    shard_of,
)
from tests.support.keyrings import AT, LATER, KeyringHome, make_keys


def create(keyring: Keyring, key_id: str) -> bool:
    """Make one consent key in shard 7."""
    return keyring.create(key_id, KeyKind.CONSENT, 7, AT)


def test_an_involvement_has_one_shard() -> None:
    """The shard follows from the id alone, on every node and after every restore."""
    assert shard_of("000003ff" + "0" * 24) == 1023
    assert shard_of("00000400" + "f" * 24) == 0


# Live keys


def test_it_tells_since_when_a_key_is_here(keyring: Keyring) -> None:
    """What a database that was put back may have forgotten is told by its age; sealing is none."""
    sealed, gone = new_id(), new_id()
    create(keyring, sealed)
    create(keyring, gone)
    keyring.seal([sealed], LATER)
    keyring.destroy([gone], "order", LATER)

    assert keyring.held_since([sealed, gone, new_id()]) == {sealed: AT}


def test_a_key_is_made_once(keyring: Keyring) -> None:
    """The key-maker runs after the commit and again as a job."""
    key_id = new_id()

    assert create(keyring, key_id) is True
    first = keyring.read([key_id])
    assert create(keyring, key_id) is False

    assert keyring.read([key_id]) == first
    assert len(first[key_id]) == 32


def test_no_two_keys_are_alike(keyring: Keyring) -> None:
    """Keys are drawn, never derived from ids."""
    ids = make_keys(keyring, 50)

    assert len(set(keyring.read(ids).values())) == 50


def test_keys_outlive_the_process(home: KeyringHome, keyring: Keyring) -> None:
    """What was acknowledged is on the disk."""
    ids = make_keys(keyring, 3)
    before = keyring.read(ids)
    keyring.close()

    assert home.open().read(ids) == before


def test_many_keys_are_made_together(keyring: Keyring) -> None:
    """Only those that did not exist are counted as made."""
    old, new = new_id(), new_id()
    create(keyring, old)

    made = keyring.create_many([NewKey(key_id, KeyKind.ASSET, 9) for key_id in (old, new)], AT)

    assert made == {new}
    assert keyring.read([old, new]).keys() == {old, new}


def test_nothing_asked_is_nothing_done(keyring: Keyring) -> None:
    """Sets may be empty."""
    assert keyring.create_many([], AT) == set()
    assert keyring.read([]) == {}
    assert keyring.status([]) == {}
    assert keyring.destroy([], "order", AT) == []
    assert keyring.seal([], AT) == keyring.unseal([], AT) == set()


def test_reading_returns_live_keys_only(keyring: Keyring) -> None:
    """Sealed, destroyed and absent ones are missing: a film with one of them stays shut."""
    live, sealed, destroyed = make_keys(keyring, 3)
    keyring.seal([sealed], AT)
    keyring.destroy([destroyed], "order", AT)

    assert keyring.read([live, sealed, destroyed, new_id()]).keys() == {live}


def test_every_id_has_a_status(keyring: Keyring) -> None:
    """Reconciliation compares this with the ledger."""
    live, sealed, destroyed = make_keys(keyring, 3)
    absent = new_id()
    keyring.seal([sealed], AT)
    keyring.destroy([destroyed], "order", AT)

    assert keyring.status([live, sealed, destroyed, absent]) == {
        live: KeyStatus.LIVE,
        sealed: KeyStatus.SEALED,
        destroyed: KeyStatus.DESTROYED,
        absent: KeyStatus.ABSENT,
    }


@pytest.mark.parametrize("key_id", ["", "x" * 101, "a\0b", "a\nb", "ключ"])
def test_an_id_that_could_blur_is_refused(keyring: Keyring, key_id: str) -> None:
    """Ids are part of what a wrapped key is bound to."""
    for attempt in (
        lambda: create(keyring, key_id),
        lambda: keyring.destroy([key_id], "order", AT),
        lambda: keyring.seal([key_id], AT),
        lambda: keyring.seal_secret(key_id, b"s" * 32, 7, AT),
    ):
        with pytest.raises(ValueError, match="printable ASCII"):
            attempt()


@pytest.mark.parametrize("shard", [-1, 1024])
def test_a_shard_outside_the_range_is_refused(keyring: Keyring, shard: int) -> None:
    """There are 1024."""
    with pytest.raises(ValueError, match="0 to 1023"):
        keyring.create(new_id(), KeyKind.ASSET, shard, AT)


def test_a_data_key_is_never_live(keyring: Keyring) -> None:
    """Data keys are in wraps; the keyring holds one only while nobody may open it."""
    with pytest.raises(ValueError, match="only ever sealed"):
        keyring.create(new_id(), KeyKind.DATA, 7, AT)


# Ends


def test_a_destroyed_key_leaves_a_tombstone(keyring: Keyring) -> None:
    """The certificate names when, by which order, and which key."""
    [key_id] = make_keys(keyring, 1)
    fingerprint = hashlib.sha256(keyring.read([key_id])[key_id]).digest()

    stones = keyring.destroy([key_id], "order-1", AT)

    assert stones == [Tombstone(key_id, fingerprint, AT, "order-1")]
    assert keyring.tombstones([key_id, new_id()]) == {key_id: stones[0]}
    assert keyring.read([key_id]) == {}


def test_destroying_again_changes_nothing(keyring: Keyring) -> None:
    """A worker that was killed does its step again; the first order stands."""
    [key_id] = make_keys(keyring, 1)

    first = keyring.destroy([key_id], "order-1", AT)
    again = keyring.destroy([key_id, key_id], "order-2", LATER)

    assert again == first


def test_a_key_can_be_destroyed_before_it_is_made(keyring: Keyring) -> None:
    """A withdrawal may overtake the key-maker."""
    key_id = new_id()

    [stone] = keyring.destroy([key_id], "order", AT)

    assert stone == Tombstone(key_id, None, AT, "order")


def test_a_late_key_maker_cannot_bring_consent_back(keyring: Keyring) -> None:
    """The heart of the promise: once destroyed, never again."""
    destroyed, never_made, fresh = [*make_keys(keyring, 1), new_id(), new_id()]
    keyring.destroy([destroyed, never_made], "order", AT)

    for key_id in (destroyed, never_made):
        with pytest.raises(KeyDestroyed) as refused:
            keyring.create_many([NewKey(one, KeyKind.CONSENT, 7) for one in (fresh, key_id)], LATER)
        assert refused.value.details == {"key_ids": [key_id]}

    assert keyring.read([destroyed, never_made, fresh]) == {}


def test_tombstones_come_in_the_order_asked(keyring: Keyring) -> None:
    """A caller pairs them with its own rows."""
    ids = make_keys(keyring, 20)

    assert [stone.key_id for stone in keyring.destroy(ids, "order", AT)] == ids


def test_a_sealed_key_can_be_destroyed(keyring: Keyring) -> None:
    """The undo window ends, the hold is released: then it goes."""
    [key_id] = make_keys(keyring, 1)
    keyring.seal([key_id], AT)

    [stone] = keyring.destroy([key_id], "order", LATER)

    assert stone.fingerprint is not None
    assert keyring.read_sealed([key_id]) == {}
    assert keyring.status([key_id]) == {key_id: KeyStatus.DESTROYED}


def test_thousands_of_keys_go_in_one_call(keyring: Keyring) -> None:
    """A family with many films waits no longer than one with few."""
    ids = [new_id() for _ in range(5_000)]
    keyring.create_many([NewKey(key_id, KeyKind.ASSET, 7) for key_id in ids], AT)
    assert len(keyring.read(ids)) == 5_000

    stones = keyring.destroy(ids, "order", AT)

    assert len(stones) == 5_000
    assert keyring.read(ids) == {}


# Escrow


def test_a_sealed_key_comes_back_as_it_was(keyring: Keyring) -> None:
    """A withdrawal that is taken back within the undo window opens the same films."""
    ids = make_keys(keyring, 5)
    before = keyring.read(ids)

    assert keyring.seal(ids, AT) == set(ids)
    assert keyring.read(ids) == {}
    assert keyring.read_sealed(ids) == before
    assert keyring.unseal(ids, LATER) == set(ids)

    assert keyring.read(ids) == before
    assert keyring.read_sealed(ids) == {}


def test_sealing_and_unsealing_again_change_nothing(keyring: Keyring) -> None:
    """Both are steps that may run twice."""
    [key_id] = make_keys(keyring, 1)

    assert keyring.seal([key_id], AT) == {key_id}
    assert keyring.seal([key_id], LATER) == set()
    assert create(keyring, key_id) is False
    assert keyring.unseal([key_id], LATER) == {key_id}
    assert keyring.unseal([key_id], LATER) == set()


def test_an_id_sealed_before_its_key_was_made_gets_none(keyring: Keyring) -> None:
    """Otherwise a late key-maker would open a film that is on hold."""
    key_id = new_id()

    assert keyring.seal([key_id], AT) == {key_id}
    assert keyring.seal([key_id], LATER) == set()
    assert keyring.status([key_id]) == {key_id: KeyStatus.SEALED}
    assert create(keyring, key_id) is False
    assert keyring.read([key_id]) == keyring.read_sealed([key_id]) == {}

    assert keyring.unseal([key_id], LATER) == {key_id}
    assert keyring.status([key_id]) == {key_id: KeyStatus.ABSENT}
    assert create(keyring, key_id) is True


def test_destroying_ends_a_seal_without_a_key(keyring: Keyring) -> None:
    """The tombstone is the stronger of the two."""
    key_id = new_id()
    keyring.seal([key_id], AT)

    keyring.destroy([key_id], "order", LATER)

    assert keyring.status([key_id]) == {key_id: KeyStatus.DESTROYED}
    with pytest.raises(KeyDestroyed):
        keyring.unseal([key_id], LATER)


def test_a_destroyed_key_is_neither_sealed_nor_unsealed(keyring: Keyring) -> None:
    """A cancelled withdrawal that comes too late is told so, and nothing else moves."""
    destroyed, sealed = make_keys(keyring, 2)
    keyring.seal([sealed], AT)
    keyring.destroy([destroyed], "order", AT)

    assert keyring.seal([destroyed], LATER) == set()
    with pytest.raises(KeyDestroyed):
        keyring.unseal([sealed, destroyed], LATER)

    assert keyring.status([sealed]) == {sealed: KeyStatus.SEALED}


def test_a_data_key_is_kept_under_escrow(keyring: Keyring) -> None:
    """Another person was noticed: the film waits for her answer."""
    key_id, secret = new_id(), b"d" * 32

    assert keyring.seal_secret(key_id, secret, 7, AT) is True
    assert keyring.seal_secret(key_id, b"other" * 6, 7, AT) is False

    assert keyring.read([key_id]) == {}
    assert keyring.read_sealed([key_id]) == {key_id: secret}
    with pytest.raises(ValueError, match="stays sealed"):
        keyring.unseal([key_id], LATER)
    keyring.destroy([key_id], "order", LATER)
    with pytest.raises(KeyDestroyed):
        keyring.seal_secret(key_id, secret, 7, LATER)


class Elsewhere(MemoryKeyProvider):
    """A key server behind something that, from some moment, answers in its place."""

    length: int | None = None

    def unwrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """So many bytes of each, at the most."""
        return [secret[: self.length] for secret in super().unwrap_many(items)]


@pytest.mark.parametrize("length", [0, 3, 16])
def test_what_opens_to_no_key_is_not_used_as_one(home: KeyringHome, length: int) -> None:
    """Whoever waits is told that the keyring does not open, and nothing is wrapped under it."""
    home.live = server = Elsewhere()
    keyring = home.open()
    [key] = make_keys(keyring, 1, shard=7)
    server.length = length

    for act in (lambda: keyring.read([key]), lambda: make_keys(keyring, 1, shard=7)):
        with pytest.raises(IntegrityFault) as fault:
            act()
        assert fault.value.code == "wrapped_key_corrupt"
