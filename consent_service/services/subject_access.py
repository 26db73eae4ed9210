"""Subject access: a person asks what is held about them and gets it (UK GDPR Article 15).

Rules kept here:
  * every request has a due day, and stands among the exceptions before that day comes;
  * the file that answers it is made in memory, locked with the officer's passphrase and sent: no
    copy is kept here, so none can outlive its use or a withdrawal, and making it again reads anew;
  * making the file needs a fresh sign-in and stands in the log, each time.
"""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.people import Person
from consent_service.db.models.subject_access import SubjectAccessRequest
from consent_service.db.queries.pages import Order, page_of
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.paging import Page, PageAsk
from consent_service.domain.roles import Permission
from consent_service.domain.subject_access import (
    RequestState,
    answer_due_on,
    passphrase_fault,
    require_move,
)
from consent_service.errors import Conflict, InvalidInput, NotFound
from consent_service.ids import new_id
from consent_service.services import subject_access_file
from consent_service.services.access import (
    Caller,
    person_for,
    reaches,
    require,
    require_fresh,
    teams_reached,
)
from consent_service.services.context import Context

_MANAGE = Permission.SUBJECT_ACCESS_MANAGE
_OVER = (RequestState.CLOSED,)
_OPEN_FIRST = Order(
    (
        case((SubjectAccessRequest.state.in_(_OVER), 1), else_=0),
        SubjectAccessRequest.due_on,
        SubjectAccessRequest.id,
    ),
    descending=False,
)


@dataclass(frozen=True)
class OpenRequest:
    """Who wants to know, about whom, and since when.

    Neither `asked_by_id` (somebody known here) nor `asked_by` (in words) given: the person asks
    for themselves. Whoever asks for somebody else needs an `authority`, such as a signed mandate.
    """

    person: str
    asked_on: date
    asked_by_id: str | None = None
    asked_by: str | None = None
    authority: str | None = None


@dataclass(frozen=True)
class RequestView:
    """One request. `asked_by_id` is the person's own id when they ask for themselves."""

    id: str
    person: str
    asked_on: date
    asked_by_id: str | None
    asked_by: str | None
    authority: str | None
    due_on: date
    state: RequestState
    given: str | None
    answered_on: date | None
    appealed_on: date | None
    closed_on: date | None
    opened_by: str


def open_request(ctx: Context, caller: Caller, wanted: OpenRequest) -> RequestView:
    """Write down that somebody asks; returns the request with its due day.

    Raises NotFound for a person out of reach, InvalidInput.
    """
    with ctx.begin() as uow:
        person = person_for(ctx, uow.session, caller, _MANAGE, wanted.person)
        other = wanted.asked_by_id not in (None, person.id)
        if wanted.asked_by_id and other:
            person_for(ctx, uow.session, caller, _MANAGE, wanted.asked_by_id)
        _check(wanted, person, london_day(uow.at))
        row = SubjectAccessRequest(
            id=new_id(),
            person_id=person.id,
            asked_on=wanted.asked_on,
            asked_by_id=wanted.asked_by_id or (None if wanted.asked_by else person.id),
            asked_by=wanted.asked_by,
            authority=wanted.authority,
            due_on=answer_due_on(wanted.asked_on),
            state=RequestState.OPEN,
            opened_by=caller.id,
            opened_at=uow.at,
        )
        uow.session.add(row)
        details = {"due": row.due_on.isoformat(), "person": person.id}
        _record(uow, caller, EventKind.SUBJECT_ACCESS_OPENED, row, details)
        return _view(row)


def page_of_requests(
    ctx: Context, caller: Caller, ask: PageAsk, *, open_only: bool = False
) -> Page[RequestView]:
    """Return the requests in the caller's reach: what is not over first, soonest due first."""
    require(ctx, caller, _MANAGE)
    query = select(SubjectAccessRequest).join(Person, Person.id == SubjectAccessRequest.person_id)
    teams = teams_reached(ctx, caller, _MANAGE)
    if teams is not None:
        query = query.where(Person.team_id.in_(teams))
    if open_only:
        query = query.where(SubjectAccessRequest.state.not_in(_OVER))
    with ctx.read() as session:
        found = page_of(session, query, _OPEN_FIRST, ask)
        return found.of([_view(row) for row in found.items])


def request(ctx: Context, caller: Caller, identifier: str) -> RequestView:
    """Return one request; raises NotFound."""
    with ctx.read() as session:
        return _view(_row(ctx, session, caller, identifier))


def answer(
    ctx: Context, caller: Caller, identifier: str, given: str, on: date | None = None
) -> RequestView:
    """Write down what was given and on which day (today); raises Conflict, InvalidInput."""
    with ctx.begin() as uow:
        row = _row(ctx, uow.session, caller, identifier, lock=True)
        day = on or london_day(uow.at)
        faults = {}
        if not given.strip():
            faults["given"] = "Say what was given, and how."
        if not row.asked_on <= day <= london_day(uow.at):
            faults["on"] = "The day lies between the request and today."
        if faults:
            raise InvalidInput("This answer cannot be written down like this.", faults)
        _move(row, RequestState.ANSWERED)
        row.given, row.answered_on = given.strip(), day
        details = {"on": day.isoformat()}
        _record(uow, caller, EventKind.SUBJECT_ACCESS_ANSWERED, row, details)
        return _view(row)


def appeal(ctx: Context, caller: Caller, identifier: str) -> RequestView:
    """Write down that the person is not content with the answer; the file is kept longer (R23)."""
    with ctx.begin() as uow:
        row = _row(ctx, uow.session, caller, identifier, lock=True)
        _move(row, RequestState.APPEALED)
        row.appealed_on, row.closed_on = london_day(uow.at), None
        details = {"on": row.appealed_on.isoformat()}
        _record(uow, caller, EventKind.SUBJECT_ACCESS_APPEALED, row, details)
        return _view(row)


def close(ctx: Context, caller: Caller, identifier: str) -> RequestView:
    """Close a request, or its appeal; from this day on retention counts (R23)."""
    with ctx.begin() as uow:
        row = _row(ctx, uow.session, caller, identifier, lock=True)
        before = row.state
        _move(row, RequestState.CLOSED)
        row.closed_on = london_day(uow.at)
        details = {"outcome": f"after_{before.value}"}
        _record(uow, caller, EventKind.SUBJECT_ACCESS_CLOSED, row, details)
        return _view(row)


def file(ctx: Context, caller: Caller, identifier: str, passphrase: str) -> bytes:
    """Return everything held about the person: a PDF with the same as JSON inside, locked.

    It is encrypted with AES-256 under `passphrase`, which is kept nowhere. Raises Refused
    (`role`, `sign_in_again`), NotFound, Conflict (`request_state`), InvalidInput (`passphrase`).
    """
    require(ctx, caller, _MANAGE)
    require_fresh(caller)
    with ctx.read() as session:
        row = _open_row(ctx, session, caller, identifier)
        fault = passphrase_fault(passphrase)
        if fault is not None:
            raise InvalidInput("This passphrase cannot be used.", {"passphrase": fault})
        person = session.get_one(Person, row.person_id)
        paper = subject_access_file.paper_for(ctx, session, person, row.id, ctx.clock.now())
    # Everything about a person takes a while to read: nobody who writes waits for it.
    with ctx.begin() as uow:
        row = _open_row(ctx, uow.session, caller, identifier, lock=True)
        _record(uow, caller, EventKind.SUBJECT_ACCESS_PREPARED, row, {"person": row.person_id})
    return subject_access_file.printed(paper, passphrase)


def _check(wanted: OpenRequest, person: Person, today: date) -> None:
    faults = {}
    if wanted.asked_on > today:
        faults["asked_on"] = "The day of asking is today or earlier."
    words = (wanted.asked_by or "").strip()
    if wanted.asked_by_id and words:
        faults["asked_by"] = "Name who asks once: by id or in words."
    for_another = bool(words) or wanted.asked_by_id not in (None, person.id)
    if for_another and not (wanted.authority or "").strip():
        faults["authority"] = "Say on what authority they ask for somebody else."
    if faults:
        raise InvalidInput("This request cannot be opened like this.", faults)


def _move(row: SubjectAccessRequest, to: RequestState) -> None:
    require_move(row.id, row.state, to)
    row.state = to


def _row(
    ctx: Context, session: Session, caller: Caller, identifier: str, *, lock: bool = False
) -> SubjectAccessRequest:
    require(ctx, caller, _MANAGE)
    row = session.get(SubjectAccessRequest, identifier, with_for_update=lock or None)
    person = session.get(Person, row.person_id) if row is not None else None
    if row is None or person is None or not reaches(ctx, caller, _MANAGE, person.team_id):
        raise NotFound("There is no such request that you can see.", kind="subject_access")
    return row


def _open_row(
    ctx: Context, session: Session, caller: Caller, identifier: str, *, lock: bool = False
) -> SubjectAccessRequest:
    """Return a request that may still be answered; raises NotFound, Conflict."""
    row = _row(ctx, session, caller, identifier, lock=lock)
    if row.state in _OVER:
        raise Conflict(
            f"Request {row.id} is closed. Open another if the person asks again.",
            code="request_state",
            state=row.state.value,
        )
    return row


def _record(
    uow: UnitOfWork,
    caller: Caller,
    kind: EventKind,
    row: SubjectAccessRequest,
    details: dict[str, str],
) -> None:
    uow.record(AuditEvent(kind, caller.actor, row.id, details=details))


def _view(row: SubjectAccessRequest) -> RequestView:
    return RequestView(
        row.id,
        row.person_id,
        row.asked_on,
        row.asked_by_id,
        row.asked_by,
        row.authority,
        row.due_on,
        row.state,
        row.given,
        row.answered_on,
        row.appealed_on,
        row.closed_on,
        row.opened_by,
    )
