"""What the calendar asks of the service besides retention: reminders, keys left to make, clean-up.

Rules kept here: people are told once of each thing; nothing here destroys film.
"""

from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, delete, exists, select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.accounts import IdempotencyKey, SetUpLink
from consent_service.db.models.consent import (
    ConsentAct,
    ConsentActCheck,
    ConsentDecision,
    ConsentEnding,
    Dispute,
)
from consent_service.db.models.handovers import Handover, HandoverItem
from consent_service.db.models.jobs import Notice
from consent_service.db.models.people import Involvement, InvolvementPerson, Person
from consent_service.db.models.recordings import Asset, DepictedPerson
from consent_service.db.models.retention import Appraisal
from consent_service.db.queries import retention as stored
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import Depiction
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.calendar import Period, Unit, birthday, keep_until
from consent_service.domain.consent import Answer
from consent_service.domain.retention import NO_SUMMARY_WARNING
from consent_service.domain.roles import IG_OFFICER
from consent_service.errors import IntegrityFault, JournalBroken, Unavailable
from consent_service.services import (
    erasure_keys,
    jobs,
    keys,
    link_drafts,
    own_withdrawal,
    retention_dates,
    superseded_keys,
    upload_keys,
)
from consent_service.services.access import Caller
from consent_service.services.context import Context
from consent_service.services.notices import notify

RUNS_KEPT = timedelta(days=30)
AGES_OF_REVIEW = (16, 18)
A_DAY = timedelta(days=1)
HANDOVER_ASKED_AGAIN = timedelta(days=30)
NEWEST_SEALED = 50
"""So many orders tell whether an older keyring was put in place: some have no key of their own."""


def make_keys(ctx: Context, since: datetime) -> int:
    """Make keys and wraps follow the consents of every involvement that changed since `since`.

    A crash between a commit and its keys, or a key server that was away or forbids it to the web,
    leaves this to do; returns involvements looked at. What an order had sealed is sealed again
    first, where an older keyring was put in place. Raises, after all of them, Unavailable where the
    key of an upload cannot be had yet, IntegrityFault for a damaged key, and what forbids to seal
    or destroy one.
    """
    with ctx.read() as session:
        changed = set(
            session.scalars(
                select(ConsentAct.involvement_id).where(ConsentAct.recorded_at >= since)
            )
        )
        changed |= set(
            session.scalars(
                select(ConsentEnding.involvement_id).where(ConsentEnding.recorded_at >= since)
            )
        )
        changed |= set(
            session.scalars(select(Asset.involvement_id).where(Asset.stored_at >= since))
        )
        changed |= set(
            session.scalars(select(Dispute.involvement_id).where(Dispute.resolved_at >= since))
        )
        changed |= set(
            session.scalars(
                select(ConsentAct.involvement_id)
                .join(ConsentActCheck, ConsentActCheck.act_id == ConsentAct.id)
                .where(ConsentActCheck.checked_at >= since)
            )
        )
    left: IntegrityFault | JournalBroken | Unavailable | None = None
    try:
        # A keyring from before some moment lacks every seal since, the newest too. All are looked
        # at by each start, by the daily comparison, and here where one of these is live.
        if erasure_keys.live_though_sealed(ctx, NEWEST_SEALED):
            erasure_keys.seal_again(ctx)
    except (JournalBroken, Unavailable) as fault:
        left = fault
    for involvement in sorted(changed):
        for settle in (
            keys.settle_but_destroy_nothing,
            superseded_keys.destroy,
            upload_keys.settle,
        ):
            try:
                settle(ctx, involvement)
            except (IntegrityFault, JournalBroken, Unavailable) as fault:
                left = left or fault  # what one family has to wait for, no other has to
    if left is not None:
        raise left
    return len(changed)


def watch_families(ctx: Context, caller: Caller) -> dict[str, int]:
    """Tell people what waits: quiet families, recordings without summary, photos unanswered."""
    with ctx.begin() as uow:
        return {
            "quiet": _quiet(ctx, uow, caller),
            "without_summary": _without_summary(ctx, uow),
            "photos_unanswered": _photos_unanswered(uow),
            "appraisals_expired": _appraisals_expired(uow, caller),
            "consents_expired": _consents_expired(uow, caller),
            "came_of_age": _came_of_age(ctx, uow, caller),
        }


def clean_up(ctx: Context) -> dict[str, int]:
    """Forget what only served for a day: keys of requests, old runs, dead links, unsent answers."""
    with ctx.begin() as uow:
        figures = {
            "idempotency_keys": _delete(
                uow.session, IdempotencyKey, IdempotencyKey.created_at < uow.at - A_DAY
            ),
            "set_up_links": _delete(uow.session, SetUpLink, SetUpLink.expires_at < uow.at - A_DAY),
            "link_drafts": link_drafts.forget_old(uow),
            "undo_pins": own_withdrawal.forget_pins(uow),
        }
    figures["runs"] = jobs.forget_old_runs(ctx, RUNS_KEPT)
    return figures


def _quiet(ctx: Context, uow: UnitOfWork, caller: Caller) -> int:
    """Ask guider and IG officer about families without an entry for three months (rule 17)."""
    months = ctx.policies.organisation.inactivity.ask_after_months
    today = london_day(uow.at)
    asked = 0
    for row in stored.quiet_involvements(uow.session, uow.at - timedelta(days=28 * months)):
        last = london_day(row.last_entry_at)
        if keep_until(last, Period(months, Unit.MONTHS)) > today:
            continue
        if _told(uow.session, "involvement_quiet", row.id, row.last_entry_at):
            continue
        _tell_both(uow, "involvement_quiet", row, row.id)
        uow.record(
            AuditEvent(
                EventKind.INVOLVEMENT_WENT_QUIET,
                caller.actor,
                row.id,
                row.id,
                {"since": last.isoformat()},
            )
        )
        asked += 1
    return asked


def _without_summary(ctx: Context, uow: UnitOfWork) -> int:
    """Warn six weeks after the end of recordings without a summary, in time for a hold (R01)."""
    today = london_day(uow.at)
    warned = 0
    for asset, involvement in stored.recordings_without_summary(uow.session):
        ended = retention_dates.ended_on(ctx, involvement, today)
        if ended is None or keep_until(ended, NO_SUMMARY_WARNING) > today:
            continue
        if not _told(uow.session, "recording_without_summary", asset.id):
            _tell_both(uow, "recording_without_summary", involvement, asset.id)
            warned += 1
    return warned


def _photos_unanswered(uow: UnitOfWork) -> int:
    """Ask again about photos that a parent has not answered for 30 days (R11)."""
    rows = uow.session.scalars(
        select(Handover).where(
            Handover.offered_on <= london_day(uow.at - HANDOVER_ASKED_AGAIN),
            Handover.closed_at.is_(None),
            exists().where(
                HandoverItem.handover_id == Handover.id, HandoverItem.decided_at.is_(None)
            ),
        )
    )
    asked = 0
    for row in rows.all():
        if _told(uow.session, "photos_unanswered", row.id):
            continue
        guider = uow.session.get_one(Involvement, row.involvement_id).guider_id
        notify(uow, "photos_unanswered", user=guider, subject=row.id)
        asked += 1
    return asked


def _appraisals_expired(uow: UnitOfWork, caller: Caller) -> int:
    rows = uow.session.scalars(
        select(Appraisal).where(
            Appraisal.approved_at.is_not(None),
            Appraisal.revoked_at.is_(None),
            Appraisal.valid_until < london_day(uow.at),
        )
    )
    told = 0
    for row in rows.all():
        if _told(uow.session, "appraisal_expired", row.id):
            continue
        notify(uow, "appraisal_expired", role=IG_OFFICER, subject=row.id)
        uow.record(
            AuditEvent(
                EventKind.APPRAISAL_EXPIRED,
                caller.actor,
                row.id,
                details={"on": row.valid_until.isoformat()},
            )
        )
        told += 1
    return told


def _consents_expired(uow: UnitOfWork, caller: Caller) -> int:
    """Write down, once, each yes whose last day was yesterday or before, and tell the guider."""
    today = london_day(uow.at)
    rows = uow.session.scalars(
        select(ConsentDecision)
        .where(
            ConsentDecision.answer == Answer.YES,
            ConsentDecision.valid_until < today,
            ConsentDecision.valid_until >= today - timedelta(days=31),
        )
        .order_by(ConsentDecision.id)
    )
    told = 0
    for row in rows.all():
        if row.valid_until is None or _told(uow.session, "consent_expired", row.id):
            continue
        guider = uow.session.get_one(Involvement, row.involvement_id).guider_id
        notify(uow, "consent_expired", user=guider, subject=row.id)
        uow.record(
            AuditEvent(
                EventKind.CONSENT_EXPIRED,
                caller.actor,
                row.id,
                row.involvement_id,
                {"purpose": row.purpose or "none", "on": row.valid_until.isoformat()},
            )
        )
        told += 1
    return told


def _came_of_age(ctx: Context, uow: UnitOfWork, caller: Caller) -> int:
    """Have the consents looked at of whoever turned 16 or 18 while film of them is kept (rule 13).

    Guider and IG officer are told once for each family and age; nothing ends by itself.
    """
    told = 0
    for age in AGES_OF_REVIEW:
        for person, involvement in _turned(ctx, uow, age):
            kind, subject = f"child_is_{age}", f"{involvement.id}/{person.id}"
            if _told(uow.session, kind, subject):
                continue
            _tell_both(uow, kind, involvement, subject)
            uow.record(
                AuditEvent(
                    EventKind.CONSENT_REVIEW_DUE,
                    caller.actor,
                    person.id,
                    involvement.id,
                    {"age": age},
                )
            )
            told += 1
    return told


def _turned(ctx: Context, uow: UnitOfWork, age: int) -> list[tuple[Person, Involvement]]:
    """Return who turned `age` within the last year, with each family that keeps film of them."""
    today = london_day(uow.at)
    first, last = (date(today.year - age - back, today.month, 1) for back in (1, 0))
    ends = last + timedelta(days=32)
    rows = uow.session.execute(
        select(Person, Involvement)
        .join(InvolvementPerson, InvolvementPerson.person_id == Person.id)
        .join(Involvement, Involvement.id == InvolvementPerson.involvement_id)
        .where(
            Person.born_on >= first,
            Person.born_on < ends,
            Person.died_on.is_(None),
            exists().where(
                Asset.involvement_id == Involvement.id,
                Asset.state.in_(stored.STANDING),
                DepictedPerson.asset_id == Asset.id,
                DepictedPerson.person_id == Person.id,
                DepictedPerson.depiction == Depiction.DEPICTED,
            ),
        )
        .order_by(Person.id, Involvement.id)
    )
    leap = ctx.policies.organisation.leap_day_birthday.month_and_day
    return [
        (person, involvement)
        for person, involvement in rows
        if person.born_on and birthday(person.born_on, age, leap_day_on=leap) <= today
    ]


def _tell_both(uow: UnitOfWork, kind: str, involvement: Involvement, subject: str) -> None:
    notify(uow, kind, user=involvement.guider_id, subject=subject)
    notify(uow, kind, role=IG_OFFICER, subject=subject)


def _told(session: Session, kind: str, subject: str, since: datetime | None = None) -> bool:
    query = select(Notice.id).where(Notice.kind == kind, Notice.subject == subject)
    if since is not None:
        query = query.where(Notice.created_at >= since)
    return session.scalar(query.limit(1)) is not None


def _delete(
    session: Session, table: type[IdempotencyKey | SetUpLink], old: ColumnElement[bool]
) -> int:
    gone = len(session.execute(select(table).where(old)).all())
    session.execute(delete(table).where(old))
    return gone
