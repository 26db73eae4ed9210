"""The steps that follow a button: with keys alone, without JavaScript, and for everybody."""

import hashlib
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from consent_service.services import accounts, consent
from consent_service.services.accounts import UserDetails
from consent_service.services.consent import ConsentActView
from tests.journeys.conftest import TIMEOUT_MS, SignedIn
from tests.support.browser import WIDTHS, Watch, faults_of_access, runs_over
from tests.support.clinic import Clinic, Family
from tests.support.served import PASSWORD, Served, session_cookie

pytestmark = pytest.mark.browser

MOST_KEYS = 120
WHERE = """() => {
  const here = document.activeElement;
  const seen = [getComputedStyle(here)];
  if (here.type === "radio" || here.type === "checkbox")
    seen.push(getComputedStyle(document.querySelector(`label[for="${here.id}"]`), "::before"));
  const shows = (style) => (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0)
    || style.boxShadow !== "none";
  return {
    name: here.name || "", kind: here.type || "", text: (here.textContent || "").trim(),
    chosen: here.type === "radio" &&
      document.querySelector(`input[name="${here.name}"]:checked`) !== null,
    visible: seen.some(shows),
  };
}"""
"""Where the keys are, whether that question is answered, and whether anybody can see it."""


@pytest.fixture(scope="module")
def clinic(service: Served) -> Clinic:
    """Words for arranging what a journey starts from."""
    clinic = Clinic(service.ctx, service.ctx.clock, service.team)  # type: ignore[arg-type]
    clinic.guider, clinic.ig = service.caller("guider"), service.caller("ig")
    return clinic


@pytest.fixture
def without_scripts(browser: Browser, service: Served, watch: Watch) -> BrowserContext:
    """A browser that runs no JavaScript, in which a guider is signed in."""
    context = browser.new_context(
        viewport={"width": WIDTHS["phone"], "height": 844}, java_script_enabled=False
    )
    context.set_default_timeout(TIMEOUT_MS)
    context.add_cookies([session_cookie(service, "guider")])
    return context


def test_consent_needs_no_pointer_and_no_script(
    service: Served, signed_in: SignedIn, clinic: Clinic, without_scripts: BrowserContext
) -> None:
    """Whoever cannot hold a mouse, or whose scripts are blocked, is shown and signs the same."""
    by_keys, by_forms = clinic.family(), clinic.family()
    page = signed_in("guider")
    page.goto(f"{service.url}/consents/{by_keys.involvement}/{by_keys.mother}")
    _answers_with_keys(page)

    plain = without_scripts.new_page()
    plain.goto(f"{service.url}/consents/{by_forms.involvement}/{by_forms.mother}")
    _answers_without_scripts(plain)
    without_scripts.close()

    one, other = _only_act(clinic, by_keys), _only_act(clinic, by_forms)
    assert one.rendered_sha256 == other.rendered_sha256
    assert hashlib.sha256(one.rendered_text.encode()).hexdigest() == one.rendered_sha256
    said = [[(d.statement, d.answer) for d in act.decisions] for act in (one, other)]
    assert said[0] == said[1]


def test_steps_behind_a_button_can_be_used_by_everybody(
    service: Served, signed_in: SignedIn, stranger: BrowserContext, clinic: Clinic
) -> None:
    """A page that only a form leads to is a page too, above all when it says what is wrong."""
    found: list[object] = []
    _signs_in_wrongly(stranger.new_page(), service, found)
    page = signed_in("guider")
    family = clinic.family()
    _asks_with_mistakes(page, service, family, found)
    _stops_and_keeps(page, service, clinic, found)
    _asks_for_access(signed_in("ig"), service, found)

    assert found == []


def test_the_square_code_of_an_app_can_be_scanned(
    stranger: BrowserContext, service: Served, watch: Watch
) -> None:
    """Without it a new colleague types 32 letters, or gives up before the first day."""
    details = UserDetails("newcomer@clinic.example", "Nina Newcomer", ("guider",), (service.team,))
    _, token = accounts.create_user(service.ctx, service.caller("admin"), details)
    page = watch.over(stranger.new_page())
    page.goto(f"{service.url}/set-up/{token}")
    for box in ("#password", "#again"):
        page.locator(box).fill(PASSWORD)
    page.get_by_role("button", name="Set the password").click()
    page.get_by_label("Email").fill(details.email)
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Show the square code").click()

    picture = page.get_by_role("img", name="Square code")
    assert picture.evaluate("(shown) => shown.decode().then(() => shown.naturalWidth)") > 100

    page.goto(f"{service.url}/set-up/{token}")
    page.get_by_role("heading", name="This link does not work any more").wait_for()


def _answers_with_keys(page: Page) -> None:
    """Answer and sign with Tab, Space, arrows and Enter."""
    _tabs_to(page, lambda at: at["name"] == "capacity")
    page.keyboard.press("Space")
    _presses(page, "Continue")
    _presses(page, "Go to the questions")
    while "/part/" in page.url:
        if page.get_by_role("heading", name="Other uses").count():
            _presses(page, "Leave them all for another day")
            break
        for _ in range(page.locator(".pages-question").count()):
            _tabs_to(page, lambda at: at["kind"] == "radio" and not at["chosen"])
            page.keyboard.press("Space")
        _presses(page, "Continue")
    _presses(page, "Everything is right: go on to sign")
    _tabs_to(page, lambda at: at["name"] == "how")
    page.keyboard.press("ArrowDown")
    _tabs_to(page, lambda at: at["name"] == "typed_name")
    page.keyboard.type("Rosa Invented")
    _presses(page, "Sign and record")
    page.get_by_role("heading", name="The answers are recorded").wait_for()


def _tabs_to(page: Page, wanted: Callable[[dict[str, object]], bool]) -> None:
    """Press Tab until the keys are there; wherever they are on the way must be visible."""
    for _ in range(MOST_KEYS):
        page.keyboard.press("Tab")
        at = page.evaluate(WHERE)
        assert at["visible"], f"nobody sees that the keys are at {at}"
        if wanted(at):
            return
    raise AssertionError("the keys never come there")


def _presses(page: Page, text: str) -> None:
    _tabs_to(page, lambda at: at["text"] == text)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def _answers_without_scripts(page: Page) -> None:
    page.get_by_label("No reason to doubt it").check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Go to the questions").click()
    _says_yes_to_what_is_needed(page)
    page.get_by_role("button", name="Everything is right").click()
    assert page.locator("noscript p").first.is_visible()
    page.get_by_label("Type the full name").check()
    page.get_by_label("Full name of the person signing").fill("Rosa Invented")
    page.get_by_role("button", name="Sign and record").click()
    page.get_by_role("heading", name="The answers are recorded").wait_for()


def _says_yes_to_what_is_needed(page: Page) -> None:
    while "/part/" in page.url:
        if page.get_by_role("heading", name="Other uses").count():
            page.get_by_role("button", name="Leave them all").click()
            return
        for question in page.locator(".pages-question").all():
            question.get_by_role("radio").first.check()
        page.get_by_role("button", name="Continue").click()


def _only_act(clinic: Clinic, family: Family) -> ConsentActView:
    (act,) = consent.acts(clinic.ctx, clinic.guider, family.involvement)
    return consent.consent_act(clinic.ctx, clinic.guider, act.id)


def _looks(page: Page, step: str, found: list[object]) -> None:
    for name, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 900})
        over = runs_over(page)
        if over:
            found.append((step, name, f"{over} pixels too wide"))
        found += [(step, name, fault) for fault in faults_of_access(page)]


def _sends(page: Page, button: str, step: str, found: list[object]) -> None:
    page.get_by_role("button", name=button).click()
    _looks(page, step, found)


def _signs_in_wrongly(page: Page, service: Served, found: list[object]) -> None:
    page.goto(f"{service.url}/sign-in")
    _sends(page, "Continue", "sign-in with nothing", found)
    page.get_by_label("Email").fill(service.email("supervisor"))
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Six digits").fill("000000")
    _sends(page, "Sign in", "a wrong code", found)


def _asks_with_mistakes(page: Page, service: Served, family: Family, found: list[object]) -> None:
    page.goto(f"{service.url}/consents/{family.involvement}/{family.mother}")
    page.get_by_label("No reason to doubt it").check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Go to the questions").click()
    _sends(page, "Continue", "a part with gaps", found)
    _says_yes_to_what_is_needed(page)
    _looks(page, "the answers", found)
    page.get_by_role("button", name="Everything is right").click()
    page.get_by_label("Type the full name").check()
    _sends(page, "Sign and record", "signing with nothing", found)
    page.get_by_label("Full name of the person signing").fill("Rosa Invented")
    _sends(page, "Sign and record", "what was answered", found)


def _stops_and_keeps(page: Page, service: Served, clinic: Clinic, found: list[object]) -> None:
    family = clinic.family()
    for person in (family.mother, family.father):
        clinic.captures(family, person, clinic.answers(family, person))
    clinic.stores_film(family)
    page.goto(f"{service.url}/withdrawals/{family.involvement}/{family.mother}")
    page.get_by_label("Everything: no film of this person is kept").check()
    page.get_by_label("In 7 days").check()
    _sends(page, "Show what would happen", "what would happen", found)
    _sends(page, "Stop it", "the receipt", found)
    page.get_by_role("button", name="Keep the film after all").click()
    _sends(page, "They are here", "kept after all", found)


def _asks_for_access(page: Page, service: Served, found: list[object]) -> None:
    page.goto(f"{service.url}/subject-access")
    page.get_by_label("Name, or NHS number").fill("Rosa")
    page.get_by_role("button", name="Find the person").click()
    page.locator("main a").last.click()
    _sends(page, "Open the request", "a request with gaps", found)
