"""Watching film: permitted, written down before the first byte, and stopped when consent ends.

A viewing is one person, asset and purpose until 15 minutes without a request: one audit entry.

Rules kept here:
  * permission is asked for every viewing, again at least once a minute, and at once when the
    involvement's consent epoch moves (rule 3), or whoever watches loses a role or team;
  * a stream outlives neither the account that it is sent to nor its session or token: that too is
    looked at once a second at most;
  * the last chunk is authenticated before anything is released, once in a viewing for as long as
    the store holds that very object, and the first piece of a range before its first byte is
    sent: corruption is an error, never half a film;
  * a stream ends, like a request, beside a journal that cannot be trusted or an older database;
  * a stream that is not permitted any more raises; it never ends as if the film were over;
  * if keys, store or audit cannot be used, nothing is released.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from types import TracebackType
from typing import Self

from consent_service.db.models.recordings import Asset, Viewing
from consent_service.db.queries.recordings import viewing_since
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.roles import Permission
from consent_service.errors import (
    Conflict,
    ConsentServiceError,
    Gone,
    NotFound,
    NotSignedIn,
    RangeInvalid,
    Refused,
    Unavailable,
)
from consent_service.ids import is_id, new_id
from consent_service.services import film_keys, permission
from consent_service.services.access import Caller
from consent_service.services.assets import asset_for
from consent_service.services.context import Context
from consent_service.services.film_objects import film_place
from consent_service.services.standing_caller import caller_now, require_caller
from consent_service.services.standing_use import epoch_of
from consent_service.services.viewing_keys import FilmFacts, Held, ViewName
from consent_service.vault.blobs import BlobSource
from consent_service.vault.container import ContainerReader

VIEWING_ENDS_AFTER = timedelta(minutes=15)
ASKED_AGAIN_AFTER = timedelta(minutes=1)
_seconds = time.monotonic
FILE_ENDINGS = {"video/mp4": "mp4", "video/webm": "webm", "image/jpeg": "jpg"}


class OpenFilm:
    """A film opened for one request by one thread; close it, or use it in a `with` block.

    `size` is in bytes, `sha256` of the whole; `etag` is quoted (RFC 9110) and `filename` safe.
    """

    def __init__(
        self, opened: "_Opened", facts: FilmFacts, use: "_Use", closing: ExitStack
    ) -> None:
        self.asset = facts.asset
        self.kind = facts.kind
        self.size = opened.reader.size
        self.media_type = facts.media_type
        self.sha256 = facts.sha256
        self.etag = f'"{facts.sha256}"'
        self.filename = f"{facts.asset}.{FILE_ENDINGS.get(facts.media_type, 'bin')}"
        self._opened = opened
        self._use = use
        self._closing = closing

    def iter_range(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`, in pieces as `pace` says.

        The store is asked for more at a time, and the first of it is decrypted before this returns.
        Raises RangeInvalid; while it runs Gone, Refused, NotFound or NotSignedIn when the use is
        not permitted any more, ContainerCorrupt and Unavailable.
        """
        return self._stream(self._proven(start, end))

    def read_now(self, start: int, end: int) -> bytes | None:
        """Return a range whole; None where permission would have to be asked before it.

        Raises as `iter_range`, but Gone and Refused: what has to be asked, `open_film` asks.
        """
        pieces = self._proven(start, end)
        return b"".join(pieces) if self._use.stands(self._use.now()) else None

    def close(self) -> None:
        """Let go of the stored object."""
        self._closing.close()

    def _proven(self, start: int, end: int) -> Iterator[bytes]:
        """Return the pieces of a range as the store gives them, the first decrypted already."""
        if not 0 <= start <= end <= self.size:
            raise RangeInvalid("That part does not lie inside the film.", size=self.size)
        pieces = self._opened.reader.iter_range(start, end - start, self._opened.source.stride)
        try:
            first = list(_first(pieces))
        except ConsentServiceError:
            self._use.forget()
            raise
        return chain(first, pieces)

    def _stream(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        pace = self._use.pace
        for piece in pieces:
            start = 0
            while start < len(piece):
                self._use.require_standing()
                part, begun = piece[start : start + pace.at_once], _seconds()
                yield part
                start += len(part)
                pace.took(len(part), _seconds() - begun)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True)
class _Opened:
    """A stored object, and what decrypts it."""

    source: BlobSource
    reader: ContainerReader


class _Use:
    """One permitted use while its bytes flow."""

    def __init__(self, ctx: Context, caller: Caller, name: ViewName, held: Held) -> None:
        self._ctx = ctx
        self._caller = caller
        self._name = name
        self._involvement = held.facts.involvement
        self._epoch = held.epoch
        self._checked_at = held.checked_at
        self.pace = held.pace

    def require_standing(self) -> None:
        """Raise unless the use is still permitted; asks the database once a second at most."""
        now = self.now()
        if not self.stands(now):
            self._caller, self._epoch = _ask_again(self._ctx, self._caller, self._name)
            self._checked_at = now

    def stands(self, now: datetime) -> bool:
        """Tell whether what was permitted still is without asking; raises beside a bad journal."""
        self._ctx.standing.require_whole()
        epoch = epoch_of(self._ctx, self._involvement, now)
        self._ctx.viewings.touch(self._name, now)
        if caller_now(self._ctx, self._caller, now) != self._caller:
            return False
        return epoch == self._epoch and _recent(self._checked_at, now)

    def now(self) -> datetime:
        """Return the present instant."""
        return self._ctx.clock.now()

    def forget(self) -> None:
        """Let the next request begin anew: what was known of the object is not true of it now."""
        self._ctx.viewings.forget(self._name)


def open_film(ctx: Context, caller: Caller, asset: str, purpose: str) -> OpenFilm:
    """Open a film for a stated purpose; every request calls this.

    Raises Refused (`consent_missing`, `access_frozen`, `role`), Gone, Conflict (`not_ready`),
    NotFound, InvalidInput (`purpose`), ContainerCorrupt and Unavailable: nothing is released then.
    """
    film_keys.require_purpose(ctx, purpose)
    name = _name(caller, asset, purpose)
    held = _going_on(ctx, caller, name)
    if held is None:
        with ctx.viewings.starting(name):
            held = _going_on(ctx, caller, name)
            if held is None:
                return _begin(ctx, caller, name)
    try:
        opened, closing = _open(ctx, held)
    except Gone:
        # The object is another by now: everything is proven anew.
        ctx.viewings.forget(name)
        return _begin(ctx, caller, name)
    return OpenFilm(opened, held.facts, _Use(ctx, caller, name, held), closing)


def open_going_on(ctx: Context, caller: Caller, asset: str, purpose: str) -> OpenFilm | None:
    """Open a film for the next request of a viewing of which nothing has to be asked now.

    None where there is no such viewing, and wherever permission has to be asked, the object to be
    proven or somebody to be refused: `open_film` does all of that. Raises Unavailable.
    """
    if caller.user is None:
        return None
    name = _name(caller, asset, purpose)
    now = ctx.clock.now()
    held = _held(ctx, name, now)
    if held is None or not _recent(held.checked_at, now):
        return None
    try:
        opened, closing = _open(ctx, held)
    except Gone:
        return None
    return OpenFilm(opened, held.facts, _Use(ctx, caller, name, held), closing)


def _begin(ctx: Context, caller: Caller, name: ViewName) -> OpenFilm:
    """Open the key, prove the object, write the viewing down, and only then hand it out."""
    with _refusals_recorded(ctx, caller, name), ExitStack() as unless_permitted:
        ground = film_keys.ground_for(ctx, caller, name.asset, name.purpose, Permission.FILM_WATCH)
        now = ctx.clock.now()
        held = Held(ground.facts, film_keys.data_key_of(ctx, ground), ground.epoch, now)
        opened, closing = _open(ctx, held)
        unless_permitted.enter_context(closing)
        held = replace(held, epoch=_write_down(ctx, caller, name), seen=opened.source.seen)
        unless_permitted.pop_all()
    ctx.viewings.keep(name, held, ctx.clock.now)
    return OpenFilm(opened, held.facts, _Use(ctx, caller, name, held), closing)


def _going_on(ctx: Context, caller: Caller, name: ViewName) -> Held | None:
    """Return the key of a viewing that goes on, asking again whether it may once a minute."""
    now = ctx.clock.now()
    held = _held(ctx, name, now)
    if held is None:
        return None
    if not _recent(held.checked_at, now):
        held = replace(held, epoch=_ask_again(ctx, caller, name)[1], checked_at=now)
        ctx.viewings.keep(name, held, ctx.clock.now)
    return held


def _held(ctx: Context, name: ViewName, now: datetime) -> Held | None:
    """Return the key of a viewing; none where anything was granted or ended since it was opened."""
    held = ctx.viewings.take(name, now)
    if held is not None and epoch_of(ctx, held.facts.involvement, now) != held.epoch:
        ctx.viewings.forget(name)
        return None
    return held


def _ask_again(ctx: Context, caller: Caller, name: ViewName) -> tuple[Caller, int]:
    """Ask permission anew while a viewing goes on; a refusal ends it and wipes its key.

    Returns the caller with the powers that they have left, and the epoch.
    """
    try:
        with _refusals_recorded(ctx, caller, name):
            caller = require_caller(ctx, caller, ctx.clock.now())
            return caller, _write_down(ctx, caller, name)
    except ConsentServiceError:
        ctx.viewings.forget(name)
        raise


def _open(ctx: Context, held: Held) -> tuple[_Opened, ExitStack]:
    """Open the stored object; authenticate its commitment, and its last chunk unless that was."""
    facts = held.facts
    place = film_place(facts.asset, facts.kind, facts.generation)
    with ExitStack() as stack:
        try:
            source = stack.enter_context(ctx.blobs.open(facts.blob, held.seen))
        except NotFound as fault:
            raise Unavailable(
                "The store does not hold this film. Try again, and report it if it stays.",
                code="object_missing",
                asset=facts.asset,
            ) from fault
        reader = ContainerReader(
            source,
            held.key,
            place.context,
            header=facts.header,
            known_size=None if held.seen is None else facts.size,
        )
        return _Opened(source, reader), stack.pop_all()


def _write_down(ctx: Context, caller: Caller, name: ViewName) -> int:
    """Ask permission under the lock and continue or begin the viewing; returns the epoch."""
    with ctx.begin() as uow:
        row = uow.session.get_one(Asset, name.asset)
        involvement = uow.lock_involvement(row.involvement_id)
        uow.session.refresh(row)
        asset_for(ctx, uow.session, caller, Permission.FILM_WATCH, name.asset)
        permission.require_permitted(ctx, uow.session, row, name.purpose, uow.at, caller)
        since = uow.at - VIEWING_ENDS_AFTER
        viewing = viewing_since(uow.session, name.user, name.asset, name.purpose, since)
        if viewing is not None:
            viewing.last_at = max(viewing.last_at, uow.at)
        else:
            _start_viewing(uow, caller, name, involvement.id)
        return involvement.consent_epoch


def _start_viewing(uow: UnitOfWork, caller: Caller, name: ViewName, involvement: str) -> None:
    uow.session.add(
        Viewing(
            id=new_id(),
            asset_id=name.asset,
            user_id=name.user,
            purpose=name.purpose,
            started_at=uow.at,
            last_at=uow.at,
        )
    )
    uow.record(
        AuditEvent(
            EventKind.FILM_VIEWED,
            caller.actor,
            name.asset,
            involvement,
            {"purpose": name.purpose},
        )
    )


@contextmanager
def _refusals_recorded(ctx: Context, caller: Caller, name: ViewName) -> Iterator[None]:
    """Write a refused view down, in a transaction of its own, and raise it on."""
    try:
        yield
    except (Refused, Gone, Conflict, NotSignedIn) as refusal:
        if is_id(name.asset):
            _record_refusal(ctx, caller, name, refusal.code)
        raise


def _record_refusal(ctx: Context, caller: Caller, name: ViewName, code: str) -> None:
    with ctx.begin() as uow:
        row = uow.session.get(Asset, name.asset)
        uow.record(
            AuditEvent(
                EventKind.FILM_VIEW_REFUSED,
                caller.actor,
                name.asset,
                row.involvement_id if row else None,
                {"purpose": name.purpose, "reason": code},
            )
        )


def _name(caller: Caller, asset: str, purpose: str) -> ViewName:
    if caller.user is None:
        raise Refused("Only a member of staff can watch film.", code="role", purpose=purpose)
    return ViewName(caller.user, asset, purpose, caller.roles, caller.teams)


def _recent(checked_at: datetime, now: datetime) -> bool:
    return timedelta(0) <= now - checked_at < ASKED_AGAIN_AFTER


def _first(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Take one piece, if there is one."""
    for piece in pieces:
        yield piece
        return
