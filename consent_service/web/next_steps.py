"""What comes next with a family, in words: the first of the steps that is still open."""

from dataclasses import dataclass

from flask import url_for

from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.consent import ConsentState
from consent_service.domain.people import FamilyRole
from consent_service.domain.purposes import CARE
from consent_service.domain.roles import Permission
from consent_service.services import access, assets, consent, leaflets, reviews
from consent_service.services.access import Caller
from consent_service.services.assets import AssetView
from consent_service.services.context import Context
from consent_service.services.involvements import InvolvementView

NOT_ASKED_FOR_CARE = frozenset({FamilyRole.STAFF})


@dataclass(frozen=True)
class NextStep:
    """What to do, and where; `href` is None when there is nothing to open."""

    said: str
    href: str | None = None


def next_step(ctx: Context, caller: Caller, family: InvolvementView) -> NextStep:
    """Return the first open step of a family's story."""
    if family.ended_on is not None:
        return NextStep("Nothing: our work has ended")
    if not access.allows(ctx, caller, Permission.CONSENT_CAPTURE):
        return NextStep("Nothing for you to do")
    before = _before_filming(ctx, caller, family)
    if before is not None:
        return before
    films = [a for a in assets.assets(ctx, caller, family.id) if a.state is not AssetState.ERASED]
    return _after_consent(ctx, caller, family, films)


def _before_filming(ctx: Context, caller: Caller, family: InvolvementView) -> NextStep | None:
    holders = {r.holder for r in family.responsibilities}
    children = [p for m, p in family.people if m.role is FamilyRole.BABY]
    adults = [p for m, p in family.people if m.role in (FamilyRole.PARENT, FamilyRole.CARER)]
    if children and not holders:
        href = url_for("families.add_responsibility", involvement=family.id)
        return NextStep("Write down who may decide for the baby", href)
    given = {issue.person for issue in leaflets.issues(ctx, caller, family.id)}
    for person in adults:
        if person.id not in given:
            href = url_for("leaflets.give", involvement=family.id, person=person.id)
            return NextStep(f"Give {person.full_name} the leaflet", href)
    states = _care(ctx, caller, family)
    if ConsentState.DISPUTED in states.values():
        return NextStep("Wait: the information governance officer settles a disagreement")
    for person in adults:
        if states.get(person.id) is ConsentState.NOT_ASKED:
            href = url_for("consents.begin", involvement=family.id, person=person.id)
            return NextStep(f"Ask {person.full_name} for consent", href)
    if any(state is not ConsentState.GIVEN for state in states.values()):
        return NextStep("No filming for now: not everybody said yes")
    return None


def _after_consent(
    ctx: Context, caller: Caller, family: InvolvementView, films: list[AssetView]
) -> NextStep:
    recordings = [a for a in films if a.kind is AssetKind.RECORDING]
    if not recordings:
        return NextStep("Film together", url_for("films.add", involvement=family.id))
    if not any(a.kind is AssetKind.CLIP for a in films):
        return NextStep("Choose clips", url_for("films.watch", asset=recordings[0].id))
    if not reviews.reviews(ctx, caller, family.id):
        href = url_for("reviews.add", involvement=family.id)
        return NextStep("Watch together and write down the shared review", href)
    waiting = [s for s in reviews.summaries(ctx, caller, family.id) if s.filed_at is None]
    if waiting:
        href = url_for("reviews.file", involvement=family.id, summary=waiting[0].id)
        return NextStep("Sign and file the summary", href)
    return NextStep("Film again, or end our work", url_for("families.show", involvement=family.id))


def _care(ctx: Context, caller: Caller, family: InvolvementView) -> dict[str, ConsentState]:
    now = ctx.clock.now()
    found = {}
    for member, person in family.people:
        if member.role in NOT_ASKED_FOR_CARE:
            continue
        for view in consent.state(ctx, caller, person.id, now, now):
            if view.purpose == CARE and view.involvement == family.id:
                found[person.id] = view.state
    return found
