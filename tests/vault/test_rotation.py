"""Rotation: what was deleted cannot be opened any more, whatever is killed and whoever works on."""

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
from sqlalchemy import create_engine, text

from consent_service.errors import Conflict, IntegrityFault, SettingsFault
from consent_service.ids import new_id
from consent_service.vault.key_providers import Assurance, MemoryKeyProvider
from consent_service.vault.keyring import KeyKind, Keyring, KeyStatus, Zone
from consent_service.vault.rotation import RotationStep
from consent_service.vault.wraps import Sidecar, kek_info, make_wrap, sidecar_bytes
from tests.support.keyrings import (
    AT,
    LATER,
    Interleaved,
    KeyringHome,
    OnSnapshotDisk,
    make_keys,
)


class Killed(Exception):
    """The process died here."""


class KillAt:
    """A progress hook that dies at one step; counts the steps it lets pass."""

    def __init__(self, step: int | None = None) -> None:
        self.passed: list[RotationStep] = []
        self._step = step

    def __call__(self, step: RotationStep, _shards: int) -> None:
        if len(self.passed) == self._step:
            raise Killed(step)
        self.passed.append(step)


class Family:
    """Five live keys, one sealed, one destroyed while live, one destroyed while sealed."""

    def __init__(self, keyring: Keyring) -> None:
        self.gone = make_keys(keyring, 2, shard=7)
        self.live = [*make_keys(keyring, 3, shard=7), *make_keys(keyring, 2, shard=8)]
        self.sealed = make_keys(keyring, 1, shard=7)
        self.open = keyring.read(self.live)
        self.shut = keyring.read(self.sealed)
        keyring.seal([*self.sealed, self.gone[1]], AT)
        keyring.destroy(self.gone, "order", AT)

    def is_whole(self, keyring: Keyring) -> bool:
        """Nothing of what should stand is lost and nothing destroyed is back."""
        return (
            keyring.read(self.live + self.gone) == self.open
            and keyring.read_sealed(self.sealed + self.gone) == self.shut
            and set(keyring.status(self.gone).values()) == {KeyStatus.DESTROYED}
        )


def test_a_rotation_replaces_what_is_dirty_and_keeps_what_stands(
    home: KeyringHome, keyring: Keyring
) -> None:
    """The nightly job in one picture."""
    family = Family(keyring)
    assert keyring.dirty_shards() == [(Zone.ESCROW, 7), (Zone.LIVE, 7)]

    report = keyring.rotate(AT, now=lambda: LATER)

    assert not report.idle
    assert (report.shards_rotated, report.keys_rewrapped) == (2, 4)
    assert report.old_master_versions_destroyed == {"live": [1], "escrow": [1]}
    assert (report.live_master, report.escrow_master) == (2, 2)
    assert report.finished_at == LATER
    assert report.assurance is Assurance.OVERWRITTEN
    assert home.live.versions() == home.escrow.versions() == [2]
    assert keyring.dirty_shards() == []
    assert family.is_whole(keyring)


def test_with_nothing_dirty_nothing_is_done(home: KeyringHome, keyring: Keyring) -> None:
    """A night without a withdrawal costs nothing, and the report says so."""
    make_keys(keyring, 3)

    report = keyring.rotate(AT)

    assert report.idle
    assert (report.rotation, report.assurance, report.shards_rotated) == (None, None, 0)
    assert (report.live_master, report.escrow_master) == (1, 1)
    assert home.live.versions() == [1]


def test_on_demand_the_master_keys_go_though_nothing_is_dirty(
    home: KeyringHome, keyring: Keyring
) -> None:
    """A folder of master keys may have been seen by somebody."""
    ids = make_keys(keyring, 3)
    before = keyring.read(ids)

    report = keyring.rotate(AT, force=True)

    assert (report.idle, report.shards_rotated) == (False, 0)
    assert home.live.versions() == home.escrow.versions() == [2]
    assert keyring.read(ids) == before


def test_only_dirty_shards_are_rewrapped(keyring: Keyring) -> None:
    """The cost follows what ended, not what is kept."""
    for shard in range(20):
        for _ in range(2):
            keyring.create(new_id(), KeyKind.ASSET, shard, AT)
    gone = new_id()
    keyring.create(gone, KeyKind.ASSET, 5, AT)
    keyring.destroy([gone], "order", AT)

    report = keyring.rotate(AT)

    assert (report.shards_rotated, report.keys_rewrapped) == (1, 2)


def test_more_shards_than_one_transaction_takes(keyring: Keyring) -> None:
    """Work is cut into short transactions; together they do all of it."""
    ids = [new_id() for _ in range(40)]
    for shard, key_id in enumerate(ids):
        keyring.create(key_id, KeyKind.ASSET, shard, AT)
    keyring.destroy(ids, "order", AT)
    hook = KillAt()

    report = keyring.rotate(AT, hook)

    assert report.shards_rotated == 40
    assert hook.passed.count(RotationStep.SHARDS_REPLACED) == 3


def steps_of_a_whole_rotation() -> list[RotationStep]:
    """What a rotation of two zones with few shards tells, in order."""
    zones_made = [RotationStep.MASTER_MADE, RotationStep.MASTER_NOTED] * 2
    return [
        RotationStep.STARTED,
        RotationStep.SHARDS_REPLACED,
        RotationStep.SHARDS_DONE,
        *zones_made,
        *[RotationStep.SHARD_KEYS_REWRAPPED] * 2,
        *[RotationStep.OLD_MASTERS_DESTROYED] * 2,
        RotationStep.FINISHED,
    ]


STEPS = steps_of_a_whole_rotation()


def test_the_steps_are_told_in_order(keyring: Keyring) -> None:
    """The sweep below kills at each of these: the list must be all of them."""
    Family(keyring)
    hook = KillAt()

    keyring.rotate(AT, hook)

    assert hook.passed == STEPS


@pytest.mark.parametrize("step", range(len(STEPS)), ids=[f"{n}-{s}" for n, s in enumerate(STEPS)])
def test_a_rotation_killed_at_any_step_is_taken_up(
    home: KeyringHome, keyring: Keyring, step: int
) -> None:
    """Nothing is lost while it lies dead, everything opens, and a rerun gives the same end."""
    family = Family(keyring)
    with pytest.raises(Killed):
        keyring.rotate(AT, KillAt(step))
    keyring.close()
    reopened = home.open()
    assert family.is_whole(reopened)
    late = new_id()
    reopened.create(late, KeyKind.CONSENT, 3, AT)
    report = reopened.rotate(LATER)

    finished_before = STEPS[step] is RotationStep.FINISHED
    assert report.idle is finished_before
    assert finished_before or (report.shards_rotated, report.keys_rewrapped) == (2, 4)
    assert family.is_whole(reopened)
    assert reopened.read([late]).keys() == {late}
    assert reopened.dirty_shards() == []
    assert len(home.live.versions()) == len(home.escrow.versions()) == 1
    assert all(reopened.irrecoverable_since(family.gone).values())


def test_what_ended_after_a_kill_is_rotated_out_too(home: KeyringHome, keyring: Keyring) -> None:
    """The interrupted rotation does not cover it, so a second one follows at once."""
    family = Family(keyring)
    with pytest.raises(Killed):
        keyring.rotate(AT, KillAt(STEPS.index(RotationStep.MASTER_NOTED)))
    late = family.live.pop()
    del family.open[late]
    keyring.destroy([late], "order-2", AT)

    report = keyring.rotate(LATER)

    assert report.rotation == 2
    assert keyring.dirty_shards() == []
    assert keyring.irrecoverable_since([late]) == {late: LATER}
    assert family.is_whole(keyring)


def test_the_clinic_works_on_while_keys_are_rotated(keyring: Keyring) -> None:
    """At every step keys are read, made, sealed, brought back and destroyed."""
    family = Family(keyring)
    made: list[str] = []

    def work(_step: RotationStep, _shards: int) -> None:
        one, two = make_keys(keyring, 2)
        keyring.seal([one, two], AT)
        keyring.unseal([one], AT)
        keyring.destroy([two], "order", AT)
        assert family.is_whole(keyring)
        made.append(one)

    first = keyring.rotate(AT, work)
    second = keyring.rotate(LATER)

    assert [first.rotation, second.rotation] == [1, 2]
    assert len(made) >= len(STEPS)
    assert keyring.read(made).keys() == set(made)
    assert keyring.dirty_shards() == []
    assert family.is_whole(keyring)


def test_a_second_rotation_beside_the_first_is_refused(home: KeyringHome, keyring: Keyring) -> None:
    """Nightly job and operator at once: one of them waits, and the first ends well."""
    family = Family(keyring)
    other, refused = home.open(), []

    def rotate_too(_step: RotationStep, _shards: int) -> None:
        with pytest.raises(Conflict) as conflict:
            other.rotate(LATER)
        refused.append(conflict.value.code)

    keyring.rotate(AT, rotate_too)

    assert set(refused) == {"rotation_running"}
    assert family.is_whole(other)
    assert other.rotate(LATER).idle


def test_a_shard_replaced_behind_a_rotations_back_stops_it(
    home: KeyringHome, keyring: Keyring
) -> None:
    """The lock of a lost connection protects nothing: then nothing is written, and a rerun ends."""
    family = Family(keyring)
    live = Interleaved(home.live)

    def replace() -> None:
        engine = create_engine(home.url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE shard_key SET generation = generation + 1"))
        engine.dispose()

    slow = home.open(live)
    live.before_unwrapping = replace
    with pytest.raises(Conflict):
        slow.rotate(AT)
    engine = create_engine(home.url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE shard_key SET generation = generation - 1"))
    engine.dispose()

    assert not keyring.rotate(LATER).idle
    assert family.is_whole(keyring)


def test_a_damaged_key_stops_a_rotation_by_name_and_can_be_destroyed(
    home: KeyringHome, keyring: Keyring
) -> None:
    """It must neither be dropped in silence nor keep the others from being erased."""
    family = Family(keyring)
    engine = create_engine(home.url)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE held_key SET wrapped = :junk WHERE key_id = :id"),
            {"junk": b"junk" * 15, "id": family.sealed[0]},
        )
        connection.execute(text("UPDATE shard_key SET dirty = :yes"), {"yes": True})
    engine.dispose()

    with pytest.raises(IntegrityFault) as refused:
        keyring.rotate(AT)
    assert refused.value.details == {"key_id": family.sealed[0]}

    keyring.destroy(family.sealed, "order-2", AT)
    assert not keyring.rotate(LATER).idle
    assert keyring.read(family.live) == family.open


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
        never_made: AT,
    }

    keyring.rotate(AT, now=lambda: LATER)

    assert set(keyring.irrecoverable_since(family.gone).values()) == {LATER}


def test_where_old_blocks_survive_nothing_is_promised(home: KeyringHome) -> None:
    """One of the two providers is enough to spoil it: the report names the weaker."""
    keyring = home.open(escrow=OnSnapshotDisk())
    family = Family(keyring)

    report = keyring.rotate(AT)

    assert report.assurance is Assurance.UNLINKED_ONLY
    assert set(keyring.irrecoverable_since(family.gone).values()) == {None}


# What an attacker or an operator puts back


def test_a_copy_from_before_a_rotation_is_refused(tmp_path: Path) -> None:
    """It opens nothing; the message says what does."""
    home = KeyringHome.with_files(f"sqlite:///{tmp_path}/keyring.db", tmp_path)
    keyring = home.open()
    Family(keyring)
    keyring.close()
    shutil.copy(tmp_path / "keyring.db", tmp_path / "copy.db")
    home.open().rotate(AT)

    stale = KeyringHome(f"sqlite:///{tmp_path}/copy.db", home.live, home.escrow)
    with pytest.raises(SettingsFault, match="keys backup") as refused:
        stale.open()

    assert refused.value.code == "keyring_stale"
    home.close()


@pytest.mark.parametrize("zone", ["live", "escrow"])
def test_a_keyring_without_keys_is_refused_too_after_a_rotation(tmp_path: Path, zone: str) -> None:
    """Older master keys were put back: new keys would be wrapped under what was promised gone."""
    home = KeyringHome(f"sqlite:///{tmp_path}/keyring.db")
    home.open().rotate(AT, force=True)

    with pytest.raises(SettingsFault, match="keys backup"):
        home.open(**{zone: MemoryKeyProvider()})

    home.close()


def test_other_master_keys_of_the_same_version_are_refused(
    home: KeyringHome, keyring: Keyring
) -> None:
    """A folder that was not mounted gets new master keys: better no start than lost films."""
    make_keys(keyring, 1)

    with pytest.raises(SettingsFault, match="does not fit"):
        home.open(live=MemoryKeyProvider())


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
