"""Check the ranges of a log in order, with a helping process for each processor but ours.

Rules kept here:
  * helpers only make it faster: what one of them cannot do, this process does itself;
  * whoever is free takes the next range; results are handed out in order, and nobody runs further
    ahead than a few ranges, so that memory stays bounded;
  * a helper that does not answer in time is ended: whoever waits for a log never waits for it;
  * helpers are fresh processes, no forks: a forked SQLite connection loses its locks;
  * what a helper is told (the password of the database, too) goes through its standard input.
"""

import contextlib
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from threading import Condition, Thread, Timer
from typing import IO, NamedTuple, cast

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from consent_service.db.audit_ranges import (
    RANGE,
    CheckedRange,
    Database,
    Rows,
    Span,
    check_range,
)

MOST_HELPERS = 7
"""More would wait for the disk, and for the one who puts their findings together."""

_WORTH_HELP = 4
"""Fewer ranges are done before a helper has begun."""

_PATIENCE = 60.0
"""Seconds that a helper may take over a range, which is a tenth of a second of work."""

_SQLITE_PATIENCE = 30.0
_PROGRAM = "from consent_service.db.audit_ranges import main; main()"

_log = logging.getLogger(__name__)


class Spans(NamedTuple):
    """The ranges that the leaves of an epoch are cut into; made one by one, when asked for."""

    epoch: int
    leaves: int

    @property
    def ranges(self) -> int:
        """Return how many there are."""
        return -(-self.leaves // RANGE)

    def at(self, number: int) -> Span:
        """Return one of them, counted from 0."""
        first = number * RANGE
        return Span(self.epoch, first, min(first + RANGE, self.leaves))


def checked_ranges(session: Session, spans: Spans) -> Generator[CheckedRange]:
    """Yield what each range holds, in order. Errors of the database are raised."""
    connection = session.connection()
    rows = Rows(connection.dialect.driver, connection.connection.driver_connection)
    database = _database_of(connection.engine)
    helpers = min(_processors() - 1, MOST_HELPERS)
    if database is None or helpers < 1 or spans.ranges < _WORTH_HELP:
        for number in range(spans.ranges):
            yield check_range(rows, spans.at(number))
        return
    work = _SharedWork(spans, ahead=2 * helpers + 2)
    threads = [Thread(target=_help, args=(work, database), daemon=True) for _ in range(helpers)]
    try:
        for thread in threads:
            thread.start()
        for number in range(spans.ranges):
            yield work.take(number, rows)
    finally:
        work.end()
        for thread in threads:
            thread.join()


class _SharedWork:
    """Who does which range. Helpers' threads and the one that wants the results share it."""

    def __init__(self, spans: Spans, ahead: int) -> None:
        self.spans = spans
        self._ahead = ahead
        self._changed = Condition()
        self._wanted = 0
        self._next = 0
        self._left: list[int] = []
        self._done: dict[int, CheckedRange] = {}
        self._ended = False

    def take(self, number: int, rows: Rows) -> CheckedRange:
        """Return a range's result; until it is there, do what nobody else does."""
        while True:
            with self._changed:
                self._wanted = number
                self._changed.notify_all()
                if number in self._done:
                    return self._done.pop(number)
                mine = self._claim()
                if mine is None:
                    self._changed.wait()
                    continue
            self.put(mine, check_range(rows, self.spans.at(mine)))

    def wait_for_claim(self) -> int | None:
        """Return the number of a range to do; nothing once all are taken."""
        with self._changed:
            while not self._ended and (self._left or self._next < self.spans.ranges):
                if (claimed := self._claim()) is not None:
                    return claimed
                self._changed.wait()
        return None

    def put(self, number: int, result: CheckedRange) -> None:
        """Hand in a result."""
        with self._changed:
            self._done[number] = result
            self._changed.notify_all()

    def leave(self, number: int) -> None:
        """Give a claimed range back undone."""
        with self._changed:
            self._left.append(number)
            self._changed.notify_all()

    def end(self) -> None:
        """Let nobody begin anything more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _claim(self) -> int | None:
        if self._left:
            return self._left.pop()
        if self._next >= min(self.spans.ranges, self._wanted + self._ahead):
            return None
        self._next += 1
        return self._next - 1


def _help(work: _SharedWork, database: Database) -> None:
    """Let one helping process do ranges until there are no more, or it fails or hangs."""
    claimed = None
    try:
        with _helper() as process:
            pickle.dump(database, cast(IO[bytes], process.stdin))
            while (claimed := work.wait_for_claim()) is not None:
                work.put(claimed, _answer(process, work.spans.at(claimed)))
    except (OSError, EOFError, pickle.UnpicklingError):
        _log.warning("A process that helped to verify the log failed; its part is done here.")
        if claimed is not None:
            work.leave(claimed)


def _answer(process: "subprocess.Popen[bytes]", span: Span) -> CheckedRange:
    """Return what a helper says of a range; one that takes too long is ended, which is EOFError."""
    asked, answers = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
    alarm = Timer(_PATIENCE, process.kill)
    alarm.start()
    try:
        pickle.dump(span, asked)
        asked.flush()
        return cast(CheckedRange, pickle.load(answers))  # noqa: S301 - from our own child
    finally:
        alarm.cancel()


@contextlib.contextmanager
def _helper() -> "Iterator[subprocess.Popen[bytes]]":
    """Start a helping process; it is ended, whatever it is at, when the block is left."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
        [sys.executable, "-P", "-s", "-c", _PROGRAM],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        # What was not sent yet cannot be: the reader is gone.
        with contextlib.suppress(BrokenPipeError):
            cast(IO[bytes], process.stdin).close()
        cast(IO[bytes], process.stdout).close()
        process.wait()


def _database_of(engine: Engine) -> Database | None:
    """Return how another process reads this database; nothing when only this one can."""
    arguments, options = engine.dialect.create_connect_args(engine.url)
    if engine.dialect.driver == "psycopg":
        # SQLAlchemy's own type adaptation: nothing that is read here needs it.
        options.pop("context", None)
        return Database("psycopg", tuple(arguments), dict(options))
    name = engine.url.database
    if not name or name == ":memory:" or name.startswith("file:"):
        return None
    location = Path(name).resolve().as_uri() + "?mode=ro"
    return Database("sqlite3", (location,), {"uri": True, "timeout": _SQLITE_PATIENCE})


def _processors() -> int:
    return len(os.sched_getaffinity(0))
