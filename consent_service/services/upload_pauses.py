"""When a film that was received whole is left alone for now: another is at it, or nobody should be.

Rules kept here:
  * what cannot be stored and is held is not made again and again: it waits for the hold to end,
    and is tried once a day meanwhile;
  * what a person decides about, or has decided, no job stores.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from consent_service.db.models.recordings import Asset, FilmUpload
from consent_service.db.queries.erasure import held_among
from consent_service.db.queries.retention import newest_dispositions
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.errors import Conflict
from consent_service.services import storing
from consent_service.services.context import Context

TAKEN_OVER_AFTER = timedelta(seconds=20)
"""After this long without a word from whoever finishes a film, another may; whoever was only slow
finds the generation taken, and stores nothing. Somebody waits beside the camera for this."""
SAID_AGAIN_AFTER = timedelta(seconds=4)
PUT_OFF_FOR = timedelta(days=1)
"""How long a held film that cannot be stored is left alone, unless the hold is released before."""
CLOCKS_DIFFER = timedelta(hours=1)
"""A word from further ahead than this is no other node's clock: the film is put off."""


class Word:
    """Says now and then that a film is still being worked on; raises Conflict when by another.

    And whatever `look` raises, each time: what nobody may store is made no further.
    """

    def __init__(self, ctx: Context, place: storing.Place, look: Callable[[], None]) -> None:
        self._ctx = ctx
        self._place = place
        self._look = look
        self._said_at = ctx.clock.now()

    def __call__(self) -> None:
        """Look, and say the word where it was last said a while ago."""
        self._look()
        now = self._ctx.clock.now()
        if now - self._said_at < SAID_AGAIN_AFTER:
            return
        with self._ctx.begin() as uow:
            uow.lock_involvement(self._place.involvement)
            row = uow.session.get_one(Asset, self._place.asset)
            found = uow.session.get(FilmUpload, self._place.asset)
            if found is None or row.generation != self._place.generation:
                raise Conflict("Another process finishes this film.", code="taken_over")
            found.finishing_at = uow.at
        self._said_at = now


def is_left_alone(session: Session, row: Asset, found: FilmUpload, at: datetime) -> bool:
    """Tell whether nobody may begin to finish this film at `at`."""
    return _is_taken(session, row, found, at) or bool(newest_dispositions(session, [row.id]))


def put_off(ctx: Context, place: storing.Place) -> None:
    """Leave alone what cannot be stored and is held: making it again would end no other way."""
    with ctx.begin() as uow:
        found = _ours(uow, place)
        if found is not None:
            found.finishing_at = uow.at + PUT_OFF_FOR


def let_go(ctx: Context, place: storing.Place) -> None:
    """Let the job go on with a film soon."""
    with ctx.begin() as uow:
        found = _ours(uow, place)
        if found is not None:
            found.finishing_at = None


def _ours(uow: UnitOfWork, place: storing.Place) -> FilmUpload | None:
    """Return the upload, under the lock; None once another has taken it on, or it has ended."""
    uow.lock_involvement(place.involvement)
    row = uow.session.get_one(Asset, place.asset)
    found = uow.session.get(FilmUpload, place.asset)
    return found if found is not None and row.generation == place.generation else None


def _is_taken(session: Session, row: Asset, found: FilmUpload, at: datetime) -> bool:
    if found.finishing_at is None:
        return False
    if found.finishing_at > at + CLOCKS_DIFFER:
        return bool(held_among(session, row.involvement_id, [row.id]))
    return found.finishing_at > at - TAKEN_OVER_AFTER
