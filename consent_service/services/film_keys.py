"""Opening a film for one purpose: permission first, then the wrap, then live keys, or nothing.

Rules kept here:
  * a purpose that names a use is asked for with that use, and no other purpose opens it;
  * a wrap that stands for other people than those depicted opens nothing;
  * a key that is gone means gone; a sealed one means frozen; one not made yet means try again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset
from consent_service.domain.purposes import USE_NAME, NamedUse, split_use
from consent_service.domain.roles import Permission
from consent_service.errors import Gone, InvalidInput, KeyDestroyed, Refused, Unavailable
from consent_service.services import keys, permission
from consent_service.services.access import Caller
from consent_service.services.assets import asset_for
from consent_service.services.context import Context
from consent_service.services.viewing_keys import FilmFacts
from consent_service.vault.keyring import KeyStatus
from consent_service.vault.wraps import Wrap, open_wrap


@dataclass(frozen=True)
class Ground:
    """A use that is permitted: the film, the wrap that serves it, and the consent epoch then."""

    facts: FilmFacts
    wrap: Wrap
    asset_key: str
    epoch: int


def require_purpose(ctx: Context, purpose: str) -> str:
    """Return `purpose` if it is one that can be stated; raises InvalidInput (`purpose`)."""
    code, use = split_use(purpose)
    known = ctx.policies.purposes.get(code)
    if known is None:
        sentence = "There is no such purpose."
    elif known.named_use is NamedUse.NONE and use is not None:
        sentence = "This purpose has no named uses."
    elif known.named_use is not NamedUse.NONE and not USE_NAME.fullmatch(use or ""):
        sentence = "Say for which use, study or group, such as publication:poster-2026."
    else:
        return purpose
    raise InvalidInput(sentence, {"purpose": sentence})


def ground_for(
    ctx: Context, caller: Caller, identifier: str, purpose: str, verb: Permission
) -> Ground:
    """Return what a permitted use stands on; raises what a refused one gets."""
    with ctx.read() as session:
        row = asset_for(ctx, session, caller, verb, identifier)
        permission.require_permitted(ctx, session, row, purpose, ctx.clock.now(), caller)
        epoch = session.get_one(Involvement, row.involvement_id).consent_epoch
        return Ground(facts_of(row), _wrap(session, row, purpose), row.asset_key_id, epoch)


def facts_of(row: Asset) -> FilmFacts:
    """Return what serving needs to know of a stored asset."""
    if (
        row.blob is None
        or row.header is None
        or row.plain_size is None
        or row.sha256 is None
        or row.media_type is None
    ):
        raise Unavailable("This film is not whole in the database. Report this.", asset=row.id)
    return FilmFacts(
        row.id,
        row.involvement_id,
        row.kind,
        row.generation,
        row.blob,
        row.header,
        row.plain_size,
        row.media_type,
        row.sha256,
    )


def data_key_of(ctx: Context, ground: Ground) -> bytes:
    """Unwrap the film's data key; raises Gone, Refused or Unavailable without it."""
    wanted = [*ground.wrap.key_ids, ground.asset_key]
    live = ctx.keyring.read(wanted)
    try:
        return open_wrap(ground.wrap, live.get(ground.asset_key), live)
    except KeyDestroyed:
        absent = [key for key in wanted if key not in live]
        raise not_live(ctx, ground.facts.asset, absent) from None


def _wrap(session: Session, row: Asset, purpose: str) -> Wrap:
    people = permission.depicted_in(session, row.id)
    wraps = keys.wraps_by_asset(session, [row.id]).get(row.id, [])
    found = next((w for w in wraps if w.purpose == purpose), None)
    if found is None or len(found.key_ids) != len(people):
        raise not_ready(row.id)
    return found


def not_live(ctx: Context, asset: str, absent: Sequence[str]) -> Gone | Refused | Unavailable:
    """Return what a film gets whose keys `absent` are not live: gone, frozen or not made yet."""
    states = set(ctx.keyring.status(absent).values())
    if KeyStatus.DESTROYED in states:
        return Gone("This film was withdrawn or erased.", asset=asset)
    if KeyStatus.SEALED in states:
        return Refused(
            "Access is frozen until the IG officer decides.", code="access_frozen", asset=asset
        )
    return not_ready(asset)


def not_ready(asset: str) -> Unavailable:
    """Return what a film gets whose keys will be there soon."""
    return Unavailable(
        "The keys of this film are being made. Try again in a minute.",
        code="keys_not_ready",
        asset=asset,
    )
