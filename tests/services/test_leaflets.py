"""Leaflets: what may be given, on which day, and what an import keeps."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from consent_service.db.models.accounts import UserAccount
from consent_service.db.models.policies import LeafletVersion
from consent_service.domain.leaflets import LeafletRoute, LeafletStatus
from consent_service.errors import Conflict, InvalidInput, PolicyFault
from consent_service.services import leaflet_dates, leaflets
from consent_service.services.access import job_caller
from consent_service.services.leaflet_import import import_leaflet
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family

FILE = (
    b"Film and you\r\nA short leaflet.\n\xe2\x80\x9cIt helped me\xe2\x80\x9d\n"
    b"L1111, V1, 14/09/2020 (Archive: 14/09/2023)\n"
)


def _give(clinic: Clinic, family: Family, **more: object) -> leaflets.GiveLeaflet:
    values: dict[str, object] = {
        "involvement": family.involvement,
        "person": family.mother,
        "code": "L1111",
        "given_on": clinic.today,
        "how": LeafletRoute.PAPER,
        "language": "en",
    }
    return leaflets.GiveLeaflet(**(values | more))  # type: ignore[arg-type]


def test_an_archived_leaflet_is_refused_naming_the_current_version(clinic: Clinic) -> None:
    """A parent must never decide on words that are out of date."""
    family = clinic.family()

    with pytest.raises(Conflict) as refused:
        leaflets.give_leaflet(clinic.ctx, clinic.guider, _give(clinic, family, version=1))

    assert refused.value.code == "leaflet_archived"
    assert refused.value.details["current"] == 2
    assert "14/09/2023" in refused.value.message


def test_an_override_lets_an_archived_leaflet_be_given_until_its_day(clinic: Clinic) -> None:
    """Only the IG officer, with a reason, and not for ever."""
    family = clinic.family()
    until = clinic.today + timedelta(days=10)
    leaflets.grant_override(clinic.ctx, clinic.ig, "L1111", 1, until, "The reprint is late")

    given = leaflets.give_leaflet(clinic.ctx, clinic.guider, _give(clinic, family, version=1))

    assert given.version == 1
    clinic.passes(days=10)
    with pytest.raises(Conflict):
        leaflets.give_leaflet(clinic.ctx, clinic.guider, _give(clinic, family, version=1))


def test_a_leaflet_cannot_be_given_in_the_future(clinic: Clinic) -> None:
    """Absurd days get a sentence, not a row."""
    family = clinic.family()
    tomorrow = clinic.today + timedelta(days=1)

    with pytest.raises(InvalidInput) as refused:
        leaflets.give_leaflet(clinic.ctx, clinic.guider, _give(clinic, family, given_on=tomorrow))

    assert set(refused.value.faults) == {"given_on"}


def test_an_import_keeps_every_byte_and_the_same_file_changes_nothing(clinic: Clinic) -> None:
    """The words a family was given must be provable years later."""
    first = import_leaflet(clinic.ctx, clinic.ig, FILE)
    second = import_leaflet(clinic.ctx, clinic.ig, FILE)

    assert (first.status, first.changed, second.changed) == (LeafletStatus.ARCHIVED, True, False)
    kept = leaflets.leaflet_text(clinic.ctx, "L1111", 1, "en")
    assert kept.text.encode() == FILE
    with pytest.raises(Conflict) as refused:
        import_leaflet(clinic.ctx, clinic.ig, FILE.replace(b"short", b"long"))
    assert refused.value.code == "leaflet_registered"


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (b"no control line\n", "leaflet:4"),
        (b"L1111, V3, 14/09/2020 (Archive: 31/02/2023)\n", "leaflet:4"),
        (b"L1111, V3, 14/09/2020 (Archive: 14/09/2019)\n", "leaflet:4"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_with_its_line(
    clinic: Clinic, line: bytes, wrong: str
) -> None:
    """An owner must find the fault without asking us."""
    body = FILE.rsplit(b"\n", 2)[0] + b"\n" + line

    with pytest.raises(PolicyFault) as refused:
        import_leaflet(clinic.ctx, clinic.ig, body)

    assert wrong in refused.value.message


def test_dates_are_watched_and_each_thing_is_told_once(clinic: Clinic) -> None:
    """Review is due, then escalated, then the version is archived, whoever forgets."""
    caller = job_caller("leaflet-dates")
    first = leaflet_dates.watch_dates(clinic.ctx, caller)
    assert first == {"review_due": 0, "escalated": 0, "archived": 1, "reissue": 0}
    steps = []
    for day in (date(2029, 3, 2), date(2029, 3, 3), date(2029, 8, 2), date(2029, 9, 1)):
        clinic.clock.at = clinic.clock.at.replace(year=day.year, month=day.month, day=day.day)
        steps.append(leaflet_dates.watch_dates(clinic.ctx, caller))

    assert [next((k for k, n in s.items() if n), None) for s in steps] == [
        "review_due",
        None,
        "escalated",
        "archived",
    ]
    statuses = [v.status for v in leaflets.list_leaflets(clinic.ctx)]
    assert set(statuses) == {LeafletStatus.ARCHIVED}


def test_owner_team_and_ig_officer_are_told_of_a_leaflets_dates(clinic: Clinic) -> None:
    """A reminder that only one office reads is a leaflet that runs out unnoticed."""
    with clinic.ctx.begin() as uow:
        account = uow.session.get_one(UserAccount, clinic.supervisor.id)
        for row in uow.session.scalars(select(LeafletVersion)):
            row.owner = account.email.upper()
    clinic.clock.at = clinic.clock.at.replace(year=2029, month=3, day=2)

    leaflet_dates.watch_dates(clinic.ctx, job_caller("leaflet-dates"))

    for told in (clinic.ig, clinic.guider, clinic.supervisor):
        kinds = [notice.kind for notice in whole_lists.inbox(clinic.ctx, told)]
        assert kinds.count("leaflet_review_due") == 1, told.roles
    assert whole_lists.inbox(clinic.ctx, clinic.admin) == []


def test_another_teams_guider_cannot_give_a_leaflet(clinic: Clinic) -> None:
    """A foreign involvement looks exactly like one that does not exist."""
    family = clinic.family()
    stranger = replace(clinic.guider, teams=frozenset())
    request = _give(clinic, family)

    with pytest.raises(Exception) as foreign:
        leaflets.give_leaflet(clinic.ctx, stranger, request)
    with pytest.raises(Exception) as unknown:
        leaflets.give_leaflet(clinic.ctx, stranger, replace(request, involvement="0" * 32))

    assert foreign.type is unknown.type
    assert foreign.value.code == unknown.value.code == "not_found"  # type: ignore[attr-defined]
