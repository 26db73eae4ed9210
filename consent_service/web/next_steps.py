"""What comes next with a family, in words: the first of the steps that is still open.

A consent that soon runs out is said first: asking again takes a meeting, and without it nothing is
filmed or watched any more.
"""

from dataclasses import dataclass
from datetime import date

from flask import url_for

from consent_service.domain.consent import ConsentState
from consent_service.domain.people import FamilyRole
from consent_service.domain.purposes import CARE
from consent_service.services import papers
from consent_service.services.involvements import InvolvementView
from consent_service.services.progress import Progress
from consent_service.web.here import ctx

ADULTS = (FamilyRole.PARENT, FamilyRole.CARER)


@dataclass(frozen=True)
class NextStep:
    """What to do, and where; `href` is None when there is nothing to open."""

    said: str
    href: str | None = None


def next_steps(
    family: InvolvementView, done: Progress, today: date, *, may_ask: bool
) -> tuple[NextStep, ...]:
    """Return what comes next: a consent that soon runs out, then the first open step of the story.

    `may_ask` is whether it is one's own work.
    """
    if family.ended_on is not None:
        return (NextStep("Nothing: our work has ended"),)
    if not may_ask:
        return (NextStep("Nothing for you to do"),)
    ending = _running_out(family, done, today)
    step = _before_filming(family, done) or _after_consent(family, done)
    return (step,) if ending is None else (ending, step)


def _running_out(family: InvolvementView, done: Progress, today: date) -> NextStep | None:
    """Return the first consent that runs out soon: whose, for what, and when."""
    if not done.ends:
        return None
    ending = done.ends[0]
    of = next((p.full_name for _, p in family.people if p.id == ending.person), "somebody")
    label = papers.purpose_label(ctx(), ending.purpose)
    days = (ending.last - today).days
    when = {0: "today", 1: "tomorrow"}.get(days, f"in {days} days")
    said = f"Consent of {of} for “{label}” expires {when}"
    adults = [person.id for member, person in family.people if member.role in ADULTS]
    if not adults:
        return NextStep(said)
    asked = ending.person if ending.person in adults else adults[0]
    about = None if ending.purpose == CARE else "uses"
    href = url_for("consents.begin", involvement=family.id, person=asked, about=about)
    return NextStep(said, href)


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
    if not done.films:
        return NextStep("Film together", url_for("films.add", involvement=family.id))
    if done.unfiled_summary is not None:
        href = url_for("reviews.file", involvement=family.id, summary=done.unfiled_summary)
        return NextStep("Sign and file the summary", href)
    for film in done.films:
        if film.has_review:
            continue
        if film.waits:
            href = url_for("films.listing", involvement=family.id)
            return NextStep(f"Film {film.number} waits for the consent of everybody in it", href)
        if not film.has_clip:
            href = url_for("films.watch", asset=film.asset)
            return NextStep(f"Film {film.number} is ready to watch: choose clips", href)
        href = url_for("reviews.add", involvement=family.id)
        return NextStep(f"Film {film.number} is ready to review together", href)
    return NextStep("Film again, or end our work", url_for("families.show", involvement=family.id))
