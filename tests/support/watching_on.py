"""What it takes to look at ranges of a viewing: who was asked, what is open, and a server's view."""

from collections.abc import Iterator
from typing import Any

from flask import Flask, request_started

from consent_service.errors import ConsentServiceError
from consent_service.services.context import Context
from consent_service.vault.blobs import BlobSource, Seen
from consent_service.web.here import PROGRAMS
from tests.support.api import Api


class Framework:
    """Counts what an app's framework was asked."""

    def __init__(self, app: Flask) -> None:
        self.asked = 0
        request_started.connect(self._count, app.extensions[PROGRAMS])

    def _count(self, *_: Any, **__: Any) -> None:
        self.asked += 1


class Lent:
    """A store that knows how many of its objects are open."""

    def __init__(self, ctx: Context) -> None:
        self._store = ctx.blobs
        self.open_now = 0

    def open(self, name: str, seen: Seen | None = None) -> BlobSource:
        """Open an object, and count it until it is closed."""
        source = self._store.open(name, seen)
        self.open_now += 1
        closes = source.__exit__

        class Counted:
            stride, seen, size = source.stride, source.seen, source.size
            read_into = staticmethod(source.read_into)

            def __enter__(counted) -> Any:
                return counted

            def __exit__(counted, *fault: object) -> None:
                self.open_now -= 1
                closes(None, None, None)

        return Counted()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Says:
    """A watch of the journal that says what a test wants."""

    fault: ConsentServiceError | None = None

    def require_whole(self) -> None:
        """Raise the fault."""
        if self.fault is not None:
            raise self.fault

    require_newest = require_whole


def pieces_of(api: Api, where: str, **more: str) -> Iterator[bytes]:
    """Ask as a server does: whoever reads the answer takes its pieces one by one."""
    token = f"Bearer {api.token('guider')}"
    headers = {"Authorization": token, "Range": "bytes=0-99999", **more}
    with api.app.test_request_context(f"/api/v1{where}", headers=headers) as asked:
        environ = asked.request.environ
    return iter(api.app.wsgi_app(environ, lambda *_: lambda _: None))
