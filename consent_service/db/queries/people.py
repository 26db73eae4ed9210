"""Reading people, responsibilities and involvements."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session, aliased

from consent_service.db.models.people import (
    Involvement,
    InvolvementPerson,
    ParentalResponsibility,
    Person,
)
from consent_service.db.queries.columns import rows_of
from consent_service.domain.people import YOUNG, Responsibility, is_child

Which = Sequence[str] | Select[str]
"""Rows by their ids, or by the query that finds them: no list of parameters grows with a page."""

_PERSON, _MEMBER, _INVOLVEMENT = (
    model.__table__ for model in (Person, InvolvementPerson, Involvement)
)
_BELONGING = (
    select(
        _PERSON.c.id.label("person"),
        _PERSON.c.born_on,
        _PERSON.c.decides_for_self,
        _MEMBER.c.role,
        _INVOLVEMENT.c.id.label("involvement"),
        _INVOLVEMENT.c.ended_on,
    )
    .select_from(
        _PERSON.outerjoin(_MEMBER, _MEMBER.c.person_id == _PERSON.c.id).outerjoin(
            _INVOLVEMENT, _INVOLVEMENT.c.id == _MEMBER.c.involvement_id
        )
    )
    .where(_PERSON.c.id.in_(bindparam("persons", expanding=True)))
)


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


@dataclass(frozen=True)
class Belonging:
    """Which involvements people belong to, when those ended, and who of the people is a child."""

    involvements: Mapping[str, frozenset[str]]
    ended_on: Mapping[str, date | None]
    children: frozenset[str]

    def open_ones_of(self, person: str) -> frozenset[str]:
        """Return the involvements of a person that have not ended."""
        mine = self.involvements.get(person, frozenset())
        return frozenset(involvement for involvement in mine if self.ended_on[involvement] is None)


def belonging(session: Session, persons: Iterable[str], on: date) -> Belonging:
    """Return where people belong, and for whom of them others decide on that day; in one query.

    Someone under 18 who decides for themselves is no child here; a baby or sibling without a birth
    date is: nobody's film goes without the answer of those who decide for want of a date.
    """
    rows = rows_of(session, _BELONGING, persons=list(persons))
    return Belonging(
        _by_person((row.person, row.involvement) for row in rows if row.involvement),
        {row.involvement: row.ended_on for row in rows if row.involvement},
        frozenset(
            row.person
            for row in rows
            if not row.decides_for_self and is_child(row.born_on, on, young=row.role in YOUNG)
        ),
    )


def children_among(session: Session, persons: Iterable[str], on: date) -> frozenset[str]:
    """Return those of `persons` for whom others decide on that day, as `belonging` says."""
    return belonging(session, persons, on).children


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
    return _by_person((person, involvement) for person, involvement in rows)


def _by_person(rows: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for person, involvement in rows:
        found.setdefault(person, set()).add(involvement)
    return {person: frozenset(ids) for person, ids in found.items()}
