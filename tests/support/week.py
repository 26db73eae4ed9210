"""A week in which much ended, between a backup and its restore, and what must then stay ended."""

from dataclasses import dataclass

import pytest

from consent_service.db.models.accounts import UserAccount
from consent_service.domain.assets import AssetState
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Speed
from consent_service.errors import Gone, NotSignedIn
from consent_service.services import (
    accounts,
    assets,
    backups,
    erasure,
    holds,
    key_rotation,
    restores,
    tokens,
)
from tests.support.clinic import Clinic
from tests.support.safe import Safe, consenting_family, count, made_backup


@dataclass(frozen=True)
class Week:
    """The backup of its first day, and what ended since: films, a hold, somebody's token."""

    made: backups.MadeBackup
    erased: str
    locked: str
    held: str
    hold: str
    secret: str


def a_week_passes(clinic: Clinic, safe: Safe) -> Week:
    """Back up; then one film is erased, one is in its seven days, one held, and somebody leaves."""
    families = [consenting_family(clinic) for _ in range(3)]
    erased, locked, held = (clinic.stores_film(family).id for family in families)
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
    place = holds.PlaceHold(families[2].involvement, HoldKind.COMPLAINT, "It came.")
    hold = holds.place(clinic.ctx, clinic.ig, place)
    tokens.revoke_token(clinic.ctx, clinic.admin, token)
    accounts.disable_user(clinic.ctx, clinic.admin, leaver)
    clinic.passes(days=4)
    return Week(made, erased, locked, held, hold.id, secret)


def require_nothing_back(clinic: Clinic, week: Week, report: restores.Restored) -> None:
    """Nothing erased returns; what may yet be kept stays locked; who was shut out stays out."""
    assert report.brought_back == {"consent_ended": 2, "hold_placed": 1, "access_revoked": 2}
    assert report.erased_since == 2, "ciphertext of the erased film and its sidecar"
    for gone in (week.erased, week.locked):
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
    assert assets.asset(clinic.ctx, clinic.ig, week.locked).state is AssetState.STORED
