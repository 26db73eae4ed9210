"""A baby is born, a sister's age is not known, a child grows up: who decides, and what is asked."""

from collections.abc import Callable
from datetime import date

import pytest

from consent_service.db.models.people import Person
from consent_service.db.models.recordings import Asset
from consent_service.domain.answers import GivenAnswer
from consent_service.domain.assets import RecordClass
from consent_service.domain.audit import EventKind
from consent_service.domain.consent import Answer
from consent_service.domain.people import AgeSaid, FamilyRole
from consent_service.errors import InvalidInput
from consent_service.services import (
    consent,
    families,
    involvements,
    people,
    retention_dates,
    upkeep,
)
from consent_service.services.access import job_caller
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family

BUMP = "CARE.FILM.BUMP"


def _expecting(clinic: Clinic, *, baby: bool = False) -> Family:
    """A pregnant mother, alone or with the baby written down before it is born."""
    mother = families.NewPerson(
        people.PersonDetails(clinic.team, "Rosa Invented", date(1994, 5, 17)),
        FamilyRole.PARENT,
        pregnant=True,
    )
    unborn = families.NewPerson(
        people.PersonDetails(clinic.team, "Baby Invented"), FamilyRole.BABY, age=AgeSaid.CHILD
    )
    view = families.begin_family(
        clinic.ctx,
        clinic.guider,
        families.NewFamily(clinic.team, clinic.guider.id, (mother, unborn) if baby else (mother,)),
    )
    ids = {member.role: person.id for member, person in view.people}
    rosa = ids[FamilyRole.PARENT]
    issue = clinic.gives_leaflet(view.id, rosa)
    return Family(view.id, rosa, "", ids.get(FamilyRole.BABY, ""), {rosa: issue})


def _is_pregnant(clinic: Clinic, family: Family) -> bool:
    view = involvements.family(clinic.ctx, clinic.guider, family.involvement)
    return any(member.pregnant for member, _ in view.people)


def _asks_about_the_bump(clinic: Clinic, family: Family) -> bool:
    asked = consent.questions(
        clinic.ctx, clinic.guider, consent.AskForm(family.involvement, family.mother, "vig", "en")
    )
    return BUMP in {question.statement.code for question in asked.questions}


def _is_registered(clinic: Clinic, family: Family) -> None:
    born = people.PersonDetails(clinic.team, "Baby Invented", clinic.today)
    newcomer = families.NewPerson(born, FamilyRole.BABY)
    families.add_to_family(clinic.ctx, clinic.guider, family.involvement, newcomer)


def _gets_a_birthday(clinic: Clinic, family: Family) -> None:
    details = people.PersonDetails(clinic.team, "Baby Invented", clinic.today)
    version = people.person(clinic.ctx, clinic.guider, family.baby).version
    people.change_person(clinic.ctx, clinic.guider, family.baby, details, version)


@pytest.mark.parametrize(
    ("known_before", "born"), [(False, _is_registered), (True, _gets_a_birthday)]
)
def test_once_the_baby_is_born_nobody_is_asked_about_the_bump(
    clinic: Clinic, known_before: bool, born: Callable[[Clinic, Family], None]
) -> None:
    """Asking a mother about a bump that is a baby in her arms shows that nobody listens."""
    family = _expecting(clinic, baby=known_before)
    assert _asks_about_the_bump(clinic, family)
    clinic.passes(days=60)

    born(clinic, family)

    assert not _is_pregnant(clinic, family)
    assert not _asks_about_the_bump(clinic, family)
    ended = clinic.written_down(EventKind.PREGNANCY_ENDED)
    assert [entry.event.subject for entry in ended] == [family.mother]


def test_film_of_the_bump_stays_a_maternity_record_after_the_birth(clinic: Clinic) -> None:
    """It was filmed before birth: being born since does not make it another kind of film."""
    family = _expecting(clinic)
    answers = tuple(
        answer for answer in clinic.answers(family, family.mother) if answer.about == family.mother
    )
    assert GivenAnswer(BUMP, family.mother, Answer.YES) in answers
    clinic.captures(family, family.mother, answers)
    before = clinic.stores_film(family, depicted=(family.mother,)).id
    clinic.passes(days=60)
    _is_registered(clinic, family)
    clinic.passes(days=1)
    after = clinic.stores_film(family, depicted=(family.mother,)).id

    with clinic.ctx.begin() as uow:
        for asset in (before, after):
            uow.session.get_one(Asset, asset).record_class = RecordClass.HEALTH_RECORD
        retention_dates.recompute(clinic.ctx, uow, family.involvement)
        rules = [uow.session.get_one(Asset, asset).rule for asset in (before, after)]

    assert rules == ["R05", "R04"]


def test_a_sister_or_brother_of_unknown_age_is_refused_at_the_door(clinic: Clinic) -> None:
    """Taken for an adult they would be filmed without anybody being asked."""
    family = clinic.family()
    sister = people.PersonDetails(clinic.team, "Ada Invented")
    newcomer = families.NewPerson(sister, FamilyRole.SIBLING)

    with pytest.raises(InvalidInput) as refused:
        families.add_to_family(clinic.ctx, clinic.guider, family.involvement, newcomer)

    assert set(refused.value.faults) == {"born_on"}
    assert people.find_people(clinic.ctx, clinic.guider, "Ada") == []


@pytest.mark.parametrize(("said", "child"), [(AgeSaid.CHILD, True), (AgeSaid.ADULT, False)])
def test_what_is_said_of_a_siblings_age_decides_who_is_asked(
    clinic: Clinic, said: AgeSaid, child: bool
) -> None:
    """Under 18 the parents are asked; of age they answer themselves, and nobody for them."""
    family = clinic.family()
    details = people.PersonDetails(clinic.team, "Ada Invented")
    newcomer = families.NewPerson(details, FamilyRole.SIBLING, age=said)
    view = families.add_to_family(clinic.ctx, clinic.guider, family.involvement, newcomer)
    (sister,) = [p.id for m, p in view.people if m.role is FamilyRole.SIBLING]
    people.record_responsibility(
        clinic.ctx,
        clinic.guider,
        people.ResponsibilityDetails(
            sister, family.mother, people.Basis.BIRTH_MOTHER, clinic.today
        ),
    )

    asked = consent.questions(
        clinic.ctx, clinic.guider, consent.AskForm(family.involvement, family.mother, "vig", "en")
    )

    assert (sister in {question.about for question in asked.questions}) is child


def test_every_young_person_of_a_new_family_needs_an_age(clinic: Clinic) -> None:
    """The first page says which of them, and writes nobody down."""
    baby = families.NewPerson(people.PersonDetails(clinic.team, "Mina Invented"), FamilyRole.BABY)
    parent = families.NewPerson(
        people.PersonDetails(clinic.team, "Rosa Invented"), FamilyRole.PARENT
    )
    with pytest.raises(InvalidInput) as refused:
        families.begin_family(
            clinic.ctx,
            clinic.guider,
            families.NewFamily(clinic.team, clinic.guider.id, (parent, baby)),
        )
    assert set(refused.value.faults) == {"1.born_on"}


def test_at_16_and_at_18_what_was_agreed_for_a_child_is_looked_at_once(clinic: Clinic) -> None:
    """Film of them is still here, and others had decided: a person looks, nothing just ends."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.stores_film(family)
    told = []
    for born in (date(2010, 11, 3), date(2010, 11, 2), date(2008, 11, 2)):
        with clinic.ctx.begin() as uow:
            uow.session.get_one(Person, family.baby).born_on = born
        figures = [
            upkeep.watch_families(clinic.ctx, job_caller("watch"))["came_of_age"] for _ in range(2)
        ]
        told.append(figures)

    assert told == [[0, 0], [1, 0], [1, 0]]
    due = clinic.written_down(EventKind.CONSENT_REVIEW_DUE)
    assert sorted(entry.event.details["age"] for entry in due) == [16, 18]
    for caller in (clinic.guider, clinic.ig):
        kinds = {notice.kind for notice in whole_lists.inbox(clinic.ctx, caller)}
        assert kinds >= {"child_is_16", "child_is_18"}


def test_nobody_is_troubled_when_no_film_of_the_child_is_left(clinic: Clinic) -> None:
    """What is gone needs no second look."""
    family = clinic.family()
    clinic.both_consent(family)
    with clinic.ctx.begin() as uow:
        uow.session.get_one(Person, family.baby).born_on = date(2010, 11, 2)

    figures = upkeep.watch_families(clinic.ctx, job_caller("watch"))

    assert figures["came_of_age"] == 0
