"""A keyring put back from before keys were sealed: they are sealed again, whoever finds it first."""

import dataclasses
import io
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest
from sqlalchemy import select

from consent_service.db.models.consent import ConsentDecision
from consent_service.db.models.erasure import ErasureOrder
from consent_service.db.models.recordings import AssetWrap
from consent_service.domain.audit import EventKind
from consent_service.domain.consent import Answer
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Speed, WithdrawalScope
from consent_service.errors import IntegrityFault
from consent_service.services import (
    erasure,
    erasure_keys,
    holds,
    key_rotation,
    startup,
    upkeep,
    withdrawal,
)
from consent_service.services.access import job_caller
from consent_service.services.context import Context
from consent_service.services.reconcile import Fault, Finding, reconcile
from consent_service.services.viewing_keys import ViewingKeys
from consent_service.vault.key_providers import MemoryKeyProvider
from consent_service.vault.keyring import Keyring, KeyStatus, Zone
from tests.support.clinic import Clinic, Family
from tests.support.safe import consenting_family
from tests.support.statements import counted

JOB = job_caller("reconcile")


@dataclasses.dataclass
class Kept:
    """A family with a film, and the keyring from an hour before anything was sealed."""

    clinic: Clinic
    family: Family
    film: str
    keyring: Path
    copy: Path

    def put_back(self) -> None:
        """Put the copy in the place of the keyring, as an operator does who means well."""
        _copied(self.copy, self.keyring)

    def sealed(self) -> set[str]:
        """The consent keys that were sealed according to the audit log."""
        told = self.clinic.written_down(EventKind.CONSENT_KEY_SEALED)
        return {one.event.subject or "" for one in told}

    def live(self) -> set[str]:
        """Those of them that are live all the same."""
        return set(self.clinic.ctx.keyring.read(sorted(self.sealed())))

    def opens(self) -> bool:
        """Whether serving code finds every key that a wrap of the film asks for."""
        with self.clinic.ctx.read() as session:
            wraps = session.scalars(
                select(AssetWrap.key_ids).where(AssetWrap.asset_id == self.film)
            ).all()
        assert wraps
        return any(len(self.clinic.ctx.keyring.read(ids)) == len(ids) for ids in wraps)


@pytest.fixture
def kept(clinic: Clinic, tmp_path: Path) -> Kept:
    """A film that opens, and a copy of the keyring that opens it."""
    family = consenting_family(clinic)
    film = clinic.stores_film(family).id
    found = Kept(clinic, family, film, tmp_path / "keyring.sqlite3", tmp_path / "copy.sqlite3")
    _copied(found.keyring, found.copy)
    clinic.passes(hours=1)
    return found


def _copied(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def _may_be_undone(kept: Kept) -> None:
    kept.clinic.withdraws(kept.family, kept.family.mother, speed=Speed.SEVEN_DAYS)


def _is_held(kept: Kept) -> None:
    wanted = holds.PlaceHold(kept.family.involvement, HoldKind.LITIGATION, "A court asked for it.")
    holds.place(kept.clinic.ctx, kept.clinic.ig, wanted)
    kept.clinic.withdraws(kept.family, kept.family.mother)
    erasure.work(kept.clinic.ctx, "worker")


ENDS = pytest.mark.parametrize("end", [_may_be_undone, _is_held])


def _starts(ctx: Context) -> None:
    startup.require_ready(ctx)


def _makes_keys(ctx: Context) -> None:
    upkeep.make_keys(ctx, ctx.clock.now())


def _compares(ctx: Context) -> None:
    reconcile(ctx, JOB)


@pytest.fixture
def others(kept: Kept) -> list[Family]:
    """Families who agreed after the copy of the keyring was taken."""
    return [consenting_family(kept.clinic) for _ in range(3)]


@pytest.fixture
def damaged(kept: Kept) -> tuple[str, str]:
    """Two keys of a keyring put back that had been sealed: the first has rotted there."""
    _may_be_undone(kept)
    kept.clinic.withdraws(kept.family, kept.family.father, speed=Speed.SEVEN_DAYS)
    kept.put_back()
    rotten, whole = sorted(kept.live())
    with closing(sqlite3.connect(kept.keyring)) as keyring, keyring:
        keyring.execute("UPDATE held_key SET wrapped = zeroblob(60) WHERE key_id = ?", (rotten,))
    return rotten, whole


def test_a_damaged_key_stops_neither_the_start_nor_the_other_keys(
    kept: Kept, damaged: tuple[str, str]
) -> None:
    """A copy of a keyring may have rotted: what is whole in it must not wait for that."""
    _starts(kept.clinic.ctx)

    status = kept.clinic.ctx.keyring.status(damaged)
    assert [status[key] for key in damaged] == [KeyStatus.LIVE, KeyStatus.SEALED]


def test_a_damaged_key_keeps_no_other_family_from_its_keys(
    kept: Kept, others: list[Family], damaged: tuple[str, str]
) -> None:
    """The job looks after everyone and tells of the damage at its end."""
    clinic = kept.clinic
    with clinic.ctx.begin() as uow:
        unmade = uow.session.scalars(
            select(ConsentDecision.id).where(
                ConsentDecision.answer == Answer.YES,
                ConsentDecision.involvement_id.in_([one.involvement for one in others]),
            )
        ).all()
    assert unmade and not clinic.ctx.keyring.read(unmade)

    with pytest.raises(IntegrityFault):
        upkeep.make_keys(clinic.ctx, clinic.clock.now() - timedelta(days=1))

    for other in others:
        assert clinic.stores_film(other)


def _keys_about(clinic: Clinic, person: str) -> list[str]:
    """The ids of every consent key that there could be of somebody."""
    about = select(ConsentDecision.id).where(
        ConsentDecision.answer == Answer.YES, ConsentDecision.person_id == person
    )
    with clinic.ctx.read() as session:
        return list(session.scalars(about))


def test_a_damaged_key_keeps_no_stop_from_being_told_nor_any_other_key_from_being_sealed(
    kept: Kept, others: list[Family]
) -> None:
    """A stop stands whatever became of a key, and one family's rot is no other family's open key."""
    clinic, other = kept.clinic, others[0]
    with closing(sqlite3.connect(kept.keyring)) as keyring, keyring:
        for key in _keys_about(clinic, kept.family.mother):
            keyring.execute("UPDATE held_key SET wrapped = zeroblob(60) WHERE key_id = ?", (key,))
    clinic.passes(hours=1)

    first = clinic.withdraws(kept.family, kept.family.mother, speed=Speed.SEVEN_DAYS)
    second = clinic.withdraws(other, other.mother, speed=Speed.SEVEN_DAYS)
    erasure.work(clinic.ctx, "worker")

    assert first.erasure_order and second.erasure_order
    states = clinic.ctx.keyring.status(_keys_about(clinic, other.mother)).values()
    assert KeyStatus.SEALED in states
    assert KeyStatus.LIVE not in states


@ENDS
@pytest.mark.parametrize("look", [_starts, _makes_keys, _compares])
def test_keys_that_an_order_sealed_are_sealed_again(
    kept: Kept, end: Callable[[Kept], None], look: Callable[[Context], None]
) -> None:
    """Sealed means that serving code cannot decrypt, whichever copy of the keyring it is given."""
    end(kept)
    assert kept.sealed() and not kept.live()
    kept.put_back()
    live = kept.live()
    assert live and kept.opens()
    told = len(kept.clinic.written_down(EventKind.CONSENT_KEY_SEALED))
    kept.clinic.passes(minutes=1)

    for _ in range(2):
        look(kept.clinic.ctx)

        assert not kept.live() and not kept.opens()
        since = kept.clinic.written_down(EventKind.CONSENT_KEY_SEALED)[told:]
        assert sorted(one.event.subject or "" for one in since) == sorted(live)


@ENDS
def test_a_key_backup_brings_nothing_back_that_was_sealed_since(
    kept: Kept, end: Callable[[Kept], None], tmp_path: Path
) -> None:
    """It holds every key as it was; what ended since is locked away before the verb returns."""
    clinic, pair, file = kept.clinic, pyrage.x25519.Identity.generate(), io.BytesIO()
    key_rotation.backup(clinic.ctx, clinic.admin, file, str(pair.to_public()))
    end(kept)
    clinic.ctx.keyring.close()
    memory = MemoryKeyProvider(), MemoryKeyProvider()
    ring = Keyring(f"sqlite:///{tmp_path}/new.sqlite3", *memory)
    clinic.ctx = dataclasses.replace(clinic.ctx, keyring=ring, viewings=ViewingKeys())

    came = key_rotation.restore(clinic.ctx, clinic.admin, io.BytesIO(file.getvalue()), str(pair))

    assert came.restored > 0
    assert KeyStatus.SEALED in ring.status(kept.sealed()).values()
    assert not kept.live() and not kept.opens()


class _AskedAbout:
    """A keyring that remembers of which keys somebody asked how they stand."""

    def __init__(self, inner: Keyring) -> None:
        self._inner = inner
        self.keys: set[str] = set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def status(self, key_ids: Collection[str]) -> dict[str, KeyStatus]:
        self.keys |= set(key_ids)
        return self._inner.status(key_ids)


def test_every_five_minutes_only_the_orders_sealed_last_are_looked_at(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Holds keep orders sealed for years: what is done so often must not read all of their yeses.

    An older keyring lacks the seals of the newest too; then all that it lacks are made again.
    """
    clinic = kept.clinic
    monkeypatch.setattr(upkeep, "NEWEST_SEALED", 1)
    _may_be_undone(kept)
    first = kept.sealed()
    clinic.passes(hours=1)
    other = consenting_family(clinic)
    clinic.passes(hours=2)
    clinic.withdraws(other, other.mother, speed=Speed.SEVEN_DAYS)
    clinic.passes(hours=2)
    ring = _AskedAbout(clinic.ctx.keyring)

    _makes_keys(dataclasses.replace(clinic.ctx, keyring=ring))  # type: ignore[arg-type]

    assert ring.keys == kept.sealed() - first
    clinic.ctx.keyring.unseal(sorted(kept.sealed()), clinic.clock.now())
    assert kept.live() & first and kept.live() - first
    _makes_keys(clinic.ctx)
    assert not kept.live()


def test_all_orders_are_looked_at_page_by_page_but_for_those_about_film_alone(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory holds one page of a long life of orders; film taken back by itself ends no key."""
    clinic, family = kept.clinic, kept.family
    monkeypatch.setattr(erasure_keys, "PAGE", 1)
    clinic.stores_film(family)
    clinic.withdraws(
        family,
        family.mother,
        speed=Speed.SEVEN_DAYS,
        scope=WithdrawalScope.ASSETS,
        assets=(kept.film,),
    )
    for _ in range(2):
        clinic.passes(minutes=1)
        other = consenting_family(clinic)
        clinic.withdraws(other, other.mother, speed=Speed.SEVEN_DAYS)
    erasure_keys.seal_waiting(clinic.ctx)
    clinic.ctx.keyring.unseal(sorted(kept.sealed()), clinic.clock.now())
    live = kept.live()

    found = erasure_keys.live_though_sealed(clinic.ctx)

    assert sorted(key for keys in found.values() for key in keys) == sorted(live)
    with clinic.ctx.read() as session:
        orders = session.scalars(select(ErasureOrder).order_by(ErasureOrder.sealed_at)).all()
        assert [row.id for row in orders if row.scope["persons"]] == list(found)
        assert len(orders) == 3 and all(row.sealed_at for row in orders)
    assert list(erasure_keys.live_though_sealed(clinic.ctx, newest=1)) == list(found)[-1:]


def test_the_comparison_tells_of_it_once_and_names_each_key(kept: Kept) -> None:
    """Somebody put an old keyring back: that is to be known, and not only mended."""
    _may_be_undone(kept)
    assert reconcile(kept.clinic.ctx, JOB).findings == ()
    kept.put_back()
    live = sorted(kept.live())

    looked = reconcile(kept.clinic.ctx, JOB, repair=False)
    assert sorted(kept.live()) == live
    mended = reconcile(kept.clinic.ctx, JOB)
    after = reconcile(kept.clinic.ctx, JOB)

    fault = Fault.SEALED_KEY_LIVE
    assert looked.findings == tuple(Finding(fault, key, False) for key in live)
    assert mended.findings == tuple(Finding(fault, key, True) for key in live)
    assert after.findings == ()


def test_who_withdrew_can_still_think_better_of_it(kept: Kept) -> None:
    """Sealed twice is sealed: the undo within seven days opens the film again, and it stays so."""
    watched = kept.clinic.watches(kept.film)
    done = kept.clinic.withdraws(kept.family, kept.family.mother, speed=Speed.SEVEN_DAYS)
    kept.put_back()
    startup.require_ready(kept.clinic.ctx)
    assert not kept.opens()

    withdrawal.cancel(kept.clinic.ctx, kept.clinic.guider, done.id, kept.family.mother)

    assert kept.clinic.watches(kept.film) == watched
    assert erasure_keys.seal_again(kept.clinic.ctx) == []
    assert kept.clinic.watches(kept.film) == watched


def test_what_no_order_ended_is_left_alone(clinic: Clinic) -> None:
    """Only the keys of what was withdrawn are shut: all others are somebody's living consent."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"TRAIN.LOCAL"}))
    film = clinic.stores_film(family).id
    clinic.passes(hours=1)
    clinic.withdraws(
        family,
        family.mother,
        speed=Speed.SEVEN_DAYS,
        scope=WithdrawalScope.PURPOSES,
        purposes=("training-local",),
    )
    sealed, live = (
        {k.key_id for k in clinic.ctx.keyring.list_keys(zone)} for zone in (Zone.ESCROW, Zone.LIVE)
    )
    assert clinic.ctx.keyring.unseal(sorted(sealed), clinic.clock.now()) == sealed

    assert set(erasure_keys.seal_again(clinic.ctx)) == sealed

    assert {one.key_id for one in clinic.ctx.keyring.list_keys(Zone.LIVE)} == live
    assert clinic.watches(film)


def test_whoever_agrees_anew_keeps_the_key_of_that(kept: Kept) -> None:
    """A hold keeps what was withdrawn under seal for years; a new yes is another consent."""
    clinic, family = kept.clinic, kept.family
    _is_held(kept)
    clinic.passes(hours=1)
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    film = clinic.stores_film(family).id
    kept_open = clinic.watches(film)

    assert erasure_keys.seal_again(clinic.ctx) == []
    assert clinic.watches(film) == kept_open


def test_looking_costs_the_same_however_many_orders_there_are(kept: Kept) -> None:
    """It is done at every start: what a hold keeps for years must not make that slower."""
    _is_held(kept)
    with counted(kept.clinic) as one:
        assert erasure_keys.seal_again(kept.clinic.ctx) == []
    for _ in range(3):
        family = consenting_family(kept.clinic)
        kept.clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)

    with counted(kept.clinic) as many:
        assert erasure_keys.seal_again(kept.clinic.ctx) == []

    assert len(many) == len(one)
