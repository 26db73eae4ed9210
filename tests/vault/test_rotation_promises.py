"""What a rotation promises: since when a key is irrecoverable, and what is left on the disk."""

import base64
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from consent_service.ids import new_id
from consent_service.vault.key_providers import Assurance
from consent_service.vault.keyring import KeyKind, Keyring, Tombstone, Zone
from consent_service.vault.rotation import RotationStep
from consent_service.vault.wraps import Sidecar, kek_info, make_wrap, sidecar_bytes
from tests.support.keyrings import (
    AT,
    LATER,
    KeyringHome,
    OnSnapshotDisk,
    make_keys,
)
from tests.vault.rotations import Family, KillAt

# Since when is it irrecoverable?


def destroy_at(keyring: Keyring, step: RotationStep, key_id: str) -> KillAt:
    """A hook that destroys a key when `step` is reached for the first time."""

    class Destroying(KillAt):
        def __call__(self, reached: RotationStep, shards: int) -> None:
            if reached is step and step not in self.passed:
                keyring.destroy([key_id], "order-2", AT)
            super().__call__(reached, shards)

    return Destroying()


def test_what_ends_before_its_shard_is_replaced_is_covered(keyring: Keyring) -> None:
    """Otherwise it would wait for a rotation that never comes: no shard is dirty any more."""
    one, two = new_id(), new_id()
    for key_id in (one, two):
        keyring.create(key_id, KeyKind.ASSET, 7, AT)
    keyring.destroy([one], "order", AT)

    keyring.rotate(AT, destroy_at(keyring, RotationStep.STARTED, two), now=lambda: LATER)

    assert keyring.dirty_shards() == []
    assert keyring.irrecoverable_since([one, two]) == {one: LATER, two: LATER}


@pytest.mark.parametrize(
    "step", [RotationStep.SHARDS_REPLACED, RotationStep.SHARDS_DONE, RotationStep.MASTER_NOTED]
)
def test_what_ends_after_its_shard_was_replaced_is_not_covered(
    keyring: Keyring, step: RotationStep
) -> None:
    """Its shard key goes on under the new master key: to promise more would be a lie."""
    one, two = new_id(), new_id()
    for key_id in (one, two):
        keyring.create(key_id, KeyKind.ASSET, 7, AT)
    keyring.destroy([one], "order", AT)

    keyring.rotate(AT, destroy_at(keyring, step, two))
    assert keyring.irrecoverable_since([one, two]) == {one: AT, two: None}
    assert keyring.dirty_shards() == [(Zone.LIVE, 7)]

    keyring.rotate(LATER)
    assert keyring.irrecoverable_since([one, two]) == {one: AT, two: LATER}


def test_irrecoverable_is_when_the_old_master_key_is_gone(keyring: Keyring) -> None:
    """Not when the key was deleted, and not when the rotation began."""
    family = Family(keyring)
    never_made = new_id()
    keyring.destroy([never_made], "order", AT)
    assert keyring.irrecoverable_since([*family.gone, never_made, family.live[0]]) == {
        family.gone[0]: None,
        family.gone[1]: None,
        never_made: None,
    }

    keyring.rotate(AT, now=lambda: LATER)

    assert set(keyring.irrecoverable_since([*family.gone, never_made]).values()) == {LATER}
    assert keyring.irrecoverable_since([family.live[0]]) == {}


def test_what_was_destroyed_without_a_key_has_a_rotation_too(keyring: Keyring) -> None:
    """Its key may have stood in a keyring that was lost: the master key of that one must go."""
    make_keys(keyring, 1, shard=7)
    keyring.destroy(["elsewhere"], "order", AT, 8)
    assert keyring.dirty_shards() == []
    assert keyring.awaits_rotation()

    report = keyring.rotate(LATER)

    assert report.old_master_versions_destroyed == {"live": [1], "escrow": [1]}
    assert keyring.irrecoverable_since(["elsewhere"]) == {"elsewhere": LATER}
    assert not keyring.awaits_rotation()
    assert keyring.rotate(LATER).idle


def test_an_older_keyring_wraps_nothing_under_shard_keys_that_a_newer_one_used(
    keyring: Keyring,
) -> None:
    """A copy of the newer one has the destroyed key under a shard key that stands here."""
    make_keys(keyring, 2, shard=7)
    stones = [Tombstone("made later", None, AT, "order")]

    for dirty in ([(Zone.LIVE, 7)], []):
        keyring.purge_tombstoned(LATER, stones)
        assert keyring.dirty_shards() == dirty
        keyring.rotate(LATER)


def test_where_old_blocks_survive_nothing_is_promised(home: KeyringHome) -> None:
    """One of the two providers is enough to spoil it: the report names the weaker."""
    keyring = home.open(escrow=OnSnapshotDisk())
    family = Family(keyring)

    report = keyring.rotate(AT)

    assert report.assurance is Assurance.UNLINKED_ONLY
    assert set(keyring.irrecoverable_since(family.gone).values()) == {None}


# What is left on the disk


def stored_values(path: Path, key_id: str) -> dict[str, bytes]:
    """Read a key's wrapped bytes and its shard key's, as they lie in the file."""
    connection = sqlite3.connect(path)
    row = connection.execute(
        "SELECT k.wrapped, s.wrapped FROM held_key k JOIN shard_key s"
        " ON s.zone = k.zone AND s.shard = k.shard WHERE k.key_id = ?",
        [key_id],
    ).fetchone()
    connection.close()
    return {"wrapped key": row[0], "wrapped shard key": row[1]}


def found_in(folder: Path, values: dict[str, bytes]) -> set[str]:
    """Return the names of the values that any file under `folder` contains."""
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return {name for name, value in values.items() if any(value in file for file in contents)}


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[KeyringHome]:
    """A keyring and its master keys, all in files under one folder."""
    home = KeyringHome.with_files(f"sqlite:///{tmp_path}/keyring.db", tmp_path)
    yield home
    home.close()


def test_after_a_rotation_no_file_holds_what_was_destroyed(
    on_disk: KeyringHome, tmp_path: Path
) -> None:
    """The search first finds everything it looks for, so finding nothing means something."""
    keyring = on_disk.open()
    [gone, sealed] = make_keys(keyring, 2)
    secret = keyring.read([gone])[gone]
    values = stored_values(tmp_path / "keyring.db", gone)
    values["master key"] = (tmp_path / "live" / "master-000001.key").read_bytes()[:32]
    keyring.seal([sealed], AT)
    sealed_values = stored_values(tmp_path / "keyring.db", sealed)
    marker = {"the key in the clear": secret}
    (tmp_path / "planted").write_bytes(secret)
    assert found_in(tmp_path, values | marker) == {*values, *marker}
    assert found_in(tmp_path, sealed_values) == {*sealed_values}
    (tmp_path / "planted").unlink()

    keyring.destroy([gone, sealed], "order", AT)
    assert found_in(tmp_path, values | marker) == {"wrapped shard key", "master key"}
    keyring.rotate(LATER)

    assert found_in(tmp_path, values | marker | sealed_values) == set()


def shard_key_of(path: Path, shard: int, master: bytes) -> bytes:
    """Open a live shard key as anybody with keyring and master key can."""
    connection = sqlite3.connect(path)
    generation, wrapped = connection.execute(
        "SELECT generation, wrapped FROM shard_key WHERE zone = 'live' AND shard = ?", [shard]
    ).fetchone()
    connection.close()
    place = f"consent-service/shard-key/v1\0live\0{shard}\0{generation}".encode()
    return AESGCM(master).decrypt(wrapped[4:16], wrapped[16:], place)


def test_an_old_block_of_the_disk_opens_with_no_key_of_today(
    on_disk: KeyringHome, tmp_path: Path
) -> None:
    """Whoever finds the deleted row has all that stands today, and still cannot open it."""
    keyring = on_disk.open()
    [gone, kept] = make_keys(keyring, 2, shard=7)
    secret = keyring.read([gone])[gone]
    block = stored_values(tmp_path / "keyring.db", gone)["wrapped key"]
    place = f"consent-service/key/v1\0consent\0{gone}\0live\x007\x001".encode()
    found = shard_key_of(tmp_path / "keyring.db", 7, master_key(tmp_path / "live"))
    assert AESGCM(found).decrypt(block[:12], block[12:], place) == secret

    keyring.destroy([gone], "order", AT)
    found = shard_key_of(tmp_path / "keyring.db", 7, master_key(tmp_path / "live"))
    assert AESGCM(found).decrypt(block[:12], block[12:], place) == secret  # deleted, not gone
    keyring.rotate(LATER)

    found = shard_key_of(tmp_path / "keyring.db", 7, master_key(tmp_path / "live"))
    with pytest.raises(InvalidTag):
        AESGCM(found).decrypt(block[:12], block[12:], place)
    assert keyring.read([kept]).keys() == {kept}


def master_key(folder: Path) -> bytes:
    """The one master key in a folder, as anybody with the folder reads it."""
    [path] = folder.glob("master-*.key")
    return path.read_bytes()[:32]


def recover(sidecar: dict[str, object], keyring: Path, master: bytes) -> bytes:
    """Open a film's data key with nothing but `cryptography`, a keyring file and a master key.

    This is the recovery recipe that the operations guide prints.
    """
    [wrap] = sidecar["wraps"]
    secrets = {}
    for key_id in [sidecar["asset_key"], *wrap["keys"]]:
        kind, zone, shard, generation, key, shard_key = (
            sqlite3.connect(keyring)
            .execute(
                "SELECT k.kind, k.zone, k.shard, s.generation, k.wrapped, s.wrapped FROM held_key k"
                " JOIN shard_key s ON s.zone = k.zone AND s.shard = k.shard WHERE k.key_id = ?",
                [key_id],
            )
            .fetchone()
        )
        place = f"consent-service/shard-key/v1\0{zone}\0{shard}\0{generation}".encode()
        opened = AESGCM(master).decrypt(shard_key[4:16], shard_key[16:], place)
        place = f"consent-service/key/v1\0{kind}\0{key_id}\0{zone}\0{shard}\0{generation}".encode()
        secrets[key_id] = AESGCM(opened).decrypt(key[:12], key[12:], place)
    info = kek_info(sidecar["asset"], sidecar["generation"], wrap["purpose"], wrap["keys"])
    kek = HKDF(SHA256(), 32, b"", info).derive(b"".join(secrets.values()))
    wrapped = base64.b64decode(wrap["wrapped"])
    return AESGCM(kek).decrypt(wrapped[:12], wrapped[12:], info)


def test_blobs_keyring_and_master_key_alone_open_a_film_until_it_is_erased(
    on_disk: KeyringHome, tmp_path: Path
) -> None:
    """Recovery needs no code of ours; and after the way out the same recipe fails for good."""
    keyring = on_disk.open()
    mother, baby = make_keys(keyring, 2)
    [asset_key] = make_keys(keyring, 1, KeyKind.ASSET)
    keys, place, data_key = (
        keyring.read([mother, baby, asset_key]),
        (new_id(), 1, "care"),
        b"d" * 32,
    )
    wrap = make_wrap(place, data_key, keys.pop(asset_key), keys)
    sidecar = json.loads(sidecar_bytes(Sidecar(*place[:2], "recording", asset_key, (wrap,))))
    keyring.close()
    stolen = tmp_path / "stolen.db"
    shutil.copy(tmp_path / "keyring.db", stolen)
    assert recover(sidecar, tmp_path / "keyring.db", master_key(tmp_path / "live")) == data_key
    assert recover(sidecar, stolen, master_key(tmp_path / "live")) == data_key

    keyring = on_disk.open()
    keyring.destroy([mother], "order", AT)
    keyring.rotate(LATER)
    keyring.close()

    with pytest.raises(TypeError):  # the key's row is gone
        recover(sidecar, tmp_path / "keyring.db", master_key(tmp_path / "live"))
    with pytest.raises(InvalidTag):  # an old copy of the keyring with the master key of today
        recover(sidecar, stolen, master_key(tmp_path / "live"))
    for left in [*keyring_keys(tmp_path / "keyring.db"), master_key(tmp_path / "escrow")]:
        with pytest.raises(InvalidTag):
            recover(sidecar, stolen, left)


def keyring_keys(path: Path) -> list[bytes]:
    """Every 32-byte piece of key material that the keyring's tables hold, wrapped as it is."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT wrapped FROM held_key UNION SELECT wrapped FROM shard_key")
    pieces = [row[0][-32:] for row in rows]
    connection.close()
    return pieces
