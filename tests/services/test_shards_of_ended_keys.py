"""A key ends of which this keyring holds nothing: its family's shard gets a new key, and no other.

Such an id is a yes that was said twice and made one key, or a key that an older keyring lacks.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from consent_service.db.models.consent import ConsentDecision
from consent_service.db.models.jobs import JournalDue
from consent_service.domain.withdrawal import WithdrawalScope
from consent_service.ids import new_id
from consent_service.services import erasure, key_ends, replaced_keys, startup
from consent_service.vault.journal import LineKind
from consent_service.vault.keyring import KeyStatus, shard_of
from consent_service.vault.keyring_values import home_shard
from tests.support.clinic import Clinic, Family
from tests.support.kept_film import asset_row
from tests.support.keyrings import make_keys
from tests.support.safe import consenting_family


class Killed(BaseException):
    """The process ends here: nothing of ours may catch it."""


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family among many, live and sealed, that said yes twice and has two films."""
    found = consenting_family(clinic)
    clinic.both_consent(found)
    for _ in range(2):
        clinic.stores_film(found)
    make_keys(clinic.ctx.keyring, 20)
    clinic.ctx.keyring.seal(make_keys(clinic.ctx.keyring, 20), clinic.clock.now())
    clinic.ctx.keyring.rotate(clinic.clock.now())
    return found


def _marked(clinic: Clinic) -> set[int]:
    """The shards that the next rotation replaces."""
    return {home_shard(shard) for _, shard in clinic.ctx.keyring.dirty_shards()}


def _never_made(clinic: Clinic, family: Family) -> list[str]:
    """The decisions that have no key, since an earlier one of the same person has."""
    where = ConsentDecision.involvement_id == family.involvement
    with clinic.ctx.read() as session:
        ids = session.scalars(select(ConsentDecision.id).where(where)).all()
    return [k for k, state in clinic.ctx.keyring.status(ids).items() if state is KeyStatus.ABSENT]


def _lacks(folder: Path, key: str) -> None:
    """Make the keyring one from before this key was made."""
    with closing(sqlite3.connect(folder / "keyring.sqlite3")) as keyring:
        keyring.execute("DELETE FROM held_key WHERE key_id = ?", [key])
        keyring.execute("DELETE FROM tombstone WHERE key_id = ?", [key])
        keyring.commit()


def _erased(clinic: Clinic, family: Family, film: str) -> None:
    """Let the mother take one film back, and carry it out."""
    clinic.withdraws(family, family.mother, scope=WithdrawalScope.ASSETS, assets=(film,))
    erasure.work(clinic.ctx, "worker")


def test_a_yes_that_was_said_twice_has_only_its_own_shard_replaced(
    clinic: Clinic, family: Family
) -> None:
    """It happens daily: were all shards replaced for it, every night would wrap every key anew."""
    never = _never_made(clinic, family)

    clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "worker")

    stones = clinic.ctx.keyring.tombstones(never)
    assert stones and {stone.fingerprint for stone in stones.values()} == {None}
    assert _marked(clinic) == {shard_of(family.involvement)}


def test_film_whose_key_only_a_newer_keyring_has_leaves_a_shard_to_replace(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """Nothing is deleted here, and a kept copy of the newer one must open nothing all the same."""
    film = clinic.stores_film(family).id
    key = asset_row(clinic, film).asset_key_id
    _lacks(tmp_path, key)

    _erased(clinic, family, film)

    assert clinic.ctx.keyring.status([key]) == {key: KeyStatus.DESTROYED}
    assert _marked(clinic) == {shard_of(family.involvement)}


@pytest.mark.parametrize("told", [True, False])
def test_a_replaced_key_that_only_a_newer_keyring_has_leaves_its_shard_to_replace(
    clinic: Clinic, family: Family, told: bool
) -> None:
    """A note of an earlier version does not tell the shard: then all are replaced."""
    film, old = clinic.stores_film(family).id, new_id()
    with clinic.ctx.begin() as uow:
        if told:
            replaced_keys.owe(uow, film, old)
        else:
            body = {"order": film, "keys": [old]}
            kind = LineKind.KEY_DESTROYED.value
            uow.session.add(JournalDue(id=new_id(), kind=kind, body=body, due_at=uow.at))

    replaced_keys.destroy(clinic.ctx)

    assert clinic.ctx.keyring.status([old]) == {old: KeyStatus.DESTROYED}
    assert (_marked(clinic) == {shard_of(family.involvement)}) is told
    assert shard_of(family.involvement) in _marked(clinic)


def test_a_process_that_was_killed_between_line_and_key_has_one_shard_replaced(
    clinic: Clinic, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So has one that is only slow: every node looks at the journal each few seconds."""
    never = _never_made(clinic, family)

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(clinic.ctx.keyring, "destroy", dies)
        with pytest.raises(Killed):
            clinic.withdraws(family, family.mother)
            erasure.work(clinic.ctx, "worker")
    [line] = [one for one in clinic.ctx.journal.lines() if one.kind is LineKind.KEY_DESTROYED]
    assert set(never) & set(line.body["keys"])

    report = startup.replay(clinic.ctx)

    assert set(clinic.ctx.keyring.status(line.body["keys"]).values()) == {KeyStatus.DESTROYED}
    assert not report.found_restore
    assert _marked(clinic) == {shard_of(family.involvement)}


def test_a_keyring_from_before_a_film_that_is_gone_has_its_shard_replaced(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """It lacks the newest end alone, which looks like a process that was killed."""
    film = clinic.stores_film(family).id
    key = asset_row(clinic, film).asset_key_id
    _erased(clinic, family, film)
    clinic.ctx.keyring.rotate(clinic.clock.now())
    _lacks(tmp_path, key)
    assert _marked(clinic) == set()

    startup.replay(clinic.ctx)

    assert clinic.ctx.keyring.status([key]) == {key: KeyStatus.DESTROYED}
    assert _marked(clinic) == {shard_of(family.involvement)}


def test_a_line_of_an_earlier_version_has_every_shard_replaced(
    clinic: Clinic, family: Family
) -> None:
    """It does not tell where its key was: to replace less would promise what nobody knows."""
    body = {"order": new_id(), "keys": [new_id()]}
    clinic.ctx.journal.append(LineKind.KEY_DESTROYED, body, clinic.clock.now())

    startup.replay(clinic.ctx)

    assert len(_marked(clinic)) > 10


def test_a_keyring_that_fell_back_is_found_though_another_key_has_ended_since(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """Its server failed over and forgot an end; the next one was written before anybody looked."""
    first, second = make_keys(clinic.ctx.keyring, 2)
    with (
        closing(sqlite3.connect(tmp_path / "keyring.sqlite3")) as keyring,
        closing(sqlite3.connect(tmp_path / "replica.sqlite3")) as replica,
    ):
        keyring.backup(replica)
        key_ends.destroy(clinic.ctx, "order", [first], None)
        assert not startup.replay(clinic.ctx).found_restore
        replica.backup(keyring)
    assert clinic.ctx.keyring.status([first]) == {first: KeyStatus.LIVE}
    key_ends.destroy(clinic.ctx, "order", [second], None)

    report = startup.replay(clinic.ctx)

    assert report.restored == {"key_destroyed": 1}
    ended = dict.fromkeys([first, second], KeyStatus.DESTROYED)
    assert clinic.ctx.keyring.status([first, second]) == ended
