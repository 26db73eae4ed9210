"""One table of operations: path, method, who may, what comes in, what goes out.

Each noun's file puts its operations into the table; routes, guard, document and tests are all made
from it, so that none of them can know of an operation that the others do not.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flask import Response

from consent_service.api.shapes import ID_PATTERN, Reply, Request
from consent_service.domain.assets import AssetKind
from consent_service.domain.roles import Permission
from consent_service.services.access import Caller
from consent_service.services.context import Context

PREFIX = "/api/v1"


class Open(StrEnum):
    """An operation that asks for no verb."""

    EVERYONE = "everyone"
    ANY_CALLER = "any caller"


class Traffic(StrEnum):
    """What kind of body an operation takes in."""

    NOTHING = "nothing"
    JSON = "json"
    FILM = "film"
    PART = "part"
    SCAN = "scan"


SCANS = ("application/pdf", "image/jpeg", "image/png")
"""What the scan of a paper may be."""


@dataclass(frozen=True)
class Ask:
    """Who asks what of which service."""

    ctx: Context
    caller: Caller


@dataclass(frozen=True)
class Answer:
    """What is answered; `location` lies below the API's prefix; `status` replaces the usual."""

    content: Reply | None = None
    location: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Outcome = Answer | Response
Handle = Callable[..., Outcome]

PATH_PARAMETERS: Mapping[str, tuple[str, str]] = {
    "id": (ID_PATTERN, "Identifier of the thing."),
    "asset": (ID_PATTERN, "Identifier of a recording, clip or still."),
    "entry": (ID_PATTERN, "Identifier of an entry of the audit log."),
    "code": (r"^[A-Za-z][A-Za-z0-9-]{0,39}$", "Code of a leaflet, such as L1111."),
    "form": (r"^[a-z][a-z0-9-]{0,39}$", "Code of a consent form, such as vig."),
    "n": (r"^[1-9][0-9]{0,3}$", "Number of the version."),
}
"""What each part of a path may be, and what it is; anything else names nothing."""


@dataclass(frozen=True)
class Operation:
    """One operation.

    `once`: may carry an Idempotency-Key. `versioned`: asks for If-Match. `also`: other answers by
    status. `media`: the types of an answer that is not JSON. `refusals`: statuses beyond the usual.
    `ranges`: gives this kind of asset, whole or by ranges. `resumable`: speaks tus, and says so.
    """

    method: str
    path: str
    needs: Permission | Open
    handle: Handle
    tag: str
    body: type[Request] | None = None
    query: type[Request] | None = None
    reply: type[Reply] | None = None
    status: int = 200
    traffic: Traffic = Traffic.NOTHING
    once: bool = False
    versioned: bool = False
    also: Mapping[int, type[Reply]] = field(default_factory=dict)
    media: tuple[str, ...] = ()
    ranges: AssetKind | None = None
    resumable: bool = False
    refusals: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """A name for code and document: unique, without a slash."""
        return self.handle.__name__

    @property
    def rule(self) -> str:
        """The path as the web framework writes it."""
        return re.sub(r"{(\w+)}", r"<api_\1:\1>", self.path)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parts of the path."""
        return tuple(part.partition("}")[0] for part in self.path.split("{")[1:])


@dataclass
class Room:
    """The operations of one noun, put in by decorating their functions."""

    tag: str
    operations: list[Operation] = field(default_factory=list)

    def get(
        self, path: str, needs: Permission | Open, reply: type[Reply] | None = None, **more: Any
    ) -> Callable[[Handle], Handle]:
        """Put in a GET; it answers `reply`, or `media` where that is given."""
        return self._put("GET", path, needs, reply=reply, **more)

    def post(
        self, path: str, needs: Permission | Open, reply: type[Reply] | None = None, **more: Any
    ) -> Callable[[Handle], Handle]:
        """Put in a POST; it may be sent with an Idempotency-Key unless `once` is False."""
        return self._put("POST", path, needs, reply=reply, **({"once": True} | more))

    def patch(
        self, path: str, needs: Permission | Open, reply: type[Reply] | None = None, **more: Any
    ) -> Callable[[Handle], Handle]:
        """Put in a PATCH of something versioned."""
        return self._put("PATCH", path, needs, reply=reply, **more)

    def put(
        self, path: str, needs: Permission | Open, reply: type[Reply] | None = None, **more: Any
    ) -> Callable[[Handle], Handle]:
        """Put in a PUT."""
        return self._put("PUT", path, needs, reply=reply, **more)

    def head(self, path: str, needs: Permission | Open, **more: Any) -> Callable[[Handle], Handle]:
        """Put in a HEAD of something that has no GET."""
        return self._put("HEAD", path, needs, **more)

    def delete(
        self, path: str, needs: Permission | Open, reply: type[Reply] | None = None, **more: Any
    ) -> Callable[[Handle], Handle]:
        """Put in a DELETE."""
        return self._put("DELETE", path, needs, reply=reply, **more)

    def _put(
        self, method: str, path: str, needs: Permission | Open, **more: Any
    ) -> Callable[[Handle], Handle]:
        def take(handle: Handle) -> Handle:
            if more.get("body") is not None:
                more.setdefault("traffic", Traffic.JSON)
            more["refusals"] = frozenset(more.get("refusals", ()))
            self.operations.append(Operation(method, path, needs, handle, self.tag, **more))
            return handle

        return take


def in_order(rooms: Iterable[Room]) -> tuple[Operation, ...]:
    """Return the operations of all rooms; raises ValueError when two share a name or a route."""
    operations = tuple(operation for room in rooms for operation in room.operations)
    for keys in (
        [operation.name for operation in operations],
        [(operation.method, operation.path) for operation in operations],
    ):
        if len(set(keys)) != len(keys):
            raise ValueError("two operations share a name or a route")
    return operations
