"""The papers that people get: consent copy, receipts, certificate, summary, leaflet.

Each is made anew from what was recorded, so there is no stored copy to erase; the same act gives
the same bytes. Rendering runs outside any transaction.
"""

import base64
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from itertools import chain

from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.accounts import UserAccount
from consent_service.db.models.people import Person
from consent_service.db.models.policies import LeafletIssue, LeafletVersion
from consent_service.db.queries.people import members
from consent_service.documents import render_pdf, signature_svg
from consent_service.documents.content import (
    AnsweredStatement,
    ConcernedPerson,
    ConsentCopy,
    DestroyedLine,
    DestructionCertificate,
    GoalLine,
    HandoverReceipt,
    Inventory,
    InventoryLine,
    KeptLine,
    LeafletPaper,
    Letterhead,
    PhotoLine,
    Seal,
    Signed,
    SummaryPaper,
    ThreeTimes,
    WithdrawalReceipt,
)
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.consent import Answer, SignatureKind
from consent_service.domain.forms import ConsentFormVersion, FormFacts, fill
from consent_service.domain.people import Basis
from consent_service.domain.policies import form_facts
from consent_service.domain.roles import Permission
from consent_service.services import certificates, consent, handovers, leaflets, reviews
from consent_service.services import withdrawal as withdrawals
from consent_service.services.access import Caller, involvement_for
from consent_service.services.consent import ConsentActView, DecisionView
from consent_service.services.context import Context
from consent_service.services.paper_words import (
    ANSWERS,
    BASES,
    GROUNDS,
    KINDS,
    MANNERS,
    NOT_COVERED,
    ROUTES,
    what_each_is,
)
from consent_service.services.policies import published_form
from consent_service.services.withdrawal_told import (
    lines_told,
    orders_told,
    places_told,
    purposes_told,
)

ERASED_WITHIN = timedelta(days=28)
"""Destruction after a withdrawal is complete within 28 days (R09)."""
INVENTORY_PRINTED = 200


def consent_copy(ctx: Context, caller: Caller, act: str, *, large_print: bool = False) -> bytes:
    """Return the person's copy of a consent as PDF/A, the exact words attached.

    That it was made is written down, with its digest, before anybody gets it.
    """
    view = consent.consent_act(ctx, caller, act)
    with ctx.read() as session:
        paper = _consent_copy(ctx, session, view)
    made = render_pdf(paper, identifier=view.id, language=view.language, large_print=large_print)
    about = (view.id, view.involvement)
    _write_down(ctx, caller, EventKind.CONSENT_COPY_MADE, about, made)
    return made


def withdrawal_receipt(ctx: Context, caller: Caller, withdrawal: str) -> bytes:
    """Return the receipt of a withdrawal as PDF/A."""
    view = withdrawals.withdrawal(ctx, caller, withdrawal)
    outcome = withdrawals.outcome(ctx, caller, withdrawal)
    with ctx.read() as session:
        by, about = session.get_one(Person, view.by), session.get_one(Person, view.person)
        gone_by = london_day(max(view.undo_until or view.recorded_at, view.recorded_at))
        others = places_told(session, by.id, outcome)
        destroyed = [*outcome.destroyed, *chain.from_iterable(o.destroyed for o in others)]
        kept = [*outcome.kept, *chain.from_iterable(o.kept for o in others)]
        destroyed, kept = lines_told(caller, destroyed, kept)
        what = what_each_is(session, {line.asset for line in (*destroyed, *kept)})
        uses = purposes_told(session, caller, view.person, view.purposes)
        paper = WithdrawalReceipt(
            head=letterhead(ctx, view.reference or view.id[:12].upper()),
            made_at=view.recorded_at,
            withdrawn_by=by.full_name,
            for_people=() if by is about else (ConcernedPerson(name=about.full_name),),
            route=ROUTES[outcome.route],
            effective_from=view.recorded_at,
            ended=tuple(purpose_label(ctx, p) for p in uses),
            destroyed=tuple(
                DestroyedLine(what=what[line.asset], gone_by=gone_by + ERASED_WITHIN)
                for line in destroyed
            ),
            kept=tuple(
                KeptLine(what=what[line.asset], ground=GROUNDS[line.ground or "hold"])
                for line in kept
            ),
            cannot_recall=tuple(
                "Photos or copies that were handed over before" for _ in outcome.cannot_recall[:1]
            ),
            undo_until=view.undo_until,
            further_references=tuple(
                order.reference
                for order in orders_told(session, by.id, view.erasure_orders)
                if order.id != view.erasure_order
            ),
        )
    return render_pdf(paper, identifier=view.id)


def handover_receipt(ctx: Context, caller: Caller, handover: str) -> bytes:
    """Return the receipt of photos handed over as PDF/A; by link the holder's own only.

    That it was made is written down, with its digest, before anybody gets it.
    """
    view = handovers.handover(ctx, caller, handover)
    with ctx.read() as session:
        person = session.get_one(Person, view.person)
        what = what_each_is(session, view.items)
        paper = HandoverReceipt(
            head=letterhead(ctx, view.id[:12].upper()),
            made_at=view.closed_at or _start_of(view.offered_on),
            given_to=person.full_name,
            given_by=ctx.policies.organisation.contact.team,
            photos=tuple(
                PhotoLine(
                    title=what[still],
                    decision=outcome.capitalize(),
                    given_as=(view.how or "") if outcome == handovers.ACCEPTED else "",
                )
                for still, outcome in view.items.items()
            ),
            next_steps=(
                "Photos you take home are yours to look after: we cannot call them back.",
                "Our own copies are destroyed under our retention schedule.",
            ),
        )
    made = render_pdf(paper, identifier=view.id)
    about = (view.id, view.involvement)
    _write_down(ctx, caller, EventKind.HANDOVER_RECEIPT_MADE, about, made)
    return made


def certificate(ctx: Context, caller: Caller, order: str, revision: int | None = None) -> bytes:
    """Return a destruction certificate as PDF/A, the signed JSON attached."""
    view = certificates.certificate(ctx, caller, order, revision)
    body = json.loads(view.body)
    destroyed = body["destroyed"]
    paper = DestructionCertificate(
        head=letterhead(ctx, body["reference"]),
        made_at=view.issued_at,
        order=body["order"],
        reason=body["cause"].replace("_", " ").capitalize(),
        scope=tuple(purpose_label(ctx, p) for p in body["purposes"]),
        revision=view.revision,
        previous_sha256=body["previous_digest"] or "",
        inventory=Inventory(
            total=len(destroyed),
            lines=tuple(
                InventoryLine(
                    id=item["asset"],
                    record_class=item["class"].replace("_", " "),
                    what=KINDS[item["kind"]],
                    key_destroyed_at=_read_instant(item["key_destroyed_at"]),
                    content_gone_at=_read_instant(item["deleted_at"]),
                )
                for item in destroyed[:INVENTORY_PRINTED]
            ),
        ),
        kept=tuple(
            KeptLine(
                what=f"{KINDS[item['kind']]} {item['asset']}",
                ground=GROUNDS[item["ground"] or "hold"],
            )
            for item in body["kept"][:INVENTORY_PRINTED]
        ),
        times=ThreeTimes(
            access_ended_at=_read_instant(body["access_ended_at"]),
            key_destroyed_at=_read_instant(body["key_destroyed_at"]),
            irrecoverable_at=_read_instant(body["irrecoverable_at"]),
        ),
        not_covered=tuple(NOT_COVERED[code] for code in body["not_covered"]),
        seal=Seal(
            key_id=view.key_id,
            signature=base64.b64encode(view.signature).decode("ascii"),
            sha256=view.digest,
        ),
        body=view.body.decode("utf-8"),
    )
    return render_pdf(paper, identifier=f"{view.order} {view.revision}")


def summary_paper(ctx: Context, caller: Caller, summary: str) -> bytes:
    """Return a session summary as PDF/A."""
    view = reviews.summary(ctx, caller, summary)
    review = next(r for r in reviews.reviews(ctx, caller, view.involvement) if r.id == view.review)
    goals = reviews.goals(ctx, caller, view.involvement)
    with ctx.read() as session:
        involvement = involvement_for(
            ctx, session, caller, Permission.REVIEW_READ, view.involvement
        )
        guider = session.get_one(UserAccount, involvement.guider_id)
        paper = SummaryPaper(
            head=letterhead(ctx, view.id[:12].upper()),
            made_at=view.signed_at or view.written_at,
            people=tuple(p.full_name for _, p in members(session, view.involvement)),
            guider=guider.display_name,
            met_on=review.held_on,
            goals=tuple(_goal_lines(goals)),
            strengths=_lines(view.strengths),
            points=_lines(view.points),
            next_step=view.next_step or "",
            filed_at=view.filed_at,
        )
    return render_pdf(paper, identifier=view.id)


def leaflet_paper(
    ctx: Context, code: str, version: int | None, language: str, *, large_print: bool = False
) -> bytes:
    """Return a leaflet as PDF/A with its control line on every page."""
    found = leaflets.leaflet_text(ctx, code, version, language)
    paper = LeafletPaper(
        head=letterhead(ctx, f"{found.view.code} V{found.view.version}"),
        made_at=_start_of(found.view.issued_on),
        text=found.text,
        control_line=found.view.control_line,
    )
    return render_pdf(
        paper,
        identifier=f"{code} {found.view.version} {language}",
        language=language,
        large_print=large_print,
    )


def _write_down(
    ctx: Context, caller: Caller, kind: EventKind, about: tuple[str, str], made: bytes
) -> None:
    """Write down that a paper about (its act, its involvement) was made."""
    subject, involvement = about
    details = {"digest": sha256(made).hexdigest()}
    with ctx.begin() as uow:
        uow.record(AuditEvent(kind, caller.actor, subject, involvement, details))


def _consent_copy(ctx: Context, session: Session, view: ConsentActView) -> ConsentCopy:
    _, form = published_form(ctx, session, view.form, view.form_version)
    leaflet, issue = _leaflet_of(session, view)
    facts = form_facts(ctx.policies.organisation, ctx.policies.schedule, leaflet.control_line)
    words = form.words[view.language]
    people = {view.person, *(d.person for d in view.decisions)}
    names = {p: session.get_one(Person, p).full_name for p in people}
    contact = ctx.policies.organisation.contact
    return ConsentCopy(
        head=letterhead(ctx, view.id[:12].upper()),
        made_at=view.event_at,
        form_title=words.title,
        form_control_line=f"{form.id}, version {form.version}, {view.language}",
        leaflet_title=leaflet.title,
        leaflet_control_line=leaflet.control_line,
        given_by=names[view.person],
        for_people=tuple(_concerned(view, names)),
        statements=tuple(
            _answered(decision, form, view, facts, names)
            for decision in sorted(
                view.decisions, key=lambda d: (d.person != view.person, d.person)
            )
        ),
        shown_text=view.rendered_text,
        shown_sha256=view.rendered_sha256,
        how_to_withdraw=(
            "You can change your mind at any time. Your care is not affected.",
            f"Tell your guider, call {contact.telephone}, or write to {contact.email}.",
        ),
        signed=_signed(view, names[view.person]),
        route=ROUTES[view.route.value],
        recorded_by="Themselves" if view.recorded_by == view.person else "Guider",
        recorded_at=view.recorded_at,
        witness=view.witness or "",
        interpreter=view.interpreter or "",
        leaflet_given_on=issue.given_on,
        capacity=view.capacity.value.replace("_", " ").capitalize(),
    )


def _answered(
    decision: DecisionView,
    form: ConsentFormVersion,
    view: ConsentActView,
    facts: FormFacts,
    names: dict[str, str],
) -> AnsweredStatement:
    words, statement = form.words[view.language], form.statement(decision.statement)
    text = statement.texts[view.language]
    own = decision.person == view.person
    answer = ANSWERS[decision.answer]
    if decision.answer is Answer.CHOSEN:
        answer = text.choices[decision.named[0]]
    return AnsweredStatement(
        group="For yourself" if own else f"For {names[decision.person]}",
        words=fill(text.wording if own else text.child_wording, words, facts),
        answer=answer,
        about="" if own else names[decision.person],
        named=() if decision.answer is Answer.CHOSEN else decision.named,
        own_words=decision.words or "",
    )


def _concerned(view: ConsentActView, names: dict[str, str]) -> Iterator[ConcernedPerson]:
    seen = set()
    for decision in view.decisions:
        if decision.person == view.person or decision.person in seen:
            continue
        seen.add(decision.person)
        basis = BASES[Basis(decision.basis)] if decision.basis else ""
        yield ConcernedPerson(name=names[decision.person], basis=basis)


def _signed(view: ConsentActView, name: str) -> Signed:
    strokes = view.signature.content.get("strokes")
    drawn = view.signature.kind is SignatureKind.DRAWN and strokes is not None
    return Signed(
        name=str(view.signature.content.get("name") or name),
        manner=MANNERS[view.signature.kind],
        drawing=signature_svg(strokes or []) if drawn else "",
    )


def _leaflet_of(session: Session, view: ConsentActView) -> tuple[LeafletVersion, LeafletIssue]:
    from consent_service.db.models.consent import ConsentAct

    act = session.get_one(ConsentAct, view.id)
    issue = session.get_one(LeafletIssue, act.leaflet_issue_id)
    return session.get_one(LeafletVersion, issue.leaflet_version_id), issue


def _goal_lines(goals: Sequence[reviews.GoalView]) -> Iterator[GoalLine]:
    for goal in goals:
        yield GoalLine(words=goal.words, ratings=goal.ratings)


def purpose_label(ctx: Context, purpose: str) -> str:
    code, _, use = purpose.partition(":")
    known = ctx.policies.purposes.get(code)
    label = known.label if known else code
    return f"{label} ({use})" if use else label


def letterhead(ctx: Context, reference: str) -> Letterhead:
    organisation = ctx.policies.organisation
    contact = organisation.contact
    return Letterhead(
        organisation=ctx.settings.organisation or organisation.name,
        team=contact.team,
        contact=f"{contact.telephone}, {contact.email}",
        reference=reference,
    )


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _start_of(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


def _read_instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
