"""A real Chromium on our pages: what it refused, whom it asked, what axe finds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

WIDTHS = {"phone": 390, "tablet": 820, "desktop": 1366}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
ALLOWED = {
    # The NHS frontend tells screen readers so when a choice opens another question.
    "aria-allowed-attr": "input[aria-expanded]",
}
SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    # A camera and a microphone that are not there: a clock that turns, and a beep each second.
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
]


@dataclass
class Watch:
    """What went on while pages were open."""

    origin: str
    strangers: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def over(self, page: Page) -> Page:
        """Watch a page: requests to others, refusals of the policy, errors of scripts."""
        page.on("request", lambda request: self._asked(request.url))
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("pageerror", lambda error: self.broken.append(str(error)))
        return page

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws") and parts.netloc != self.origin:
            self.strangers.append(url)

    def _said(self, kind: str, text: str) -> None:
        if kind == "error" and "Content Security Policy" in text:
            self.refused.append(text)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, without a window."""
    with sync_playwright() as driver, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Locator, "click", _until_there(Locator.click))
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=SWITCHES)
        try:
            yield browser
        finally:
            browser.close()


def faults_of_access(page: Page) -> list[str]:
    """Return what axe finds on this page (WCAG 2.2 AA), the named exception apart."""
    found = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]})
    return [
        f"{violation['id']}: {node['target']} {node['html'][:160]}"
        for violation in found.response["violations"]
        for node in violation["nodes"]
        if not _allowed(page, violation["id"], str(node["target"][0]))
    ]


def looks(page: Page, name: str, folder: Path | None) -> None:
    """Keep a picture of a page, when somebody wants to look."""
    if folder is not None:
        page.screenshot(path=folder / f"{name}.png", full_page=True)


def runs_over(page: Page) -> int:
    """Return by how many pixels a page is wider than its window, once its menu has settled."""
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    settled = f"""() => new Promise((done) => {{
      const until = performance.now() + 2000;
      const look = () => ({wider}) <= 0 || performance.now() > until
        ? done({wider}) : requestAnimationFrame(look);
      look();
    }})"""
    return max(0, int(page.evaluate(settled)))


def signs_in(context: BrowserContext, url: str, email: str, password: str, code: str) -> Page:
    """Sign in as people do: address, password, one-time code."""
    page = context.new_page()
    page.goto(f"{url}/sign-in")
    page.get_by_label("Email").fill(email)
    page.locator("#password").fill(password)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Six digits").fill(code)
    page.get_by_role("button", name="Sign in").click()
    return page


def _until_there(click: Callable[..., None]) -> Callable[..., None]:
    """Whoever clicks then reads the page that opens; a click alone waits for its first byte."""

    @wraps(click)
    def clicks(at: Locator, **how: Any) -> None:
        click(at, **how)
        at.page.wait_for_load_state()

    return clicks


def _allowed(page: Page, rule: str, target: str) -> bool:
    pattern = ALLOWED.get(rule)
    if pattern is None:
        return False
    return bool(page.locator(target).evaluate("(e, pattern) => e.matches(pattern)", pattern))
