"""The database from before somebody joined a family is put back: what they stopped stays stopped.

Their name was in the database alone and is lost with it; that they said stop is in the journal.
"""

import subprocess
from pathlib import Path

import pytest

from consent_service.db.models.consent import ConsentEnding
from consent_service.db.models.erasure import Certificate, Withdrawal
from consent_service.db.models.people import Person
from consent_service.domain.assets import AssetState
from consent_service.domain.consent import ConsentState
from consent_service.domain.consent_ends import RevokedBecause
from consent_service.domain.erasure import OrderState
from consent_service.domain.people import Basis, FamilyRole
from consent_service.domain.withdrawal import Speed, WithdrawalScope
from consent_service.errors import Gone, Refused
from consent_service.services import (
    assets,
    audit,
    depicted,
    disputes,
    erasure,
    involvements,
    papers,
    people,
    revocation,
    startup,
    withdrawal,
)
from tests.support.backups import DatabaseBackup
from tests.support.clinic import Clinic, Family
from tests.support.putting_back import care_state, database_backup, put_back, rows_of
from tests.support.week import joins


def _somebody_new(
    clinic: Clinic, family: Family, folder: Path, basis: Basis = Basis.LOCAL_AUTHORITY
) -> tuple[str, DatabaseBackup, str]:
    """Store a film, back up, and have somebody join who may then decide for the baby."""
    film = clinic.stores_film(family).id
    backup = database_backup(clinic, folder)
    return film, backup, joins(clinic, family, basis)


def _agrees(clinic: Clinic, family: Family, person: str) -> None:
    family.issues[person] = clinic.gives_leaflet(family.involvement, person)
    clinic.captures(family, person, clinic.answers(family, person))


def _is_gone(clinic: Clinic, film: str) -> None:
    with pytest.raises(Gone):
        clinic.watches(film)


def test_film_locked_by_somebody_new_stays_locked_and_then_goes(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """The film of a child in care must not play again since a backup knows no social worker."""
    film, backup, newcomer = _somebody_new(clinic, family, tmp_path)
    done = clinic.withdraws(family, family.baby, by=newcomer, speed=Speed.SEVEN_DAYS)
    assert done.erasure_order is not None
    _is_gone(clinic, film)

    report = put_back(clinic, backup)

    assert report.restored == {"consent_ended": 1}
    _is_gone(clinic, film)
    clinic.stores_film(family, depicted=(family.mother,))
    _is_gone(clinic, film)
    view = withdrawal.withdrawal(clinic.ctx, clinic.ig, done.id)
    assert (view.by, view.undo_until, view.erasure_order) == (
        newcomer,
        done.undo_until,
        done.erasure_order,
    )
    assert not startup.replay(clinic.ctx).restored
    clinic.passes(days=8)
    erasure.work(clinic.ctx, "later")
    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.ERASED


def test_film_ended_at_once_by_somebody_new_is_certified_as_erased(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """The order outlives the name of who asked: film that is gone has to have its certificate."""
    film, backup, newcomer = _somebody_new(clinic, family, tmp_path)
    done = clinic.withdraws(family, family.baby, by=newcomer)
    erasure.work(clinic.ctx, "before")

    put_back(clinic, backup)
    erasure.work(clinic.ctx, "after")

    _is_gone(clinic, film)
    assert done.erasure_order is not None
    order = erasure.order(clinic.ctx, clinic.ig, done.erasure_order)
    assert (order.state, order.reference) == (OrderState.DONE, done.reference)
    assert rows_of(clinic, Certificate) == 1
    audit.seal(clinic.ctx)
    assert audit.verify(clinic.ctx, clinic.ig).ok


@pytest.mark.parametrize("basis", [Basis.BIRTH_MOTHER, Basis.COURT_ORDER])
def test_somebody_new_who_disagreed_still_disagrees(
    clinic: Clinic, family: Family, tmp_path: Path, basis: Basis
) -> None:
    """Film frozen by one parent more is frozen still, and settled against it goes."""
    film, backup, newcomer = _somebody_new(clinic, family, tmp_path, basis)
    clinic.withdraws(family, family.baby, by=newcomer)

    put_back(clinic, backup)

    assert care_state(clinic, family.baby) is ConsentState.DISPUTED
    with pytest.raises(Refused) as refused:
        clinic.watches(film)
    assert refused.value.code == "access_frozen"
    for one in disputes.standing(clinic.ctx, clinic.ig, family.involvement):
        disputes.resolve(clinic.ctx, clinic.ig, one.id, give=False, reason="Heard them all.")
    erasure.work(clinic.ctx, "after")
    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.ERASED


def test_nobody_else_can_take_back_what_somebody_with_a_lost_name_stopped(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """A lost name opens nothing; once their record is complete again they may change their mind."""
    film, backup, newcomer = _somebody_new(clinic, family, tmp_path)
    done = clinic.withdraws(family, family.baby, by=newcomer, speed=Speed.SEVEN_DAYS)
    put_back(clinic, backup)

    for by, code in (
        ("", "not_who_withdrew"),
        (family.baby, "not_who_withdrew"),
        (family.mother, "not_who_withdrew"),
        (newcomer, "name_lost"),
    ):
        with pytest.raises(Refused) as refused:
            withdrawal.cancel(clinic.ctx, clinic.guider, done.id, by)
        assert refused.value.code == code
    _is_gone(clinic, film)

    [lost] = people.find_people(clinic.ctx, clinic.guider, "lost in a restore")
    assert lost.id == newcomer
    details = people.PersonDetails(clinic.team, "Noor Invented")
    people.change_person(clinic.ctx, clinic.guider, newcomer, details, lost.version)
    withdrawal.cancel(clinic.ctx, clinic.guider, done.id, newcomer)
    assert clinic.watches(film)


def test_what_somebody_new_took_back_in_time_stays_cancelled(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """Their stop and their change of mind are both replayed, in that order."""
    film, backup, newcomer = _somebody_new(clinic, family, tmp_path)
    done = clinic.withdraws(family, family.baby, by=newcomer, speed=Speed.SEVEN_DAYS)
    withdrawal.cancel(clinic.ctx, clinic.guider, done.id, newcomer)

    report = put_back(clinic, backup)

    assert report.restored == {"consent_ended": 1, "undo": 1}
    assert clinic.watches(film)


def test_the_receipt_of_a_stop_says_that_the_name_was_lost(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """Who spoke belongs to the family still: its pages and papers name everybody by membership."""
    _, backup, newcomer = _somebody_new(clinic, family, tmp_path)
    done = clinic.withdraws(family, family.baby, by=newcomer, speed=Speed.SEVEN_DAYS)

    put_back(clinic, backup)

    view = involvements.family(clinic.ctx, clinic.guider, family.involvement)
    assert [p.full_name for _, p in view.people if p.id == newcomer] == ["Name lost in a restore"]
    paper = papers.withdrawal_receipt(clinic.ctx, clinic.guider, done.id)
    words = subprocess.run(["pdftotext", "-", "-"], input=paper, capture_output=True, check=True)
    assert "Name lost in a restore" in words.stdout.decode()


def test_a_refusal_of_somebody_new_counts_for_whom_it_is_known_to_be_about(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """A no for a known baby holds, though a brother or sister in the same act came later."""
    film, backup, newcomer = _somebody_new(clinic, family, tmp_path)
    sibling = joins(clinic, family, None, role=FamilyRole.SIBLING)
    held = people.ResponsibilityDetails(sibling, newcomer, Basis.LOCAL_AUTHORITY, clinic.today)
    people.record_responsibility(clinic.ctx, clinic.guider, held)
    _agrees(clinic, family, newcomer)
    clinic.passes(minutes=1)
    refused = frozenset({"CARE.FILM.CHILD"})
    clinic.captures(family, newcomer, clinic.answers(family, newcomer, no=refused))
    assert care_state(clinic, family.baby) is ConsentState.DECLINED
    assert care_state(clinic, sibling) is ConsentState.DECLINED

    report = put_back(clinic, backup)

    assert report.restored == {"consent_ended": 1}
    assert care_state(clinic, family.baby) is ConsentState.DECLINED
    assert rows_of(clinic, ConsentEnding, ConsentEnding.person_id == sibling) == 0
    with pytest.raises(Refused):
        clinic.watches(film)


def test_a_film_taken_back_by_somebody_seen_in_it_since_does_not_return(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """The film is known though whom it shows too is not: an end that names it counts."""
    film = clinic.stores_film(family, depicted=(family.mother,)).id
    backup = database_backup(clinic, tmp_path)
    newcomer = joins(clinic, family, None, role=FamilyRole.PARENT)
    _agrees(clinic, family, newcomer)
    depicted.add_depicted(clinic.ctx, clinic.guider, film, newcomer)
    clinic.withdraws(
        family, newcomer, scope=WithdrawalScope.ASSETS, assets=(film,), speed=Speed.SEVEN_DAYS
    )

    report = put_back(clinic, backup)

    assert report.restored == {"consent_ended": 1}
    _is_gone(clinic, film)
    clinic.passes(days=8)
    erasure.work(clinic.ctx, "later")
    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.ERASED


@pytest.mark.parametrize("took_back", [*Speed, None], ids=[*Speed, "was never asked"])
def test_a_film_in_which_somebody_was_noticed_since_is_shut_whatever_they_took_back(
    clinic: Clinic, family: Family, tmp_path: Path, took_back: Speed | None
) -> None:
    """No line says whom a film shows: that its old key went, when they were noticed, does."""
    film, other = clinic.stores_film(family).id, clinic.stores_film(family).id
    backup = database_backup(clinic, tmp_path)
    newcomer = joins(clinic, family, None, role=FamilyRole.PARENT)
    if took_back is not None:
        family.issues[newcomer] = clinic.gives_leaflet(family.involvement, newcomer)
        clinic.captures(family, newcomer, clinic.answers(family, newcomer))
    depicted.add_depicted(clinic.ctx, clinic.guider, film, newcomer)
    if took_back is not None:
        clinic.passes(minutes=1)
        assert clinic.watches(film)
        clinic.withdraws(family, newcomer, speed=took_back)

    report = put_back(clinic, backup)

    assert report.restored.get("unknown_here", 0) == int(took_back is not None)
    _is_gone(clinic, film)
    assert clinic.watches(other)
    erasure.work(clinic.ctx, "after")
    _is_gone(clinic, film)


def test_ends_about_somebody_that_the_backup_does_not_know_are_counted(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """No film here shows them, and a consent that is not here cannot end: the service comes up."""
    backup = database_backup(clinic, tmp_path)
    newcomer = joins(clinic, family, None, role=FamilyRole.PARENT)
    _agrees(clinic, family, newcomer)
    clinic.passes(minutes=1)
    because = RevokedBecause.SERVICE_ENDED
    revocation.revoke(
        clinic.ctx,
        clinic.ig,
        revocation.RevokeConsent(family.involvement, newcomer, because, "It is over."),
    )
    clinic.withdraws(family, newcomer)

    report = put_back(clinic, backup)

    assert report.restored == {"unknown_here": 2}
    assert rows_of(clinic, Withdrawal) == rows_of(clinic, Person, Person.id == newcomer) == 0
