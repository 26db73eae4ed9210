"""People of a journal line whom a restored database may have lost.

Rules kept here:
  * an act is done again when somebody, or some film, that it is about is known here; whoever spoke
    need not be: the journal holds no names, so the film of a known child must not hang on one;
  * who spoke keeps the id they had, and belongs to the family they spoke in, as they must have to
    be heard: a word of nobody's would count for nothing, and nobody else can take it back;
  * their record says that its name is lost, for somebody to complete it; until then nobody can be
    said to be them, and nothing is taken back in their name.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.people import Involvement, InvolvementPerson, Person
from consent_service.db.models.recordings import Asset
from consent_service.db.queries.people import belonging
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.people import FamilyRole
from consent_service.errors import Refused
from consent_service.services.people import name_key

REPLAYER = Actor(ActorKind.SYSTEM, "journal-replay")
NAME_LOST = "Name lost in a restore"
"""What stands for the name of somebody of whom the journal knows no more than the id."""


def known_people(uow: UnitOfWork, people: Iterable[str]) -> frozenset[str]:
    """Return those of `people` whom this database knows."""
    return frozenset(uow.session.scalars(select(Person.id).where(Person.id.in_(set(people)))))


def require_named(session: Session, person: str) -> None:
    """Raise Refused `name_lost` while nobody has completed a record that a restore has lost."""
    if session.get_one(Person, person).full_name == NAME_LOST:
        raise Refused(
            "A restore has lost the name of the person who withdrew. Complete their record first.",
            code="name_lost",
        )


def is_about_somebody_here(uow: UnitOfWork, body: Mapping[str, Any]) -> bool:
    """Tell whether the person or the film of a consent-ended line is known; most name nobody."""
    people = _subjects(body)
    if not people or known_people(uow, people):
        return True
    named = (body.get("scope") or {}).get("assets", ())
    return any(uow.session.get(Asset, asset) is not None for asset in named)


def places_of_refused(uow: UnitOfWork, body: Mapping[str, Any]) -> dict[str, str]:
    """Return in which known involvement the no about each known person is to be written down.

    In the one where it was said, or where that came after the backup, in a child's first open one:
    a no for a child holds in all of them.
    """
    refused = body.get("refusal")
    people = known_people(uow, [one["person"] for one in refused["refused"]] if refused else ())
    if uow.session.get(Involvement, body["involvement"]) is not None:
        return dict.fromkeys(people, body["involvement"])
    belongs = belonging(uow.session, people, london_day(uow.at))
    open_ones = {child: sorted(belongs.open_ones_of(child)) for child in belongs.children}
    return {child: places[0] for child, places in open_ones.items() if places}


def stand_in_for_speakers(uow: UnitOfWork, body: Mapping[str, Any], family: str) -> None:
    """Write down, in the family they spoke in, whoever spoke and is not known.

    Also whoever took back film of theirs that is here, in which they were seen after the backup.
    """
    given, refused = body.get("withdrawal"), body.get("refusal")
    people = {given["by"], given["person"]} if given else set()
    people |= {refused["by"]} if refused else set()
    lost = people - known_people(uow, people)
    for person in sorted(lost):
        _stand_in(uow, uow.session.get_one(Involvement, family), person)


def _subjects(body: Mapping[str, Any]) -> list[str]:
    """Return whose consent an act is about, where the line names them."""
    given, settled, refused = (body.get(k) for k in ("withdrawal", "dispute", "refusal"))
    people = [one["person"] for one in (given, settled) if one]
    people += [one["person"] for one in refused["refused"]] if refused else []
    return people + (list(body["scope"]["persons"]) if body.get("revoked") is not None else [])


def _stand_in(uow: UnitOfWork, family: Involvement, person: str) -> None:
    row = Person(
        id=person,
        team_id=family.team_id,
        full_name=NAME_LOST,
        name_key=name_key(NAME_LOST),
        created_at=uow.at,
    )
    uow.session.add(row)
    uow.session.flush()
    uow.session.add(
        InvolvementPerson(
            involvement_id=family.id, person_id=person, role=FamilyRole.OTHER, added_at=uow.at
        )
    )
    uow.record(AuditEvent(EventKind.PERSON_CREATED, REPLAYER, person, family.id))
    uow.session.flush()
