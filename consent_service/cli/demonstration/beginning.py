"""First part of the story: set up, leaflet, and consent on exact words."""

import hashlib
from datetime import UTC, datetime

from consent_service.cli.demonstration.cast import ROWAN
from consent_service.cli.demonstration.clinic import LEAFLET, open_clinic, settings_in, small_film
from consent_service.cli.demonstration.evidence import digests_in
from consent_service.cli.demonstration.promises import promise, refusal
from consent_service.cli.demonstration.scene import Evidence, Scene
from consent_service.domain.leaflets import LeafletStatus
from consent_service.services import checks, consent, leaflets, papers, recordings

BEGINS = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
"""A Monday morning on which version 2 of the leaflet is current."""


def set_up(scene: Scene) -> Evidence:
    """An empty folder becomes an installation with staff in every role."""
    clinic = scene.clinic = open_clinic(settings_in(scene.data, "127.0.0.1:8000"), BEGINS)
    lines = checks.check(clinic.ctx)
    faults = [line.what for line in lines if line.state == checks.FAULT]
    promise(not faults, f"check finds faults: {', '.join(faults)}")
    return {"roles": sorted(clinic.staff), "checked": len(lines)}


def old_leaflet(scene: Scene) -> Evidence:
    """Version 1 of the leaflet is archived, and giving it names the current version."""
    ctx = scene.clinic.ctx
    status = {view.version: view.status for view in leaflets.list_leaflets(ctx)}
    promise(status[1] is LeafletStatus.ARCHIVED, f"version 1 is {status[1]}")
    promise(status[2] is LeafletStatus.CURRENT, f"version 2 is {status[2]}")
    family = scene.family = scene.clinic.family(ROWAN)
    fault = refusal(
        lambda: scene.clinic.gives_leaflet(family, family.mother, version=1), "leaflet_archived"
    )
    promise(fault.details.get("current") == 2, "the refusal does not name the current version")
    return {"refused": fault.code, "current": fault.details["current"], "says": fault.message}


def new_leaflet(scene: Scene) -> Evidence:
    """Version 2 goes to both parents, and to the mother once more for the baby."""
    family = scene.family
    for person in family.everyone:
        scene.clinic.gives_leaflet(family, person)
    given = leaflets.issues(scene.clinic.ctx, scene.clinic.guider, family.involvement)
    promise({i.person for i in given} == set(family.everyone), "someone got no leaflet")
    promise({(i.code, i.version) for i in given} == {(LEAFLET, 2)}, "another version was given")
    return {"given_to": len(given), "leaflet": f"{LEAFLET} V2"}


def no_film_without_care(scene: Scene) -> Evidence:
    """No film of anybody without everyone's consent: who and what is missing is named."""
    clinic, family = scene.clinic, scene.family
    clinic.consents(family, family.mother, frozenset({"PHOTO.KEEP", "TRAIN.LOCAL"}))
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)
    fault = refusal(
        lambda: recordings.store(clinic.ctx, clinic.guider, request, [small_film()]),
        "consent_missing",
    )
    missing = {(m["person"], m["purpose"]) for m in fault.details["missing"]}
    promise((family.father, "care") in missing, "the father is not named")
    promise(not list(clinic.ctx.blobs.list()), "something of the film was kept")
    return {"refused": fault.code, "missing": fault.details["missing"]}


def exact_words(scene: Scene) -> Evidence:
    """The copy holds the very words shown: their digest is computed again from the PDF."""
    clinic, family = scene.clinic, scene.family
    act = scene.act = clinic.consents(
        family, family.father, frozenset({"PHOTO.KEEP", "TRAIN.LOCAL"})
    )
    words = hashlib.sha256(act.rendered_text.encode()).hexdigest()
    promise(words == act.rendered_sha256, "the digest is not of the words")
    pdf = papers.consent_copy(clinic.ctx, clinic.guider, act.id)
    promise(pdf == papers.consent_copy(clinic.ctx, clinic.guider, act.id), "two copies differ")
    promise(act.rendered_sha256 in digests_in(pdf), "the PDF does not hold the exact words")
    control = leaflets.leaflet_text(clinic.ctx, LEAFLET, 2, "en").view.control_line
    promise(control in act.rendered_text, "the control line is not among the words")
    states = {person: clinic.state(person).value for person in family.everyone}
    promise(set(states.values()) == {"given"}, f"care is {states}")
    now = clinic.clock.now()
    earlier = consent.state(clinic.ctx, clinic.officer, family.father, BEGINS, now)
    before = {view.purpose: view.state.value for view in earlier}["care"]
    promise(before != "given", "given before it was given")
    return {
        "digest": act.rendered_sha256,
        "pdf_bytes": len(pdf),
        "answers": len(act.decisions),
        "control_line": control,
        "before": before,
    }


BEGINNING = (
    ("Set up an empty folder", set_up),
    ("Archived leaflet refused, current one named", old_leaflet),
    ("Leaflet V2 given to three people", new_leaflet),
    ("Film refused without everyone's care", no_film_without_care),
    ("Consent on exact words", exact_words),
)
