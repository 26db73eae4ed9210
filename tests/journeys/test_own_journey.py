"""A family's own pages in a browser: answering from home, and stopping from home, on a telephone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from consent_service.domain.consent import Capacity, ConsentState
from consent_service.domain.links import LinkKind
from consent_service.errors import Gone
from consent_service.services import consent, links
from consent_service.web.own import NEUTRAL_PAGE
from tests.journeys.conftest import TIMEOUT_MS, SignedIn
from tests.support.browser import WIDTHS, Watch, faults_of_access, looks, runs_over
from tests.support.clinic import Clinic, Family
from tests.support.served import Served

pytestmark = pytest.mark.browser

PIN = "482615"
PICTURES = os.environ.get("OWN_PICTURES")
MEANINGS = ("I confirm", "I gave birth to this child", "Yes")


@pytest.fixture(scope="module")
def clinic(service: Served) -> Clinic:
    """Words for arranging what a journey starts from."""
    clinic = Clinic(service.ctx, service.ctx.clock, service.team)  # type: ignore[arg-type]
    clinic.guider, clinic.ig = service.caller("guider"), service.caller("ig")
    return clinic


@pytest.fixture
def plain(browser: Browser) -> Iterator[BrowserContext]:
    """A telephone that runs no JavaScript."""
    context = browser.new_context(
        viewport={"width": WIDTHS["phone"], "height": 844}, java_script_enabled=False
    )
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


def test_a_mother_answers_from_home_and_gets_her_copy(
    service: Served, clinic: Clinic, stranger: BrowserContext, watch: Watch, signed_in: SignedIn
) -> None:
    """Whoever cannot come in reads the same words, answers the same lines, and signs by finger."""
    family, found = clinic.family(), []  # type: tuple[Family, list[object]]
    guider = signed_in("guider", WIDTHS["tablet"])
    address = _makes_link(guider, service, family, found)
    page = watch.over(stranger.new_page())
    page.goto(address)
    _looks(page, "door", found)
    _says_birthday(page, "18")
    _looks(page, "wrong date", found)
    assert page.locator("#born_on-year").input_value() == ""
    _says_birthday(page, "17")

    page.get_by_role("heading", name="First the leaflet").wait_for()
    _looks(page, "leaflet", found)
    page.get_by_role("button", name="I have read the leaflet").click()
    page.get_by_role("button", name="Go to the questions").click()
    _looks(page, "one thing", found)
    while page.get_by_role("button", name="Leave them all").count() == 0:
        for meaning in MEANINGS:
            for box in page.get_by_label(meaning, exact=True).all():
                box.check()
        page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Leave them all").click()
    _looks(page, "check", found)
    page.get_by_role("button", name="Everything is right").click()
    page.get_by_label("Draw a signature").check()
    _draws(page)
    _looks(page, "sign", found)
    page.get_by_role("button", name="Sign and send").click()

    page.get_by_role("heading", name="Thank you").wait_for()
    _looks(page, "thank you", found)
    with page.expect_download() as copied:
        page.get_by_role("button", name="Your copy").click()
    assert Path(copied.value.path()).read_bytes().startswith(b"%PDF")
    (act,) = consent.acts(clinic.ctx, clinic.guider, family.involvement)
    assert act.recorded_late and act.checked_at is None
    assert act.signature.content["strokes"]
    assert found == []


def test_a_mother_stops_from_home_changes_her_mind_and_leaves(
    service: Served, clinic: Clinic, stranger: BrowserContext, watch: Watch
) -> None:
    """Stopping is as easy as agreeing was, and only she can take it back."""
    family, found = clinic.family(), []  # type: tuple[Family, list[object]]
    _both_consent(clinic, family)
    page = watch.over(stranger.new_page())
    page.goto(_address(service, clinic, family, LinkKind.PARENT))
    _says_birthday(page, "17")

    page.get_by_role("heading", name="Your page").wait_for()
    _looks(page, "own page", found)
    page.get_by_role("button", name="Stop film or photos").click()
    page.get_by_label("Everything: all film and photos").check()
    page.get_by_label("In 7 days, unless I change my mind").check()
    _looks(page, "stop", found)
    page.get_by_role("button", name="Show what would happen").click()
    page.get_by_label("Your own number").fill(PIN)
    _looks(page, "what would happen", found)
    page.get_by_role("button", name="Stop it").click()
    page.get_by_role("heading", name="It is stopped").wait_for()
    _looks(page, "stopped", found)
    assert _care(clinic, family) is ConsentState.WITHDRAWN
    with page.expect_download() as receipt:
        page.get_by_role("button", name="Receipt to keep").click()
    assert Path(receipt.value.path()).read_bytes().startswith(b"%PDF")

    page.get_by_role("button", name="Keep the film after all").click()
    page.get_by_label("Your own number").fill("000000")
    page.get_by_role("button", name="Keep the film").click()
    page.get_by_text("This is not the number that you chose").first.wait_for()
    _looks(page, "wrong number", found)
    page.get_by_label("Your own number").fill(PIN)
    page.get_by_role("button", name="Keep the film").click()
    page.get_by_role("heading", name="You kept it after all").wait_for()
    assert _care(clinic, family) is ConsentState.GIVEN

    page.route(f"{NEUTRAL_PAGE}**", lambda route: route.fulfill(body="weather"))
    watch.strangers.clear()
    page.get_by_role("link", name="Leave this page").click()
    page.get_by_text("weather").wait_for()
    assert set(watch.strangers) == {NEUTRAL_PAGE}
    watch.strangers.clear()
    page.go_back()
    expect(page.get_by_role("heading", name="This page has closed")).to_be_visible()
    assert found == []


def test_a_mother_stops_one_film_and_keeps_the_other(
    service: Served, clinic: Clinic, stranger: BrowserContext, watch: Watch
) -> None:
    """One film that she dislikes goes; what she chose is named on the page before she confirms."""
    family, found = clinic.family(), []  # type: tuple[Family, list[object]]
    _both_consent(clinic, family)
    gone, kept = clinic.stores_film(family), clinic.stores_film(family)
    page = watch.over(stranger.new_page())
    page.goto(_address(service, clinic, family, LinkKind.PARENT))
    _says_birthday(page, "17")
    page.get_by_role("button", name="Stop film or photos").click()
    assert not page.get_by_label("number 1").is_visible()
    page.get_by_label("Some films or photos of me only").check()
    page.get_by_label("number 1").check()
    _looks(page, "stop one film", found)
    page.get_by_role("button", name="Show what would happen").click()
    page.get_by_text("You chose:").wait_for()
    _looks(page, "what would happen to one film", found)
    page.get_by_role("button", name="Stop it and destroy").click()

    page.get_by_role("heading", name="It is stopped").wait_for()
    _looks(page, "stopped one film", found)
    with pytest.raises(Gone):
        clinic.watches(gone.id)
    assert clinic.watches(kept.id)
    assert found == []


def test_stopping_needs_no_script(service: Served, clinic: Clinic, plain: BrowserContext) -> None:
    """An old telephone, or one whose owner trusts no scripts, must be enough to say stop."""
    family = clinic.family()
    _both_consent(clinic, family)
    page = plain.new_page()
    page.goto(_address(service, clinic, family, LinkKind.PARENT))
    _says_birthday(page, "17")
    page.get_by_role("button", name="Stop film or photos").click()
    page.get_by_label("Everything: all film and photos").check()
    page.get_by_role("button", name="Show what would happen").click()
    page.get_by_role("button", name="Stop it").click()

    page.get_by_role("heading", name="It is stopped").wait_for()
    assert _care(clinic, family) is ConsentState.WITHDRAWN


def _makes_link(guider: Page, service: Served, family: Family, found: list[object]) -> str:
    guider.goto(f"{service.url}/links/{family.involvement}/{family.mother}")
    guider.get_by_label("One consent to answer at home").check()
    guider.get_by_label("No reason to doubt it").check()
    _looks(guider, "making a link", found)
    guider.get_by_role("button", name="Make the link").click()
    code = guider.get_by_role("img", name="Square code")
    assert code.evaluate("(shown) => shown.decode().then(() => shown.naturalWidth)") > 0
    _looks(guider, "the link", found)
    return guider.locator("#address").inner_text()


def _address(service: Served, clinic: Clinic, family: Family, kind: LinkKind) -> str:
    wanted = links.MakeLink(family.involvement, family.mother, kind, capacity=Capacity.NO_DOUBT)
    return f"{service.url}/link/{links.make_link(clinic.ctx, clinic.guider, wanted)[1]}"


def _both_consent(clinic: Clinic, family: Family) -> None:
    for person in (family.mother, family.father):
        clinic.captures(family, person, clinic.answers(family, person))


def _says_birthday(page: Page, day: str) -> None:
    for name, value in (("day", day), ("month", "5"), ("year", "1994")):
        page.locator(f"#born_on-{name}").fill(value)
    page.get_by_role("button", name="Continue").click()


def _care(clinic: Clinic, family: Family) -> ConsentState:
    now = clinic.clock.now()
    found = consent.state(clinic.ctx, clinic.guider, family.mother, now, now)
    return next(view.state for view in found if view.purpose == "care")


def _draws(page: Page) -> None:
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 40, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 120, steps=6)
    page.mouse.up()


def _looks(page: Page, name: str, found: list[object]) -> None:
    """Look at a page at each width: what axe finds, and whether it runs over."""
    for width in reversed(WIDTHS.values()):
        page.set_viewport_size({"width": width, "height": 844})
        if runs_over(page):
            found.append((name, width, "runs over"))
        looks(page, f"{name} {width}", Path(PICTURES) if PICTURES else None)
        found += [(name, width, fault) for fault in faults_of_access(page)]
