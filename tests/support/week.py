"""A week in which much ended, between a backup and its restore, and what must then stay ended."""

from dataclasses import dataclass

import pytest

from consent_service.db.models.accounts import UserAccount
from consent_service.domain.assets import AssetState
from consent_service.domain.holds import HoldKind
from consent_service.domain.people import Basis, FamilyRole
from consent_service.domain.withdrawal import Speed
from consent_service.errors import Gone, NotSignedIn
from consent_service.services import (
    accounts,
    assets,
    backups,
    erasure,
    holds,
    involvements,
    key_rotation,
    people,
    restores,
    tokens,
)
from tests.support.clinic import Clinic, Family
from tests.support.safe import Safe, consenting_family, count, made_backup


@dataclass(frozen=True)
class Week:
    """The backup of its first day, and what ended since: films, a hold, somebody's token."""

    made: backups.MadeBackup
    erased: str
    locked: str
    locked_by_newcomer: str
    held: str
    hold: str
    secret: str


def a_week_passes(clinic: Clinic, safe: Safe) -> Week:
    """Back up; then one film is erased, one held, two are in their seven days, somebody leaves.

    The word that locks the second of them is that of somebody who came after the backup.
    """
    families = [consenting_family(clinic) for _ in range(4)]
    erased, locked, held, of_a_ward = (clinic.stores_film(family).id for family in families)
    leaver, _ = accounts.create_user(
        clinic.ctx,
        clinic.admin,
        accounts.UserDetails("leaver@clinic.example", "Lee Invented", ("guider",)),
    )
    token, secret = tokens.create_token(clinic.ctx, clinic.admin, leaver, ["guider"], 30)
    made = made_backup(clinic, safe)
    clinic.passes(days=3)
    clinic.withdraws(families[0], families[0].mother)
    erasure.work(clinic.ctx, "before")
    key_rotation.rotate(clinic.ctx, clinic.admin)
    clinic.withdraws(families[1], families[1].mother, speed=Speed.SEVEN_DAYS)
    newcomer = joins(clinic, families[3], Basis.LOCAL_AUTHORITY)
    clinic.withdraws(families[3], families[3].baby, by=newcomer, speed=Speed.SEVEN_DAYS)
    place = holds.PlaceHold(families[2].involvement, HoldKind.COMPLAINT, "It came.")
    hold = holds.place(clinic.ctx, clinic.ig, place)
    tokens.revoke_token(clinic.ctx, clinic.admin, token)
    accounts.disable_user(clinic.ctx, clinic.admin, leaver)
    clinic.passes(days=4)
    return Week(made, erased, locked, of_a_ward, held, hold.id, secret)


def joins(
    clinic: Clinic, family: Family, basis: Basis | None, *, role: FamilyRole = FamilyRole.CARER
) -> str:
    """Somebody comes to the family who was not written down before; on `basis` for the baby."""
    born = clinic.today if role is FamilyRole.SIBLING else None
    details = people.PersonDetails(clinic.team, "Noor Invented", born)
    person = people.create_person(clinic.ctx, clinic.guider, details).id
    member = involvements.Member(person, role)
    involvements.add_member(clinic.ctx, clinic.guider, family.involvement, member)
    if basis is not None:
        held = people.ResponsibilityDetails(family.baby, person, basis, clinic.today)
        people.record_responsibility(clinic.ctx, clinic.guider, held)
    return person


def require_nothing_back(clinic: Clinic, week: Week, report: restores.Restored) -> None:
    """Nothing erased returns; what may yet be kept stays locked; who was shut out stays out."""
    assert report.brought_back == {"consent_ended": 3, "hold_placed": 1, "access_revoked": 2}
    assert report.erased_since == 2, "ciphertext of the erased film and its sidecar"
    for gone in (week.erased, week.locked, week.locked_by_newcomer):
        with pytest.raises(Gone):
            clinic.watches(gone)
    assert not [name for name in clinic.objects() if name.startswith(week.erased)]
    assert clinic.watches(week.held)
    assert [one.id for one in holds.holds(clinic.ctx, clinic.ig)] == [week.hold]
    with pytest.raises(NotSignedIn):
        tokens.caller_of_token(clinic.ctx, week.secret)
    assert count(clinic, UserAccount, UserAccount.active.is_(False)) == 1
    erasure.work(clinic.ctx, "after")
    assert assets.asset(clinic.ctx, clinic.ig, week.erased).state is AssetState.ERASED
    for kept in (week.locked, week.locked_by_newcomer):
        assert assets.asset(clinic.ctx, clinic.ig, kept).state is AssetState.STORED
