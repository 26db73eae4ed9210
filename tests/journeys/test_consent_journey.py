"""Consent in a browser: one thing on a page, offline and back, paper, and everybody at each width."""

import io

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page

from consent_service.services import consent
from tests.journeys.conftest import SignedIn
from tests.support.browser import WIDTHS, faults_of_access, runs_over
from tests.support.clinic import Clinic, Family
from tests.support.served import Served

pytestmark = pytest.mark.browser

KEPT = """async () => {
  const opened = await new Promise((done, failed) => {
    const asked = indexedDB.open("kept");
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  });
  const count = (name) => new Promise((done) => {
    if (!opened.objectStoreNames.contains(name)) { done(0); return; }
    const asked = opened.transaction(name).objectStore(name).count();
    asked.onsuccess = () => done(asked.result);
  });
  const found = (await count("boxes")) + (await count("things"));
  opened.close();
  return found;
}"""
"""How much this browser keeps of anything: keys and things."""


@pytest.fixture(scope="module")
def clinic(service: Served) -> Clinic:
    """Words for arranging what a journey starts from."""
    clinic = Clinic(service.ctx, service.ctx.clock, service.team)  # type: ignore[arg-type]
    clinic.guider, clinic.ig = service.caller("guider"), service.caller("ig")
    return clinic


def test_answers_outlive_a_lost_network_and_leave_nothing_behind(
    service: Served, signed_in: SignedIn, clinic: Clinic
) -> None:
    """In a home without reception a parent says something once; it is not asked of them twice."""
    family = clinic.family()
    page = signed_in("guider", WIDTHS["tablet"])
    _begins(page, service, family)
    _answers(page, "I confirm")
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("Page 2 of").wait_for()
    asked = page.url

    page.context.set_offline(True)
    _answers(page, "Not yet")
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("There is no connection").wait_for()
    assert page.url == asked
    assert page.evaluate(KEPT) > 0
    page.context.set_offline(False)

    page.goto(f"{service.url}/families/{family.involvement}")
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Use them").click()
    assert page.get_by_label("Not yet").is_checked()
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("Page 3 of").wait_for()
    page.wait_for_function(f"async () => (await ({KEPT})()) === 0")

    _answers(page, "I confirm")
    page.goto(f"{service.url}/families/{family.involvement}")
    page.get_by_role("button", name="Throw away").click()
    page.get_by_text("It is thrown away").wait_for()
    assert page.evaluate(KEPT) == 0
    assert page.get_by_text("Half done").count() == 0


def test_a_sitting_suits_everybody_at_each_width_and_the_next_is_offered(
    service: Served, signed_in: SignedIn, clinic: Clinic
) -> None:
    """Who says no comes to an end as plain and kind as who says yes; the other parent is next."""
    family = clinic.family()
    page = signed_in("guider")
    found: list[object] = []
    page.goto(f"{service.url}/consents/{family.involvement}/{family.mother}")
    _looks(page, "who answers for whom", found)
    assert page.get_by_text("gave birth to the child").is_visible()
    _begins(page, service, family)
    _looks(page, "one line", found)
    while "/part/" in page.url:
        if page.get_by_role("button", name="Leave them all").count():
            page.get_by_role("button", name="Leave them all").click()
            break
        _answers(page, "I confirm", "No", "I gave birth to this child")
        page.get_by_role("button", name="Continue").click()
    _yes_and_no_are_alike(page, service, found)
    page.get_by_role("button", name="Everything is right").click()
    page.get_by_label("Draw a signature").check()
    _draws(page)
    page.go_back()
    page.get_by_role("heading", name="Check the answers").wait_for()
    page.go_forward()
    page.get_by_label("Draw a signature").check()
    page.get_by_role("button", name="Sign and record").click()
    page.get_by_text("Draw a signature, or type the full name.").first.wait_for()
    page.get_by_label("Draw a signature").check()
    _draws(page)
    page.get_by_role("button", name="Sign and record").click()
    page.get_by_text("their care stays the same").wait_for()
    _looks(page, "a no", found)
    page.get_by_role("button", name="Ask Jonas Invented").click()
    page.get_by_text("Jonas Invented answers for themselves").wait_for()
    assert found == []


def test_paper_counts_once_somebody_else_compared_its_scan(
    service: Served, signed_in: SignedIn, clinic: Clinic
) -> None:
    """Typing off a paper is where answers change by mistake."""
    family = clinic.family()
    guider = signed_in("guider")
    found: list[object] = []
    _begins(guider, service, family, "On paper")
    while "/part/" in guider.url:
        _answers(guider, "I confirm", "Yes", "I gave birth to this child")
        for box in guider.locator("input[name$=-named]:visible, textarea:visible").all():
            box.fill("Gran Invented")
        guider.get_by_role("button", name="Continue").click()
    guider.get_by_role("button", name="Everything is right").click()
    guider.locator("input[type=file]").set_input_files(
        [FilePayload(name="paper.png", mimeType="image/png", buffer=_scan())]
    )
    _looks(guider, "signed on paper", found)
    guider.get_by_role("button", name="Sign and record").click()
    guider.get_by_role("heading", name="Waits for a second person").wait_for()
    guider.goto(f"{service.url}/governance/late-consents")
    assert guider.get_by_text("You wrote this down").first.is_visible()

    (act,) = consent.acts(clinic.ctx, clinic.guider, family.involvement)
    checker = signed_in("supervisor")
    checker.goto(f"{service.url}/consents/{act.id}")
    picture = checker.get_by_role("img", name="Scan of the paper")
    assert picture.evaluate("(shown) => shown.decode().then(() => shown.naturalWidth)") == 320
    _looks(checker, "comparing", found)
    checker.get_by_role("button", name="I compared it").click()
    checker.get_by_text("The answers count from now on").wait_for()
    assert found == []


def _yes_and_no_are_alike(page: Page, service: Served, found: list[object]) -> None:
    """Both answers take the same room, in the same style; neither is chosen beforehand."""
    page.goto(page.url.replace("/check", "/part/8"))
    sizes = [box.bounding_box() for box in page.locator(".pages-answers .nhsuk-radios__item").all()]
    assert len({(box["width"], box["height"]) for box in sizes if box}) == 1
    page.go_back()
    page.get_by_role("heading", name="Check the answers").wait_for()
    _looks(page, "read back", found)


def _begins(page: Page, service: Served, family: Family, route: str = "In person") -> None:
    page.goto(f"{service.url}/consents/{family.involvement}/{family.mother}")
    page.get_by_label(route).check()
    page.get_by_label("No reason to doubt it").check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Go to the questions").click()


def _answers(page: Page, *wanted: str) -> None:
    for group in page.locator(".pages-question").all():
        for name in wanted:
            choice = group.get_by_label(name, exact=True)
            if choice.count():
                choice.first.check()
                break


def _draws(page: Page) -> None:
    box = page.locator("#pad").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 30, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 110, steps=6)
    page.mouse.up()


def _looks(page: Page, step: str, found: list[object]) -> None:
    for name, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 900})
        over = runs_over(page)
        if over:
            found.append((step, name, f"{over} pixels too wide"))
        found += [(step, name, fault) for fault in faults_of_access(page)]


def _scan() -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (320, 200), "white").save(held, "PNG")
    return held.getvalue()
