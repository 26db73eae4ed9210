"""What leaves the service by consent: photos to keep, words to print, film disclosed."""

from datetime import date, datetime
from typing import Annotated

from flask import Response
from pydantic import Field

from consent_service.api.operations import Answer, Ask, Room
from consent_service.api.papers import PDF, paper
from consent_service.api.shapes import Day, Id, Line, Made, Reply, Request, StatedPurpose, Words
from consent_service.domain.roles import Permission as P
from consent_service.services import disclosures, papers
from consent_service.services import handovers as use

room = Room("handovers")


class NewHandover(Request):
    """Photos offered to a person."""

    involvement: Id
    person: Id
    stills: Annotated[tuple[Id, ...], Field(min_length=1, max_length=200)]


class HandoverDecision(Request):
    """Which photos were taken, and how; the others are declined."""

    accepted: Annotated[tuple[Id, ...], Field(max_length=200)]
    how: Annotated[str, Field(pattern="^(print|file)$")]


class HandoverReply(Reply):
    """Photos offered, each with its outcome."""

    id: Id
    involvement: Id
    person: Id
    offered_on: date
    how: str | None
    items: dict[str, str]
    closed_at: datetime | None


class NewFeedback(Request):
    """What a parent said."""

    involvement: Id
    person: Id
    words: Words


class NewQuote(Request):
    """Permission to print exactly these words, for whom, until when."""

    involvement: Id
    person: Id
    words: Words
    audience: Line
    until_on: Day
    feedback: Id | None = None


class NewDisclosure(Request):
    """Film or stills that leave the service: to whom, for what, until when."""

    asset: Id
    purpose: StatedPurpose
    recipient: Line
    disclosed_on: Day
    until_on: Day | None = None


class TakenBack(Request):
    """The day on which it came back or was destroyed."""

    on: Day


@room.post("/handovers", P.HANDOVER_WRITE, HandoverReply, body=NewHandover, status=201)
def offer_photos(ask: Ask, body: NewHandover) -> Answer:
    """Offer photos to a person; each must be permitted as a keepsake by everyone in it."""
    view = use.offer(ask.ctx, ask.caller, body.involvement, body.person, body.stills)
    return Answer(HandoverReply.model_validate(view), f"/handovers/{view.id}")


@room.get("/handovers/{id}", P.HANDOVER_WRITE, HandoverReply)
def read_handover(ask: Ask, id: str) -> Answer:
    """Read a handover."""
    return Answer(HandoverReply.model_validate(use.handover(ask.ctx, ask.caller, id)))


@room.post("/handovers/{id}/decision", P.HANDOVER_WRITE, HandoverReply, body=HandoverDecision)
def decide_handover(ask: Ask, id: str, body: HandoverDecision) -> Answer:
    """Close a handover: what was taken, and how; the rest was declined."""
    view = use.decide(ask.ctx, ask.caller, id, body.accepted, body.how)
    return Answer(HandoverReply.model_validate(view))


@room.get("/handovers/{id}/receipt.pdf", P.HANDOVER_WRITE, media=(PDF,), refusals={409})
def read_handover_receipt(ask: Ask, id: str) -> Response:
    """Read the receipt of photos handed over, as PDF/A."""
    return paper(papers.handover_receipt(ask.ctx, ask.caller, id), f"handover-{id}")


@room.post("/feedback", P.FEEDBACK_WRITE, Made, body=NewFeedback, status=201)
def record_feedback(ask: Ask, body: NewFeedback) -> Answer:
    """Write down what a parent said."""
    made = use.record_feedback(ask.ctx, ask.caller, body.involvement, body.person, body.words)
    return Answer(Made(id=made))


@room.post("/quotes", P.QUOTE_WRITE, Made, body=NewQuote, status=201)
def permit_quote(ask: Ask, body: NewQuote) -> Answer:
    """Record permission to print exact words."""
    return Answer(Made(id=use.permit_quote(ask.ctx, ask.caller, use.PermitQuote(**dict(body)))))


@room.post("/quotes/{id}/withdrawal", P.QUOTE_WRITE, status=204)
def withdraw_quote(ask: Ask, id: str) -> Answer:
    """End the permission for a quote."""
    use.withdraw_quote(ask.ctx, ask.caller, id)
    return Answer()


@room.post("/disclosures", P.DISCLOSURE_WRITE, Made, body=NewDisclosure, status=201, refusals={410})
def record_disclosure(ask: Ask, body: NewDisclosure) -> Answer:
    """Write down that film or stills leave the service; refused unless permitted."""
    request = disclosures.RecordDisclosure(**dict(body))
    return Answer(Made(id=disclosures.record_disclosure(ask.ctx, ask.caller, request)))


@room.post("/disclosures/{id}/taken-back", P.DISCLOSURE_WRITE, body=TakenBack, status=204)
def take_back_disclosure(ask: Ask, id: str, body: TakenBack) -> Answer:
    """Write down that what left came back, or was destroyed by who had it."""
    disclosures.take_back_disclosure(ask.ctx, ask.caller, id, body.on)
    return Answer()
