"""Who answered an older version of a form than the newest material one (rule 10).

A person is asked again while something they said yes to on the older version still grants a use;
whoever ended it all, or answered the newer version, is not. Acts of ended involvements rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.consent import (
    ConsentAct,
    ConsentActCheck,
    ConsentDecision,
)
from consent_service.db.models.people import Involvement
from consent_service.db.models.policies import PublishedPolicy
from consent_service.db.queries.people import members_of
from consent_service.db.queries.stories import Question, stories_of
from consent_service.db.queries.voided import voided_acts
from consent_service.domain.consent import state_at

FORMS = "consent-forms/"


@dataclass(frozen=True)
class MaterialForm:
    """The newest version of a form that was published as a material change."""

    form: str
    version: int
    published_at: datetime


@dataclass(frozen=True)
class Outdated:
    """Somebody whose yes stands on an older version of a form."""

    involvement: str
    person: str
    form: str
    answered: int
    wanted: int
    since: datetime


_Who = tuple[str, str, str]


def material_forms(session: Session) -> dict[str, MaterialForm]:
    """Return, by form, its newest version that was published as a material change."""
    rows = session.execute(
        select(PublishedPolicy.path, PublishedPolicy.published_at).where(
            PublishedPolicy.path.startswith(FORMS, autoescape=True),
            PublishedPolicy.material.is_(True),
        )
    )
    found: dict[str, MaterialForm] = {}
    for path, published_at in rows:
        form, _, number = path.removeprefix(FORMS).partition("/v")
        if form not in found or int(number) > found[form].version:
            found[form] = MaterialForm(form, int(number), published_at)
    return found


def outdated(session: Session, which: Select[str], at: datetime) -> list[Outdated]:
    """Return everybody to be asked again in the open involvements that `which` selects."""
    newest = material_forms(session)
    behind = _behind(session, which, newest)
    granting = _granting(session, {who[0] for who in behind}, at)
    said = _said_by(session, {who[0] for who in behind})
    return [
        Outdated(*who, answered, newest[who[2]].version, newest[who[2]].published_at)
        for who, answered in sorted(behind.items())
        if said.get(who, set()) & granting
    ]


def _behind(
    session: Session, which: Select[str], newest: Mapping[str, MaterialForm]
) -> dict[_Who, int]:
    """Return who last answered a version before the newest material one, and which."""
    if not newest:
        return {}
    rows = session.execute(
        select(ConsentAct, ConsentActCheck.act_id)
        .join(Involvement, Involvement.id == ConsentAct.involvement_id)
        .outerjoin(ConsentActCheck, ConsentActCheck.act_id == ConsentAct.id)
        .where(
            Involvement.ended_on.is_(None),
            Involvement.id.in_(which),
            ConsentAct.form_id.in_(newest),
            ConsentAct.id.not_in(voided_acts()),
        )
        .order_by(ConsentAct.event_at, ConsentAct.recorded_at, ConsentAct.id)
    )
    last = {
        (act.involvement_id, act.person_id, act.form_id): act.form_version
        for act, checked in rows
        if checked or not act.recorded_late
    }
    return {who: version for who, version in last.items() if version < newest[who[2]].version}


def _granting(session: Session, involvements: set[str], at: datetime) -> set[str]:
    """Return the decisions that grant anything to anybody there at the moment."""
    purposes = _answered(session, involvements)
    if not purposes:
        return set()
    people = members_of(session, sorted(involvements))
    questions = [
        Question(i, tuple(p.id for _, p in people.get(i, ())), purposes, london_day(at))
        for i in sorted(involvements)
    ]
    return {
        decision
        for told in stories_of(session, questions).values()
        for story in told.values()
        for decision in state_at(story, at, at).granting
    }


def _answered(session: Session, involvements: set[str]) -> tuple[str, ...]:
    """Return every purpose answered there, and every use named with it."""
    rows = session.execute(
        select(ConsentDecision.purpose, ConsentDecision.named).where(
            ConsentDecision.involvement_id.in_(sorted(involvements)),
            ConsentDecision.purpose.is_not(None),
        )
    )
    found: set[str] = set()
    for purpose, named in rows:
        found |= {purpose or "", *(f"{purpose}:{use}" for use in named)}
    return tuple(sorted(found))


def _said_by(session: Session, involvements: set[str]) -> dict[_Who, set[str]]:
    rows = session.execute(
        select(
            ConsentDecision.involvement_id,
            ConsentDecision.decided_by,
            ConsentAct.form_id,
            ConsentDecision.id,
        )
        .join(ConsentAct, ConsentAct.id == ConsentDecision.act_id)
        .where(ConsentDecision.involvement_id.in_(sorted(involvements)))
    )
    found: dict[_Who, set[str]] = {}
    for involvement, person, form, decision in rows:
        found.setdefault((involvement, person, form), set()).add(decision)
    return found
