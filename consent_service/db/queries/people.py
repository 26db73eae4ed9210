"""Reading people, responsibilities and involvements."""

from collections.abc import Iterable, Sequence
from datetime import date

from sqlalchemy import Row, Select, and_, select
from sqlalchemy.orm import Session, aliased

from consent_service.db.models.people import (
    Involvement,
    InvolvementPerson,
    ParentalResponsibility,
    Person,
)
from consent_service.domain.people import YOUNG, Responsibility, is_child

Which = Sequence[str] | Select[str]
"""Rows by their ids, or by the query that finds them: no list of parameters grows with a page."""


def responsibilities_for(session: Session, children: Iterable[str]) -> list[Responsibility]:
    """Return every responsibility recorded for these children."""
    return responsibilities_among(session, list(children))


def responsibilities_among(session: Session, children: Which) -> list[Responsibility]:
    """Return every responsibility recorded for the children that are listed or selected."""
    rows = session.scalars(
        select(ParentalResponsibility)
        .where(ParentalResponsibility.child_id.in_(children))
        .order_by(ParentalResponsibility.recorded_at, ParentalResponsibility.id)
    )
    return [
        Responsibility(
            r.id, r.child_id, r.holder_id, r.basis, r.from_on, r.until_on, r.may_overrule
        )
        for r in rows
    ]


def members(session: Session, involvement: str) -> Sequence[tuple[InvolvementPerson, Person]]:
    """Return who belongs to an involvement, in the order they were added."""
    return members_of(session, [involvement]).get(involvement, [])


def members_of(
    session: Session, involvements: Which
) -> dict[str, list[tuple[InvolvementPerson, Person]]]:
    """Return who belongs to each of these involvements, in the order they were added."""
    rows = session.execute(
        select(InvolvementPerson, Person)
        .join(Person, Person.id == InvolvementPerson.person_id)
        .where(InvolvementPerson.involvement_id.in_(involvements))
        .order_by(InvolvementPerson.added_at, InvolvementPerson.person_id)
    )
    found: dict[str, list[tuple[InvolvementPerson, Person]]] = {}
    for member, person in rows:
        found.setdefault(member.involvement_id, []).append((member, person))
    return found


def children_among(session: Session, persons: Iterable[str], on: date) -> frozenset[str]:
    """Return those of `persons` for whom others decide on that day.

    Someone under 18 who decides for themselves is no child here; a baby or sibling without a birth
    date is: nobody's film goes without the answer of those who decide for want of a date.
    """
    rows = session.execute(
        select(Person.id, Person.born_on, InvolvementPerson.person_id.is_not(None))
        .outerjoin(
            InvolvementPerson,
            and_(InvolvementPerson.person_id == Person.id, InvolvementPerson.role.in_(YOUNG)),
        )
        .where(Person.id.in_(list(persons)), Person.decides_for_self.is_(False))
    )
    return frozenset(
        person for person, born_on, young in rows if is_child(born_on, on, young=young)
    )


def sharing(session: Session, involvements: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return who of these involvements belongs to others that have not ended, and to which."""
    elsewhere = aliased(InvolvementPerson)
    rows = session.execute(
        select(InvolvementPerson.person_id, Involvement.id)
        .join(elsewhere, elsewhere.person_id == InvolvementPerson.person_id)
        .join(Involvement, Involvement.id == elsewhere.involvement_id)
        .where(
            InvolvementPerson.involvement_id.in_(involvements),
            Involvement.id.not_in(involvements),
            Involvement.ended_on.is_(None),
        )
    )
    return _by_person(rows)


def open_involvements_of(session: Session, persons: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return, per person, the involvements they belong to that have not ended."""
    rows = session.execute(
        select(InvolvementPerson.person_id, Involvement.id)
        .join(Involvement, Involvement.id == InvolvementPerson.involvement_id)
        .where(InvolvementPerson.person_id.in_(list(persons)), Involvement.ended_on.is_(None))
    )
    return _by_person(rows)


def _by_person(rows: Iterable[Row[str, str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for person, involvement in rows:
        found.setdefault(person, set()).add(involvement)
    return {person: frozenset(ids) for person, ids in found.items()}
