"""Acts of consent on exact words, and the state that follows from them."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import Field, StringConstraints

from consent_service.api.operations import Answer, Ask, Room
from consent_service.api.paging import page
from consent_service.api.papers import PDF, paper
from consent_service.api.shapes import (
    NO_NUL,
    Day,
    Id,
    Instant,
    Language,
    Line,
    Page,
    PageQuery,
    Reply,
    Request,
    Version,
    Words,
)
from consent_service.domain.answers import GivenAnswer
from consent_service.domain.consent import Answer as Given
from consent_service.domain.consent import Capacity, ConsentState, SignatureKind
from consent_service.domain.consent_ends import InvalidBecause, RevokedBecause
from consent_service.domain.roles import Permission as P
from consent_service.domain.withdrawal import Route
from consent_service.services import consent as use
from consent_service.services import invalidation, papers, reconsents, revocation, revocation_paper
from consent_service.services.consent_checks import CaptureConsent
from consent_service.services.consent_views import ConsentActView, Signature

room = Room("consents")


class NewAnswer(Request):
    """One line answered, about whom, and how."""

    statement: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9.]{0,59}$")]
    about: Id
    answer: Annotated[Given, Field(strict=False)]
    named: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=NO_NUL, max_length=80)], ...],
        Field(max_length=20),
    ] = ()
    words: Annotated[str, StringConstraints(pattern=NO_NUL, max_length=2000)] | None = None


class Point(Request):
    """A point of a stroke, in pixels; `t` is milliseconds since the first."""

    x: Annotated[float, Field(ge=-10_000, le=10_000)]
    y: Annotated[float, Field(ge=-10_000, le=10_000)]
    t: Annotated[float, Field(ge=0, le=3_600_000)] | None = None


class DrawnSignature(Request):
    """Strokes as drawn."""

    kind: Literal["drawn"]
    strokes: Annotated[
        tuple[Annotated[tuple[Point, ...], Field(max_length=1_000)], ...],
        Field(min_length=1, max_length=100),
    ]


class TypedSignature(Request):
    """A name typed by the person."""

    kind: Literal["typed"]
    name: Line


class PaperSignature(Request):
    """Signed on paper; where the paper is kept."""

    kind: Literal["paper"]
    kept_at: Line


class NewConsent(Request):
    """One act of answering a form, as it was done."""

    involvement: Id
    person: Id
    form: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    version: Version | None = None
    language: Language = "en"
    leaflet_issue: Id
    route: Annotated[Route, Field(strict=False)]
    capacity: Annotated[Capacity, Field(strict=False)]
    answers: Annotated[tuple[NewAnswer, ...], Field(max_length=500)]
    signature: Annotated[
        DrawnSignature | TypedSignature | PaperSignature | None, Field(discriminator="kind")
    ] = None
    event_at: Instant
    witness: Line | None = None
    interpreter: Line | None = None
    ask_again_on: Day | None = None


class DecisionReply(Reply):
    """One decision as recorded."""

    id: Id
    statement: str
    person: Id
    decided_by: Id
    purpose: str | None
    answer: Given
    named: tuple[str, ...]
    words: str | None
    basis: str | None
    valid_until: date | None


class ConsentReply(Reply):
    """One act as recorded, with the exact words and their SHA-256."""

    id: Id
    involvement: Id
    person: Id
    form: str
    form_version: int
    language: str
    leaflet_code: str
    leaflet_version: int
    rendered_text: str
    rendered_sha256: str
    record_class: str
    route: Route
    capacity: Capacity
    signature_kind: SignatureKind
    witness: str | None
    interpreter: str | None
    recorded_by: str
    event_at: datetime
    recorded_at: datetime
    recorded_late: bool
    checked_at: datetime | None
    decisions: tuple[DecisionReply, ...]
    never_valid_since: datetime | None

    @classmethod
    def of(cls, view: ConsentActView) -> "ConsentReply":
        """Return the reply for a view; the signature itself is on the paper."""
        taken: dict[str, Any] = {
            name: getattr(view, name)
            for name in cls.model_fields
            if name not in ("signature_kind", "decisions")
        }
        decisions = tuple(DecisionReply.model_validate(d) for d in view.decisions)
        return cls(**taken, signature_kind=view.signature.kind, decisions=decisions)


class StateQuery(Request):
    """As it was at `at`, as we knew it at `known_at`; both default to now."""

    at: Instant | None = None
    known_at: Instant | None = None


class StateReply(Reply):
    """The state of one purpose in one involvement."""

    purpose: str
    involvement: Id
    state: ConsentState
    since: datetime | None
    valid_until: date | None


class StatesReply(Reply):
    """The state of every purpose of a person."""

    person: Id
    items: list[StateReply]


def _signature(body: NewConsent) -> Signature:
    """Return how the act was signed; whoever lacks capacity now signs nothing."""
    if body.signature is None:
        return Signature(SignatureKind.TYPED, {})
    content = body.signature.model_dump(mode="json", exclude={"kind"}, exclude_none=True)
    return Signature(SignatureKind(body.signature.kind), content)


@room.post("/consents", P.CONSENT_CAPTURE, ConsentReply, body=NewConsent, status=201)
def capture_consent(ask: Ask, body: NewConsent) -> Answer:
    """Record one act of consent on exact words."""
    answers = tuple(GivenAnswer(**dict(answer)) for answer in body.answers)
    fields = dict(body) | {"answers": answers, "signature": _signature(body)}
    view = use.capture(ask.ctx, ask.caller, CaptureConsent(**fields))
    return Answer(ConsentReply.of(view), f"/consents/{view.id}")


@room.get("/consents/{id}", P.CONSENT_READ, ConsentReply)
def read_consent(ask: Ask, id: str) -> Answer:
    """Read one act of consent."""
    return Answer(ConsentReply.of(use.consent_act(ask.ctx, ask.caller, id)))


@room.get("/consents/{id}.pdf", P.CONSENT_READ, media=(PDF,))
def read_consent_paper(ask: Ask, id: str) -> Response:
    """Read the person's copy of a consent as PDF/A."""
    return paper(papers.consent_copy(ask.ctx, ask.caller, id), f"consent-{id}")


@room.post("/consents/{id}/check", P.CONSENT_CONFIRM_LATE, ConsentReply)
def check_consent(ask: Ask, id: str) -> Answer:
    """Confirm, as a second person, an act that was recorded late."""
    return Answer(ConsentReply.of(use.check_late(ask.ctx, ask.caller, id)))


class NewInvalidation(Request):
    """Why an act was never valid: a code, and the reason in words, which no log holds."""

    because: Annotated[InvalidBecause, Field(strict=False)]
    reason: Words


class PairReply(Reply):
    """A person and a purpose."""

    person: Id
    purpose: str


class InvalidationReply(Reply):
    """An act found invalid, and what is kept apart until somebody decides.

    To those in `without_key` an earlier yes stands again, but its key is gone: ask them again.
    """

    act: Id
    involvement: Id
    because: InvalidBecause
    at: datetime
    ended: tuple[PairReply, ...]
    kept_apart: tuple[Id, ...]
    without_key: tuple[PairReply, ...]


@room.post(
    "/consents/{id}/invalidation",
    P.CONSENT_INVALIDATE,
    InvalidationReply,
    body=NewInvalidation,
    status=201,
)
def invalidate_consent(ask: Ask, id: str, body: NewInvalidation) -> Answer:
    """Mark an act of consent as never valid; its keys are sealed and nothing is destroyed."""
    view = invalidation.invalidate(ask.ctx, ask.caller, id, body.because, body.reason)
    reply = InvalidationReply(
        act=view.act,
        involvement=view.involvement,
        because=view.because,
        at=view.at,
        ended=tuple(PairReply(person=person, purpose=p) for person, p in view.ended),
        kept_apart=view.kept_apart,
        without_key=tuple(PairReply(person=person, purpose=p) for person, p in view.without_key),
    )
    return Answer(reply)


class NewRevocation(Request):
    """Whose consent the organisation ends, to what (without purposes: everything), and why."""

    involvement: Id
    person: Id
    purposes: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=NO_NUL, max_length=80)], ...],
        Field(max_length=100),
    ] = ()
    because: Annotated[RevokedBecause, Field(strict=False)]
    reason: Words


class RevocationReply(Reply):
    """A consent that the organisation ended, and the order of erasure that follows."""

    involvement: Id
    person: Id
    purposes: tuple[str, ...]
    because: RevokedBecause
    at: datetime
    erasure_order: Id
    reference: str


class RevocationDryRun(Request):
    """With `dry_run=true` nothing is ended: the answer says what would be."""

    dry_run: bool = False


class RevokedLine(Reply):
    """What happens to one asset; `ground` says why it is kept."""

    asset: Id
    kind: str
    outcome: str
    ground: str | None


class RevocationPreviewReply(Reply):
    """What ending a consent would do, and what nobody can call back."""

    purposes: tuple[str, ...]
    destroyed: tuple[RevokedLine, ...]
    kept: tuple[RevokedLine, ...]
    cannot_recall: tuple[str, ...]


@room.post(
    "/revocations",
    P.CONSENT_REVOKE,
    RevocationReply,
    body=NewRevocation,
    query=RevocationDryRun,
    status=201,
    also={200: RevocationPreviewReply},
)
def revoke_consent(ask: Ask, body: NewRevocation, query: RevocationDryRun) -> Answer:
    """End a consent as the organisation, or with `dry_run=true` only say what that would do.

    Access is over when this answers, keys go next.
    """
    wanted = revocation.RevokeConsent(**dict(body))
    if query.dry_run:
        would = revocation.preview(ask.ctx, ask.caller, wanted)
        return Answer(RevocationPreviewReply.model_validate(would), status=200)
    view = revocation.revoke(ask.ctx, ask.caller, wanted)
    return Answer(RevocationReply.model_validate(view), f"/erasure-orders/{view.erasure_order}")


@room.get("/revocations/{id}/receipt.pdf", P.ERASURE_READ, media=(PDF,))
def read_revocation_receipt(ask: Ask, id: str) -> Response:
    """Read what the family is given, as PDF/A; `id` is that of the erasure order."""
    content = revocation_paper.revocation_receipt(ask.ctx, ask.caller, id)
    return paper(content, f"ended-{id}")


class AskAgainReply(Reply):
    """Somebody to go through a newer form with."""

    involvement: Id
    person: Id
    guider: Id
    form: str
    answered_version: int
    current_version: int
    since: datetime


@room.get("/reconsents", P.CONSENT_READ, Page[AskAgainReply], query=PageQuery)
def list_reconsents(ask: Ask, query: PageQuery) -> Answer:
    """List whom to ask again, since a material change of their form was published."""
    found = reconsents.waiting(ask.ctx, ask.caller)
    key = "{0.involvement}.{0.person}.{0.form}".format
    return Answer(page(found, AskAgainReply, query, key))


@room.get("/people/{id}/consent-state", P.CONSENT_READ, StatesReply, query=StateQuery)
def read_consent_state(ask: Ask, id: str, query: StateQuery) -> Answer:
    """Read the state of every purpose of a person, for any two moments."""
    found = use.state(ask.ctx, ask.caller, id, query.at, query.known_at)
    return Answer(StatesReply(person=id, items=[StateReply.model_validate(v) for v in found]))
