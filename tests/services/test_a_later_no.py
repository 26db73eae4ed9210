"""A no after a yes: true in the cryptography, remembered by the journal, undone by a new yes."""

from datetime import timedelta
from pathlib import Path

import pytest

from consent_service.db.models.people import Involvement
from consent_service.domain.audit import EventKind
from consent_service.domain.consent import ConsentState
from consent_service.domain.withdrawal import Speed
from consent_service.errors import ConsentServiceError, Refused
from consent_service.services import assets, audit, consent, erasure, keys, startup
from consent_service.services.access import job_caller
from consent_service.services.reconcile import Fault, reconcile
from consent_service.vault.journal import LineKind
from consent_service.vault.keyring_values import KeyStatus
from tests.support.backups import DatabaseBackup
from tests.support.clinic import Clinic, Family

NO = frozenset({"CARE.FILM.SELF"})
TRAINING = "training-local"


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family who agreed to care and to training, an hour ago."""
    found = clinic.family()
    clinic.both_consent(found, optional=frozenset({"TRAIN.LOCAL"}))
    clinic.passes(hours=1)
    return found


def _says(clinic: Clinic, family: Family, *, no: frozenset[str] = frozenset()) -> None:
    """The mother answers again, for herself alone."""
    about = frozenset({family.mother})
    clinic.captures(
        family, family.mother, clinic.answers(family, family.mother, no=no, about=about)
    )
    clinic.passes(minutes=1)


def _states(clinic: Clinic, person: str) -> dict[str, ConsentState]:
    views = consent.state(clinic.ctx, clinic.ig, person, None, None)
    return {view.purpose: view.state for view in views}


def _care_keys(clinic: Clinic, family: Family) -> dict[str, KeyStatus]:
    """What became of the key of each yes to care that the mother ever gave, oldest first."""
    with clinic.ctx.read() as session:
        found = keys.yes_decisions(session, family.involvement, family.mother, "care")
    # One act says yes in several statements; its first is the one that has a key.
    status = clinic.ctx.keyring.status(found)
    return {key: status[key] for key in found if status[key] is not KeyStatus.ABSENT}


def test_after_a_no_nothing_that_serves_can_open_the_film(clinic: Clinic, family: Family) -> None:
    """The state alone would be a promise; with the key under escrow it is a fact."""
    film = clinic.stores_film(family).id
    (live,) = _care_keys(clinic, family)

    _says(clinic, family, no=NO)

    assert _states(clinic, family.mother)["care"] is ConsentState.DECLINED
    assert clinic.ctx.keyring.read([live]) == {}
    assert _care_keys(clinic, family)[live] is KeyStatus.SEALED
    with pytest.raises(Refused):
        clinic.watches(film)
    sealed = {event.event.subject for event in clinic.written_down(EventKind.CONSENT_KEY_SEALED)}
    assert live in sealed
    erasure.work(clinic.ctx, "test")
    assert assets.asset(clinic.ctx, clinic.ig, film).erased_at is None


def test_a_later_yes_makes_the_film_watchable_under_its_own_key(
    clinic: Clinic, family: Family
) -> None:
    """Whoever agrees again sees their film again, and the key they once took back never returns."""
    film = clinic.stores_film(family).id
    before = clinic.watches(film)
    (old,) = _care_keys(clinic, family)
    _says(clinic, family, no=NO)

    _says(clinic, family)

    assert clinic.watches(film) == before
    status = _care_keys(clinic, family)
    assert status.pop(old) is KeyStatus.DESTROYED
    assert KeyStatus.LIVE in status.values()
    gone = [ln for ln in clinic.ctx.journal.lines() if ln.kind is LineKind.KEY_DESTROYED]
    assert [old] in [ln.body["keys"] for ln in gone]
    assert reconcile(clinic.ctx, job_caller("reconcile")).findings == ()


def test_a_yes_after_a_withdrawal_never_opens_what_was_withdrawn(
    clinic: Clinic, family: Family
) -> None:
    """A new yes is for new film: what an order is about stays shut in its days of waiting, too."""
    film = clinic.stores_film(family).id
    clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    clinic.passes(hours=1)

    _says(clinic, family)

    assert _states(clinic, family.mother)["care"] is ConsentState.GIVEN
    with pytest.raises(ConsentServiceError):
        clinic.watches(film)
    clinic.passes(days=8)
    erasure.work(clinic.ctx, "test")
    assert assets.asset(clinic.ctx, clinic.ig, film).erased_at is not None


def test_a_no_to_one_use_leaves_the_others_playing(clinic: Clinic, family: Family) -> None:
    """Only the key of what was refused is sealed."""
    film = clinic.stores_film(family).id

    _says(clinic, family, no=frozenset({"TRAIN.LOCAL"}))

    assert _states(clinic, family.mother)[TRAINING] is ConsentState.DECLINED
    assert clinic.watches(film)


def test_a_restored_database_does_not_forget_a_no(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """A backup from before the no believes in the yes: the journal must know better."""
    film = clinic.stores_film(family).id
    audit.seal(clinic.ctx)
    audit.publish_checkpoint(clinic.ctx)
    startup.replay(clinic.ctx)
    backup = DatabaseBackup.take(clinic.ctx.engine, tmp_path)
    clinic.passes(minutes=5)
    _says(clinic, family, no=NO)
    backup.put_back()
    clinic.passes(minutes=5)

    report = startup.require_ready(clinic.ctx)

    assert report.restored == {"consent_ended": 1}
    assert _states(clinic, family.mother)["care"] is ConsentState.DECLINED
    with pytest.raises(Refused):
        clinic.watches(film)
    assert startup.replay(clinic.ctx).restored == {}
    _says(clinic, family)
    assert clinic.watches(film)


def test_a_no_that_followed_no_yes_is_not_the_journals_business(clinic: Clinic) -> None:
    """Nothing was given, so nothing ended: the journal holds ends and not refusals."""
    family = clinic.family()

    clinic.captures(family, family.mother, clinic.answers(family, family.mother, no=NO))

    assert [ln for ln in clinic.ctx.journal.lines() if ln.kind is LineKind.CONSENT_ENDED] == []


def test_what_expired_is_shut_and_opens_again_with_the_involvement(
    clinic: Clinic, family: Family
) -> None:
    """Past the last day nothing opens film, and reconciliation is what notices that it is over."""
    film = clinic.stores_film(family).id
    (key,) = _care_keys(clinic, family)
    _end_involvement(clinic, family)
    clinic.passes(days=70)

    found = reconcile(clinic.ctx, job_caller("reconcile")).findings

    assert (Fault.CONSENT_KEY_WITHOUT_RIGHT, key, True) in [
        (f.fault, f.subject, f.repaired) for f in found
    ]
    assert _states(clinic, family.mother)["care"] is ConsentState.EXPIRED
    assert clinic.ctx.keyring.read([key]) == {}
    again = reconcile(clinic.ctx, job_caller("reconcile")).findings
    assert Fault.CONSENT_KEY_WITHOUT_RIGHT not in [f.fault for f in again]
    _end_involvement(clinic, family, never=True)
    keys.settle(clinic.ctx, family.involvement)
    assert clinic.watches(film)


def _end_involvement(clinic: Clinic, family: Family, *, never: bool = False) -> None:
    with clinic.ctx.begin() as uow:
        row = uow.session.get_one(Involvement, family.involvement)
        row.ended_on = None if never else clinic.today + timedelta(days=0)
