"""Fifty people working in the pages: `python -m benchmarks.pages [--json]`.

The service is the real one, as `consent-service run` starts it, embedded, over a clinic with many
families. Each person has an account, a session and a connection that stays open; they read a page,
think for a while (5 s on average, spread as people's waits are), and go on: their families, a
family, its films, reviews and photos, a leaflet to give, a withdrawal looked at; IG officers read
exceptions and the log; now and then a guider writes down a goal. Whoever asks runs on the same
processors, so its work counts against us.

Goals: half of the answers within 100 ms, 99 of 100 within 500 ms, one error in a thousand, memory
that does not grow. The peer is a page of the same service that reads nothing but words.
"""

import argparse
import contextlib
import http.client
import os
import random
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

from flask.sessions import SecureCookieSessionInterface

from benchmarks.measure import Compared, Report
from benchmarks.serve import our_service
from consent_service.app import create_app
from consent_service.clock import SystemClock
from consent_service.services import accounts
from consent_service.services.accounts import UserDetails
from consent_service.web.sign_in import BEGUN, PROVED, SEEN
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.installation import close, found_installation
from tests.support.processes import children

GOALS = {"p50_ms": 100, "p99_ms": 500, "errors_of_1000": 1, "memory_last_over_middle": 1.1}
HOUR_AGO = timedelta(hours=1)
SECRET = "JBSWY3DPEHPK3PXP"
PASSWORD = "four plain quiet words"
PLAIN = "/accessibility"
THINKING_SECONDS = 5.0
ONE_IN_TEN = 10
FILMED = 5
"""Every so many families have been filmed; a film takes a second to make ready."""
TOKEN = re.compile(rb'name="csrf_token"[^>]*value="([^"]+)"')


@dataclass(frozen=True)
class Options:
    """How many work, in how many families, for how long."""

    people: int
    families: int
    seconds: int
    workers: int


@dataclass(frozen=True)
class Person:
    """Somebody who works: their cookie, where they may go, and whose goals they write where."""

    cookie: str
    pages: tuple[str, ...]
    goals: tuple[tuple[str, str], ...] = ()


@dataclass
class Answers:
    """What everybody met: (moment, path without ids, seconds) of every answer, and the faults."""

    taken: list[tuple[float, str, float]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, path: str, seconds: float, status: int) -> None:
        """Note one answer."""
        with self.lock:
            self.taken.append((time.monotonic(), _kind(path), seconds))
            if status not in (200, 302, 303):
                self.faults.append(f"{_kind(path)} {status}")


def build(folder: Path, options: Options) -> list[Person]:
    """Found an installation with families, accounts and films; returns who works there."""
    clinic = found_installation(folder, at=SystemClock().now() - HOUR_AGO)
    families = [_family(clinic, number) for number in range(options.families)]
    cookies = _cookies(clinic, options.people)
    people = []
    for number, cookie in enumerate(cookies):
        if number % ONE_IN_TEN == 0:
            people.append(Person(cookie, IG_PAGES))
            continue
        mine = families[number :: options.people] or families
        pages = tuple(page for family in mine for page in _pages(family))
        goals = tuple((f"/families/{f.involvement}/goals", f.mother) for f in mine)
        people.append(Person(cookie, ("/families", PLAIN, *pages), goals))
    close(clinic)
    return people


IG_PAGES = ("/governance", "/audit", "/certificates", "/retention/due", "/leaflets", "/holds")


def _family(clinic: Clinic, number: int) -> Family:
    family = clinic.family()
    if number % FILMED == 0:
        clinic.both_consent(family)
        clinic.stores_film(family, sample_film())
    return family


def _pages(family: Family) -> tuple[str, ...]:
    here = f"/families/{family.involvement}"
    return (
        here,
        f"{here}/films",
        f"{here}/reviews",
        f"{here}/photos",
        f"/leaflets/give/{family.involvement}/{family.mother}",
        f"/withdrawals/{family.involvement}/{family.mother}",
    )


def _cookies(clinic: Clinic, people: int) -> list[str]:
    """Sessions as they stand after the form and the second factor, signed as the service does."""
    app = create_app(clinic.ctx)
    sealer = SecureCookieSessionInterface().get_signing_serializer(app)
    if sealer is None:
        raise SystemExit("the service has no secret for its sessions: nothing was measured")
    now, team = SystemClock().now().timestamp(), next(iter(clinic.guider.teams))
    cookies = []
    for number in range(people):
        role = "ig_officer" if number % ONE_IN_TEN == 0 else "guider"
        details = UserDetails(f"p{number}@clinic.example", f"Person {number}", (role,), (team,))
        user, _ = accounts.ensure_demo_user(clinic.ctx, details, PASSWORD, SECRET)
        account = accounts.find_account(clinic.ctx, id=user)
        if account is None:
            raise SystemExit("an account that was just made is gone: nothing was measured")
        content = {"_user_id": account.fs_uniquifier, "_fresh": True, "fs_cc": "set"}
        value = sealer.dumps({**content, SEEN: now, BEGUN: now, PROVED: now})
        cookies.append(f"{app.config['SESSION_COOKIE_NAME']}={value!s}")
    return cookies


def work(person: Person, port: int, answers: Answers, end: threading.Event, seed: int) -> None:
    """Read, think and go on until the end."""
    chance = random.Random(seed)
    session = Session(port, person.cookie)
    while not end.wait(chance.expovariate(1 / THINKING_SECONDS)):
        if person.goals and chance.random() < 1 / 20:
            session.write_goal(*chance.choice(person.goals), answers)
        else:
            session.get(chance.choice(person.pages), answers)
    session.connection.close()


class Session:
    """One person's browser: a connection and a cookie."""

    def __init__(self, port: int, cookie: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._cookie = cookie

    def get(self, path: str, answers: Answers) -> bytes:
        """Read a page."""
        return self._ask("GET", path, None, answers)

    def write_goal(self, path: str, mother: str, answers: Answers) -> None:
        """Fill in the form of a goal and send it."""
        found = TOKEN.search(self.get(path, answers))
        if found is None:
            answers.add(path, 0.0, 0)
            return
        words = {"words": "To see when she is tired", "person": mother}
        self._ask("POST", path, urlencode(words | {"csrf_token": found[1].decode()}), answers)

    def _ask(self, method: str, path: str, body: str | None, answers: Answers) -> bytes:
        headers = {"Cookie": self._cookie}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        began = time.perf_counter()
        try:
            try:
                answer, content = self._sent(method, path, body, headers)
            except http.client.RemoteDisconnected:
                # Closed while nobody asked anything: browsers, too, open another and ask again.
                self.connection.close()
                answer, content = self._sent(method, path, body, headers)
        except (OSError, http.client.HTTPException):
            self.connection.close()
            answers.add(path, time.perf_counter() - began, 0)
            return b""
        # A session's cookie is signed anew as its time moves on.
        if said := answer.headers.get("Set-Cookie"):
            self._cookie = said.split(";", 1)[0]
        answers.add(path, time.perf_counter() - began, answer.status)
        return content

    def _sent(
        self, method: str, path: str, body: str | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return answer, answer.read()


def measure(options: Options, folder: Path) -> Report:
    """Let everybody work, with all files in `folder`."""
    report = Report("pages", GOALS)
    people = build(folder / "data", options)
    answers, end = Answers(), threading.Event()
    with our_service(folder, options.workers) as (port, pid):
        threads = [
            threading.Thread(target=work, args=(person, port, answers, end, seed))
            for seed, person in enumerate(people)
        ]
        for thread in threads:
            thread.start()
        sizes = list(_memory(pid, options.seconds))
        end.set()
        for thread in threads:
            thread.join()
    _tell(report, answers, sizes)
    return report


def _memory(pid: int, seconds: int) -> Iterator[int]:
    """Look at the resident memory of all processes of the service, in KiB, four times in all."""
    for _ in range(4):
        # Time itself is what is waited for here: people work in it.
        time.sleep(seconds / 4)
        yield sum(_resident(found) for found in _family_of(pid))


def _family_of(pid: int) -> Iterator[int]:
    yield pid
    for child in children(pid):
        yield from _family_of(child)


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        found = re.search(r"^Rss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
        return int(found[1]) if found else 0
    return 0


def _tell(report: Report, answers: Answers, sizes: list[int]) -> None:
    taken = sorted(seconds for _, _, seconds in answers.taken)
    by_kind: dict[str, list[float]] = {}
    for _, kind, seconds in answers.taken:
        by_kind.setdefault(kind, []).append(seconds)
    cut = statistics.quantiles(taken, n=100)
    report.figures |= {
        "p50_ms": round(cut[49] * 1000, 1),
        "p99_ms": round(cut[98] * 1000, 1),
        "answers": len(taken),
        "errors_of_1000": round(1000 * len(answers.faults) / len(taken), 2),
        "memory_mib": round(sizes[-1] / 1024, 1),
        "memory_last_over_middle": round(sizes[-1] / sizes[1], 3),
    }
    plain = statistics.median(by_kind[PLAIN])
    for kind, times in sorted(by_kind.items()):
        if kind != PLAIN and len(times) > 1:
            middle = statistics.median(times)
            name = kind.strip("/").replace("/", "_").replace("-", "_") or "start"
            report.add(f"{name}_over_plain", Compared(middle, plain, middle / plain))
    report.conditions["faults"] = ", ".join(sorted(set(answers.faults))) or "none"


def _kind(path: str) -> str:
    """A path without what names one thing: `/families` are many, `/family` is one."""
    return re.sub(r"/[0-9a-f]{32}", "", path.replace("/families/", "/family/"))


def main() -> None:
    """Read the options, measure, print, and leave nothing behind."""
    parser = argparse.ArgumentParser(description="Measure pages while fifty people work.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--people", type=int, default=50, help="people who work at once")
    parser.add_argument("--families", type=int, default=200, help="families of the clinic")
    parser.add_argument("--seconds", type=int, default=60, help="how long they work")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="of our service")
    said = vars(parser.parse_args())
    as_json = said.pop("json")
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        report = measure(Options(**said), Path(folder))
    report.conditions |= {name: str(value) for name, value in said.items()}
    report.show(as_json)


if __name__ == "__main__":
    main()
