"""The demo: filled once, served with logins that work, and never beside real families."""

import http.cookiejar
import re
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config

from consent_service.clock import SystemClock
from consent_service.db import schema
from consent_service.db.engine import open_engine
from consent_service.wiring import Begin, build_context, make_folders
from tests.support.command_line import IN_A_PROCESS, CommandLine
from tests.support.installation import settings_for
from tests.support.processes import free_port, started

TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def test_a_second_start_fills_nothing(demo: CommandLine) -> None:
    """A demo that began anew would lose what somebody tried in it."""
    before = (demo.folder / "data" / "DEMO").stat().st_mtime_ns

    again = demo("demo", "--data-dir", "data", "--fill-only", "--json")

    assert again.code == 0 and again.err == ""
    assert (demo.folder / "data" / "DEMO").stat().st_mtime_ns == before
    roles = [login["role"] for login in again.json["logins"]]
    assert sorted(roles) == ["administrator", "guider", "ig_officer", "ig_officer", "supervisor"]


def test_an_interrupted_filling_begins_anew(empty: CommandLine) -> None:
    """A laptop that was closed too early must not be left with half a demo."""
    (empty.folder / "data").mkdir()
    (empty.folder / "data" / "DEMO-FILLING").touch()
    (empty.folder / "data" / "consent.sqlite3").write_bytes(b"half a database")

    said = empty("demo", "--data-dir", "data", "--fill-only")

    assert said.code == 0, said.err
    assert (empty.folder / "data" / "DEMO").exists()
    assert not (empty.folder / "data" / "DEMO-FILLING").exists()


def test_a_demo_never_goes_beside_real_families(ready: CommandLine) -> None:
    """Logins that everyone can read must not open real film."""
    said = ready("demo", "--data-dir", "data", "--fill-only")

    assert said.code == 1 and "real families" in said.err


def test_a_demo_stays_in_its_folder(empty: CommandLine) -> None:
    """An `.env` that names the real database must not have invented people put into it."""
    (empty.folder / ".env").write_text("CONSENT_DATABASE_URL=sqlite:////tmp/real.sqlite3\n")

    said = empty("demo", "--data-dir", "demo", "--fill-only")

    assert said.code == 1 and "CONSENT_DATABASE_URL" in said.err
    assert not (empty.folder / "demo").exists()


def test_run_refuses_a_demo(demo: CommandLine) -> None:
    """`run` is for real families; a demo served by it would look like them."""
    said = demo("run")

    assert said.code == 1 and "consent-service demo" in said.err


def test_the_printed_login_opens_the_families(demo: CommandLine) -> None:
    """What is printed is what a newcomer types first."""
    login = next(
        one
        for one in demo("demo", "--data-dir", "data", "--codes", "--json").json["logins"]
        if one["role"] == "guider"
    )
    with _served(demo) as address:
        browser = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )
        page = _get(browser, f"{address}/sign-in")
        page = _post(browser, f"{address}/sign-in", page, login, "email", "password")
        page = _post(browser, f"{address}/sign-in/code", page, login, "code")
        assert "Rosa Rowan" in page or "Rosa Rowan" in _get(browser, f"{address}/families")


@contextmanager
def _served(demo: CommandLine) -> Iterator[str]:
    port = free_port()
    listen = f"127.0.0.1:{port}"
    command = [sys.executable, "-c", IN_A_PROCESS, "demo", "--data-dir", "data", "--listen", listen]
    with started(command, port, cwd=demo.folder, environment=demo.environment()) as server:
        yield f"http://{listen}"
    assert server.returncode == 0


def _get(browser: urllib.request.OpenerDirector, url: str) -> str:
    with browser.open(url, timeout=30) as answer:
        return str(answer.read().decode())


def _post(
    browser: urllib.request.OpenerDirector, url: str, page: str, login: dict[str, str], *names: str
) -> str:
    token = TOKEN.search(page)
    assert token is not None, page[:500]
    fields = {name: login[name] for name in names} | {"csrf_token": token[1]}
    request = urllib.request.Request(url, urllib.parse.urlencode(fields).encode())
    request.add_header("Referer", url)
    request.add_header("Origin", url.split("/sign-in", maxsplit=1)[0])
    with browser.open(request, timeout=30) as answer:
        return str(answer.read().decode())


def test_a_demo_of_an_older_version_is_brought_to_this_one(empty: CommandLine) -> None:
    """Whoever pulls a new version wants to look at it, not at a fault about its database."""
    settings = settings_for(empty.folder / "data")
    make_folders(settings, SystemClock())
    build_context(settings, begin=Begin.ALL).keyring.close()
    engine = open_engine(settings.database_url)
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    (empty.folder / "data" / "DEMO").touch()

    said = empty("demo", "--data-dir", "data", "--fill-only")

    assert said.code == 0, said.err
    assert "was brought to this version" in said.err
    assert schema.is_current(engine)
    engine.dispose()
    assert empty("demo", "--data-dir", "data", "--fill-only").err == ""
