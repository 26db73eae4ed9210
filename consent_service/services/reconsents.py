"""Asking again after a material change of a form (rule 10).

Rules kept here:
  * whoever said yes to an older version is on the list until they answer the newer one, or end it;
  * consent to film that is stored stays *given*: nothing here ends anything;
  * new recordings and new uses wait for the answer (`reconsent_needed`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.people import Involvement
from consent_service.db.queries.consent import states_now
from consent_service.db.queries.reconsent import Outdated, material_forms, outdated
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.consent import Finding
from consent_service.domain.roles import Permission
from consent_service.errors import Refused
from consent_service.services.access import Caller, involvement_for, require, teams_reached
from consent_service.services.context import Context
from consent_service.services.notices import notify


@dataclass(frozen=True)
class AskAgain:
    """Somebody to go through a newer form with. `guider` is the id of an account."""

    involvement: str
    person: str
    guider: str
    form: str
    answered_version: int
    current_version: int
    since: datetime


def waiting(ctx: Context, caller: Caller, involvement: str | None = None) -> list[AskAgain]:
    """Return whom to ask again, the longest waiting first: of one family, or of all in reach."""
    require(ctx, caller, Permission.CONSENT_READ)
    with ctx.read() as session:
        which = select(Involvement.id)
        if involvement is not None:
            involvement_for(ctx, session, caller, Permission.CONSENT_READ, involvement)
            which = which.where(Involvement.id == involvement)
        teams = teams_reached(ctx, caller, Permission.CONSENT_READ)
        if teams is not None:
            which = which.where(Involvement.team_id.in_(teams))
        found = outdated(session, which, ctx.clock.now())
        guiders = _guiders(session, found)
    views = [
        AskAgain(
            one.involvement,
            one.person,
            guiders[one.involvement],
            one.form,
            one.answered,
            one.wanted,
            one.since,
        )
        for one in found
    ]
    return sorted(views, key=lambda view: (view.since, view.involvement, view.person))


def ask_again(uow: UnitOfWork, caller: Caller, form: str) -> int:
    """Put everybody on older versions of a form on the list; tells their guiders, once each.

    For the transaction that publishes the newer version; returns how many people it is.
    """
    uow.session.flush()
    everybody = outdated(uow.session, select(Involvement.id), uow.at)
    found = [one for one in everybody if one.form == form]
    for one in found:
        details = {"form": f"{form}/{one.wanted}"}
        uow.record(
            AuditEvent(
                EventKind.RECONSENT_ASKED, caller.actor, one.person, one.involvement, details
            )
        )
    for guider in sorted(set(_guiders(uow.session, found).values())):
        notify(uow, "reconsent_needed", user=guider, subject=form)
    return len(found)


def require_current(
    session: Session, involvement: str, people: Sequence[str], purpose: str, at: datetime
) -> None:
    """Raise Refused (`reconsent_needed`) when a yes to `purpose` stands on an older form."""
    states = states_now(session, involvement, people, [purpose], at)
    require_current_forms(session, ((person, f) for (person, _), f in states.items()))


def require_current_forms(session: Session, findings: Iterable[tuple[str, Finding]]) -> None:
    """Raise Refused (`reconsent_needed`) naming each person whose yes is on an older form."""
    newest = material_forms(session)
    asked = [
        {"person": person, "form": form, "version": newest[form].version}
        for person, finding in findings
        for form, version in finding.form_versions
        if form in newest and version < newest[form].version
    ]
    if asked:
        raise Refused(
            "The consent form has changed since. Go through the new version first.",
            code="reconsent_needed",
            asked=asked,
        )


def _guiders(session: Session, found: Sequence[Outdated]) -> dict[str, str]:
    rows = session.execute(
        select(Involvement.id, Involvement.guider_id).where(
            Involvement.id.in_({one.involvement for one in found})
        )
    )
    return {one.id: one.guider_id for one in rows}
