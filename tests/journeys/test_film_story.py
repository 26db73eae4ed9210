"""Film in a browser: sent, watched with seeking, marked by button and key, and refused."""

import pytest
from playwright.sync_api import Page

from consent_service.domain.assets import AssetKind
from consent_service.media.sample import make_sample_film
from consent_service.services import assets, cutting, handovers, reviews
from consent_service.services.cutting import MakeClip, MakeStill
from consent_service.services.recordings import ReserveFilm, reserve
from tests.journeys.conftest import SignedIn
from tests.support.browser import WIDTHS, faults_of_access, runs_over
from tests.support.clinic import Clinic, Family
from tests.support.served import Served

SECONDS = 6.0
SEEK = """([film, to]) => new Promise((done) => {
  film.onseeked = () => done(film.currentTime);
  film.currentTime = to;
})"""
READY = """(film) => film.readyState >= 2 ? film.duration : new Promise((done) => {
  film.oncanplay = () => done(film.duration);
})"""


@pytest.fixture(scope="session")
def clinic(service: Served) -> Clinic:
    """Words for arranging what a journey starts from."""
    clinic = Clinic(service.ctx, service.ctx.clock, service.team)  # type: ignore[arg-type]
    clinic.guider, clinic.ig = service.caller("guider"), service.caller("ig")
    return clinic


@pytest.fixture(scope="session")
def agreed(clinic: Clinic) -> Family:
    """A family in which everybody said yes, also to photos to keep."""
    family = clinic.family()
    for person in (family.mother, family.father):
        answers = clinic.answers(family, person, optional=frozenset({"PHOTO.KEEP"}))
        clinic.captures(family, person, answers)
    return family


def test_a_film_is_sent_watched_and_marked(
    service: Served, signed_in: SignedIn, clinic: Clinic, agreed: Family
) -> None:
    """WebM from a tablet plays with seeking, and a good moment is kept in a few taps."""
    page = signed_in("guider", WIDTHS["tablet"])
    page.goto(f"{service.url}/families/{agreed.involvement}/films/ready")
    page.get_by_label("Ready today").check()
    page.get_by_label("At home").check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("A name for the film").fill("Bath time")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("link", name="Send a file").click()
    _sends(page, "film.webm", make_sample_film(SECONDS, (640, 360), "webm"))
    page.get_by_role("button", name="Watch the film").click()
    page.get_by_role("heading", name="Bath time", exact=True).wait_for()

    film = page.locator("video")
    assert abs(film.evaluate(READY) - SECONDS) < 0.5
    assert abs(page.evaluate(SEEK, [film.element_handle(), 2.3]) - 2.3) < 0.1
    page.get_by_role("button", name="Start here").click()
    page.evaluate(SEEK, [film.element_handle(), 4])
    page.locator("h1").click()
    page.keyboard.press("o")
    assert page.get_by_label("Start of the clip").input_value() == "0:02.3"
    assert page.get_by_label("End of the clip").input_value() == "0:04"
    page.get_by_label("A name for the clip").fill("Bubbles")
    page.get_by_role("button", name="Keep the clip").click()

    page.get_by_role("link", name="Bubbles", exact=True).wait_for()
    kinds = [a.kind for a in assets.assets(service.ctx, clinic.guider, agreed.involvement)]
    assert AssetKind.CLIP in kinds


def test_what_is_no_film_is_refused_with_a_way_on(
    service: Served, signed_in: SignedIn, clinic: Clinic, agreed: Family
) -> None:
    """A refusal says that nothing was kept and lets the guider begin again."""
    wanted = ReserveFilm(agreed.involvement, agreed.everyone, clinic.today)
    film = reserve(service.ctx, clinic.guider, wanted)
    page = signed_in("guider", WIDTHS["phone"])
    page.goto(f"{service.url}/films/{film.id}/upload?how=file")

    page.get_by_role("button", name="Send the film").click()
    assert page.get_by_text("Choose a film first.").is_visible()
    _sends(page, "notes.mp4", b"not a film" * 400)

    page.get_by_role("heading", name="The film was not stored").wait_for()
    assert page.get_by_role("button", name="Begin again").is_visible()


def test_pages_of_film_and_governance_can_be_used_by_everybody(
    service: Served, signed_in: SignedIn, clinic: Clinic, agreed: Family
) -> None:
    """Somebody who cannot see, point or hold still must be able to work here too."""
    film = clinic.stores_film(agreed)
    clip = cutting.clip(clinic.ctx, clinic.guider, MakeClip(film.id, 0, 1500, "She looks up"))
    still = cutting.still(clinic.ctx, clinic.guider, MakeStill(film.id, 500, "Smile"))
    photos = handovers.offer(
        clinic.ctx, clinic.guider, agreed.involvement, agreed.mother, (still.id,)
    )
    wanted = reviews.RecordReview(agreed.involvement, film.id, clinic.today, (clip.id,))
    review = reviews.record_review(clinic.ctx, clinic.guider, wanted)
    here = f"/families/{agreed.involvement}"
    paths = {
        "guider": [
            *(f"{here}/films/ready", f"{here}/films/add", f"{here}/films", f"/films/{film.id}"),
            *(f"{here}/reviews", f"{here}/reviews/add", f"{here}/reviews/{review.id}"),
            *(f"{here}/reviews/{review.id}/summary", f"{here}/goals", f"{here}/photos"),
            *(f"{here}/photos/offer", f"{here}/quotes/add", f"{here}/disclosures/add"),
            *(f"/films/{clip.id}/name", f"/films/{clip.id}/remove", f"{here}/photos/{photos.id}"),
        ],
        "ig": [
            *("/governance", "/governance/disputes", "/governance/messages", "/holds"),
            *(
                "/governance/erasures",
                "/governance/late-consents",
                f"/holds/place/{agreed.involvement}",
            ),
            *("/retention/due", "/retention/schedule", "/retention/appraisals"),
            *(f"/retention/why/{film.id}", "/audit", "/audit?kind=nonsense", "/audit/verify"),
        ],
    }
    found = []
    for who, wanted_paths in paths.items():
        page = signed_in(who)
        for path in wanted_paths:
            page.goto(service.url + path)
            for name, width in WIDTHS.items():
                page.set_viewport_size({"width": width, "height": 900})
                over = runs_over(page)
                if over:
                    found.append((path, name, f"{over} pixels too wide"))
                found += [(path, name, fault) for fault in faults_of_access(page)]

    assert found == []


def _sends(page: Page, name: str, content: bytes) -> None:
    chosen = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.get_by_label("Film from this device").set_input_files(chosen)  # type: ignore[arg-type]
    page.get_by_role("button", name="Send the film").click()
