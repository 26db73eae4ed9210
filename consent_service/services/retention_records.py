"""Small records with a date of their own: feedback, drafts, messages, links, unfinished uploads.

Rules kept here: the same as for film: only under an appraisal (rule 8), any hold on the family
wins, and everything else that is due waits for a person.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from consent_service.clock import london_day, start_of_london_day
from consent_service.db.models.consent import ConsentDraft
from consent_service.db.models.handovers import Feedback
from consent_service.db.models.jobs import Notice
from consent_service.db.models.recordings import Asset
from consent_service.db.models.retention import Hold
from consent_service.db.models.subject_access import SubjectAccessRequest
from consent_service.db.queries import retention as stored
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain import retention as rules
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import Actor, AuditEvent, EventKind
from consent_service.domain.erasure import OrderCause
from consent_service.domain.links import LinkKind
from consent_service.domain.retention import Facts, due, rule_day
from consent_service.domain.retention_rules import TriggerEvent
from consent_service.services import retention_links
from consent_service.services.context import Context
from consent_service.services.retention_plan import Fate, PlanLine, Rulings, is_open

FEEDBACK, DRAFT, NOTICE, UPLOAD = "feedback", "draft", "notice", "upload"
REQUEST, APPEALED_REQUEST = "subject_access", "appealed_subject_access"

Row = tuple[str, str | None, date]
"""Id, involvement if any, and the day from which time counts."""


@dataclass(frozen=True)
class RecordKind:
    """One kind of record: its rule, what starts its clock, how it is found and ended.

    `end` is None for what leaves by an order of erasure, since it may have an object and keys.
    """

    kind: str
    rule: str
    event: TriggerEvent
    find: Callable[[Session, date], list[Row]]
    count: Callable[[Session], int]
    end: Callable[[UnitOfWork, Actor, Sequence[str]], None] | None


def lines(
    ctx: Context, session: Session, at: datetime, involvement: str | None = None
) -> list[PlanLine]:
    """Return a line for each small record that is due now, of one involvement if given."""
    today = london_day(at)
    appraisals = stored.appraisals_in_force(session, today)
    held = set(session.scalars(select(Hold.involvement_id).where(Hold.released_at.is_(None))))
    found = []
    for kind in KINDS.values():
        last = rule_day(ctx.policies.schedule, kind.rule, kind.event, today)
        rows = [] if last is None else kind.find(session, last)
        rows = [r for r in rows if involvement is None or r[1] == involvement]
        asked = stored.newest_dispositions(session, [row[0] for row in rows])
        rulings = Rulings(appraisals, asked, today)
        found += list(_lines_of(ctx, kind, rows, rulings, held))
    return found


def standing_under(session: Session, rule: str) -> int:
    """Return how many small records there are under a rule."""
    return sum(kind.count(session) for kind in KINDS.values() if kind.rule == rule)


def end_records(uow: UnitOfWork, actor: Actor, kind: str, ids: Sequence[str]) -> None:
    """Destroy or anonymise records of one kind in the caller's transaction."""
    end = KINDS[kind].end
    if end is not None:
        end(uow, actor, ids)


def _lines_of(
    ctx: Context, kind: RecordKind, rows: Sequence[Row], rulings: Rulings, held: set[str]
) -> Iterator[PlanLine]:
    appraisal = rulings.appraisals.get(kind.rule)
    for identifier, involvement, start in rows:
        dates = due(ctx.policies.schedule, kind.rule, Facts({kind.event: start}))
        newest = rulings.dispositions.get(identifier)
        look_again = None if newest is None else newest.look_again_on
        fate, reason = Fate.DESTROY, "appraisal"
        if involvement in held:
            fate, reason = Fate.KEEP, "hold"
        elif look_again is not None and look_again > rulings.today:
            fate, reason = Fate.KEEP, "decided"
        elif appraisal is None:
            fate, reason = Fate.REVIEW, "no_appraisal"
        yield PlanLine(
            kind.kind,
            identifier,
            involvement,
            kind.rule,
            dates.due_on or rulings.today,
            dates.gone_by,
            fate,
            reason,
            OrderCause.ABANDONED_UPLOAD if kind.kind == UPLOAD else OrderCause.RETENTION,
            appraisal if fate is Fate.DESTROY else None,
            queued=newest is not None and is_open(newest),
        )


def _before_next_day(last: date) -> datetime:
    return start_of_london_day(last + timedelta(days=1))


def _feedback(session: Session, last: date) -> list[Row]:
    rows = session.execute(
        select(Feedback.id, Feedback.involvement_id, Feedback.given_on)
        .where(Feedback.given_on <= last, Feedback.anonymised_at.is_(None))
        .order_by(Feedback.given_on, Feedback.id)
    )
    return [(i, involvement, day) for i, involvement, day in rows]


def _count_feedback(session: Session) -> int:
    named = select(func.count()).select_from(Feedback).where(Feedback.anonymised_at.is_(None))
    return session.scalar(named) or 0


def _anonymise(uow: UnitOfWork, actor: Actor, ids: Sequence[str]) -> None:
    """Take person and involvement off feedback; what was said stays, nobody's any more."""
    uow.session.execute(
        update(Feedback)
        .where(Feedback.id.in_(list(ids)))
        .values(person_id=None, involvement_id=None, anonymised_at=uow.at)
    )
    for identifier in ids:
        uow.record(
            AuditEvent(
                EventKind.FEEDBACK_ANONYMISED, actor, identifier, details={"rule": rules.FEEDBACK}
            )
        )


def _drafts(session: Session, last: date) -> list[Row]:
    rows = session.execute(
        select(ConsentDraft.id, ConsentDraft.involvement_id, ConsentDraft.edited_at)
        .where(ConsentDraft.edited_at < _before_next_day(last))
        .order_by(ConsentDraft.edited_at, ConsentDraft.id)
    )
    return [(i, involvement, london_day(at)) for i, involvement, at in rows]


def _count_drafts(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(ConsentDraft)) or 0


def _delete_drafts(uow: UnitOfWork, _actor: Actor, ids: Sequence[str]) -> None:
    uow.session.execute(delete(ConsentDraft).where(ConsentDraft.id.in_(list(ids))))


def _notices(session: Session, last: date) -> list[Row]:
    rows = session.execute(
        select(Notice.id, Notice.created_at)
        .where(Notice.created_at < _before_next_day(last))
        .order_by(Notice.created_at, Notice.id)
    )
    return [(i, None, london_day(at)) for i, at in rows]


def _count_notices(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Notice)) or 0


def _delete_notices(uow: UnitOfWork, _actor: Actor, ids: Sequence[str]) -> None:
    uow.session.execute(delete(Notice).where(Notice.id.in_(list(ids))))


def _uploads(session: Session, last: date) -> list[Row]:
    """Only what began before the day looked up: 24 hours have passed whatever the hour."""
    rows = stored.unfinished_uploads(session, start_of_london_day(last))
    return [(row.id, row.involvement_id, london_day(row.created_at)) for row in rows]


def _count_uploads(session: Session) -> int:
    receiving = select(func.count()).select_from(Asset).where(Asset.state == AssetState.RECEIVING)
    return session.scalar(receiving) or 0


def _requests(*, appealed: bool) -> Callable[[Session, date], list[Row]]:
    def find(session: Session, last: date) -> list[Row]:
        rows = session.execute(
            select(SubjectAccessRequest.id, SubjectAccessRequest.closed_on)
            .where(SubjectAccessRequest.closed_on <= last, _appealed(appealed))
            .order_by(SubjectAccessRequest.closed_on, SubjectAccessRequest.id)
        )
        return [(i, None, day) for i, day in rows if day is not None]

    return find


def _count_requests(*, appealed: bool) -> Callable[[Session], int]:
    def count(session: Session) -> int:
        wanted = select(func.count()).select_from(SubjectAccessRequest)
        return session.scalar(wanted.where(_appealed(appealed))) or 0

    return count


def _appealed(wanted: bool) -> ColumnElement[bool]:
    column = SubjectAccessRequest.appealed_on
    return column.is_not(None) if wanted else column.is_(None)


def _delete_requests(uow: UnitOfWork, _actor: Actor, ids: Sequence[str]) -> None:
    uow.session.execute(delete(SubjectAccessRequest).where(SubjectAccessRequest.id.in_(list(ids))))


KINDS: Mapping[str, RecordKind] = {
    kind.kind: kind
    for kind in (
        RecordKind(
            FEEDBACK,
            rules.FEEDBACK,
            TriggerEvent.FEEDBACK_GIVEN,
            _feedback,
            _count_feedback,
            _anonymise,
        ),
        RecordKind(
            DRAFT,
            rules.DRAFTS,
            TriggerEvent.DRAFT_LAST_EDITED,
            _drafts,
            _count_drafts,
            _delete_drafts,
        ),
        RecordKind(
            NOTICE,
            rules.NOTICES,
            TriggerEvent.NOTICE_WRITTEN,
            _notices,
            _count_notices,
            _delete_notices,
        ),
        RecordKind(
            UPLOAD,
            rules.UPLOADS,
            TriggerEvent.UPLOAD_LAST_EDITED,
            _uploads,
            _count_uploads,
            None,
        ),
        RecordKind(
            REQUEST,
            rules.SUBJECT_ACCESS,
            TriggerEvent.REQUEST_CLOSED,
            _requests(appealed=False),
            _count_requests(appealed=False),
            _delete_requests,
        ),
        RecordKind(
            APPEALED_REQUEST,
            rules.SUBJECT_ACCESS,
            TriggerEvent.APPEAL_CLOSED,
            _requests(appealed=True),
            _count_requests(appealed=True),
            _delete_requests,
        ),
        RecordKind(
            "consent_link",
            rules.CONSENT_LINKS,
            TriggerEvent.CONSENT_LINK_MADE,
            retention_links.made,
            retention_links.count(LinkKind.CONSENT),
            retention_links.end,
        ),
        RecordKind(
            "used_consent_link",
            rules.CONSENT_LINKS,
            TriggerEvent.CONSENT_LINK_USED,
            retention_links.used,
            retention_links.count_none,
            retention_links.end,
        ),
        RecordKind(
            "ended_parent_link",
            rules.PARENT_LINKS,
            TriggerEvent.PARENT_LINK_REVOKED,
            retention_links.revoked,
            retention_links.count(LinkKind.PARENT),
            retention_links.end,
        ),
        RecordKind(
            "parent_link",
            rules.PARENT_LINKS,
            TriggerEvent.INVOLVEMENT_ENDED,
            retention_links.involvement_ended,
            retention_links.count_none,
            retention_links.end,
        ),
    )
}
