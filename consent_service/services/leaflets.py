"""Leaflets: imported, given, reviewed, archived by the day (rule 9).

Rules kept here:
  * what counts is the day on which a leaflet was *given*: from its archive date on a version
    cannot be given, unless the IG officer granted an override that covers that day;
  * who is given one by link still holds it, in the transaction that writes it down;
  * an imported file is kept byte for byte; other words for a registered version are refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.policies import (
    LeafletIssue,
    LeafletOverride,
    LeafletVersion,
    LeafletWords,
)
from consent_service.db.queries.people import members
from consent_service.domain import leaflets as words
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.leaflets import LeafletRoute, LeafletStatus
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, InvalidInput, NotFound
from consent_service.ids import new_id
from consent_service.services.access import Caller, involvement_for, require, require_themselves
from consent_service.services.context import Context
from consent_service.services.link_sessions import require_held


@dataclass(frozen=True)
class LeafletView:
    """A leaflet version and where it stands today.

    `reissue_since` is when it was found to print words that may not be printed any more.
    """

    code: str
    version: int
    issued_on: date
    archive_on: date
    status: LeafletStatus
    title: str
    owner: str
    control_line: str
    languages: tuple[str, ...]
    reissue_since: datetime | None


@dataclass(frozen=True)
class GiveLeaflet:
    """A leaflet given to a person. Without `version`, the current one on the day given."""

    involvement: str
    person: str
    code: str
    given_on: date
    how: LeafletRoute
    language: str
    version: int | None = None


@dataclass(frozen=True)
class IssueView:
    """A leaflet as given."""

    id: str
    involvement: str
    person: str
    code: str
    version: int
    language: str
    given_on: date
    how: str
    recorded_late: bool


@dataclass(frozen=True)
class LeafletText:
    """The words of a leaflet version in one language."""

    view: LeafletView
    language: str
    text: str
    sha256: str
    notes: tuple[str, ...]


def list_leaflets(ctx: Context) -> list[LeafletView]:
    """Return every leaflet version, by code and version."""
    with ctx.read() as session:
        today = london_day(ctx.clock.now())
        rows = session.scalars(
            select(LeafletVersion).order_by(LeafletVersion.code, LeafletVersion.version)
        ).all()
        languages = _languages(session, [row.id for row in rows])
        return [_view(ctx, row, languages.get(row.id, []), today) for row in rows]


def leaflet_text(ctx: Context, code: str, version: int | None, language: str) -> LeafletText:
    """Return the words of a version (the current one without `version`) in a language."""
    today = london_day(ctx.clock.now())
    with ctx.read() as session:
        row = version_row(session, code, version) if version else _current(session, code, today)
        if row is None:
            raise NotFound("There is no such leaflet version.", kind="leaflet")
        found = session.get(LeafletWords, (row.id, language))
        if found is None:
            raise NotFound("This version has no words in that language.", kind="leaflet_words")
        return LeafletText(
            _view(ctx, row, _languages(session, [row.id])[row.id], today),
            language,
            found.raw.decode("utf-8-sig"),
            found.sha256,
            tuple(found.notes),
        )


def give_leaflet(ctx: Context, caller: Caller, request: GiveLeaflet) -> IssueView:
    """Record that a leaflet was given.

    Raises Conflict `leaflet_archived` (details: `current`) when that version could not be given
    on that day, InvalidInput for impossible days, NotFound for an unknown version or person,
    LinkClosed when the link by which it is given has ended.
    """
    with ctx.begin() as uow:
        involvement_for(ctx, uow.session, caller, Permission.LEAFLET_GIVE, request.involvement)
        require_themselves(caller, request.person)
        involvement = uow.lock_involvement(request.involvement)
        if caller.own is not None:
            require_held(ctx, uow, caller)
        belonging = {person.id for _, person in members(uow.session, request.involvement)}
        if request.person not in belonging:
            raise NotFound("This person does not belong to the involvement.", kind="person")
        today = london_day(uow.at)
        if request.given_on > today:
            raise InvalidInput(
                "A leaflet cannot be given in the future.",
                {"given_on": "Enter today or a day before."},
            )
        row = _giveable(uow.session, request)
        issue = LeafletIssue(
            id=new_id(),
            leaflet_version_id=row.id,
            involvement_id=request.involvement,
            person_id=request.person,
            language=request.language,
            given_on=request.given_on,
            how=request.how.value,
            given_by=caller.id,
            recorded_at=uow.at,
            recorded_late=request.given_on < today,
        )
        uow.session.add(issue)
        involvement.last_entry_at = uow.at
        uow.record(
            AuditEvent(
                EventKind.LEAFLET_ISSUED,
                caller.actor,
                issue.id,
                request.involvement,
                {"person": request.person, "leaflet": f"{row.code}/{row.version}"},
            )
        )
        return _issue_view(issue, row)


def issues(ctx: Context, caller: Caller, involvement: str) -> list[IssueView]:
    """Return every leaflet given in an involvement, oldest first."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.LEAFLET_READ, involvement)
        rows = session.execute(
            select(LeafletIssue, LeafletVersion)
            .join(LeafletVersion, LeafletVersion.id == LeafletIssue.leaflet_version_id)
            .where(LeafletIssue.involvement_id == involvement)
            .order_by(LeafletIssue.given_on, LeafletIssue.recorded_at)
        )
        return [_issue_view(issue, row) for issue, row in rows]


def grant_override(
    ctx: Context, caller: Caller, code: str, version: int, until_on: date, reason: str
) -> None:
    """Let an archived version be given until a day, with the reason (rule 9)."""
    require(ctx, caller, Permission.LEAFLET_OVERRIDE)
    with ctx.begin() as uow:
        row = version_row(uow.session, code, version)
        if row is None:
            raise NotFound("There is no such leaflet version.", kind="leaflet")
        faults = {}
        if until_on <= london_day(uow.at):
            faults["until_on"] = "The override ends on a later day."
        if not reason.strip():
            faults["reason"] = "Give the reason for the override."
        if faults:
            raise InvalidInput("The override cannot be granted like this.", faults)
        uow.session.add(
            LeafletOverride(
                id=new_id(),
                leaflet_version_id=row.id,
                reason=reason,
                until_on=until_on,
                granted_by=caller.id,
                granted_at=uow.at,
            )
        )
        uow.record(
            AuditEvent(
                EventKind.LEAFLET_OVERRIDE_GRANTED,
                caller.actor,
                f"{code}/{version}",
                details={"until": until_on.isoformat()},
            )
        )


def record_review(ctx: Context, caller: Caller, code: str, version: int) -> None:
    """Record that a version was reviewed; reminders for it stop."""
    require(ctx, caller, Permission.LEAFLET_REVIEW)
    with ctx.begin() as uow:
        row = version_row(uow.session, code, version)
        if row is None:
            raise NotFound("There is no such leaflet version.", kind="leaflet")
        row.reviewed_at = uow.at
        uow.record(AuditEvent(EventKind.LEAFLET_REVIEWED, caller.actor, f"{code}/{version}"))


def _giveable(session: Session, request: GiveLeaflet) -> LeafletVersion:
    current = _current(session, request.code, request.given_on)
    row = version_row(session, request.code, request.version) if request.version else current
    if row is None:
        raise NotFound("There is no leaflet version that could be given.", kind="leaflet")
    if value_of(row).may_be_given_on(request.given_on) or _overridden(
        session, row, request.given_on
    ):
        return row
    if request.given_on < row.issued_on:
        raise Conflict(
            f"{row.code} version {row.version} was issued only on {row.issued_on}.",
            code="leaflet_not_issued",
        )
    raise Conflict(
        f"{row.code} version {row.version} was archived on {row.archive_on:%d/%m/%Y}"
        + (f". Give version {current.version}." if current else ", and no version is current."),
        code="leaflet_archived",
        leaflet=row.code,
        version=row.version,
        archive_on=row.archive_on.isoformat(),
        current=current.version if current else None,
    )


def _overridden(session: Session, row: LeafletVersion, day: date) -> bool:
    overrides = session.scalars(
        select(LeafletOverride).where(LeafletOverride.leaflet_version_id == row.id)
    )
    return any(london_day(o.granted_at) <= day < o.until_on for o in overrides)


def version_row(session: Session, code: str, version: int | None) -> LeafletVersion | None:
    return session.scalar(
        select(LeafletVersion).where(LeafletVersion.code == code, LeafletVersion.version == version)
    )


def _current(session: Session, code: str, day: date) -> LeafletVersion | None:
    rows = session.scalars(select(LeafletVersion).where(LeafletVersion.code == code))
    return max(
        (row for row in rows if value_of(row).may_be_given_on(day)),
        key=lambda row: row.version,
        default=None,
    )


def value_of(row: LeafletVersion) -> words.LeafletVersion:
    """Return what the rules ask of a version."""
    return words.LeafletVersion(
        row.code, row.version, row.issued_on, row.archive_on, row.owner, row.title
    )


def status_of(ctx: Context, row: LeafletVersion, today: date) -> LeafletStatus:
    months = ctx.policies.organisation.leaflet_review_months
    return value_of(row).status_on(today, review_months=months)


def _languages(session: Session, versions: Sequence[str]) -> dict[str, list[str]]:
    """Return the languages in which each version has words."""
    found: dict[str, list[str]] = {}
    for version, language in session.execute(
        select(LeafletWords.leaflet_version_id, LeafletWords.language)
        .where(LeafletWords.leaflet_version_id.in_(versions))
        .order_by(LeafletWords.language)
    ):
        found.setdefault(version, []).append(language)
    return found


def _view(ctx: Context, row: LeafletVersion, languages: Sequence[str], today: date) -> LeafletView:
    return LeafletView(
        row.code,
        row.version,
        row.issued_on,
        row.archive_on,
        status_of(ctx, row, today),
        row.title,
        row.owner,
        row.control_line,
        tuple(languages),
        row.reissue_flagged_at,
    )


def _issue_view(issue: LeafletIssue, row: LeafletVersion) -> IssueView:
    return IssueView(
        issue.id,
        issue.involvement_id,
        issue.person_id,
        row.code,
        row.version,
        issue.language,
        issue.given_on,
        issue.how,
        issue.recorded_late,
    )
