"""What comes next with a family, in words: the first of the steps that is still open."""

from dataclasses import dataclass

from flask import url_for

from consent_service.domain.consent import ConsentState
from consent_service.domain.people import FamilyRole
from consent_service.services.involvements import InvolvementView
from consent_service.services.progress import Progress

ADULTS = (FamilyRole.PARENT, FamilyRole.CARER)


@dataclass(frozen=True)
class NextStep:
    """What to do, and where; `href` is None when there is nothing to open."""

    said: str
    href: str | None = None


def next_step(family: InvolvementView, done: Progress, *, may_ask: bool) -> NextStep:
    """Return the first open step of a family's story; `may_ask` is whether it is one's own work."""
    if family.ended_on is not None:
        return NextStep("Nothing: our work has ended")
    if not may_ask:
        return NextStep("Nothing for you to do")
    return _before_filming(family, done) or _after_consent(family, done)


def _before_filming(family: InvolvementView, done: Progress) -> NextStep | None:
    children = [person for member, person in family.people if member.role is FamilyRole.BABY]
    adults = [person for member, person in family.people if member.role in ADULTS]
    if children and not family.responsibilities:
        href = url_for("families.add_responsibility", involvement=family.id)
        return NextStep("Write down who may decide for the baby", href)
    for person in adults:
        if person.id not in done.leaflet_given:
            href = url_for("leaflets.give", involvement=family.id, person=person.id)
            return NextStep(f"Give {person.full_name} the leaflet", href)
    if ConsentState.DISPUTED in done.care.values():
        return NextStep("Wait: the information governance officer settles a disagreement")
    for person in adults:
        if done.care.get(person.id) is ConsentState.NOT_ASKED:
            href = url_for("consents.begin", involvement=family.id, person=person.id)
            return NextStep(f"Ask {person.full_name} for consent", href)
    for person in adults:
        if person.id in done.ask_again:
            href = url_for("consents.begin", involvement=family.id, person=person.id)
            return NextStep(f"Go through the changed form with {person.full_name}", href)
    if any(state is not ConsentState.GIVEN for state in done.care.values()):
        return NextStep("No filming for now: not everybody said yes")
    return None


def _after_consent(family: InvolvementView, done: Progress) -> NextStep:
    if done.recording is None:
        return NextStep("Film together", url_for("films.add", involvement=family.id))
    if not done.has_clip:
        return NextStep("Choose clips", url_for("films.watch", asset=done.recording))
    if not done.has_review:
        href = url_for("reviews.add", involvement=family.id)
        return NextStep("Watch together and write down the shared review", href)
    if done.unfiled_summary is not None:
        href = url_for("reviews.file", involvement=family.id, summary=done.unfiled_summary)
        return NextStep("Sign and file the summary", href)
    return NextStep("Film again, or end our work", url_for("families.show", involvement=family.id))
