"""The files of others that we ship: unchanged, complete, and fetching nothing from elsewhere.

No page may make a third-party request: it would tell another host that this person looked at a
mental-health service. The style sheet of NHS.UK frontend does so by default (its font).
"""

import hashlib
import re
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser

VENDOR = Path(__file__).parents[2] / "consent_service/web/static/vendor"
MANIFEST = VENDOR / "manifest.sha256"
NOT_LISTED = {"manifest.sha256", "README.md"}
NAMESPACES = ("http://www.w3.org/",)
URL_IN_SCRIPT = re.compile(r"""https?://[^\s"'`)\\]+|(?<=["'`])//[a-z0-9-]+(?:\.[a-z0-9-]+)+""")
URL_IN_CSS = re.compile(r"""url\(\s*["']?([^"')]+)""")

STRICT_CSP = (
    "default-src 'none'; script-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; style-src 'self' {hashes}"
)
PAGE = b"""<!doctype html><html lang="en"><head><title>t</title>
<link rel="stylesheet" href="/nhsuk-frontend/nhsuk-frontend.min.css">
<script type="module" src="/nhsuk-frontend/nhsuk-frontend.min.js"></script>
<script src="/signature_pad/signature_pad.umd.min.js" defer></script>
<script src="/tus-js-client/tus.min.js" defer></script>
<script src="/media-chrome/media-chrome.js" defer></script></head><body>
<media-controller><video slot="media"></video><media-control-bar><media-play-button>
</media-play-button><media-seek-backward-button></media-seek-backward-button><media-time-range>
</media-time-range><media-time-display showduration></media-time-display><media-mute-button>
</media-mute-button><media-volume-range></media-volume-range><media-playback-rate-button>
</media-playback-rate-button><media-fullscreen-button></media-fullscreen-button>
</media-control-bar></media-controller></body></html>"""


def listed() -> dict[str, str]:
    """Return path -> digest as the manifest has them."""
    rows = (line.split("  ", 1) for line in MANIFEST.read_text().splitlines())
    return {path: digest for digest, path in rows}


def shipped() -> set[str]:
    """Return the paths of all files that a wheel would carry."""
    files = (path for path in VENDOR.rglob("*") if path.is_file())
    return {path.relative_to(VENDOR).as_posix() for path in files} - NOT_LISTED


def urls_fetched_by(css: str) -> list[str]:
    """Return what a browser would fetch for this style sheet, inline data apart."""
    return [url for url in URL_IN_CSS.findall(css) if not url.startswith("data:")]


def foreign_urls_in(script: str) -> list[str]:
    """Return the addresses a script names outside its leading comment, namespaces apart."""
    code = re.sub(r"^\s*/\*.*?\*/", "", script, count=1, flags=re.DOTALL)
    return [url for url in URL_IN_SCRIPT.findall(code) if not url.startswith(NAMESPACES)]


def test_every_vendored_file_is_the_one_in_the_manifest() -> None:
    """A file edited by hand, or swapped, is no longer what its author published."""
    digests = {path: hashlib.sha256((VENDOR / path).read_bytes()).hexdigest() for path in listed()}

    assert digests == listed()
    assert shipped() == set(listed())


def test_every_vendored_package_carries_its_licence() -> None:
    """MIT asks for the notice in every copy; the npm package of NHS.UK frontend has none."""
    packages = sorted(path for path in VENDOR.iterdir() if path.is_dir())

    assert len(packages) == 5
    for package in packages:
        assert "Permission is hereby granted, free of charge" in (package / "LICENSE").read_text()


def test_style_sheets_fetch_only_files_that_we_ship() -> None:
    """No font or image comes from another host, and none is missing."""
    sheets = sorted(VENDOR.rglob("*.css"))

    assert sheets
    for sheet in sheets:
        css = sheet.read_text()
        assert "@import" not in css
        assert "@font-face" not in css
        assert "frutiger" not in css.lower()
        assert urls_fetched_by(css)
        for url in urls_fetched_by(css):
            assert not re.match(r"[a-z]+:|//", url, re.IGNORECASE), url
            assert (sheet.parent / url).is_file(), url


def test_scripts_name_no_other_host() -> None:
    """A script that names a host may load from it."""
    scripts = sorted(VENDOR.rglob("*.js"))

    assert len(scripts) == 5
    assert {path.name: foreign_urls_in(path.read_text()) for path in scripts} == {
        path.name: [] for path in scripts
    }


def test_the_search_for_hosts_finds_one_that_was_planted() -> None:
    """A search that finds nothing proves something only if it would have found it."""
    assert foreign_urls_in('/* https://a.test */load("https://cdn.test/x.js")') == [
        "https://cdn.test/x.js"
    ]
    assert foreign_urls_in("load('//cdn.test/x.js')") == ["//cdn.test"]
    assert urls_fetched_by('a{b:url("https://cdn.test/f.woff2")}') == ["https://cdn.test/f.woff2"]


def test_no_nhs_logo_or_icon_is_shipped() -> None:
    """The NHS logo is a trade mark; an organisation that may use it brings its own."""
    assert not [path for path in shipped() if re.search(r"logo|favicon|opengraph|-\d+\.png", path)]


class StrictPage(SimpleHTTPRequestHandler):
    """Serves the vendored files under the policy that the service's own pages have."""

    hashes = ""

    def do_GET(self) -> None:
        """Answer `/` with the page, anything else from the folder."""
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def end_headers(self) -> None:
        """Add the policy to every answer."""
        self.send_header("Content-Security-Policy", STRICT_CSP.format(hashes=self.hashes))
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(params=["with the hashes", "without them"])
def strict_server(request: pytest.FixtureRequest) -> Iterator[tuple[str, bool]]:
    """Yield the address of a loopback server, and whether its policy names the style hashes."""
    allowed = request.param == "with the hashes"
    hashes = (VENDOR / "media-chrome/style-hashes.txt").read_text() if allowed else ""
    handler = type("Page", (StrictPage,), {"hashes": " ".join(hashes.split())})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(VENDOR)))
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", allowed
    server.shutdown()
    server.server_close()


@pytest.mark.browser
def test_the_vendored_scripts_keep_a_strict_content_security_policy(
    browser: Browser, strict_server: tuple[str, bool]
) -> None:
    """The player's style sheets need their hashes, and with them nothing is refused or foreign."""
    address, allowed = strict_server
    requested: list[str] = []
    refused: list[str] = []

    page = browser.new_page()
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda line: refused.append(line.text))
    page.goto(address, wait_until="load")
    page.wait_for_function("() => customElements.get('media-time-range')")
    globals_there = page.evaluate("() => [typeof SignaturePad, typeof tus.Upload]")
    bar_layout = page.evaluate(
        "() => getComputedStyle(document.querySelector('media-control-bar')).display"
    )
    page.close()

    violations = [line for line in refused if "Content Security Policy" in line]
    assert globals_there == ["function", "function"]
    assert [url for url in requested if not url.startswith(address)] == []
    assert bool(violations) is not allowed
    assert bar_layout.endswith("flex") is allowed
