"""What is due and why, and who decides about it."""

from datetime import date, datetime
from functools import partial
from typing import Annotated

from pydantic import Field

from consent_service.api.operations import Answer, Ask, Room
from consent_service.api.paging import part
from consent_service.api.shapes import Day, Id, Page, PageQuery, Reply, Request, Words
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.roles import Permission as P
from consent_service.services import appraisals, dispositions
from consent_service.services import retention as use
from consent_service.services.dispositions import Decision

room = Room("retention")


class DueQuery(PageQuery):
    """What is due by a day; today without one."""

    until: Day | None = None


class DueReply(Reply):
    """An asset that is due: destroyed no earlier than `due_on`, gone by `gone_by`."""

    asset: Id
    kind: AssetKind
    involvement: Id
    state: AssetState
    rule: str
    due_on: date
    gone_by: date | None


class TermReply(Reply):
    """This event on this day, plus this period, gives this day."""

    rule: str
    what: str
    counted_from: date | None
    period: str
    gives: date | None


class ClassReply(Reply):
    """A retention rule that applies, and the date that follows from it."""

    rule: str
    title: str
    mode: str
    action: str
    due_on: date | None
    gone_by: date | None
    legal_basis: str
    source: str
    confidence: str
    note: str
    terms: tuple[TermReply, ...]


class ExplanationReply(Reply):
    """Why an asset is still here: the rule that keeps it, the others, what stands in the way."""

    asset: Id
    kind: AssetKind
    involvement: Id
    state: AssetState
    due_on: date | None
    gone_by: date | None
    by: ClassReply
    others: tuple[ClassReply, ...]
    held: tuple[str, ...]
    appraisal: str | None
    disposition: str | None


class NewDecision(Request):
    """Keep, extend until a day, or destroy; a second person confirms a destruction."""

    decision: Annotated[Decision, Field(strict=False)]
    reason: Words
    look_again_on: Day | None = None


class Confirmation(Request):
    """Whether the second person agrees."""

    agree: bool = True


class DispositionReply(Reply):
    """A line of the review queue and what was decided."""

    id: Id
    kind: str
    subject: str
    involvement: str | None
    rule: str
    why: str
    due_on: date
    queued_at: datetime
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None
    confirmed_by: str | None
    look_again_on: date | None
    reason: str | None
    needs_second: bool


class NewApproval(Request):
    """The code of a proposal of the policy folder; two different people approve it."""

    code: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,79}$")]


class AppraisalReply(Reply):
    """A class-level decision that lets a job destroy what is due, until it expires."""

    id: str | None
    code: str
    rules: tuple[str, ...]
    reason: str
    state: str
    valid_until: date
    first_approved_by: str | None
    approved_by: str | None
    approved_at: datetime | None
    revoked_at: datetime | None


@room.get("/retention/due", P.RETENTION_READ, Page[DueReply], query=DueQuery)
def list_due(ask: Ask, query: DueQuery) -> Answer:
    """List what is due by a day, soonest first."""
    read = partial(use.page_of_due, ask.ctx, ask.caller, until=query.until)
    return Answer(part(read, query, DueReply))


@room.get("/retention/explain/{asset}", P.RETENTION_READ, ExplanationReply)
def explain_retention(ask: Ask, asset: str) -> Answer:
    """Say why an asset is still here: rule, facts, source."""
    return Answer(ExplanationReply.model_validate(use.explain(ask.ctx, ask.caller, asset)))


@room.get("/dispositions", P.RETENTION_READ, Page[DispositionReply], query=PageQuery)
def list_dispositions(ask: Ask, query: PageQuery) -> Answer:
    """List what waits for a person's decision, soonest due first."""
    read = partial(dispositions.page_of_dispositions, ask.ctx, ask.caller)
    return Answer(part(read, query, DispositionReply))


@room.post("/dispositions/{id}/decision", P.DISPOSITION_DECIDE, DispositionReply, body=NewDecision)
def decide_disposition(ask: Ask, id: str, body: NewDecision) -> Answer:
    """Decide about one thing that is due; a destruction waits for a second person."""
    wanted = dispositions.Decide(body.decision, body.reason, body.look_again_on)
    view = dispositions.decide(ask.ctx, ask.caller, id, wanted)
    return Answer(DispositionReply.model_validate(view))


@room.post(
    "/dispositions/{id}/decision/confirm",
    P.DISPOSITION_DECIDE,
    DispositionReply,
    body=Confirmation,
)
def confirm_disposition(ask: Ask, id: str, body: Confirmation) -> Answer:
    """Confirm, as a second person, a destruction that was decided; or send it back."""
    view = dispositions.confirm(ask.ctx, ask.caller, id, agree=body.agree)
    return Answer(DispositionReply.model_validate(view))


@room.post("/appraisals", P.APPRAISAL_APPROVE, AppraisalReply, body=NewApproval)
def approve_appraisal(ask: Ask, body: NewApproval) -> Answer:
    """Approve a proposed appraisal; the second of two people puts it in force."""
    view = appraisals.approve_appraisal(ask.ctx, ask.caller, body.code)
    return Answer(AppraisalReply.model_validate(view))
