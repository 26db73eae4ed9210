"""Keys of film in whose place another was put: what is committed is carried out, whatever breaks.

Rules kept here:
  * that a key is to go is noted in the transaction that ends its use, and the note goes last: no
    crash and no store that is away leaves such a key alive;
  * a new key is made before the row says so, so its id follows from that of the key it replaces:
    what a killed process had made is found from there, by the next replacement and by an erasure;
  * an id is used by whoever made the key and by nobody else;
  * the journal's line is durable before a key goes; after a crash it may stand twice;
  * none goes while the key in its place is missing: an older keyring may have been put in place
    since, and then the old key is all that opens the film;
  * nothing goes without a good look at the journal, and without a note nobody looks.
"""

import hashlib
from collections.abc import Callable, Collection

from sqlalchemy import delete, select

from consent_service.db.models.jobs import JournalDue
from consent_service.db.models.recordings import Asset
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetState
from consent_service.services import erasure_journal, key_ends
from consent_service.services.context import Context
from consent_service.vault.journal import LineKind
from consent_service.vault.keyring_values import KeyStatus

_NEXT = b"consent-service/next-key/v1\0"
_ID_DIGITS = 32


def after(key: str) -> str:
    """Return the id of what is to take the place of a key: the first 16 bytes of a SHA-256."""
    return hashlib.sha256(_NEXT + key.encode("ascii")).hexdigest()[:_ID_DIGITS]


def make_next(ctx: Context, key: str, make: Callable[[str], bool]) -> tuple[str, tuple[str, ...]]:
    """Make the key that is to take the place of one; returns its id and those left before it.

    `make` makes a key under an id and tells whether it did. What is left was made by somebody who
    was killed, or is not done: it goes, by `owe`, with the key that is replaced.
    """
    left: list[str] = []
    while True:
        key = after(key)
        status = ctx.keyring.status([key])[key]
        if status is KeyStatus.ABSENT and make(key):
            return key, tuple(left)
        if status is not KeyStatus.DESTROYED:
            left.append(key)


def followers(ctx: Context, keys: Collection[str]) -> dict[str, KeyStatus]:
    """Return everything that was ever made to take the place of these keys, with its status."""
    found: dict[str, KeyStatus] = {}
    asked = list(keys)
    while asked:
        states = ctx.keyring.status([after(key) for key in asked])
        made = {key: state for key, state in states.items() if state is not KeyStatus.ABSENT}
        found |= made
        asked = list(made)
    return found


def left_over(ctx: Context, keys: Collection[str]) -> list[str]:
    """Return those of `followers` that are still there: they go where the keys themselves go."""
    found = followers(ctx, keys)
    return [key for key, state in found.items() if state is not KeyStatus.DESTROYED]


def owe(uow: UnitOfWork, asset: str, *keys: str) -> None:
    """Note that keys of this asset are to be destroyed; `destroy` follows the commit."""
    shard = uow.session.get_one(Asset, asset).shard
    # The asset stands where an order would: it is why the keys went.
    body = {"order": asset, "keys": list(keys), "shard": shard}
    erasure_journal.owe(uow, LineKind.KEY_DESTROYED, body)


def destroy(ctx: Context) -> int:
    """Destroy every key that is noted, oldest first; returns how many notes there were.

    Raises JournalBroken and Unavailable where nothing may be destroyed now: the notes stay, and so
    does that of a film whose present key is missing.
    """
    with ctx.read() as session:
        rows = session.scalars(
            select(JournalDue)
            .where(JournalDue.kind == LineKind.KEY_DESTROYED.value)
            .order_by(JournalDue.due_at, JournalDue.id)
        ).all()
    if rows:
        ctx.standing.require_newest()
    for row in rows:
        body = row.body  # a note of an earlier version does not say which shard it was
        if _lacks_its_key(ctx, body["order"]):
            continue  # reconciliation tells of the missing one
        key_ends.destroy(ctx, body["order"], body["keys"], body.get("shard"))
        with ctx.begin() as uow:
            uow.session.execute(delete(JournalDue).where(JournalDue.id == row.id))
    return len(rows)


def _lacks_its_key(ctx: Context, asset: str) -> bool:
    """Tell whether the key in use of a film that is kept is not in the keyring."""
    with ctx.read() as session:
        row = session.get(Asset, asset)
    if row is None or row.state in (AssetState.LOCKED, AssetState.ERASED):
        return False
    return ctx.keyring.status([row.asset_key_id])[row.asset_key_id] is KeyStatus.ABSENT
