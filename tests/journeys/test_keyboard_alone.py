"""A whole consent without a mouse or a finger: by keys alone, from the first page to the signature.

Who cannot hold a pen, and who uses a switch or a screen reader, answers for themselves.
"""

import pytest
from playwright.sync_api import Page

from consent_service.domain.consent import Answer, SignatureKind
from consent_service.domain.forms import Layer
from consent_service.services import consent
from tests.journeys.conftest import SignedIn
from tests.support.browser import WIDTHS
from tests.support.clinic import Clinic, Family
from tests.support.served import Served

pytestmark = pytest.mark.browser

MOST_KEYS = 80
NOTES_POINTERS = """for (const kind of ["mousedown", "mousemove", "pointerdown", "touchstart"]) {
  addEventListener(kind, () => sessionStorage.setItem("pointed", kind), true);
}"""
FOCUSED = """() => {
  const here = document.activeElement;
  const label = here.labels && here.labels.length ? here.labels[0] : here;
  const style = getComputedStyle(here);
  const seen = here.type === "radio" || style.outlineStyle !== "none" || style.boxShadow !== "none";
  return { name: here.name || "", text: label.innerText.trim(), seen };
}"""
GROUPS = """() => [...new Set([...document.querySelectorAll("main input[type=radio]")]
  .filter((one) => one.offsetParent).map((one) => one.name))]"""
OPTIONAL_YES = 3
"""So many of the optional lines are agreed to; the others are not."""


def test_a_whole_consent_is_given_by_keys_alone(service: Served, signed_in: SignedIn) -> None:
    """Every line, the optional ones too, a change of mind, and a typed name as signature."""
    clinic = Clinic(service.ctx, service.ctx.clock, service.team)  # type: ignore[arg-type]
    clinic.guider, clinic.ig = service.caller("guider"), service.caller("ig")
    family = clinic.family()
    page = signed_in("guider", WIDTHS["tablet"])
    page.add_init_script(NOTES_POINTERS)
    page.goto(f"{service.url}/consents/{family.involvement}/{family.mother}")

    _chooses(page, "capacity", "No reason to doubt it")
    _presses(page, "Continue")
    _presses(page, "Go to the questions")
    _answers_everything(page)
    changed = _takes_the_last_yes_back(page)
    _presses(page, "Everything is right: go on to sign")
    _chooses(page, "how", "Type the full name")
    page.keyboard.press("Tab")
    page.keyboard.type("Rosa Invented")
    _presses(page, "Sign and record")

    page.get_by_role("heading", name="The answers are recorded").wait_for()
    assert page.evaluate("sessionStorage.getItem('pointed')") is None
    _is_what_was_said(clinic, family, changed)


def _answers_everything(page: Page) -> None:
    """Answer page after page: yes to what VIG needs and to some of the rest."""
    agreed = 0
    while "/part/" in page.url:
        optional = page.get_by_text("Nothing depends on these").count() or agreed
        for name in page.evaluate(GROUPS):
            wants_no = optional and agreed >= OPTIONAL_YES
            wanted = ("No",) if wants_no else ("I confirm", "Yes", "I gave birth to this child")
            _chooses(page, name, *wanted)
            agreed += bool(optional)
            for box in ("named", "words"):
                if page.locator(f"[name='{name}-{box}']:visible").count():
                    _reaches(page, name=f"{name}-{box}")
                    page.keyboard.type("Gran Invented")
        _presses(page, "Continue")


def _takes_the_last_yes_back(page: Page) -> str:
    """From the reading back to one line and back again; returns which question it was."""
    page.get_by_role("heading", name="Check the answers").wait_for()
    rows = page.locator(".pages-read-back .nhsuk-summary-list__row")
    yes = rows.filter(has=page.locator("strong", has_text="Yes")).last
    link = yes.get_by_role("link")
    address = link.get_attribute("href") or ""
    _presses(page, link.inner_text())
    question = address.rpartition("#")[2]
    _chooses(page, question, "No")
    _presses(page, "Continue")
    page.get_by_role("heading", name="Check the answers").wait_for()
    return question


def _chooses(page: Page, group: str, *wanted: str) -> None:
    """Go to a group of answers and choose one of those wanted, as keys do it."""
    found = _reaches(page, name=group)
    page.keyboard.press("Space")
    for _ in range(MOST_KEYS):
        if found["text"] in wanted:
            return
        page.keyboard.press("ArrowDown")
        found = page.evaluate(FOCUSED)
    raise AssertionError(f"{group} offers none of {wanted}")


def _presses(page: Page, text: str) -> None:
    """Go to a link or button and press it; the page that follows has come."""
    _reaches(page, text=text)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def _reaches(page: Page, *, name: str = "", text: str = "") -> dict[str, str]:
    """Press Tab until the wanted thing has the focus, and shows that it has."""
    passed = []
    for _ in range(MOST_KEYS):
        found: dict[str, str] = page.evaluate(FOCUSED)
        if (name and found["name"] == name) or (text and found["text"] == text):
            assert found["seen"], f"nothing shows that {found} has the focus"
            return found
        passed.append(found["text"] or found["name"])
        page.keyboard.press("Tab")
    raise AssertionError(f"{name or text} is not reached by keys; passed: {passed}")


def _is_what_was_said(clinic: Clinic, family: Family, changed: str) -> None:
    (act,) = consent.acts(clinic.ctx, clinic.guider, family.involvement)
    assert act.signature.kind is SignatureKind.TYPED
    assert act.signature.content == {"name": "Rosa Invented"}
    form = clinic.ctx.policies.latest_form("vig")
    optional = {s.code for s in form.statements if s.layer is Layer.OPTIONAL}
    said = [d.answer for d in act.decisions if d.statement in optional]
    assert changed
    assert said.count(Answer.YES) == OPTIONAL_YES - 1
    assert said.count(Answer.NO) == len(said) - OPTIONAL_YES + 1
    needed = [d.answer for d in act.decisions if d.statement not in optional]
    assert Answer.NO not in needed
