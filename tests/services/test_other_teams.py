"""What another team keeps looks exactly like what does not exist, in every word."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from consent_service.db.models.accounts import TeamMember
from consent_service.db.models.people import Team
from consent_service.domain.people import FamilyRole
from consent_service.errors import NotFound
from consent_service.ids import new_id
from consent_service.services import consent, handovers, involvements, reviews, withdrawal
from consent_service.services.access import Caller
from tests.support.clinic import Clinic, Family

Make = Callable[[Clinic, Family], str]
Ask = Callable[[Clinic, Caller, str], object]


def _quote(clinic: Clinic, family: Family) -> str:
    until = clinic.today + timedelta(days=30)
    words = handovers.PermitQuote(
        family.involvement, family.mother, "It helped us.", "Leaflet", until
    )
    return handovers.permit_quote(clinic.ctx, clinic.guider, words)


def _goal(clinic: Clinic, family: Family) -> str:
    made = reviews.record_goal(
        clinic.ctx, clinic.guider, family.involvement, family.mother, "Calmer evenings"
    )
    return made.id


def _withdrawal(clinic: Clinic, family: Family) -> str:
    return clinic.withdraws(family, family.mother).id


@pytest.mark.parametrize(
    ("make", "ask"),
    [
        pytest.param(
            _quote, lambda c, who, one: handovers.withdraw_quote(c.ctx, who, one), id="quote"
        ),
        pytest.param(
            _goal,
            lambda c, who, one: reviews.rate_goal(c.ctx, who, one, c.today, 4),
            id="goal",
        ),
        pytest.param(
            _withdrawal, lambda c, who, one: withdrawal.withdrawal(c.ctx, who, one), id="withdrawal"
        ),
    ],
)
def test_the_refusal_does_not_tell_what_is_there(clinic: Clinic, make: Make, ask: Ask) -> None:
    """Its words would tell a curious colleague which ids are families of another team."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(minutes=1)
    there = make(clinic, family)
    stranger = replace(clinic.guider, teams=frozenset())

    said = []
    for identifier in (there, new_id()):
        with pytest.raises(NotFound) as refused:
            ask(clinic, stranger, identifier)
        said.append((refused.value.message, refused.value.code))

    assert said[0] == said[1]
    assert family.involvement not in said[0][0]


def test_consent_with_another_team_is_not_shown(clinic: Clinic) -> None:
    """That a mother is also seen elsewhere is hers to tell."""
    family = clinic.family()
    clinic.both_consent(family)
    other = new_id()
    with clinic.ctx.begin() as uow:
        uow.session.add(Team(id=other, name="Harbour team", created_at=uow.at))
        uow.session.flush()
        uow.session.add(TeamMember(team_id=other, user_id=clinic.guider.id))
    both = replace(clinic.guider, teams=clinic.guider.teams | {other})
    member = involvements.Member(family.mother, FamilyRole.PARENT)
    elsewhere = involvements.start_involvement(
        clinic.ctx,
        both,
        involvements.InvolvementDetails(other, clinic.guider.id, (member,), clinic.today),
    ).id

    def shown(caller: Caller) -> set[str]:
        views = consent.state(clinic.ctx, caller, family.mother, None, None)
        return {view.involvement for view in views}

    assert shown(both) == shown(clinic.ig) == {family.involvement, elsewhere}
    assert shown(clinic.guider) == {family.involvement}
