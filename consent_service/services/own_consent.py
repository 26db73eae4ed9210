"""Answering a consent by link: the leaflet first, then the same questions, then signed once.

Rules kept here:
  * the leaflet is recorded as given when its holder says that they have read it;
  * an answer counts only for the words that were shown when it was given;
  * the finding about capacity is the guider's, written down with the link; a yes counts only once
    the guider has talked with the person since and confirmed it (rule 14); a no counts at once;
  * the act and the end of its link are one transaction.
"""

from dataclasses import dataclass
from typing import Any

from consent_service.clock import london_day
from consent_service.domain.consent import Capacity
from consent_service.domain.leaflets import LeafletRoute
from consent_service.domain.withdrawal import Route
from consent_service.errors import NotFound
from consent_service.services import consent, leaflets, link_drafts
from consent_service.services.context import Context
from consent_service.services.leaflets import GiveLeaflet, LeafletText
from consent_service.services.link_sessions import LinkSession
from consent_service.services.policies import published_form


@dataclass(frozen=True)
class Asking:
    """A consent in progress by link: its questions, and what was answered so far.

    `changed` tells that the words are others than those that were read: they begin anew.
    """

    asked: consent.Questions
    body: dict[str, Any]
    changed: bool = False

    @property
    def answers(self) -> dict[str, Any]:
        """What was answered so far, as a draft keeps it."""
        return dict(self.body.get("answers", {}))


def leaflet(ctx: Context, holder: LinkSession) -> LeafletText:
    """Return the current leaflet that goes with the form, in the language of the link."""
    return leaflets.leaflet_text(ctx, _code(ctx, holder), None, holder.language)


def has_read(ctx: Context, holder: LinkSession) -> None:
    """Record that they have read the leaflet, and begin. Raises Conflict when none is current.

    Whoever says so again in the same sitting goes on with what they had answered.
    """
    if link_drafts.draft(ctx, holder) is not None:
        return
    today = london_day(ctx.clock.now())
    given = GiveLeaflet(
        holder.own.involvement,
        holder.own.person,
        _code(ctx, holder),
        today,
        LeafletRoute.SCREEN,
        holder.language,
    )
    issue = leaflets.give_leaflet(ctx, holder.caller, given)
    setup = {
        "leaflet_issue": issue.id,
        "language": holder.language,
        "route": Route.REMOTE_LINK.value,
        "said_on": today.isoformat(),
        "capacity": (holder.capacity or Capacity.NO_DOUBT).value,
    }
    body = {
        "involvement": holder.own.involvement,
        "person": holder.own.person,
        "form": holder.form,
        "setup": setup,
        "answers": {},
    }
    link_drafts.save(ctx, holder, body)


def asking(ctx: Context, holder: LinkSession) -> Asking:
    """Return the questions and what was answered; raises NotFound before the leaflet was read.

    Answers given on other words than today's are let go (rule 2).
    """
    body = link_drafts.draft(ctx, holder)
    if body is None:
        raise NotFound("The leaflet comes first.", kind="draft")
    form = consent.AskForm(holder.own.involvement, holder.own.person, holder.form, holder.language)
    asked = consent.questions(ctx, holder.caller, form)
    read = body.get("digest")
    if read == asked.digest:
        return Asking(asked, body)
    body = {**body, "answers": {}, "digest": asked.digest}
    link_drafts.save(ctx, holder, body)
    return Asking(asked, body, changed=read is not None)


def keep(ctx: Context, holder: LinkSession, asking: Asking, answers: dict[str, Any]) -> None:
    """Keep answers until they sign or leave."""
    link_drafts.save(ctx, holder, {**asking.body, "answers": answers})


def _code(ctx: Context, holder: LinkSession) -> str:
    with ctx.read() as session:
        return published_form(ctx, session, holder.form, None)[1].leaflet
