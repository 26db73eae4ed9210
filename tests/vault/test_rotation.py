"""Rotation: what was deleted cannot be opened any more, whatever is killed and whoever works on."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from consent_service.errors import Conflict, IntegrityFault, SettingsFault, Unavailable
from consent_service.ids import new_id
from consent_service.vault.key_providers import Assurance, MemoryKeyProvider
from consent_service.vault.keyring import KeyKind, Keyring, Zone
from consent_service.vault.keyring_values import RotationAhead
from consent_service.vault.rotation import RotationStep
from tests.support.keyrings import (
    AT,
    LATER,
    Interleaved,
    KeyringHome,
    make_keys,
)
from tests.vault.rotations import Family, KillAt, Killed


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


def test_what_a_rotation_would_do_is_told_before(keyring: Keyring) -> None:
    """An operator looks before the master keys go; one that was killed has the rest ahead."""
    assert keyring.rotation_ahead() == RotationAhead(0, 0, unfinished=False)
    assert keyring.rotation_ahead().idle
    family = Family(keyring)

    assert keyring.rotation_ahead() == RotationAhead(2, 2, unfinished=False)
    assert not keyring.rotation_ahead().idle
    with pytest.raises(Killed):
        keyring.rotate(AT, KillAt(STEPS.index(RotationStep.STARTED)))
    assert keyring.rotation_ahead() == RotationAhead(2, 2, unfinished=True)
    with pytest.raises(Killed):
        keyring.rotate(AT, KillAt(STEPS.index(RotationStep.MASTER_NOTED)))
    assert keyring.rotation_ahead() == RotationAhead(0, 2, unfinished=True)
    keyring.rotate(LATER)
    assert keyring.rotation_ahead().idle
    assert family.is_whole(keyring)


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


class Boasting(MemoryKeyProvider):
    """A key server that tells of a newer master key than the one it wraps under."""

    wraps = 0

    def rotate(self) -> int:
        """Say one more than there is."""
        return super().rotate() + 1

    def wrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Count, so that who never ends is found out."""
        self.wraps += 1
        assert self.wraps < 20, "it wraps the same without end"
        return super().wrap_many(items)


def test_a_rotation_ends_where_keys_stay_under_an_older_master_key(home: KeyringHome) -> None:
    """It would wrap them again for ever, and nobody be told; no master key has gone by then."""
    home.live = server = Boasting()
    keyring = home.open()
    family = Family(keyring)

    with pytest.raises(Unavailable, match="older master key"):
        keyring.rotate(AT)

    assert 1 in server.versions()
    assert family.is_whole(keyring)
