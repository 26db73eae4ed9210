"""What cannot be read or mended tonight is told of; all the rest is compared and written down."""

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from consent_service.db.models.jobs import Notice
from consent_service.domain.audit import EventKind
from consent_service.domain.withdrawal import Speed
from consent_service.errors import DiskFull, IntegrityFault, JournalBroken, Unavailable
from consent_service.services import comparing, comparisons
from consent_service.services.access import job_caller
from consent_service.services.context import Context
from consent_service.services.reconcile import Fault, reconcile
from consent_service.vault.keyring import KeyKind
from tests.support.clinic import Clinic, Family
from tests.support.safe import consenting_family

JOB = job_caller("reconcile")


class PartlyAway:
    """A store, keyring or journal of which one verb fails for what `fails` names."""

    def __init__(self, inner: object, verb: str, fault: Exception, fails: str = "") -> None:
        self._inner = inner
        self._verb = verb
        self._fault = fault
        self._fails = fails

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        return self._try if name == self._verb else found

    def _try(self, *about: object, **more: object) -> object:
        if self._fails in str(about):
            raise self._fault
        return getattr(self._inner, self._verb)(*about, **more)


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family who agreed, an hour ago, to being filmed."""
    return consenting_family(clinic)


def _with(clinic: Clinic, **parts: object) -> Context:
    return dataclasses.replace(clinic.ctx, **parts)  # type: ignore[arg-type]


def _store(clinic: Clinic, verb: str, fault: Exception, fails: str = "") -> Context:
    return _with(clinic, blobs=PartlyAway(clinic.ctx.blobs, verb, fault, fails))


def _found(ctx: Context) -> set[tuple[Fault, str, bool]]:
    return {(one.fault, one.subject, one.repaired) for one in reconcile(ctx, JOB).findings}


def _reported(clinic: Clinic) -> dict[str, object]:
    return dict(clinic.written_down(EventKind.RECONCILE_REPORTED)[-1].event.details)


def _open_again(clinic: Clinic, family: Family, folder: Path) -> set[str]:
    """Withdraw, and put the keyring back from before that; returns what was sealed and is live."""
    ring, copy = folder / "keyring.sqlite3", folder / "copy.sqlite3"
    _copied(ring, copy)
    clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    _copied(copy, ring)
    told = clinic.written_down(EventKind.CONSENT_KEY_SEALED)
    return set(clinic.ctx.keyring.read([one.event.subject or "" for one in told]))


def _copied(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


FAULTS = pytest.mark.parametrize(
    "fault", [Unavailable("EIO."), DiskFull("Full."), IntegrityFault("Not what was signed.")]
)


@FAULTS
def test_one_sidecar_that_cannot_be_read_keeps_nothing_else_from_being_compared(
    clinic: Clinic, family: Family, tmp_path: Path, fault: Exception
) -> None:
    """A disk with one bad block must not leave open, night after night, what an order sealed."""
    bad, good = (clinic.stores_film(family).id for _ in range(2))
    live = _open_again(clinic, family, tmp_path)
    clinic.ctx.blobs.delete(f"{good}.json")
    assert live

    found = _found(_store(clinic, "read_range", fault, f"{bad}.json"))

    assert found == {
        (Fault.NOT_COMPARED, bad, False),
        (Fault.SIDECAR_WRONG, good, True),
        *((Fault.SEALED_KEY_LIVE, key, True) for key in live),
    }
    assert not clinic.ctx.keyring.read(sorted(live))
    told = comparisons.newest(clinic.ctx, clinic.admin)
    assert told is not None
    assert told.open == ((Fault.NOT_COMPARED, bad),)
    assert f"{good}.json" in clinic.objects()


def test_a_sidecar_that_a_full_store_does_not_take_is_told_of(
    clinic: Clinic, family: Family
) -> None:
    """It is not said to be mended, and it is found again once there is room."""
    film = clinic.stores_film(family).id
    clinic.ctx.blobs.delete(f"{film}.json")

    found = _found(_store(clinic, "put", DiskFull("Full.")))

    assert found == {(Fault.NOT_COMPARED, film, False)}
    assert _found(clinic.ctx) == {(Fault.SIDECAR_WRONG, film, True)}


def test_what_cannot_be_deleted_is_told_of_and_the_rest_goes(
    clinic: Clinic, family: Family
) -> None:
    """Leftovers of one film on a bad disk do not keep those of all others."""
    films = [clinic.stores_film(family).id for _ in range(2)]
    clinic.passes(days=2)
    left = [f"{film}.7" for film in films]
    for name in left:
        with clinic.ctx.blobs.put(name) as sink:
            sink.write(b"ciphertext")

    found = _found(_store(clinic, "delete", Unavailable("EIO."), left[0]))

    assert found == {
        (Fault.NOT_COMPARED, left[0], False),
        (Fault.LEFTOVER_UPLOAD, left[1], True),
    }


def test_a_key_that_may_not_go_tonight_is_told_of(clinic: Clinic, family: Family) -> None:
    """The journal takes nothing for a moment: the key stays, and the next night finds it."""
    stray = "cd" * 16
    clinic.ctx.keyring.create(stray, KeyKind.CONSENT, 0, clinic.clock.now())
    reconcile(clinic.ctx, JOB)
    clinic.passes(days=2)
    away = PartlyAway(clinic.ctx.journal, "append", Unavailable("Away."))

    assert _found(_with(clinic, journal=away)) == {(Fault.NOT_COMPARED, stray, False)}
    assert _found(clinic.ctx) == {(Fault.UNKNOWN_KEY, stray, True)}


def test_where_the_store_cannot_even_be_listed_keys_are_compared(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """The night is tried again, since nothing is known of film, but no key waits for that."""
    clinic.stores_film(family)
    live = _open_again(clinic, family, tmp_path)

    with pytest.raises(Unavailable):
        reconcile(_store(clinic, "list", Unavailable("Away.")), JOB)

    assert live and not clinic.ctx.keyring.read(sorted(live))
    assert _reported(clinic) == {
        "findings": 1 + len(live),
        "not_compared": 1,
        "sealed_key_live": len(live),
        "open": ["not_compared/store"],
    }


def test_what_is_found_again_within_the_hour_is_told_once(clinic: Clinic, family: Family) -> None:
    """A night whose store is away is tried five times; the next night tells of it again."""
    away = _store(clinic, "list", Unavailable("Away."))

    def tried(times: int) -> int:
        for _ in range(times):
            with pytest.raises(Unavailable):
                reconcile(away, JOB)
            clinic.passes(minutes=5)
        with clinic.ctx.read() as session:
            return len(session.scalars(select(Notice.id).where(Notice.subject == "store")).all())

    assert tried(3) == 1
    clinic.passes(hours=23)
    assert tried(1) == 2


def test_a_store_that_is_away_is_not_told_of_film_by_film(
    clinic: Clinic, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night without a store must not become a million messages: it is tried again instead."""
    monkeypatch.setattr(comparing, "MOST_FORGIVEN", 2)
    for _ in range(4):
        clinic.stores_film(family)

    with pytest.raises(Unavailable):
        reconcile(_store(clinic, "read_range", Unavailable("Away.")), JOB)

    told = _reported(clinic)
    assert (told["findings"], told["not_compared"]) == (3, 3)
    assert "not_compared/sidecars" in told["open"]  # type: ignore[operator]


@pytest.mark.parametrize("fault", [JournalBroken("A line is missing."), ZeroDivisionError()])
def test_what_ends_the_comparison_is_raised_after_what_was_done_is_written_down(
    clinic: Clinic, family: Family, fault: Exception
) -> None:
    """An object that was deleted must stand in the log, whatever comes afterwards."""
    film = clinic.stores_film(family).id
    clinic.passes(days=2)
    with clinic.ctx.blobs.put(f"{film}.7") as sink:
        sink.write(b"ciphertext")
    ring = PartlyAway(clinic.ctx.keyring, "list_keys", fault)

    with pytest.raises(type(fault)):
        reconcile(_with(clinic, keyring=ring), JOB)

    assert _reported(clinic) == {"findings": 1, "leftover_upload": 1}
