"""Reading what other systems ask for, each kind by its own id and by the id of a patient.

Rules kept here: what the caller's roles do not reach is not there; one permission is one (person,
purpose with its use, involvement), and its id is that of the first decision about it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db import audit_log
from consent_service.db.audit_log import EntryFilter
from consent_service.db.models.consent import ConsentAct, ConsentDecision
from consent_service.db.models.people import (
    Involvement,
    InvolvementPerson,
    ParentalResponsibility,
    Person,
)
from consent_service.db.queries.consent import states_now
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.purposes import split_use, with_use
from consent_service.domain.roles import Permission
from consent_service.errors import NotFound
from consent_service.ids import is_id
from consent_service.services.access import Caller, reaches, teams_reached
from consent_service.services.consent_views import act_views
from consent_service.services.context import Context
from consent_service.services.fhir_records import (
    ActRecord,
    AuditRecord,
    Kind,
    PatientRecord,
    PermissionRecord,
    Record,
    RelatedRecord,
)

MOST = 200
"""So many records one search answers at most, newest first."""


@dataclass(frozen=True)
class Reader:
    """Who reads, where and when."""

    ctx: Context
    session: Session
    caller: Caller
    at: datetime

    def reaches(self, permission: Permission, team: str) -> bool:
        return reaches(self.ctx, self.caller, permission, team)

    def person(self, permission: Permission, identifier: str) -> Person | None:
        row = self.session.get(Person, identifier)
        return row if row is not None and self.reaches(permission, row.team_id) else None

    def involvements(self, permission: Permission, person: str) -> list[str]:
        rows = self.session.execute(
            select(Involvement.id, Involvement.team_id)
            .join(InvolvementPerson, InvolvementPerson.involvement_id == Involvement.id)
            .where(InvolvementPerson.person_id == person)
            .order_by(Involvement.started_on, Involvement.id)
        )
        return [identifier for identifier, team in rows if self.reaches(permission, team)]

    def in_reach(self, permission: Permission, involvement: str) -> bool:
        row = self.session.get(Involvement, involvement)
        return row is not None and self.reaches(permission, row.team_id)


def _patient(reader: Reader, identifier: str) -> Iterable[Record]:
    row = reader.person(Permission.PEOPLE_READ, identifier)
    if row is not None:
        yield PatientRecord(row.id, row.full_name, row.born_on, row.died_on, row.nhs_number)


def _related(reader: Reader, identifier: str) -> Iterable[Record]:
    row = reader.session.get(ParentalResponsibility, identifier)
    return () if row is None else _related_records(reader, [row])


def _related_of(reader: Reader, child: str) -> Iterable[Record]:
    rows = reader.session.scalars(
        select(ParentalResponsibility)
        .where(ParentalResponsibility.child_id == child)
        .order_by(ParentalResponsibility.recorded_at, ParentalResponsibility.id)
    ).all()
    return _related_records(reader, rows)


def _related_records(
    reader: Reader, rows: Sequence[ParentalResponsibility]
) -> Iterable[RelatedRecord]:
    today = london_day(reader.at)
    for row in rows:
        child = reader.person(Permission.PEOPLE_READ, row.child_id)
        holder = reader.person(Permission.PEOPLE_READ, row.holder_id)
        if child is None or holder is None:
            continue
        yield RelatedRecord(
            row.id,
            child.id,
            holder.id,
            holder.full_name,
            row.basis,
            row.from_on,
            row.until_on,
            row.from_on <= today and (row.until_on is None or today < row.until_on),
        )


def _permission(reader: Reader, identifier: str) -> Iterable[Record]:
    first = reader.session.get(ConsentDecision, identifier.partition("-")[0])
    if first is None or not reader.in_reach(Permission.CONSENT_READ, first.involvement_id):
        return ()
    found = _permissions(reader, first.involvement_id, first.person_id)
    return [record for record in found if record.id == identifier]


def _permissions_of(reader: Reader, person: str) -> Iterable[Record]:
    for involvement in reader.involvements(Permission.CONSENT_READ, person):
        yield from _permissions(reader, involvement, person)


def _permissions(reader: Reader, involvement: str, person: str) -> list[PermissionRecord]:
    about = _asked_about(reader.session, involvement, [person])[person]
    known = reader.ctx.policies.purposes
    states = states_now(reader.session, involvement, [person], list(about), reader.at)
    found = []
    for purpose, rows in about.items():
        base, use = split_use(purpose)
        if base not in known:
            continue
        finding, (decision, act) = states[person, purpose], rows[-1]
        found.append(
            PermissionRecord(
                id=_permission_id(rows[0][0], use),
                person=person,
                involvement=involvement,
                purpose=known[base],
                use=use,
                state=finding.state,
                since=finding.since,
                valid_until=finding.valid_until,
                act=act.id,
                decided_by=decision.decided_by,
                decided_at=decision.event_at,
                form=act.form_id,
                form_version=act.form_version,
            )
        )
    return found


def _asked_about(
    session: Session, involvement: str, persons: Iterable[str]
) -> dict[str, dict[str, list[tuple[ConsentDecision, ConsentAct]]]]:
    """Return, per person and purpose with its use, the decisions about it, oldest first.

    Where a yes names uses, each use is a permission of its own, and a no is about all of them.
    """
    rows = session.execute(
        select(ConsentDecision, ConsentAct)
        .join(ConsentAct, ConsentAct.id == ConsentDecision.act_id)
        .where(
            ConsentDecision.involvement_id == involvement,
            ConsentDecision.person_id.in_(list(persons)),
            ConsentDecision.purpose.is_not(None),
        )
        .order_by(ConsentDecision.recorded_at, ConsentDecision.position, ConsentDecision.id)
    )
    found: dict[str, dict[str, list[tuple[ConsentDecision, ConsentAct]]]] = {
        person: {} for person in persons
    }
    for decision, act in rows:
        for use in decision.named or (None,):
            purpose = with_use(decision.purpose or "", use)
            found[decision.person_id].setdefault(purpose, []).append((decision, act))
    return found


def _permission_id(first: ConsentDecision, use: str | None) -> str:
    return first.id if use is None else f"{first.id}-{first.named.index(use)}"


def _acts(reader: Reader, rows: Sequence[ConsentAct]) -> list[ActRecord]:
    ids: dict[str, list[str]] = {}
    for involvement in {row.involvement_id for row in rows}:
        acts = [row.id for row in rows if row.involvement_id == involvement]
        persons = list(
            reader.session.scalars(
                select(ConsentDecision.person_id).distinct().where(ConsentDecision.act_id.in_(acts))
            )
        )
        for about in _asked_about(reader.session, involvement, persons).values():
            for purpose, decisions in about.items():
                name = _permission_id(decisions[0][0], split_use(purpose)[1])
                for act in dict.fromkeys(act.id for _, act in decisions):
                    ids.setdefault(act, []).append(name)
    return [
        ActRecord(view, tuple(sorted(ids.get(view.id, ()))))
        for view in act_views(reader.session, rows)
    ]


def _act(reader: Reader, identifier: str) -> Iterable[Record]:
    row = reader.session.get(ConsentAct, identifier)
    if row is None or not reader.in_reach(Permission.CONSENT_READ, row.involvement_id):
        return ()
    return _acts(reader, [row])


def _acts_of(reader: Reader, person: str) -> Iterable[Record]:
    """Acts in which this person answered, or was decided about."""
    involvements = reader.involvements(Permission.CONSENT_READ, person)
    about = select(ConsentDecision.act_id).where(ConsentDecision.person_id == person)
    rows = reader.session.scalars(
        select(ConsentAct)
        .where(
            ConsentAct.involvement_id.in_(involvements),
            or_(ConsentAct.person_id == person, ConsentAct.id.in_(about)),
        )
        .order_by(ConsentAct.event_at.desc(), ConsentAct.id)
        .limit(MOST)
    ).all()
    return _acts(reader, rows)


def _entry(reader: Reader, identifier: str) -> Iterable[Record]:
    """Only who reads the whole log reads an entry of it."""
    if teams_reached(reader.ctx, reader.caller, Permission.AUDIT_READ) is not None:
        return
    try:
        recorded = audit_log.entry(reader.session, identifier).recorded
    except NotFound:
        return
    yield AuditRecord(recorded, _people_in(recorded.event))


def _entries_of(reader: Reader, person: str) -> Iterable[Record]:
    """Entries about the person, and those of their families that name them, newest first."""
    if teams_reached(reader.ctx, reader.caller, Permission.AUDIT_READ) is not None:
        return ()
    wanted = [EntryFilter(subject=person)]
    for involvement in reader.involvements(Permission.AUDIT_READ, person):
        wanted.append(EntryFilter(involvement=involvement))
    found: dict[str, AuditRecord] = {}
    for one in wanted:
        for logged in audit_log.entries(reader.session, one, limit=audit_log.PAGE_LIMIT).entries:
            people = _people_in(logged.recorded.event)
            if person in people:
                found[logged.recorded.entry_id] = AuditRecord(logged.recorded, people)
    return sorted(found.values(), key=lambda r: (r.recorded.at, r.recorded.entry_id), reverse=True)


def _people_in(event: AuditEvent) -> tuple[str, ...]:
    """Return the ids of the people that an entry names."""
    named = [event.details.get(name) for name in ("person", "patient")]
    found = [value for value in named if isinstance(value, str) and is_id(value)]
    if event.kind in _ABOUT_A_PERSON and event.subject is not None and is_id(event.subject):
        found.append(event.subject)
    return tuple(dict.fromkeys(found))


_ABOUT_A_PERSON = frozenset(
    {
        EventKind.PERSON_CREATED,
        EventKind.PERSON_CHANGED,
        EventKind.PERSON_VIEWED,
        EventKind.PERSON_DIED,
    }
)
"""Kinds whose subject is a person; others name people in their details."""

Read = Callable[[Reader, str], Iterable[Record]]
READERS: dict[Kind, tuple[Read, Read]] = {
    Kind.PATIENT: (_patient, _patient),
    Kind.RELATED_PERSON: (_related, _related_of),
    Kind.CONSENT: (_permission, _permissions_of),
    Kind.PROVENANCE: (_act, _acts_of),
    Kind.DOCUMENT: (_act, _acts_of),
    Kind.AUDIT: (_entry, _entries_of),
}
"""How each kind is read: by its own id, and by the id of a patient."""
