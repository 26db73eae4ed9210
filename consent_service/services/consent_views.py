"""Acts of consent as people see them: what was recorded, with the exact words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.consent import (
    ConsentAct,
    ConsentActCheck,
    ConsentDecision,
    ConsentEnding,
)
from consent_service.db.models.policies import LeafletIssue, LeafletVersion
from consent_service.domain.consent import Answer, Capacity, EndingKind, SignatureKind
from consent_service.domain.withdrawal import Route


@dataclass(frozen=True)
class Signature:
    """How the act was signed: strokes drawn (lists of points), a name typed, or on paper."""

    kind: SignatureKind
    content: Mapping[str, Any]


@dataclass(frozen=True)
class DecisionView:
    """One decision as recorded."""

    id: str
    statement: str
    person: str
    decided_by: str
    purpose: str | None
    answer: Answer
    named: tuple[str, ...]
    words: str | None
    basis: str | None
    valid_until: date | None


@dataclass(frozen=True)
class ConsentActView:
    """One act as recorded, with the exact words and their digest."""

    id: str
    involvement: str
    person: str
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
    signature: Signature
    witness: str | None
    interpreter: str | None
    recorded_by: str
    event_at: datetime
    recorded_at: datetime
    recorded_late: bool
    checked_at: datetime | None
    decisions: tuple[DecisionView, ...] = ()
    never_valid_since: datetime | None = None


def act_view(session: Session, act: ConsentAct) -> ConsentActView:
    """Return one act as people see it."""
    return act_views(session, [act])[0]


def act_views(session: Session, acts: Sequence[ConsentAct]) -> list[ConsentActView]:
    """Return acts as people see them: four queries, however many there are."""
    ids = [act.id for act in acts]
    issues = [act.leaflet_issue_id for act in acts]
    leaflets: dict[str, LeafletVersion] = dict(
        session.execute(
            select(LeafletIssue.id, LeafletVersion)
            .join(LeafletVersion, LeafletVersion.id == LeafletIssue.leaflet_version_id)
            .where(LeafletIssue.id.in_(issues))
        ).all()
    )
    checks = {
        check.act_id: check
        for check in session.scalars(select(ConsentActCheck).where(ConsentActCheck.act_id.in_(ids)))
    }
    decisions: dict[str, list[DecisionView]] = {}
    for row in session.scalars(
        select(ConsentDecision)
        .where(ConsentDecision.act_id.in_(ids))
        .order_by(ConsentDecision.position, ConsentDecision.person_id)
    ):
        decisions.setdefault(row.act_id, []).append(_decision_view(row))
    voided = _voided(session, ids)
    views = (
        _act_view(
            act, leaflets[act.leaflet_issue_id], checks.get(act.id), decisions.get(act.id, ())
        )
        for act in acts
    )
    return [replace(view, never_valid_since=voided.get(view.id)) for view in views]


def _voided(session: Session, acts: Sequence[str]) -> dict[str, datetime]:
    """Return when each of these acts was found never to have been valid, where it was."""
    rows = session.execute(
        select(ConsentEnding.ref, ConsentEnding.recorded_at).where(
            ConsentEnding.ref.in_(acts), ConsentEnding.kind == EndingKind.INVALIDATED
        )
    )
    return {ref: at for ref, at in rows if ref is not None}


def _act_view(
    act: ConsentAct,
    leaflet: LeafletVersion,
    checked: ConsentActCheck | None,
    decisions: Sequence[DecisionView],
) -> ConsentActView:
    return ConsentActView(
        id=act.id,
        involvement=act.involvement_id,
        person=act.person_id,
        form=act.form_id,
        form_version=act.form_version,
        language=act.language,
        leaflet_code=leaflet.code,
        leaflet_version=leaflet.version,
        rendered_text=act.rendered_text,
        rendered_sha256=act.rendered_sha256,
        record_class=act.record_class,
        route=act.route,
        capacity=act.capacity,
        signature=Signature(act.signature_kind, act.signature),
        witness=act.witness,
        interpreter=act.interpreter,
        recorded_by=act.recorded_by,
        event_at=act.event_at,
        recorded_at=act.recorded_at,
        recorded_late=act.recorded_late,
        checked_at=checked.checked_at if checked else None,
        decisions=tuple(decisions),
    )


def _decision_view(row: ConsentDecision) -> DecisionView:
    return DecisionView(
        row.id,
        row.statement,
        row.person_id,
        row.decided_by,
        row.purpose,
        row.answer,
        tuple(row.named),
        row.words,
        row.basis.value if row.basis else None,
        row.valid_until,
    )
