"""Capturing consent: answers bound to exact words, appended and never overwritten.

Rules kept here:
  * every decision refers to form version, language, digest of the rendered text and the leaflet
    that the person was given (rule 2);
  * nobody consents for an adult, and nobody for a child without parental responsibility (14);
  * an act recorded later, or from paper, counts once a second person has checked it (rule 9);
  * the yes is committed first, its key is made after: no key yet means not permitted yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentAct, ConsentActCheck, ConsentDecision
from consent_service.db.models.people import Involvement
from consent_service.db.models.policies import LeafletIssue, LeafletVersion
from consent_service.db.queries.people import children_among, members, responsibilities_for
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.answers import Sitting
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.calendar import Unit, gone_by
from consent_service.domain.consent import Answer
from consent_service.domain.forms import (
    AskedOf,
    Audience,
    ConsentFormVersion,
    Statement,
    ValidFrom,
    rendered_text,
    text_digest,
)
from consent_service.domain.people import holder_for
from consent_service.domain.policies import form_facts
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, InvalidInput, NotFound, Refused
from consent_service.ids import new_id
from consent_service.services import (
    consent_papers,
    depicted_keys,
    disputes,
    erasure_journal,
    link_sessions,
)
from consent_service.services.access import (
    Caller,
    involvement_for,
    require_themselves,
    thing_for,
)
from consent_service.services.at_once import at_once
from consent_service.services.consent_checks import (
    CaptureConsent,
    Ground,
    require_sound,
    version_asked,
    waits_for_check,
)
from consent_service.services.consent_states import StateView, state, states_in
from consent_service.services.consent_views import (
    ConsentActView,
    DecisionView,
    Signature,
    act_view,
    act_views,
)
from consent_service.services.context import Context
from consent_service.services.policies import published_form, versions_on

__all__ = [
    "CaptureConsent",
    "ConsentActView",
    "DecisionView",
    "Signature",
    "StateView",
    "act_view",
    "acts",
    "capture",
    "check_late",
    "consent_act",
    "questions",
    "state",
    "states_in",
]

SHORT_FORM = "vig-other-person"


@dataclass(frozen=True)
class AskedQuestion:
    """One box to answer: the statement and about whom it is asked."""

    statement: Statement
    about: str
    for_child: bool


@dataclass(frozen=True)
class AskForm:
    """Which form is put to whom, in which language.

    With `said_on` it is the version that was current that day: what paper from then asked.
    """

    involvement: str
    person: str
    form: str
    language: str
    said_on: date | None = None


@dataclass(frozen=True)
class Questions:
    """What a form puts to a person, and the exact text it shows them."""

    form: ConsentFormVersion
    language: str
    person: str
    questions: tuple[AskedQuestion, ...]
    text: str
    digest: str
    facts: Mapping[str, str] = field(default_factory=dict)


def questions(ctx: Context, caller: Caller, ask: AskForm) -> Questions:
    """Return what a form asks this person, with the text of the leaflet they last got."""
    with ctx.read() as session:
        row = involvement_for(ctx, session, caller, Permission.CONSENT_CAPTURE, ask.involvement)
        require_themselves(caller, ask.person)
        current = versions_on(session, ask.form, ask.said_on)[-1:] if ask.said_on else ()
        _, version = published_form(ctx, session, ask.form, next(iter(current), None))
        leaflet = _latest_issue(session, ask.involvement, ask.person, version.leaflet)
        on = london_day(ctx.clock.now())
        sitting = _sitting(session, row, ask.person, version, on)
        text = _text(ctx, sitting, ask.language, leaflet.control_line)
        asked = tuple(AskedQuestion(s, about, about != ask.person) for s, about in sitting.asked())
        facts = form_facts(ctx.policies.organisation, ctx.policies.schedule, leaflet.control_line)
        return Questions(
            version, ask.language, ask.person, asked, text, text_digest(text), facts.values
        )


def capture(ctx: Context, caller: Caller, request: CaptureConsent) -> ConsentActView:
    """Record one act of consent, then make the keys that its yeses call for.

    Raises InvalidInput with every fault by field; Conflict `leaflet_archived` when the leaflet was
    given when it could no longer be; NotFound for a form, person or leaflet issue unknown here.
    """
    orders: list[str] = []
    with ctx.begin() as uow:
        involvement_for(ctx, uow.session, caller, Permission.CONSENT_CAPTURE, request.involvement)
        require_themselves(caller, request.person)
        reached = disputes.lock_reached(uow, request.involvement)
        row = uow.session.get_one(Involvement, request.involvement)
        ground = _ground(ctx, uow, row, request)
        require_sound(ctx, uow, ground, request)
        act = _append_act(ctx, uow, caller, ground, request)
        link_sessions.use(ctx, uow, caller, act)
        _append_decisions(uow, act, ground, request)
        row.last_entry_at = uow.at
        uow.session.flush()
        erasure_journal.owe_refusal(uow, act)
        uow.after_commit(partial(erasure_journal.acknowledge, ctx, orders=orders))
        disputes.open_where_parents_disagree(ctx, uow, reached)
        orders += disputes.order_what_nobody_wants(uow, caller, act, reached)
        _record_capture(uow, caller, act, request)
        view = act_view(uow.session, act)
    at_once(ctx, depicted_keys.settle_awaiting, request.involvement)
    return view


def check_late(ctx: Context, caller: Caller, act: str) -> ConsentActView:
    """Confirm an act recorded late or from paper: a second person, who did not record it.

    Raises Refused `second_person`, Conflict `not_late`, and `scan_missing` for paper without scan.
    """
    with ctx.begin() as uow:
        row = _act_for(ctx, uow.session, caller, Permission.CONSENT_CONFIRM_LATE, act)
        reached = disputes.lock_reached(uow, row.involvement_id)
        if not row.recorded_late:
            raise Conflict("This act needs no check.", code="not_late")
        if row.recorded_by == caller.id:
            raise Refused("A second person checks this, not who recorded it.", code="second_person")
        if uow.session.get(ConsentActCheck, act) is None:
            consent_papers.require_scan(uow.session, row)
            uow.session.add(ConsentActCheck(act_id=act, checked_by=caller.id, checked_at=uow.at))
            uow.record(AuditEvent(EventKind.CONSENT_CHECKED, caller.actor, act, row.involvement_id))
            uow.session.flush()
            disputes.open_where_parents_disagree(ctx, uow, reached)
        view = act_view(uow.session, row)
    at_once(ctx, depicted_keys.settle_awaiting, row.involvement_id)
    return view


def consent_act(ctx: Context, caller: Caller, act: str) -> ConsentActView:
    """Return one act that the caller may see."""
    with ctx.read() as session:
        return act_view(session, _act_for(ctx, session, caller, Permission.CONSENT_READ, act))


def acts(ctx: Context, caller: Caller, involvement: str) -> list[ConsentActView]:
    """Return every act of an involvement, oldest first."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.CONSENT_READ, involvement)
        rows = session.scalars(
            select(ConsentAct)
            .where(ConsentAct.involvement_id == involvement)
            .order_by(ConsentAct.event_at, ConsentAct.recorded_at, ConsentAct.id)
        ).all()
        return act_views(session, rows)


def _ground(ctx: Context, uow: UnitOfWork, row: Involvement, request: CaptureConsent) -> Ground:
    session = uow.session
    version = version_asked(session, request, uow.at)
    policy, form = published_form(ctx, session, request.form, version)
    issue = session.get(LeafletIssue, request.leaflet_issue)
    if issue is None or issue.involvement_id != row.id or issue.person_id != request.person:
        raise NotFound(
            "This leaflet was not given to this person in this involvement. Give it first.",
            kind="leaflet_issue",
        )
    leaflet = session.get_one(LeafletVersion, issue.leaflet_version_id)
    sitting = _sitting(session, row, request.person, form, london_day(request.event_at))
    text = _text(ctx, sitting, request.language, leaflet.control_line)
    return Ground(row, policy, form, issue, leaflet, sitting, text)


def _sitting(
    session: Session, row: Involvement, person: str, form: ConsentFormVersion, on: date
) -> Sitting:
    people = members(session, row.id)
    mine = next((m for m, p in people if p.id == person), None)
    if mine is None:
        raise NotFound("This person does not belong to the involvement.", kind="person")
    children = children_among(session, [p.id for _, p in people], on)
    held = responsibilities_for(session, children)
    capacity = AskedOf.OTHER_PERSON if form.id == SHORT_FORM else AskedOf.ADULT_FILMED
    return Sitting(
        form,
        person,
        None if person in children else capacity,
        mine.pregnant,
        {c: holder_for(held, c, person, on) for c in sorted(children) if c != person},
    )


def _text(ctx: Context, sitting: Sitting, language: str, control_line: str) -> str:
    capacities = {sitting.capacity} if sitting.capacity else set()
    if any(sitting.children.values()):
        capacities.add(AskedOf.HOLDER)
    audience = Audience(frozenset(capacities), sitting.pregnant)
    facts = form_facts(ctx.policies.organisation, ctx.policies.schedule, control_line)
    if language not in sitting.form.words:
        sentence = f"This form is not published in {language[:20]}."
        raise InvalidInput(sentence, {"language": sentence})
    return rendered_text(sitting.form, language, audience, facts)


def _latest_issue(session: Session, involvement: str, person: str, code: str) -> LeafletVersion:
    found = session.scalar(
        select(LeafletVersion)
        .join(LeafletIssue, LeafletIssue.leaflet_version_id == LeafletVersion.id)
        .where(
            LeafletIssue.involvement_id == involvement,
            LeafletIssue.person_id == person,
            LeafletVersion.code == code,
        )
        .order_by(LeafletIssue.given_on.desc(), LeafletIssue.recorded_at.desc())
        .limit(1)
    )
    if found is None:
        raise Conflict(
            f"Leaflet {code} has not been given to this person yet. Give it first.",
            code="leaflet_not_given",
        )
    return found


def _append_act(
    ctx: Context, uow: UnitOfWork, caller: Caller, ground: Ground, request: CaptureConsent
) -> ConsentAct:
    act = ConsentAct(
        id=new_id(),
        involvement_id=ground.involvement.id,
        person_id=request.person,
        form_id=ground.form.id,
        form_version=ground.form.version,
        form_policy_id=ground.policy.id,
        language=request.language,
        rendered_text=ground.text,
        rendered_sha256=text_digest(ground.text),
        record_class=ctx.policies.organisation.footage.record_class.value,
        leaflet_issue_id=ground.issue.id,
        route=request.route,
        capacity=request.capacity,
        ask_again_on=request.ask_again_on,
        signature_kind=request.signature.kind,
        signature=dict(request.signature.content),
        witness=request.witness,
        interpreter=request.interpreter,
        recorded_by=caller.id,
        event_at=request.event_at,
        recorded_at=uow.at,
        recorded_late=waits_for_check(request, uow.at),
    )
    uow.session.add(act)
    uow.session.flush()
    return act


def _append_decisions(
    uow: UnitOfWork, act: ConsentAct, ground: Ground, request: CaptureConsent
) -> None:
    places = {s.code: place for place, s in enumerate(ground.form.statements)}
    for given in request.answers:
        statement = ground.form.statement(given.statement)
        held = ground.sitting.children.get(given.about)
        uow.session.add(
            ConsentDecision(
                id=new_id(),
                act_id=act.id,
                involvement_id=act.involvement_id,
                person_id=given.about,
                decided_by=request.person,
                responsibility_id=held.id if held else None,
                basis=held.basis if held else None,
                may_overrule=held.may_overrule if held else False,
                statement=statement.code,
                position=places[statement.code],
                layer=statement.layer.value,
                purpose=statement.purpose,
                answer=given.answer,
                named=list(given.named),
                words=given.words,
                valid_until=_valid_until(statement, request.event_at),
                event_at=request.event_at,
                recorded_at=uow.at,
            )
        )


def _valid_until(statement: Statement, event_at: datetime) -> date | None:
    """Return the last day of a yes; one that ends with the involvement is worked out when read."""
    valid = statement.valid_for
    if valid is None or valid.period is None or valid.counted_from is not ValidFrom.DECISION:
        return None
    day = london_day(event_at)
    return gone_by(day, valid.period) - timedelta(days=valid.period.unit is not Unit.DAYS)


def _record_capture(
    uow: UnitOfWork, caller: Caller, act: ConsentAct, request: CaptureConsent
) -> None:
    declined = [a.statement for a in request.answers if a.answer is Answer.NO]
    kind = EventKind.CONSENT_CAPTURED
    if request.answers and not any(a.answer is Answer.YES for a in request.answers):
        kind = EventKind.CONSENT_DECLINED
    details: dict[str, Any] = {
        "person": act.person_id,
        "form": f"{act.form_id}/{act.form_version}",
        "digest": act.rendered_sha256,
        "route": act.route.value,
        "declined": len(declined),
    }
    uow.record(AuditEvent(kind, caller.actor, act.id, act.involvement_id, details))


def _act_for(
    ctx: Context, session: Session, caller: Caller, permission: Permission, act: str
) -> ConsentAct:
    return thing_for(ctx, caller, permission, session.get(ConsentAct, act), "consent")
