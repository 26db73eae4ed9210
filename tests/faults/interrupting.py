"""Installations, copies of them, and a flow that is interrupted in one copy after the other."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.faults.calls import Ended, Point, disturbed, points, recorded
from tests.faults.flows import Flow, Home
from tests.faults.processes import finished, in_a_child, learn
from tests.faults.sweep import promise
from tests.support.postgres import PostgresServer


class Homes:
    """Installations and copies of them, with their databases on one engine."""

    def __init__(self, work: Path, server: PostgresServer | None) -> None:
        self._work, self._server = work, server
        # A server's databases outlive a flow, so their names are of this flow alone.
        self._names = f"home_{secrets.token_hex(4)}"

    def new(self) -> Home:
        """An empty place; one only."""
        home = self._named("prepared")
        if self._server is not None:
            self._create(home, "template1")
        return home

    @contextmanager
    def copy(self, prepared: Home) -> Iterator[Home]:
        """A copy of a closed installation, always in the same place, taken away afterwards."""
        home = self._named("copy")
        shutil.copytree(prepared.folder, home.folder)
        if self._server is not None:
            self._create(home, prepared.folder.name)
        try:
            yield home
        finally:
            shutil.rmtree(home.folder)
            if self._server is not None:
                self._do("DROP DATABASE {} WITH (FORCE)", home.folder.name)

    def _named(self, what: str) -> Home:
        name = f"{self._names}_{what}"
        url = "" if self._server is None else self._server.url(name)
        return Home(self._work / name, url)

    def _create(self, home: Home, template: str) -> None:
        self._do("CREATE DATABASE {} TEMPLATE {}", home.folder.name, template)

    def _do(self, command: str, *names: str) -> None:
        assert self._server is not None
        with psycopg.connect(self._server.conninfo(), autocommit=True) as admin:
            admin.execute(sql.SQL(command).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]


class Interrupting:
    """One flow on one engine."""

    def __init__(self, flow: Flow, homes: Homes, work: Path) -> None:
        self.flow, self._homes, self._log = flow, homes, work / "calls.log"
        self._prepared = homes.new()
        self._end = ""

    def prepare(self) -> tuple[int, list[Point]]:
        """Make the installation, go through it once undisturbed; return calls and points."""
        in_a_child(lambda: self.flow.prepare(self._prepared))
        with self._homes.copy(self._prepared) as home:
            learn(self.flow, home)
        with self._homes.copy(self._prepared) as home:
            ended, calls = recorded(lambda: self.flow.ready(home), self._log)
            promise(ended.code == 0, f"an undisturbed run failed: {ended.fault}")
            self._end = finished(self.flow, home, ended)
        return len(calls), points(calls)

    def try_point(self, point: Point) -> Ended:
        """Meet one fault; raises Broken when a promise did not hold."""
        with self._homes.copy(self._prepared) as home:
            ended = disturbed(lambda: self.flow.ready(home), point)
            promise(ended.code != -14, "it hung")
            promise(finished(self.flow, home, ended) == self._end, "it came to another end")
        return ended
