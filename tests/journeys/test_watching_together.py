"""Watching and the shared review, with the keyboard alone: from the first mark to the filed summary.

A guider holds a baby's toy in one hand; somebody else cannot use a mouse at all. What the keys do is
there as buttons and text fields too, and on the screen in front of the parent nothing else stands.
"""

import pytest
from playwright.sync_api import Page

from consent_service.domain.assets import AssetKind
from consent_service.media.sample import make_sample_film
from consent_service.services import assets, cutting, reviews
from consent_service.services.cutting import MakeClip
from consent_service.services.recordings import ReserveFilm, store
from tests.journeys.conftest import SignedIn
from tests.support.browser import WIDTHS, faults_of_access, runs_over
from tests.support.clinic import Clinic, Family
from tests.support.served import Served

pytestmark = pytest.mark.browser

FPS = 25
READY = """(film) => film.readyState >= 2 || new Promise((done) => { film.oncanplay = done; })"""
SETTLED = """(film) => new Promise((done) => {
  const look = () => film.seeking ? requestAnimationFrame(look) : done(film.currentTime);
  requestAnimationFrame(look);
})"""


@pytest.fixture(scope="module")
def clinic(service: Served) -> Clinic:
    """Words for arranging what the journey starts from."""
    clinic = Clinic(service.ctx, service.ctx.clock, service.team)  # type: ignore[arg-type]
    clinic.guider, clinic.ig = service.caller("guider"), service.caller("ig")
    return clinic


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family that said yes, with a film and a goal."""
    family = clinic.family()
    for person in (family.mother, family.father):
        answers = clinic.answers(family, person, optional=frozenset({"PHOTO.KEEP"}))
        clinic.captures(family, person, answers)
    wanted = ReserveFilm(family.involvement, family.everyone, clinic.today, title="Bath time")
    store(clinic.ctx, clinic.guider, wanted, _pieces(make_sample_film(12, (320, 180))))
    reviews.record_goal(
        clinic.ctx, clinic.guider, family.involvement, family.mother, "To feel calm."
    )
    return family


def test_moments_are_kept_with_keys_alone(
    service: Served, signed_in: SignedIn, clinic: Clinic, family: Family
) -> None:
    """Every key does what the page says, none does anything while a name is written."""
    page = signed_in("guider", WIDTHS["desktop"])
    page.goto(f"{service.url}/films/{_film(clinic, family)}")
    film = page.locator("video")
    film.evaluate(READY)

    assert _after(page, "l", "j", "ArrowRight") == 1
    assert int(_after(page, ".") * FPS) == FPS + 1, "one picture on"
    assert int(_after(page, ".", ".", ",") * FPS) == FPS + 2
    page.keyboard.press("-")
    assert film.evaluate("(film) => film.playbackRate") == 0.75
    page.keyboard.press("+")
    page.keyboard.press("i")
    start = page.locator("#start_ms").input_value()
    assert "Start at" in page.locator("#film-said").inner_text()
    _after(page, "l", "o")
    page.keyboard.press("Space")
    page.wait_for_function("() => !document.querySelector('video').paused")
    page.keyboard.press("k")
    page.wait_for_function("() => document.querySelector('video').paused")

    _tabs_to(page, "#title")
    page.keyboard.type("Kind jokes, likes.")
    assert page.locator("#start_ms").input_value() == start, "letters in a name are no keys"
    page.keyboard.press("Enter")
    page.locator("#kept").get_by_role("link", name="Kind jokes, likes.").first.wait_for()
    assert "The clip is kept." in page.locator("#film-said").inner_text()
    assert film.evaluate("(film) => film.currentTime") > 5, "the film stays where it was"
    _tabs_to(page, "button")
    page.keyboard.press("s")
    page.locator("#kept").get_by_text("Clips and photos (2)").wait_for()

    kinds = {a.kind for a in assets.assets(service.ctx, clinic.guider, family.involvement)}
    assert kinds == {AssetKind.RECORDING, AssetKind.CLIP, AssetKind.STILL}
    _switches_keys_off(page)


def _switches_keys_off(page: Page) -> None:
    """WCAG 2.1.4: keys of one letter can be switched off, and stay off on this device."""
    page.reload()
    _tabs_to(page, "summary")
    page.keyboard.press("Enter")
    _tabs_to(page, "#keys-wanted")
    page.keyboard.press("Space")
    page.reload()
    page.locator("video").evaluate(READY)
    page.keyboard.press("i")
    assert page.locator("#start_ms").input_value() == ""
    page.evaluate("() => localStorage.clear()")


def test_a_review_is_held_with_keys_alone_on_a_screen_of_its_own(
    service: Served, signed_in: SignedIn, clinic: Clinic, family: Family
) -> None:
    """Chosen clips, the parent's number, words written together, one filed record."""
    other = clinic.family()
    wanted = MakeClip(_film(clinic, family), 0, 1500, "She looks up")
    cutting.clip(clinic.ctx, clinic.guider, wanted)
    page = signed_in("guider", WIDTHS["tablet"])
    page.goto(f"{service.url}/families/{family.involvement}/reviews/add")
    _tabs_to(page, "[name=clips]")
    page.keyboard.press("Space")
    _presses(page, "Watch together")
    page.locator("video").evaluate(READY)
    _stands_alone(page, family, other)

    _presses(page, "Write down together")
    _stands_alone(page, family, other)
    _tabs_to(page, "input[type=radio]")
    page.keyboard.press("Space")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    _presses(page, "Save and go on")
    _tabs_to(page, "#strengths")
    page.keyboard.type("You wait for her.")
    _tabs_to(page, "#points")
    page.keyboard.type("Say what she feels.")
    _presses(page, "Save and read it together")
    _stands_alone(page, family, other)
    page.get_by_text("7 of 10").wait_for()
    _presses(page, "Sign and file")
    page.get_by_text("It does not change any more").wait_for()
    _stands_alone(page, family, other)
    _presses(page, "Leave this screen")
    _presses(page, "Leave")
    page.get_by_role("heading", name="Shared reviews").wait_for()

    (kept,) = reviews.summaries(service.ctx, clinic.guider, family.involvement)
    assert kept.filed_at is not None


def _stands_alone(page: Page, family: Family, other: Family) -> None:
    """No other family, nobody's name, no menu; usable at any width by anybody."""
    html = page.content()
    strangers = (other.involvement, family.mother, family.baby, "Invented", "<nav", "/families/new")
    assert [one for one in strangers if one in html] == []
    assert faults_of_access(page) == []
    for width in (WIDTHS["phone"], WIDTHS["tablet"]):
        page.set_viewport_size({"width": width, "height": 900})
        assert runs_over(page) == 0


def _after(page: Page, *keys: str) -> float:
    """Press keys; return where the film stands then."""
    for key in keys:
        page.keyboard.press(key)
        page.locator("video").evaluate(SETTLED)
    return float(page.locator("video").evaluate(SETTLED))


def _tabs_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("(s) => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached by Tab")


def _presses(page: Page, name: str) -> None:
    """Press Tab until the button or link of this name has the focus, then Enter."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent.trim()") == name:
            with page.expect_navigation():
                page.keyboard.press("Enter")
            return
    raise AssertionError(f"{name} cannot be reached by Tab")


def _film(clinic: Clinic, family: Family) -> str:
    found = assets.assets(clinic.ctx, clinic.guider, family.involvement)
    return next(a.id for a in found if a.kind is AssetKind.RECORDING)


def _pieces(film: bytes) -> list[bytes]:
    return [film[start : start + 65_536] for start in range(0, len(film), 65_536)]
