"""A child joins a second piece of work after a backup: a no that was said there reaches the first.

The database from before the second one is put back; keys, film and journal stay as they are.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from consent_service.db.models.erasure import ErasureOrder, Withdrawal
from consent_service.domain.consent import ConsentState
from consent_service.domain.people import FamilyRole
from consent_service.errors import Refused
from consent_service.services import consent, involvements, startup
from tests.support.backups import DatabaseBackup
from tests.support.clinic import Clinic, Family
from tests.support.putting_back import put_back, rows_of


def _begins_again(clinic: Clinic, family: Family) -> Family:
    """The same three begin other work, beside the first."""
    members = (
        involvements.Member(family.mother, FamilyRole.PARENT),
        involvements.Member(family.father, FamilyRole.PARENT),
        involvements.Member(family.baby, FamilyRole.BABY),
    )
    details = involvements.InvolvementDetails(clinic.team, clinic.guider.id, members, clinic.today)
    newer = involvements.start_involvement(clinic.ctx, clinic.guider, details).id
    issues = {p: clinic.gives_leaflet(newer, p) for p in (family.mother, family.father)}
    return replace(family, involvement=newer, issues=issues)


def _is_frozen(clinic: Clinic, family: Family, film: str) -> None:
    now = clinic.clock.now()
    views = consent.state(clinic.ctx, clinic.ig, family.baby, now, now)
    care = {v.state for v in views if (v.purpose, v.involvement) == ("care", family.involvement)}
    assert care == {ConsentState.DISPUTED}
    with pytest.raises(Refused) as refused:
        clinic.watches(film)
    assert refused.value.code == "access_frozen"


def test_a_stop_said_in_a_newer_involvement_still_freezes_the_older(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """What ended in the newer one has an order, which is lost; the older one's film stays shut."""
    film = clinic.stores_film(family).id
    startup.replay(clinic.ctx)
    backup = DatabaseBackup.take(clinic.ctx.engine, tmp_path)
    newer = _begins_again(clinic, family)
    done = clinic.withdraws(newer, newer.baby, by=newer.mother)
    assert done.erasure_order is not None
    _is_frozen(clinic, family, film)

    report = put_back(clinic, backup)

    assert report.restored == {"consent_ended": 1}
    _is_frozen(clinic, family, film)
    assert (rows_of(clinic, Withdrawal), rows_of(clinic, ErasureOrder)) == (1, 0)
    assert not startup.replay(clinic.ctx).restored


def test_a_no_said_in_a_newer_involvement_still_freezes_the_older(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """A parent's no for a child holds wherever the child is filmed, and so must it after this."""
    film = clinic.stores_film(family).id
    startup.replay(clinic.ctx)
    backup = DatabaseBackup.take(clinic.ctx.engine, tmp_path)
    newer = _begins_again(clinic, family)
    said = clinic.answers(newer, newer.mother, no=frozenset({"CARE.FILM.CHILD"}))
    clinic.captures(newer, newer.mother, said)
    _is_frozen(clinic, family, film)

    report = put_back(clinic, backup)

    assert report.restored == {"consent_ended": 1}
    _is_frozen(clinic, family, film)
    assert not startup.replay(clinic.ctx).restored
