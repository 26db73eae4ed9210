"""Looking after a keyring: dirty shards, lists of keys, and keys that come back."""

import hashlib

import pytest
from sqlalchemy import create_engine, text

from consent_service.errors import IntegrityFault
from consent_service.ids import new_id
from consent_service.vault.keyring import (
    KeyKind,
    Keyring,
    KeyStatus,
    Tombstone,
    Zone,
    shard_of,
)
from consent_service.vault.keyring_values import KeyEntry
from tests.support.keyrings import AT, LATER, KeyringHome, make_keys


def execute(home: KeyringHome, statement: str, **values: object) -> None:
    """Change the keyring's tables behind its back."""
    engine = create_engine(home.url)
    with engine.begin() as connection:
        connection.execute(text(statement), values)
    engine.dispose()


def keep_old_rows(home: KeyringHome) -> None:
    """Copy the keys aside, as an old backup would."""
    execute(home, "DROP TABLE IF EXISTS old")
    execute(home, "CREATE TABLE old AS SELECT * FROM held_key")


def test_leaving_a_shard_makes_it_dirty(keyring: Keyring) -> None:
    """Its key still opens what lies in old blocks of the disk."""
    sealed, destroyed, back = new_id(), new_id(), new_id()
    keyring.create(sealed, KeyKind.CONSENT, 1, AT)
    keyring.create(destroyed, KeyKind.ASSET, 2, AT)
    keyring.create(back, KeyKind.CONSENT, 3, AT)
    assert keyring.dirty_shards() == []

    keyring.seal([sealed], AT)
    keyring.destroy([destroyed], "order", AT)
    assert keyring.dirty_shards() == [(Zone.LIVE, 1), (Zone.LIVE, 2)]

    keyring.seal([back], AT)
    keyring.unseal([back], AT)
    keyring.destroy([sealed], "order", AT)
    assert keyring.dirty_shards() == [
        (Zone.ESCROW, 1),
        (Zone.ESCROW, 3),
        (Zone.LIVE, 1),
        (Zone.LIVE, 2),
        (Zone.LIVE, 3),
    ]


def test_all_keys_can_be_listed(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconciliation walks through all of them, page by page, without opening one."""
    monkeypatch.setattr("consent_service.vault.keyring_tables.BATCH", 3)
    consents = make_keys(keyring, 7)
    assets = make_keys(keyring, 2, KeyKind.ASSET)
    keyring.seal(consents[:1], AT)

    listed = list(keyring.list_keys())

    assert [entry.key_id for entry in listed] == sorted(consents + assets)
    assert [entry.key_id for entry in keyring.list_keys(kind=KeyKind.ASSET)] == sorted(assets)
    assert list(keyring.list_keys(zone=Zone.ESCROW)) == [
        KeyEntry(consents[0], KeyKind.CONSENT, Zone.ESCROW, shard_of(consents[0]))
    ]


def test_a_key_moved_to_another_id_does_not_open(home: KeyringHome, keyring: Keyring) -> None:
    """Whoever can write to the tables must not be able to swap consents."""
    one, two = make_keys(keyring, 2)
    execute(
        home,
        "UPDATE held_key SET shard = (SELECT shard FROM held_key WHERE key_id = :two),"
        " wrapped = (SELECT wrapped FROM held_key WHERE key_id = :two) WHERE key_id = :one",
        one=one,
        two=two,
    )

    with pytest.raises(IntegrityFault) as refused:
        keyring.read([one])

    assert refused.value.details == {"key_id": one}
    assert keyring.read([two]).keys() == {two}
    keyring.destroy([one], "order", AT)
    assert keyring.status([one]) == {one: KeyStatus.DESTROYED}


def test_a_key_that_comes_back_is_destroyed_again_by_its_id(
    home: KeyringHome, keyring: Keyring
) -> None:
    """An operator put an old table back: the tombstone knows the id."""
    kept, destroyed = make_keys(keyring, 2)
    keep_old_rows(home)
    [stone] = keyring.destroy([destroyed], "order", AT)
    keyring.rotate(LATER)
    execute(home, "INSERT INTO held_key SELECT * FROM old WHERE key_id = :id", id=destroyed)

    purged = keyring.purge_tombstoned(LATER)

    assert purged == [stone]
    assert keyring.status([destroyed]) == {destroyed: KeyStatus.DESTROYED}
    assert keyring.read([kept]).keys() == {kept}
    assert keyring.irrecoverable_since([destroyed]) == {destroyed: None}
    assert keyring.purge_tombstoned(LATER) == []


def test_a_key_that_comes_back_is_destroyed_again_by_its_fingerprint(
    home: KeyringHome, keyring: Keyring
) -> None:
    """Re-imported under another id it is still the same key."""
    [destroyed] = make_keys(keyring, 1)
    keep_old_rows(home)
    [stone] = keyring.destroy([destroyed], "order", AT)
    execute(home, "UPDATE old SET key_id = 'disguised'")
    execute(home, "INSERT INTO held_key SELECT * FROM old")

    purged = keyring.purge_tombstoned(LATER)

    assert purged == [Tombstone("disguised", stone.fingerprint, LATER, "order")]
    assert keyring.status(["disguised"]) == {"disguised": KeyStatus.DESTROYED}


def test_the_journals_tombstones_are_taken_over(keyring: Keyring) -> None:
    """After a restore the journal knows of ends that the keyring has forgotten."""
    forgotten, kept = make_keys(keyring, 2)
    elsewhere = new_id()
    known = hashlib.sha256(keyring.read([forgotten])[forgotten]).digest()
    replayed = [
        Tombstone(forgotten, known, AT, "order-1"),
        Tombstone(elsewhere, b"f" * 32, AT, "order-2"),
        Tombstone(elsewhere, b"f" * 32, LATER, "order-3"),
    ]

    purged = keyring.purge_tombstoned(LATER, replayed)

    assert purged == replayed[:1]
    assert keyring.tombstones([forgotten, elsewhere, kept]) == {
        forgotten: replayed[0],
        elsewhere: replayed[1],
    }
    assert keyring.read([forgotten, kept]).keys() == {kept}
