"""Journeys: a real Chromium against the service as it is served, one installation for all."""

from collections.abc import Iterator
from typing import Protocol
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.browser import WIDTHS, Watch
from tests.support.served import Served, served, session_cookie

TIMEOUT_MS = 20_000


class SignedIn(Protocol):
    """Opens a page in a browser where `who` is signed in."""

    def __call__(self, who: str, width: int = WIDTHS["desktop"]) -> Page: ...


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An installation with staff in every role, served by granian."""
    with served(tmp_path_factory.mktemp("journeys") / "data") as running:
        yield running


@pytest.fixture
def watch(service: Served) -> Iterator[Watch]:
    """What went on in the browser; at the end nothing may have gone wrong."""
    watching = Watch(urlsplit(service.url).netloc)
    yield watching
    assert watching.strangers == [], "a page asked another host for something"
    assert watching.refused == [], "the content security policy refused something of ours"
    assert watching.broken == [], "a script of ours failed"


@pytest.fixture
def stranger(browser: Browser, watch: Watch) -> Iterator[BrowserContext]:
    """A browser of somebody who is not signed in."""
    context = browser.new_context(viewport={"width": WIDTHS["phone"], "height": 844})
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture
def signed_in(browser: Browser, service: Served, watch: Watch) -> Iterator[SignedIn]:
    """Open pages where somebody is signed in; their session is made without the form."""
    opened: list[BrowserContext] = []

    def open_page(who: str, width: int = WIDTHS["desktop"]) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900})
        context.set_default_timeout(TIMEOUT_MS)
        opened.append(context)
        context.add_cookies([session_cookie(service, who)])
        return watch.over(context.new_page())

    yield open_page
    for context in opened:
        context.close()
