"""Whether an act of consent can be recorded: every fault named, field by field."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.people import Involvement, Person
from consent_service.db.models.policies import LeafletIssue, LeafletVersion, PublishedPolicy
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.answers import GivenAnswer, Sitting, check_answers
from consent_service.domain.consent import Capacity, SignatureKind
from consent_service.domain.forms import (
    ConsentFormVersion,
)
from consent_service.domain.withdrawal import Route
from consent_service.errors import InvalidInput
from consent_service.services.consent_views import Signature
from consent_service.services.context import Context
from consent_service.services.policies import versions_on

CLOCK_SLACK = timedelta(minutes=5)


@dataclass(frozen=True)
class CaptureConsent:
    """One act of answering a form, as it was done. `event_at` is an aware instant."""

    involvement: str
    person: str
    form: str
    language: str
    leaflet_issue: str
    route: Route
    capacity: Capacity
    answers: tuple[GivenAnswer, ...]
    signature: Signature
    event_at: datetime
    version: int | None = None
    witness: str | None = None
    interpreter: str | None = None
    ask_again_on: date | None = None


@dataclass(frozen=True)
class Ground:
    """What an act stands on: the rows and the form that it refers to."""

    involvement: Involvement
    policy: PublishedPolicy
    form: ConsentFormVersion
    issue: LeafletIssue
    leaflet: LeafletVersion
    sitting: Sitting
    text: str


def version_asked(session: Session, request: CaptureConsent, at: datetime) -> int | None:
    """Return the version of the form that this act may be recorded on (rule 10).

    What is answered now is answered on the newest version. Paper, and what was said on an earlier
    day, counts on a version that was current that day. Raises InvalidInput (`version`) otherwise.
    """
    day, today = london_day(request.event_at), london_day(at)
    late = is_late(request, at)
    current = versions_on(session, request.form, day if late else today)
    allowed = current if late else current[-1:]
    asked = request.version
    if not allowed or asked in allowed:
        return asked
    if asked is None:
        return allowed[-1]
    sentence = f"Use version {allowed[-1]} of this form: it was current on that day."
    raise InvalidInput(sentence, {"version": sentence})


def is_late(request: CaptureConsent, at: datetime) -> bool:
    """Tell whether an act is written down from paper, or after the day on which it was done."""
    return request.route is Route.PAPER or london_day(request.event_at) < london_day(at)


def waits_for_check(request: CaptureConsent, at: datetime) -> bool:
    """Tell whether a yes counts only once somebody has looked at it (rules 9 and 14).

    By a link nobody was there: a guider talks with the person first, that the answers are their
    own and that nothing makes one doubt that they could decide.
    """
    return request.route is Route.REMOTE_LINK or is_late(request, at)


def require_sound(ctx: Context, uow: UnitOfWork, ground: Ground, request: CaptureConsent) -> None:
    """Raise InvalidInput with every fault of the act."""
    faults = _event_faults(uow, ground, request)
    if ground.leaflet.code != ground.form.leaflet:
        faults["leaflet_issue"] = f"This form goes with leaflet {ground.form.leaflet}."
    if request.capacity is Capacity.LACKS_NOW:
        faults |= _lacking_capacity_faults(request)
    else:
        faults |= check_answers(ground.sitting, request.answers)
    faults |= _signature_faults(request)
    if faults:
        raise InvalidInput("This consent cannot be recorded yet. Put these right.", faults)


def _event_faults(uow: UnitOfWork, ground: Ground, request: CaptureConsent) -> dict[str, str]:
    day = london_day(request.event_at)
    if request.event_at > uow.at + CLOCK_SLACK:
        return {"event_at": "The act cannot be in the future."}
    if day < ground.issue.given_on:
        return {"event_at": "The act cannot be before the leaflet was given."}
    if day < ground.involvement.started_on:
        return {"event_at": "The act cannot be before the involvement started."}
    person = uow.session.get_one(Person, request.person)
    if person.died_on is not None and day >= person.died_on:
        return {"event_at": "The act cannot be after this person died."}
    return {}


def _lacking_capacity_faults(request: CaptureConsent) -> dict[str, str]:
    faults: dict[str, str] = {}
    if request.answers:
        faults["answers"] = "Someone who lacks capacity now cannot answer, and nobody else can."
    if request.ask_again_on is None or request.ask_again_on <= london_day(request.event_at):
        faults["ask_again_on"] = "Say on which later day you will ask again."
    return faults


def _signature_faults(request: CaptureConsent) -> dict[str, str]:
    kind, content = request.signature.kind, request.signature.content
    if request.capacity is Capacity.LACKS_NOW:
        return {}
    if kind is SignatureKind.TYPED and not str(content.get("name", "")).strip():
        return {"signature": "Type the full name of the person signing."}
    if kind is SignatureKind.DRAWN and not content.get("strokes"):
        return {"signature": "Draw a signature, or type the full name."}
    if kind is SignatureKind.PAPER and request.route is not Route.PAPER:
        return {"signature": "A signature on paper goes with the paper route."}
    return {}
