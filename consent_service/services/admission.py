"""Whether a family may be filmed: who is in the film, and everyone's `care` on current forms.

Rules kept here:
  * no film without `care` from everyone in it, now and on the day of filming, each named with what
    is missing (rule 11);
  * none on an old form once a material change was published: every yes that stands is on the
    newest material version, or that person is asked again (rule 10);
  * staff behind the camera are no one's excuse for not asking: only staff can be behind it;
  * nobody who lacked capacity when last asked is filmed until they are asked again (rule 14);
  * *not today* is an answer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy.orm import Session

from consent_service.clock import london_day, start_of_london_day
from consent_service.db.models.people import Involvement, Meeting
from consent_service.db.queries.consent import findings, lacking_capacity
from consent_service.db.queries.recordings import roles_in
from consent_service.db.queries.stories import Pair, Question
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import Depiction
from consent_service.domain.consent import ConsentState, Finding
from consent_service.domain.missing import missing_for
from consent_service.domain.people import FamilyRole
from consent_service.domain.purposes import CARE
from consent_service.errors import InvalidInput, NotFound, Refused
from consent_service.services.context import Context
from consent_service.services.reconsents import require_current_forms


@dataclass(frozen=True)
class ReserveFilm:
    """A film that is about to come in.

    `depicted` is everyone who can be seen or heard; `present` is staff behind the camera. The
    reason is asked for a long film only. `declared_size` is in bytes.
    """

    involvement: str
    depicted: tuple[str, ...]
    filmed_on: date
    meeting: str | None = None
    present: tuple[str, ...] = ()
    reason_for_length: str | None = None
    declared_size: int | None = None
    title: str | None = None


def people_in_film(
    ctx: Context, uow: UnitOfWork, involvement: Involvement, request: ReserveFilm
) -> dict[str, Depiction]:
    """Return everyone in the film and how; raises InvalidInput with every fault of the request."""
    roles = roles_in(uow.session, involvement.id)
    faults = _faults(uow, involvement, request, roles)
    if faults:
        raise InvalidInput("This film cannot be taken like this. Put these right.", faults)
    _require_ready(uow.session, involvement, request.meeting)
    staff = ctx.policies.organisation.staff_are_depicted
    behind = Depiction.DEPICTED if staff else Depiction.PRESENT
    return dict.fromkeys(request.present, behind) | dict.fromkeys(
        request.depicted, Depiction.DEPICTED
    )


def _faults(
    uow: UnitOfWork,
    involvement: Involvement,
    request: ReserveFilm,
    roles: Mapping[str, FamilyRole],
) -> dict[str, str]:
    faults: dict[str, str] = {}
    if not request.depicted:
        faults["depicted"] = "Say who can be seen or heard in the film."
    elif not set(request.depicted) <= roles.keys():
        faults["depicted"] = "Everyone in the film must belong to this family's involvement."
    if any(roles.get(person) is not FamilyRole.STAFF for person in request.present):
        faults["present"] = "Only staff of this involvement can be behind the camera."
    if request.filmed_on > london_day(uow.at):
        faults["filmed_on"] = "The day of filming cannot be in the future."
    if request.filmed_on < involvement.started_on:
        faults["filmed_on"] = "The day of filming cannot be before the involvement started."
    if request.declared_size is not None and request.declared_size < 1:
        faults["declared_size"] = "The size of a film is at least one byte."
    return faults


def _require_ready(session: Session, involvement: Involvement, meeting: str | None) -> None:
    if meeting is None:
        return
    row = session.get(Meeting, meeting)
    if row is None or row.involvement_id != involvement.id:
        raise NotFound("There is no such meeting in this involvement.", kind="meeting")
    if row.ready_today is False:
        raise Refused(
            "The family said not today. Film on another day.", code="not_today", meeting=meeting
        )


def require_permission_to_film(
    uow: UnitOfWork, request: ReserveFilm, people: Mapping[str, Depiction]
) -> list[str]:
    """Return the decisions that grant `care`, asked now and as it stood on the day of filming.

    Raises Refused `consent_missing`, `access_frozen`, `reconsent_needed` or `lacks_capacity`,
    naming each person.
    """
    depicted = tuple(sorted(p for p, how in people.items() if how is Depiction.DEPICTED))
    _require_capacity(uow.session, request.involvement, depicted)
    question = Question(request.involvement, depicted, (CARE,), london_day(uow.at))
    then = min(uow.at, start_of_london_day(request.filmed_on + timedelta(days=1)))
    now_states = findings(uow.session, question, uow.at)
    _require_given(now_states, depicted)
    _require_given(findings(uow.session, question, then, uow.at), depicted)
    require_current_forms(uow.session, ((p, found) for (p, _), found in now_states.items()))
    return [key for finding in now_states.values() for key in finding.granting]


def _require_capacity(session: Session, involvement: str, depicted: Iterable[str]) -> None:
    lacking = lacking_capacity(session, involvement, depicted)
    if lacking:
        raise Refused(
            "Someone could not decide when they were last asked, and nobody can decide for them."
            " Ask them again before filming.",
            code="lacks_capacity",
            lacking=[
                {"person": person, "ask_again_on": day.isoformat() if day else None}
                for person, day in lacking.items()
            ],
        )


def _require_given(states: Mapping[Pair, Finding], depicted: Iterable[str]) -> None:
    missing = missing_for([(p, states[p, CARE]) for p in depicted], CARE)
    if not missing:
        return
    named = [{"person": m.person, "purpose": m.purpose, "state": m.state.value} for m in missing]
    if any(m.state is ConsentState.DISPUTED for m in missing):
        raise Refused(
            "Those who decide for this child disagree. Wait until that is settled.",
            code="access_frozen",
            missing=named,
        )
    raise Refused(
        "Consent to being filmed is missing. Ask everyone named before filming.",
        code="consent_missing",
        missing=named,
    )
