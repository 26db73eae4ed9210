"""The service served for real: granian on a free port, over a data folder made for one test run."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flask.sessions import SecureCookieSessionInterface

from consent_service.app import create_app
from consent_service.clock import SystemClock, london_day
from consent_service.db import schema
from consent_service.domain.audit import Actor, ActorKind
from consent_service.services import accounts, involvements, policies
from consent_service.services.access import Caller
from consent_service.services.accounts import UserDetails
from consent_service.services.context import Context
from consent_service.settings import PREFIX, Settings, load_settings
from consent_service.web.sign_in import BEGUN, PROVED, SEEN
from consent_service.wiring import Begin, build_context, make_folders
from tests.support.processes import free_port, started

PASSWORD = "four plain quiet words"
SECRET = "JBSWY3DPEHPK3PXP"
ROOT = Path(__file__).parents[2]
STAFF = (
    ("guider", "Mira Guider", "guider"),
    ("ig", "Iris Officer", "ig_officer"),
    ("supervisor", "Sol Supervisor", "supervisor"),
    ("admin", "Ada Administrator", "administrator"),
)


@dataclass
class Served:
    """A running service: its address, and a Context over the same folder."""

    url: str
    ctx: Context
    team: str
    people: dict[str, str] = field(default_factory=dict)
    starts: Callable[[], subprocess.Popen[bytes]] | None = None
    process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def is_killed(self) -> Iterator[None]:
        """Kill every process of it with SIGKILL; after the block the same folder is served again."""
        assert self.process is not None
        assert self.starts is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        try:
            yield
        finally:
            self.process = self.starts()

    def email(self, who: str) -> str:
        """The address with which `who` signs in."""
        return f"{who}@clinic.example"

    def caller(self, who: str) -> Caller:
        """`who` as caller of use cases, to arrange what a journey starts from."""
        return accounts.caller_of_user(self.ctx, self.people[who])

    def session_mark(self, who: str) -> str:
        """What a session cookie of `who` carries."""
        found = accounts.find_account(self.ctx, id=self.people[who])
        assert found is not None
        return found.fs_uniquifier

    def today(self) -> str:
        """Today's day, as the service counts it."""
        return london_day(self.ctx.clock.now()).isoformat()


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Serve an installation with one team and staff in every role."""
    port = free_port()
    environment = {
        f"{PREFIX}DATA_DIR": str(folder),
        f"{PREFIX}LISTEN": f"127.0.0.1:{port}",
        f"{PREFIX}LOG_FORMAT": "json",
    }
    settings = load_settings(environment)
    service = _installed(settings)
    command, whole = _command(port), {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
    try:
        with ExitStack() as begun:

            def starts() -> subprocess.Popen[bytes]:
                server = started(command, port, cwd=folder, environment=whole)
                return begun.enter_context(server)

            service.starts, service.process = starts, starts()
            yield service
    finally:
        service.ctx.keyring.close()
        service.ctx.engine.dispose()


def _installed(settings: Settings) -> Served:
    make_folders(settings, SystemClock())
    ctx = build_context(settings, begin=Begin.ALL)
    schema.upgrade(ctx.engine)
    installer = Caller(
        Actor(ActorKind.SYSTEM, "tests"), roles=frozenset({"administrator", "ig_officer"})
    )
    policies.publish_all(ctx, installer)
    team = involvements.create_team(ctx, installer, "Lantern team")
    service = Served(settings.public_url, ctx, team)
    for who, name, role in STAFF:
        details = UserDetails(service.email(who), name, (role,), (team,))
        service.people[who], _ = accounts.ensure_demo_user(ctx, details, PASSWORD, SECRET)
    return service


def _command(port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", str(port), "--blocking-threads", "4"),
        *("--log-level", "warning", "--no-access-log", "--factory"),
        "consent_service.app:create_served_app",
    ]


def session_cookie(service: Served, who: str) -> dict[str, str]:
    """Return the cookie of a session in which `who` has just signed in, signed as ours are.

    Signing in by the form costs a second each time and is a journey of its own.
    """
    app = create_app(service.ctx)
    now = service.ctx.clock.now().timestamp()
    content = {"_user_id": service.session_mark(who), "_fresh": True, "fs_cc": "set"}
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    value = serializer.dumps({**content, SEEN: now, BEGUN: now, PROVED: now})
    return {"name": app.config["SESSION_COOKIE_NAME"], "value": str(value), "url": service.url}
