"""The next range of film that is being watched, answered before the web framework is asked.

Most requests for film are ranges of a viewing that was permitted, written down and proven moments
ago; to route them and to wrap their answers takes longer than to decrypt them.

Rules kept here:
  * only what is certain is answered: a GET, by token, of one range inside an asset, in a viewing of
    which nothing has to be asked now; anything else goes to the app, which asks all of it anew, and
    nothing is refused here;
  * the doors are the app's own: the journal is whole, the token good, the verb in its role, the
    viewing as `services.viewing` wants it;
  * an answer has the headers, the count and the line of log that every answer has.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from werkzeug.wsgi import ClosingIterator

from consent_service.api import film, guard
from consent_service.api.operations import PREFIX, Open, Operation
from consent_service.domain.byte_ranges import ByteRange
from consent_service.services import access, pace, viewing
from consent_service.services.context import Context
from consent_service.services.tokens import caller_who_watches
from consent_service.services.viewing import OpenFilm

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ADDRESS = re.compile(
    re.escape(PREFIX) + "(/[a-z]+/){id}(/[a-z]+)".replace("{id}", "([0-9a-f]{32})")
)
_PURPOSE = re.compile(r"purpose=([a-z][a-z-]{0,39})")
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})")
_MORE = ("HTTP_IF_RANGE", "HTTP_TRANSFER_ENCODING", "HTTP_UPGRADE")
"""Headers that mean more than a range asked for and a token shown."""


class Answered(Protocol):
    """Counts an answer, writes its line of log, and returns the headers that every answer has."""

    def __call__(
        self, endpoint: str, method: str, status: int, seconds: float, /
    ) -> list[tuple[str, str]]: ...


@dataclass(frozen=True)
class _Asked:
    """Bytes from `start` to `last`, both included, of an asset, for a purpose, by a token."""

    operation: Operation
    asset: str
    purpose: str
    start: int
    last: int
    authorization: str


class GoingOn:
    """Answers the next range of a viewing, and leads everything else to the app."""

    def __init__(
        self,
        app: "WSGIApplication",
        ctx: Context,
        operations: Iterable[Operation],
        answered: Answered,
    ) -> None:
        self._app, self._ctx, self._answered = app, ctx, answered
        self._operations = {each.path: each for each in operations if each.ranges is not None}

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request."""
        began = time.perf_counter()
        asked = self._asked(environ)
        opened = None if asked is None else self._opened(asked)
        if asked is None or opened is None:
            return self._app(environ, start_response)
        reply, body = opened
        seconds = time.perf_counter() - began
        try:
            reply += self._answered(f"api.{asked.operation.name}", "GET", 206, seconds)
            start_response("206 PARTIAL CONTENT", reply)
        except BaseException:
            if isinstance(body, ClosingIterator):
                body.close()
            raise
        return body

    def _asked(self, environ: "WSGIEnvironment") -> _Asked | None:
        """Return what is asked for, where it may be a range of a viewing; looks at nothing else."""
        range_asked = _RANGE.fullmatch(environ.get("HTTP_RANGE", ""))
        if range_asked is None or environ["REQUEST_METHOD"] != "GET":
            return None
        address = _ADDRESS.fullmatch(environ["PATH_INFO"])
        purpose = _PURPOSE.fullmatch(environ.get("QUERY_STRING", ""))
        if address is None or purpose is None or any(name in environ for name in _MORE):
            return None
        operation = self._operations.get(f"{address[1]}{{id}}{address[3]}")
        if operation is None or environ.get("CONTENT_LENGTH", "0") not in ("", "0"):
            return None
        start, last = map(int, range_asked.groups())
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        return _Asked(operation, address[2], purpose[1], start, last, authorization)

    def _opened(self, asked: _Asked) -> tuple[list[tuple[str, str]], Iterable[bytes]] | None:
        """Return headers and body, if nothing speaks against it; nothing is left open if not."""
        try:
            self._ctx.standing.require_whole()
            caller = caller_who_watches(self._ctx, guard.token_in(asked.authorization))
            needs = asked.operation.needs
            if isinstance(needs, Open) or not access.allows(self._ctx, caller, needs):
                return None
            going_on = viewing.open_going_on(self._ctx, caller, asked.asset, asked.purpose)
            return None if going_on is None else _bytes_of(going_on, asked)
        except Exception:  # noqa: BLE001
            # The app comes to the same, and knows how to say it and whether to write it down.
            return None


def _bytes_of(
    going_on: OpenFilm, asked: _Asked
) -> tuple[list[tuple[str, str]], Iterable[bytes]] | None:
    """Return the headers of a range and its bytes; closes the film, at once or after them."""
    start, end = asked.start, min(asked.last + 1, going_on.size)
    try:
        if going_on.kind is not asked.operation.ranges or start >= end:
            going_on.close()
            return None
        wanted = ByteRange(start, end, partial=True)
        reply = list(film.headers_of(going_on, wanted).items())
        if end - start > pace.AT_ONCE:
            pieces = film.sent(going_on, going_on.iter_range(start, end))
            return reply, ClosingIterator(pieces, going_on.close)
        # One piece: a server hands a list over whole, without a stream's back and forth.
        whole = going_on.read_now(start, end)
        going_on.close()
        return None if whole is None else (reply, [whole])
    except BaseException:
        going_on.close()
        raise
