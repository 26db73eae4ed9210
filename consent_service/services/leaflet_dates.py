"""What the calendar asks of leaflets: review, escalation, and the end on the archive date (rule 9).

Rules kept here: each is done once for a version; the owner, whoever gives leaflets and the IG
officer are told.
"""

from datetime import date

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.accounts import UserAccount
from consent_service.db.models.jobs import Notice
from consent_service.db.models.policies import LeafletVersion
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.roles import IG_OFFICER, Permission
from consent_service.services import printed_quotes
from consent_service.services.access import Caller
from consent_service.services.context import Context
from consent_service.services.leaflets import value_of
from consent_service.services.notices import notify


def watch_dates(ctx: Context, caller: Caller) -> dict[str, int]:
    """Remind, escalate and archive by the day; each once per version (a job runs this daily).

    Review starts six months before the archive date, is escalated in the last month, and on the
    archive date the version is archived: its owner, whoever gives it and the IG officer are told.
    Versions that print words whose permission has ended are flagged for re-issue (rule 18).
    """
    figures = {"review_due": 0, "escalated": 0, "archived": 0, "reissue": 0}
    with ctx.begin() as uow:
        today = london_day(uow.at)
        rows = uow.session.scalars(
            select(LeafletVersion).where(LeafletVersion.archived_at.is_(None)).with_for_update()
        )
        for row in rows:
            stage = _stage(ctx, uow.session, row, today)
            if stage is not None:
                figures[stage] += _take(ctx, uow, caller, row, stage)
        figures["reissue"] = printed_quotes.flag_ended(uow, caller.actor, today)
    return figures


_EVENTS = {
    "review_due": EventKind.LEAFLET_REVIEW_DUE,
    "escalated": EventKind.LEAFLET_REVIEW_ESCALATED,
    "archived": EventKind.LEAFLET_ARCHIVED,
}


def _stage(ctx: Context, session: Session, row: LeafletVersion, today: date) -> str | None:
    """Return what the calendar asks for now, if it was not done before."""
    version = value_of(row)
    if today >= row.archive_on:
        return "archived"
    if row.reviewed_at is not None:
        return None
    told = _told(session, row)
    if today >= version.review_from(1) and "leaflet_escalated" not in told:
        return "escalated"
    months = ctx.policies.organisation.leaflet_review_months
    if today >= version.review_from(months) and not told:
        return "review_due"
    return None


def _told(session: Session, row: LeafletVersion) -> set[str]:
    return set(
        session.scalars(
            select(Notice.kind).where(
                Notice.subject == f"{row.code}/{row.version}", Notice.kind.startswith("leaflet_")
            )
        )
    )


def _take(ctx: Context, uow: UnitOfWork, caller: Caller, row: LeafletVersion, stage: str) -> int:
    subject = f"{row.code}/{row.version}"
    if stage == "archived":
        row.archived_at = uow.at
    for role in _told_of_leaflets(ctx):
        notify(uow, f"leaflet_{stage}", role=role, subject=subject)
    for owner in _accounts_of(uow.session, row.owner):
        notify(uow, f"leaflet_{stage}", user=owner, subject=subject)
    uow.record(
        AuditEvent(
            _EVENTS[stage], caller.actor, subject, details={"archive_on": str(row.archive_on)}
        )
    )
    return 1


def _told_of_leaflets(ctx: Context) -> list[str]:
    """Return the roles that are told: the IG officer's, and those of whoever gives leaflets."""
    giving = {
        code for code, role in ctx.policies.roles.items() if role.allows(Permission.LEAFLET_GIVE)
    }
    return sorted({IG_OFFICER, *giving})


def _accounts_of(session: Session, owner: str) -> list[str]:
    """Return the accounts that a leaflet's owner has: by address, or by the name shown."""
    named = or_(func.lower(UserAccount.email) == owner.lower(), UserAccount.display_name == owner)
    query = select(UserAccount.id).where(named, UserAccount.active.is_(True))
    return list(session.scalars(query.order_by(UserAccount.id)))
