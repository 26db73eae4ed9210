"""Everything held about one person, read from every table that can point to them.

Rules kept here:
  * what others said, and who they are, is theirs: they appear as "another person", and their words
    only where this person was there or was given them;
  * in the record of a child whom others decide for, what adults said at meetings and how to reach
    the family safely are left out: another parent may be the one who asks;
  * members of staff appear by their role; whoever watched film, with role, purpose and times;
  * holds, disputes and reasons that officers wrote are left out: they may protect somebody else.

Each topic is a list of records, each record plain JSON values by name, oldest first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.consent import (
    ConsentAct,
    ConsentDecision,
    ConsentEnding,
    ConsentPaper,
)
from consent_service.db.models.erasure import Certificate, ErasureOrder, Withdrawal
from consent_service.db.models.people import (
    Involvement,
    InvolvementPerson,
    Meeting,
    MeetingPerson,
    ParentalResponsibility,
    Person,
    Team,
)
from consent_service.db.models.policies import LeafletIssue, LeafletVersion
from consent_service.db.models.reviews import Goal, GoalRating, SessionSummary, SharedReview
from consent_service.db.queries.people import children_among
from consent_service.domain.consent import EndingKind
from consent_service.services import held_in_film, held_links
from consent_service.services.consent_views import act_views
from consent_service.services.context import Context
from consent_service.services.held_records import SOMEBODY_ELSE, Record, by, record

OF_ADULTS = "What adults said at meetings, and how to reach the family safely."

OF_UNKNOWN_MEETINGS = (
    "Summaries of work where nobody wrote down who was there. The guider looks at these and gives"
    " what may be given."
)


@dataclass
class Held:
    """What is held, topic by topic, and what was left out, in sentences."""

    topics: dict[str, list[Record]] = field(default_factory=dict)
    left_out: list[str] = field(
        default_factory=lambda: [
            "Names and words of other people, unless they were shared with this person.",
            "Film itself. The guider shows it while everyone in it agrees.",
            "What the law says must not be given, or must be kept apart for now.",
        ]
    )


def everything(ctx: Context, session: Session, person: Person, at: datetime) -> Held:
    """Return everything held about `person` at `at`; reads only."""
    held = Held()
    topics = held.topics
    child = bool(children_among(session, [person.id], london_day(at)))
    if child:
        held.left_out.append(OF_ADULTS)
    topics["details"] = [_details(person, child=child)]
    topics["parental_responsibility"] = _responsibilities(session, person.id)
    topics["our_work_together"] = _involvements(session, person.id)
    topics["leaflets_given"] = _leaflets(session, person.id)
    topics["consent_forms_answered"] = _acts(session, person.id)
    topics["decisions_by_others"] = _decisions_by_others(session, person.id)
    topics["consents_ended"] = _endings(session, person.id)
    topics["withdrawals"] = _withdrawals(session, person.id)
    topics["certificates_of_destruction"] = _certificates(session, person.id)
    topics["meetings"] = _meetings(session, person.id, child=child)
    topics["goals"] = _goals(session, person.id)
    topics["summaries"] = _summaries(session, person.id, held)
    topics["films_clips_and_photos"] = held_in_film.assets(ctx, session, person.id, at)
    topics["who_watched"] = held_in_film.viewings(session, person.id)
    topics["photos_offered"] = held_in_film.handovers(session, person.id)
    topics["feedback"] = held_in_film.feedback(session, person.id)
    topics["quotes_permitted"] = held_in_film.quotes(session, person.id)
    topics["film_given_to_others"] = held_in_film.disclosures(session, person.id)
    topics["links"] = held_links.links(session, person.id)
    return held


def _details(person: Person, *, child: bool) -> Record:
    return record(
        full_name=person.full_name,
        born_on=person.born_on,
        died_on=person.died_on,
        nhs_number=person.nhs_number,
        information_needs=person.information_needs,
        safe_contact=None if child else person.safe_contact,
        decides_for_self=person.decides_for_self or None,
        decides_basis=person.decides_basis,
        written_down=person.created_at,
    )


def _responsibilities(session: Session, person: str) -> list[Record]:
    rows = session.scalars(
        select(ParentalResponsibility)
        .where(
            or_(
                ParentalResponsibility.holder_id == person,
                ParentalResponsibility.child_id == person,
            )
        )
        .order_by(ParentalResponsibility.recorded_at, ParentalResponsibility.id)
    )
    return [
        record(
            held_by=by(row.holder_id, person),
            decides_for=by(row.child_id, person),
            basis=row.basis,
            evidence=row.evidence if row.holder_id == person else None,
            court_limits=row.court_limits if row.holder_id == person else None,
            from_on=row.from_on,
            until_on=row.until_on,
        )
        for row in rows
    ]


def _involvements(session: Session, person: str) -> list[Record]:
    rows = session.execute(
        select(Involvement, InvolvementPerson.role, Team.name)
        .join(InvolvementPerson, InvolvementPerson.involvement_id == Involvement.id)
        .join(Team, Team.id == Involvement.team_id)
        .where(InvolvementPerson.person_id == person)
        .order_by(Involvement.started_on, Involvement.id)
    )
    return [
        record(
            involvement=row.id,
            team=team,
            role=role,
            started_on=row.started_on,
            ended_on=row.ended_on,
        )
        for row, role, team in rows
    ]


def _leaflets(session: Session, person: str) -> list[Record]:
    rows = session.execute(
        select(LeafletIssue, LeafletVersion)
        .join(LeafletVersion, LeafletVersion.id == LeafletIssue.leaflet_version_id)
        .where(LeafletIssue.person_id == person)
        .order_by(LeafletIssue.given_on, LeafletIssue.id)
    )
    return [
        record(
            leaflet=version.code,
            version=version.version,
            language=issue.language,
            given_on=issue.given_on,
            how=issue.how,
        )
        for issue, version in rows
    ]


def _acts(session: Session, person: str) -> list[Record]:
    acts = session.scalars(
        select(ConsentAct)
        .where(ConsentAct.person_id == person)
        .order_by(ConsentAct.event_at, ConsentAct.id)
    ).all()
    scanned = set(
        session.scalars(
            select(ConsentPaper.act_id).where(ConsentPaper.act_id.in_([act.id for act in acts]))
        )
    )
    return [
        record(
            act=view.id,
            scan_of_the_paper="kept" if view.id in scanned else None,
            form=view.form,
            form_version=view.form_version,
            language=view.language,
            leaflet=f"{view.leaflet_code} V{view.leaflet_version}",
            answered_at=view.event_at,
            route=view.route,
            capacity=view.capacity,
            signature=view.signature.kind,
            signature_content=view.signature.content,
            answers=[
                record(
                    statement=decision.statement,
                    about=by(decision.person, person),
                    purpose=decision.purpose,
                    answer=decision.answer,
                    named=decision.named,
                    words=decision.words,
                    until=decision.valid_until,
                )
                for decision in view.decisions
            ],
            words_shown=view.rendered_text,
            words_sha256=view.rendered_sha256,
        )
        for view in act_views(session, acts)
    ]


def _decisions_by_others(session: Session, person: str) -> list[Record]:
    """What others decided about this person: that they did, never in which words."""
    rows = session.scalars(
        select(ConsentDecision)
        .where(ConsentDecision.person_id == person, ConsentDecision.decided_by != person)
        .order_by(ConsentDecision.event_at, ConsentDecision.position, ConsentDecision.id)
    )
    return [
        record(
            statement=row.statement,
            purpose=row.purpose,
            answer=row.answer,
            decided_by=SOMEBODY_ELSE,
            basis=row.basis,
            decided_at=row.event_at,
            until=row.valid_until,
        )
        for row in rows
    ]


def _endings(session: Session, person: str) -> list[Record]:
    rows = session.scalars(
        select(ConsentEnding)
        .where(ConsentEnding.person_id == person, ConsentEnding.kind != EndingKind.WITHDRAWN)
        .order_by(ConsentEnding.event_at, ConsentEnding.id)
    )
    return [record(purpose=row.purpose, how=row.kind, ended_at=row.event_at) for row in rows]


def _withdrawals(session: Session, person: str) -> list[Record]:
    rows = session.execute(
        select(Withdrawal, ErasureOrder.reference)
        .outerjoin(ErasureOrder, ErasureOrder.withdrawal_id == Withdrawal.id)
        .where(or_(Withdrawal.person_id == person, Withdrawal.by_person_id == person))
        .order_by(Withdrawal.event_at, Withdrawal.id)
    )
    return [
        record(
            withdrawal=row.id,
            said_by=by(row.by_person_id, person),
            about=by(row.person_id, person),
            scope=row.scope,
            purposes=row.purposes,
            kept_purposes=row.keep_purposes,
            speed=row.speed,
            route=row.route,
            said_at=row.event_at,
            cancelled_at=row.cancelled_at,
            reference=reference,
        )
        for row, reference in rows
    ]


def _certificates(session: Session, person: str) -> list[Record]:
    rows = session.execute(
        select(Certificate, ErasureOrder.reference)
        .join(ErasureOrder, ErasureOrder.id == Certificate.order_id)
        .join(Withdrawal, Withdrawal.id == ErasureOrder.withdrawal_id)
        .where(or_(Withdrawal.person_id == person, Withdrawal.by_person_id == person))
        .order_by(Certificate.issued_at, Certificate.id)
    )
    return [
        record(
            reference=reference, revision=row.revision, issued_at=row.issued_at, sha256=row.digest
        )
        for row, reference in rows
    ]


def _meetings(session: Session, person: str, *, child: bool) -> list[Record]:
    """Meetings at which the person was: what was said there was said before them.

    A baby is there without hearing: what a parent said in confidence is not the child's to give.
    """
    rows = session.scalars(
        select(Meeting)
        .join(MeetingPerson, MeetingPerson.meeting_id == Meeting.id)
        .where(MeetingPerson.person_id == person)
        .order_by(Meeting.held_on, Meeting.id)
    )
    return [
        record(
            held_on=row.held_on,
            kind=row.kind,
            mode=row.mode,
            ready_today=row.ready_today,
            what_matters=None if child else row.what_matters,
            questions=None if child else row.questions,
            worries=None if child else row.worries,
        )
        for row in rows
    ]


def _goals(session: Session, person: str) -> list[Record]:
    goals = session.scalars(
        select(Goal).where(Goal.person_id == person).order_by(Goal.recorded_at, Goal.id)
    ).all()
    ratings: dict[str, list[Record]] = {}
    for row in session.scalars(
        select(GoalRating)
        .where(GoalRating.goal_id.in_([goal.id for goal in goals]))
        .order_by(GoalRating.rated_on, GoalRating.id)
    ):
        ratings.setdefault(row.goal_id, []).append(record(on=row.rated_on, score=row.score))
    return [
        record(words=goal.words, written_down=goal.recorded_at, ratings=ratings.get(goal.id))
        for goal in goals
    ]


def _summaries(session: Session, person: str, held: Held) -> list[Record]:
    """Summaries of reviews at which the person was; where nobody wrote down who was, nobody's."""
    rows = session.execute(
        select(SessionSummary, SharedReview)
        .join(SharedReview, SharedReview.id == SessionSummary.review_id)
        .join(InvolvementPerson, InvolvementPerson.involvement_id == SessionSummary.involvement_id)
        .where(InvolvementPerson.person_id == person)
        .order_by(SharedReview.held_on, SessionSummary.id)
    ).all()
    present = _present(session, [review.meeting_id for _, review in rows if review.meeting_id])
    shared = [
        (summary, review)
        for summary, review in rows
        if person in present.get(review.meeting_id or "", ())
    ]
    unknown = sum((review.meeting_id or "") not in present for _, review in rows)
    if unknown:
        held.left_out.append(OF_UNKNOWN_MEETINGS)
    if len(shared) + unknown < len(rows):
        held.left_out.append("Summaries of meetings at which this person was not.")
    return [
        record(
            held_on=review.held_on,
            strengths=summary.strengths,
            points=summary.points,
            next_step=summary.next_step,
            signed_at=summary.signed_at,
        )
        for summary, review in shared
    ]


def _present(session: Session, meetings: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {meeting: set() for meeting in meetings}
    rows = session.scalars(select(MeetingPerson).where(MeetingPerson.meeting_id.in_(meetings)))
    for row in rows:
        found[row.meeting_id].add(row.person_id)
    return {meeting: people for meeting, people in found.items() if people}
