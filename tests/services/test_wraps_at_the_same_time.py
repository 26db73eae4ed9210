"""Two who settle the same film: whoever read it first must not undo what the other did since."""

import dataclasses
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from consent_service.db.unit_of_work import UnitOfWork
from consent_service.errors import Unavailable
from consent_service.jobs.catalogue import CATALOGUE
from consent_service.services import depicted, depicted_keys, erasure, keys
from consent_service.services.access import job_caller
from consent_service.services.context import Context
from consent_service.services.reconcile import Fault, reconcile
from consent_service.vault.keyring import Keyring, KeyStatus
from consent_service.vault.wraps import open_wrap, parse_sidecar
from tests.support.clinic import Clinic, Family
from tests.support.putting_back import database_backup, put_back

NO = frozenset({"CARE.FILM.SELF"})


class SlowKeys:
    """The clinic's keyring; its key server answers the first question when others are done."""

    def __init__(self, real: Keyring, happens: Callable[[], object]) -> None:
        self._real = real
        self._happens = happens

    def read(self, key_ids: Collection[str]) -> dict[str, bytes]:
        happens, self._happens = self._happens, lambda: None
        happens()
        return self._real.read(key_ids)

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


class _Late(Context):
    """The clinic's context; before its next transaction somebody else does something."""

    @classmethod
    def of(cls, ctx: Context, happens: Callable[[], object]) -> "_Late":
        late = cls(**{one.name: getattr(ctx, one.name) for one in dataclasses.fields(ctx)})
        object.__setattr__(late, "happens", happens)
        return late

    def begin(self) -> AbstractContextManager[UnitOfWork]:
        happens = self.__dict__.pop("happens", lambda: None)
        happens()
        return super().begin()


@pytest.fixture
def film(clinic: Clinic, family: Family) -> str:
    """A film of the family's, taken in a while ago."""
    found = clinic.stores_film(family).id
    clinic.passes(minutes=1)
    return found


def _says(clinic: Clinic, family: Family, *, no: frozenset[str] = frozenset()) -> None:
    """The mother answers again, for herself alone."""
    about = frozenset({family.mother})
    given = clinic.answers(family, family.mother, no=no, about=about)
    clinic.captures(family, family.mother, given)
    clinic.passes(minutes=1)


def _with(ctx: Context, happens: Callable[[], object]) -> Context:
    return dataclasses.replace(ctx, keyring=SlowKeys(ctx.keyring, happens))  # type: ignore[arg-type]


def _beside(clinic: Clinic, film: str) -> bytes:
    return clinic.ctx.blobs.read_range(f"{film}.json", 0, 100_000)


def test_a_wrap_made_meanwhile_under_a_later_yes_stays(
    clinic: Clinic, family: Family, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of the wrap that the slow one read is gone by then: nothing else opens the film."""
    before = clinic.watches(film)
    _says(clinic, family, no=NO)

    def away(*_: object) -> None:
        raise Unavailable("The key server is away.")

    with monkeypatch.context() as patch:
        patch.setattr(clinic.ctx.keyring, "read", away)
        patch.setattr(clinic.ctx.keyring, "seal", away)
        patch.setattr(clinic.ctx.keyring, "unseal", away)
        patch.setattr(clinic.ctx.keyring, "create_many", away)
        _says(clinic, family)
    slow = _with(clinic.ctx, lambda: keys.settle(clinic.ctx, family.involvement))

    keys.settle(slow, family.involvement)

    assert clinic.watches(film) == before
    assert reconcile(clinic.ctx, job_caller("reconcile")).findings == ()


def test_the_sidecar_of_a_newer_database_stays_though_the_older_has_no_wrap_left(
    clinic: Clinic, family: Family, film: str, tmp_path: Path
) -> None:
    """The yes that opens the film is in no journal: until a person confirms, its wrap is kept."""
    backup = database_backup(clinic, tmp_path / "before")
    _says(clinic, family, no=NO)
    _says(clinic, family)
    beside = parse_sidecar(newer := _beside(clinic, film))
    ids = [beside.asset_key_id, *(key for wrap in beside.wraps for key in wrap.key_ids)]
    assert set(clinic.ctx.keyring.status(ids).values()) == {KeyStatus.LIVE}

    put_back(clinic, backup)
    for _ in range(2):
        found = reconcile(clinic.ctx, job_caller("reconcile")).findings
        assert (Fault.KEPT_SIDECAR, film, False) in [
            (f.fault, f.subject, f.repaired) for f in found
        ]
        clinic.passes(days=1)

    assert _beside(clinic, film) == newer
    live = clinic.ctx.keyring.read(ids)
    assert open_wrap(beside.wraps[0], live[beside.asset_key_id], live)


def test_one_who_was_taken_for_another_does_not_take_the_film_along(
    clinic: Clinic, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the father but the baby is in it: two changes before the keys could follow the first.

    There are as many keys as before, and they are not of those who are in it.
    """
    film = clinic.stores_film(family, depicted=(family.mother, family.father)).id
    before = clinic.watches(film)
    clinic.passes(minutes=1)

    def away(*_: object) -> None:
        raise Unavailable("The key server is away.")

    with monkeypatch.context() as patch:
        patch.setattr(depicted_keys, "settle", away)
        depicted.ask_removal(clinic.ctx, clinic.guider, film, family.father, "It is his brother.")
        depicted.confirm_removal(clinic.ctx, clinic.ig, film, family.father)
        depicted.add_depicted(clinic.ctx, clinic.guider, film, family.baby)
    clinic.passes(minutes=1)

    CATALOGUE["settle-awaiting"].act(clinic.ctx)
    clinic.withdraws(family, family.father)
    erasure.work(clinic.ctx, "worker")

    assert clinic.watches(film) == before


def test_who_agrees_at_the_last_moment_keeps_the_film(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The father's answer is being written while the job finds that there is none."""
    family = clinic.family()
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    film = clinic.stores_film(family, depicted=(family.mother, family.baby)).id
    clinic.passes(minutes=1)
    before = clinic.watches(film)
    depicted.add_depicted(clinic.ctx, clinic.guider, film, family.father)
    clinic.passes(days=clinic.ctx.policies.organisation.awaiting_consent_days, minutes=1)

    def away(*_: object) -> None:
        raise Unavailable("The key server is away.")

    def agrees() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(clinic.ctx.keyring, "create_many", away)
            clinic.captures(family, family.father, clinic.answers(family, family.father))

    assert depicted_keys.settle_awaiting(_Late.of(clinic.ctx, agrees))["refused"] == 0

    depicted_keys.settle_awaiting(clinic.ctx)
    assert clinic.watches(film) == before
