"""People and parental responsibility.

Rules kept here: an NHS number is ten digits with a right check digit and belongs to one person;
impossible dates are refused; a change of facts recomputes due dates (rule 8); the end of parental
responsibility leaves earlier decisions standing and tells the IG officer.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from nhs_number.standardise import standardise_format
from nhs_number.validate import is_valid
from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.base import CODE_LENGTH
from consent_service.db.models.people import (
    Involvement,
    InvolvementPerson,
    ParentalResponsibility,
    Person,
)
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.people import (
    MAY_OVERRULE,
    AgeSaid,
    Basis,
    FamilyRole,
)
from consent_service.domain.roles import IG_OFFICER, Permission
from consent_service.errors import Conflict, InvalidInput, NotFound, Stale
from consent_service.ids import new_id
from consent_service.services import births, notices, retention_dates
from consent_service.services.access import (
    Caller,
    person_for,
    reaches,
    require,
    teams_reached,
)
from consent_service.services.context import Context

OLDEST_AGE = 120
LONGEST_WORDS = 4000


@dataclass(frozen=True)
class PersonDetails:
    """What is written down about a person. `nhs_number` may hold spaces; `team` is an id."""

    team: str
    full_name: str
    born_on: date | None = None
    nhs_number: str | None = None
    information_needs: dict[str, str] = field(default_factory=dict)
    safe_contact: str | None = None
    died_on: date | None = None
    decides_for_self: bool = False
    decides_basis: str | None = None


@dataclass(frozen=True)
class PersonView:
    """A person as shown to those who may see them."""

    id: str
    team: str
    full_name: str
    born_on: date | None
    died_on: date | None
    nhs_number: str | None
    information_needs: dict[str, str]
    safe_contact: str | None
    decides_for_self: bool
    decides_basis: str | None
    version: int


@dataclass(frozen=True)
class ResponsibilityDetails:
    """Who may decide for a child, on what basis, from when until when (the end day excluded)."""

    child: str
    holder: str
    basis: Basis
    from_on: date
    until_on: date | None = None
    evidence: str | None = None
    court_limits: str | None = None


def create_person(ctx: Context, caller: Caller, details: PersonDetails) -> PersonView:
    """Write down a person; raises InvalidInput with every fault, Conflict for a known number."""
    with ctx.begin() as uow:
        return person_view(add_person(ctx, uow, caller, details))


def add_person(ctx: Context, uow: UnitOfWork, caller: Caller, details: PersonDetails) -> Person:
    """Write down a person within a transaction; errors as `create_person`."""
    require(ctx, caller, Permission.PEOPLE_WRITE)
    _require_team(ctx, caller, details.team)
    row = Person(id=new_id(), created_at=uow.at)
    _fill_person(uow, row, details)
    uow.session.add(row)
    uow.record(AuditEvent(EventKind.PERSON_CREATED, caller.actor, row.id))
    uow.session.flush()
    return row


def change_person(
    ctx: Context, caller: Caller, person: str, details: PersonDetails, version: int
) -> PersonView:
    """Change what is written down; raises Stale when `version` is not the present one.

    Due dates of everything the person is in are computed anew (rule 8). A baby's first date of
    birth ends the pregnancy in its families (rule 13); a date of birth replaces an age that was
    only said.
    """
    with ctx.begin() as uow:
        row = person_for(ctx, uow.session, caller, Permission.PEOPLE_WRITE, person)
        if row.version != version:
            raise Stale("Someone changed this in the meantime. Load it again.", version=row.version)
        _require_team(ctx, caller, details.team)
        unborn = row.born_on is None
        _fill_person(uow, row, details)
        uow.record(AuditEvent(EventKind.PERSON_CHANGED, caller.actor, row.id))
        if row.born_on is not None and row.decides_basis == AgeSaid.ADULT:
            row.decides_for_self, row.decides_basis = False, None
        uow.session.flush()
        if unborn and row.born_on is not None:
            for involvement in _babies_of(uow.session, row.id):
                births.note_birth(ctx, uow, caller, involvement)
        for involvement in _involvements_of(uow.session, row.id):
            retention_dates.recompute(ctx, uow, involvement)
        return person_view(row)


def person(ctx: Context, caller: Caller, person_id: str) -> PersonView:
    """Return a person that the caller may see."""
    with ctx.read() as session:
        return person_view(person_for(ctx, session, caller, Permission.PEOPLE_READ, person_id))


def find_people(ctx: Context, caller: Caller, text: str, limit: int = 50) -> list[PersonView]:
    """Find people by part of their name or by their whole NHS number, in the caller's reach."""
    require(ctx, caller, Permission.PEOPLE_READ)
    number = standardise_format(text) or None
    key = name_key(text)
    if not key:
        return []
    query = select(Person).order_by(Person.name_key, Person.id).limit(limit)
    teams = teams_reached(ctx, caller, Permission.PEOPLE_READ)
    if teams is not None:
        query = query.where(Person.team_id.in_(teams))
    if number and len(number) == 10:
        query = query.where(Person.nhs_number == number)
    else:
        query = query.where(Person.name_key.contains(key, autoescape=True))
    with ctx.read() as session:
        return [person_view(row) for row in session.scalars(query)]


def record_responsibility(ctx: Context, caller: Caller, details: ResponsibilityDetails) -> str:
    """Write down parental responsibility; returns its id."""
    with ctx.begin() as uow:
        return add_responsibility(ctx, uow, caller, details)


def add_responsibility(
    ctx: Context, uow: UnitOfWork, caller: Caller, details: ResponsibilityDetails
) -> str:
    """Write down parental responsibility within a transaction; returns its id."""
    child = person_for(ctx, uow.session, caller, Permission.PEOPLE_WRITE, details.child)
    person_for(ctx, uow.session, caller, Permission.PEOPLE_WRITE, details.holder)
    _check_responsibility(details, child, london_day(uow.at))
    row = ParentalResponsibility(
        id=new_id(),
        child_id=details.child,
        holder_id=details.holder,
        basis=details.basis,
        evidence=details.evidence,
        court_limits=details.court_limits,
        from_on=details.from_on,
        until_on=details.until_on,
        may_overrule=details.basis in MAY_OVERRULE,
        recorded_by=caller.id,
        recorded_at=uow.at,
    )
    uow.session.add(row)
    uow.record(
        AuditEvent(
            EventKind.PARENTAL_RESPONSIBILITY_RECORDED,
            caller.actor,
            row.id,
            details={"child": details.child, "holder": details.holder, "basis": details.basis},
        )
    )
    return row.id


def end_responsibility(ctx: Context, caller: Caller, responsibility: str, on: date) -> None:
    """End it from the day `on`; earlier decisions stand and the IG officer is told."""
    with ctx.begin() as uow:
        row = uow.session.get(ParentalResponsibility, responsibility)
        if row is None:
            raise NotFound("There is no such responsibility.", kind="parental_responsibility")
        person_for(ctx, uow.session, caller, Permission.PEOPLE_WRITE, row.child_id)
        if on < row.from_on:
            raise one_fault("until_on", "The end cannot be before the start.")
        row.until_on = on
        uow.record(AuditEvent(EventKind.PARENTAL_RESPONSIBILITY_ENDED, caller.actor, row.id))
        notices.notify(uow, "parental_responsibility_ended", role=IG_OFFICER, subject=row.id)


def name_key(text: str) -> str:
    """Return the form in which names are searched: lower case, no accents, single spaces."""
    plain = unicodedata.normalize("NFKD", text)
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(letters.casefold().split())[:200]


def checked_nhs_number(text: str) -> str:
    """Return the ten digits; raises ValueError when the check digit is wrong."""
    digits = "".join(text.split()).replace("-", "")
    if len(digits) != 10 or not is_valid(digits):
        raise ValueError("not an NHS number")
    return digits


def names_in(ctx: Context, caller: Caller, families: Iterable[str]) -> dict[str, str]:
    """Return the names of everybody in these involvements by id, where the caller may read them."""
    which = (
        select(Person.id, Person.full_name)
        .join(InvolvementPerson, InvolvementPerson.person_id == Person.id)
        .join(Involvement, Involvement.id == InvolvementPerson.involvement_id)
        .where(Involvement.id.in_(set(families)))
    )
    teams = teams_reached(ctx, caller, Permission.INVOLVEMENT_READ)
    if teams is not None:
        which = which.where(Involvement.team_id.in_(teams))
    with ctx.read() as session:
        return {row.id: row.full_name for row in session.execute(which)}


def _require_team(ctx: Context, caller: Caller, team: str) -> None:
    if not reaches(ctx, caller, Permission.PEOPLE_WRITE, team):
        raise NotFound("There is no such team that you can see.", kind="team")


def _fill_person(uow: UnitOfWork, row: Person, details: PersonDetails) -> None:
    faults: dict[str, str] = {}
    number = _number_fault(details.nhs_number, faults)
    _check_person(details, london_day(uow.at), faults)
    if faults:
        raise InvalidInput("Some details need to be put right.", faults)
    if number is not None:
        holder = uow.session.scalar(select(Person.id).where(Person.nhs_number == number))
        if holder is not None and holder != row.id:
            raise Conflict(
                "This NHS number belongs to someone already. Search for them instead.",
                code="nhs_number_taken",
            )
    row.team_id = details.team
    row.full_name = " ".join(details.full_name.split())
    row.name_key = name_key(details.full_name)
    row.born_on = details.born_on
    row.died_on = details.died_on
    row.nhs_number = number
    row.information_needs = dict(details.information_needs)
    row.safe_contact = details.safe_contact
    row.decides_for_self = details.decides_for_self
    row.decides_basis = details.decides_basis


def _number_fault(text: str | None, faults: dict[str, str]) -> str | None:
    if not text:
        return None
    try:
        return checked_nhs_number(text)
    except ValueError:
        faults["nhs_number"] = "Enter an NHS number of 10 digits, such as 999 123 4560."
        return None


def _check_person(details: PersonDetails, today: date, faults: dict[str, str]) -> None:
    if not details.full_name.strip() or len(details.full_name) > 200:
        faults["full_name"] = "Enter a name of 1 to 200 characters."
    born, died = details.born_on, details.died_on
    if born is not None and not (today.year - OLDEST_AGE <= born.year and born <= today):
        faults["born_on"] = "The date of birth lies in the past 120 years."
    if died is not None and (died > today or (born is not None and died < born)):
        faults["died_on"] = "The date of death lies between birth and today."
    if len(details.safe_contact or "") > LONGEST_WORDS:
        faults["safe_contact"] = f"Keep this under {LONGEST_WORDS} characters."
    if len(details.decides_basis or "") > CODE_LENGTH:
        faults["decides_basis"] = f"Name the basis in {CODE_LENGTH} characters at most."
    elif details.decides_for_self and not (details.decides_basis or "").strip():
        faults["decides_basis"] = "Say on what basis this young person decides for themselves."


def _check_responsibility(details: ResponsibilityDetails, child: Person, today: date) -> None:
    faults: dict[str, str] = {}
    if details.child == details.holder:
        faults["holder"] = "Nobody holds parental responsibility for themselves."
    if details.from_on > today or (child.born_on and details.from_on < child.born_on):
        faults["from_on"] = "Responsibility starts between the child's birth and today."
    if details.until_on is not None and details.until_on < details.from_on:
        faults["until_on"] = "The end cannot be before the start."
    if faults:
        raise InvalidInput("Parental responsibility cannot be recorded like this.", faults)


def _involvements_of(session: Session, person_id: str) -> list[str]:
    return list(
        session.scalars(
            select(InvolvementPerson.involvement_id).where(InvolvementPerson.person_id == person_id)
        )
    )


def _babies_of(session: Session, person_id: str) -> list[str]:
    """Return the involvements in which this person is the baby, sorted."""
    return sorted(
        session.scalars(
            select(InvolvementPerson.involvement_id).where(
                InvolvementPerson.person_id == person_id,
                InvolvementPerson.role == FamilyRole.BABY,
            )
        )
    )


def one_fault(field_name: str, sentence: str) -> InvalidInput:
    return InvalidInput(sentence, {field_name: sentence})


def person_view(row: Person) -> PersonView:
    return PersonView(
        row.id,
        row.team_id,
        row.full_name,
        row.born_on,
        row.died_on,
        row.nhs_number,
        dict(row.information_needs),
        row.safe_contact,
        row.decides_for_self,
        row.decides_basis,
        row.version,
    )
