"""The story in a browser: a family comes, reads, decides, and stops again."""

from datetime import date

import pytest
from playwright.sync_api import BrowserContext, Page

from consent_service.services import accounts, erasure, sign_in
from tests.journeys.conftest import SignedIn
from tests.support.browser import WIDTHS, Watch, signs_in
from tests.support.served import PASSWORD, SECRET, Served

pytestmark = pytest.mark.browser


def test_signing_in_takes_a_password_and_a_code(
    stranger: BrowserContext, service: Served, watch: Watch
) -> None:
    """The first thing anybody sees must work on a telephone."""
    codes = sign_in.totp_class(service.ctx)(key=SECRET, format="base32")

    page = signs_in(
        stranger, service.url, service.email("ig"), PASSWORD, accounts.present_code(codes)
    )

    assert page.get_by_role("link", name="Sign out").is_visible()


def test_a_family_comes_decides_and_stops_again(service: Served, signed_in: SignedIn) -> None:
    """A guider with a tablet and no manual can do all of it."""
    page = signed_in("guider", WIDTHS["tablet"])
    page.goto(service.url)
    _begins_with_a_family(page)
    _gives_the_leaflet(page)
    _asks_for_consent(page)
    _draws_a_signature(page)
    _stops_everything(page)

    erasure.work(service.ctx, "journey")
    page.get_by_role("button", name="Progress and certificate").click()
    assert page.get_by_text("Certificate (PDF)").is_visible()


def _begins_with_a_family(page: Page) -> None:
    page.get_by_role("button", name="New family").click()
    page.get_by_label("Parent's full name").fill("Rosa Invented")
    page.get_by_label("Baby's full name").fill("Mina Invented")
    born = page.get_by_role("group", name="Baby's date of birth")
    for box, value in (("Day", "1"), ("Month", "10"), ("Year", str(date.today().year - 1))):
        born.get_by_label(box).fill(value)
    page.get_by_label("Gave birth to the child").check()
    page.get_by_role("button", name="Begin with this family").click()
    page.get_by_role("heading", name="Rosa Invented, Mina Invented").wait_for()


def _gives_the_leaflet(page: Page) -> None:
    page.get_by_role("link", name="Give Rosa Invented the leaflet").click()
    page.get_by_label("On paper").check()
    page.get_by_role("button", name="Write it down").click()


def _asks_for_consent(page: Page) -> None:
    page.get_by_role("link", name="Ask Rosa Invented for consent").click()
    page.get_by_label("No reason to doubt it").check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Go to the questions").click()
    while "/part/" in page.url:
        if page.get_by_role("heading", name="Other uses").count():
            page.get_by_role("button", name="Leave them all").click()
            break
        for group in page.get_by_role("group").all():
            for name in ("I confirm", "Yes", "I gave birth to this child"):
                choice = group.get_by_label(name, exact=True)
                if choice.count():
                    choice.first.check()
                    break
        page.get_by_role("button", name="Continue").click()
    page.get_by_role("heading", name="Check the answers").wait_for()


def _draws_a_signature(page: Page) -> None:
    page.get_by_role("button", name="Everything is right").click()
    page.get_by_label("Draw a signature").check()
    box = page.locator("#pad").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 30, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 110, steps=6)
    page.mouse.up()
    page.get_by_role("button", name="Sign and record").click()
    page.get_by_role("heading", name="The answers are recorded").wait_for()


def _stops_everything(page: Page) -> None:
    page.get_by_role("link", name="Back to the family").click()
    page.get_by_role("button", name="Withdraw").first.click()
    page.get_by_label("Everything: no film of this person is kept").check()
    page.get_by_role("button", name="Show what would happen").click()
    page.get_by_role("button", name="Stop it").click()
    page.get_by_text("Care stays the same.").wait_for()
