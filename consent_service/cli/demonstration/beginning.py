"""First part of the story: set up, leaflet, and consent on exact words."""

import hashlib
from datetime import UTC, datetime
from functools import partial
from shutil import copytree

from consent_service.cli.demonstration.cast import ROWAN
from consent_service.cli.demonstration.clinic import LEAFLET, open_clinic, settings_in, small_film
from consent_service.cli.demonstration.evidence import digests_in
from consent_service.cli.demonstration.promises import promise, refusal
from consent_service.cli.demonstration.scene import Evidence, Scene
from consent_service.domain.leaflets import LeafletStatus
from consent_service.policy_files import default_policy_dir, published_digests, write_published
from consent_service.services import (
    checks,
    consent,
    leaflets,
    papers,
    policies,
    recordings,
    startup,
)
from consent_service.services.leaflet_import import import_leaflet

BEGINS = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
"""A Monday morning on which version 2 of the leaflet is current."""


def set_up(scene: Scene) -> Evidence:
    """An empty folder becomes an installation with staff in every role."""
    own_policies = scene.folder / "policies"
    copytree(default_policy_dir(), own_policies)
    clinic = scene.clinic = open_clinic(settings_in(scene.data, own_policies), BEGINS)
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


def leaflet_imported(scene: Scene) -> Evidence:
    """A team's own leaflet file is registered byte for byte; impossible ones name the line."""
    ctx, officer = scene.clinic.ctx, scene.clinic.officer
    words = "Film and you\n\nWe film for a few minutes.\n\n"
    good = f"{words}T2042, V1, 01/10/2026 (Archive: 01/10/2029)\n".encode()
    first = import_leaflet(ctx, officer, good, "T2042.txt")
    again = import_leaflet(ctx, officer, good, "T2042.txt")
    promise(first.changed and not again.changed, "the same file again changed something")
    promise(first.sha256 == hashlib.sha256(good).hexdigest(), "a byte was lost")
    faulty = (
        words,
        f"{words}T2042, V2, 31/02/2023 (Archive: 01/10/2029)\n",
        f"{words}T2042, V2, 01/10/2026 (Archive: 01/10/2025)\n",
        good.decode().replace("few", "many"),
    )
    says = [
        refusal(
            partial(import_leaflet, ctx, officer, text.encode(), "T2042.txt"),
            "policy",
            "leaflet_registered",
        ).message
        for text in faulty
    ]
    promise(all("T2042.txt:" in said for said in says[:3]), f"no line is named: {says}")
    return {"imported": f"{first.code} V{first.version}", "refused": says}


def edited_form(scene: Scene) -> Evidence:
    """A published form that is edited together with its digest line is refused all the same."""
    ctx = scene.clinic.ctx
    folder = policies.policy_folder(ctx)
    words, listed = folder / "consent-forms/vig/v1/en.md", folder / "PUBLISHED.sha256"
    before, lines_before = words.read_bytes(), listed.read_bytes()
    words.write_bytes(before.replace(b"Take your time", b"Take no time", 1))
    promise(words.read_bytes() != before, "nothing was edited")
    write_published(folder, published_digests(folder, "consent-forms/vig/v1"))
    fault = refusal(lambda: startup.require_ready(ctx), "policy")
    words.write_bytes(before)
    listed.write_bytes(lines_before)
    startup.require_ready(ctx)
    promise("consent-forms/vig/v1" in fault.message, "the file is not named")
    return {"refused": fault.message.splitlines()}


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
    ("A leaflet file imported, impossible ones refused", leaflet_imported),
    ("Published form edited with its digest: refused", edited_form),
    ("Leaflet V2 given to three people", new_leaflet),
    ("Film refused without everyone's care", no_film_without_care),
    ("Consent on exact words", exact_words),
)
