"""People are found and changed within the teams that the caller works in, and no further."""

from dataclasses import replace

import pytest

from consent_service.db.models.people import Team
from consent_service.errors import InvalidInput, NotFound
from consent_service.ids import new_id
from consent_service.services import people
from tests.support.clinic import Clinic


def _other_team(clinic: Clinic) -> str:
    with clinic.ctx.begin() as uow:
        team = Team(id=new_id(), name="Harbour team", created_at=uow.at)
        uow.session.add(team)
    return team.id


def test_nobody_is_moved_to_a_team_that_the_caller_does_not_work_in(clinic: Clinic) -> None:
    """Moving a person away would hide them from their own guider and show them to strangers."""
    details = people.PersonDetails(clinic.team, "Rosa Invented")
    person = people.create_person(clinic.ctx, clinic.guider, details)

    for team in (_other_team(clinic), new_id()):
        with pytest.raises(NotFound):
            people.change_person(
                clinic.ctx, clinic.guider, person.id, replace(details, team=team), person.version
            )

    assert people.person(clinic.ctx, clinic.guider, person.id).team == clinic.team


def test_a_search_finds_ones_own_families_among_any_number_of_others(clinic: Clinic) -> None:
    """Another team's namesakes must not push a team's own people off the list."""
    elsewhere = _other_team(clinic)
    theirs = replace(clinic.guider, teams=frozenset({elsewhere}))
    for number in range(9):
        people.create_person(
            clinic.ctx, theirs, people.PersonDetails(elsewhere, f"Mina {number} Invented")
        )
    mine = people.create_person(
        clinic.ctx, clinic.guider, people.PersonDetails(clinic.team, "Mina Zebra Invented")
    )

    found = people.find_people(clinic.ctx, clinic.guider, "mina", limit=2)

    assert [view.id for view in found] == [mine.id]


def test_a_basis_too_long_to_keep_is_refused_in_words(clinic: Clinic) -> None:
    """PostgreSQL refuses what its column cannot hold; the person typing gets a sentence."""
    details = people.PersonDetails(
        clinic.team, "Rosa Invented", decides_for_self=True, decides_basis="x" * 81
    )

    with pytest.raises(InvalidInput) as refused:
        people.create_person(clinic.ctx, clinic.guider, details)

    assert set(refused.value.faults) == {"decides_basis"}
