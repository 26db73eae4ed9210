"""Film as kept: recordings, and the clips and stills derived from them (glossary: Asset).

Pure. A state changes only along `LEGAL_MOVES`; the column is a convenience, access always follows
from consent state, holds and fences at the moment of use.
"""

from enum import StrEnum

from consent_service.errors import Conflict


class AssetKind(StrEnum):
    """What an asset is."""

    RECORDING = "recording"
    CLIP = "clip"
    STILL = "still"


class AssetState(StrEnum):
    """Where an asset is in its life."""

    RECEIVING = "receiving"
    RECEIVED = "received"
    STORED = "stored"
    AWAITING_CONSENT = "awaiting_consent"
    LOCKED = "locked"
    RESTRICTED = "restricted"
    ERASED = "erased"


class RecordClass(StrEnum):
    """Working material or part of the health record (rule 7): what the form itself printed."""

    TRANSITORY = "transitory"
    HEALTH_RECORD = "health_record"


class Depiction(StrEnum):
    """How someone is in an asset: seen or heard, or present behind the camera without a key.

    `not_seen` is what two people made of someone who had been recorded as seen or heard.
    """

    DEPICTED = "depicted"
    PRESENT = "present"
    NOT_SEEN = "not_seen"


ARRIVING = frozenset({AssetState.RECEIVING, AssetState.RECEIVED})
"""States of what nobody can watch yet: some of it came in, or all of it but not yet made ready."""

LEGAL_MOVES: dict[AssetState, frozenset[AssetState]] = {
    AssetState.RECEIVING: frozenset(
        {AssetState.RECEIVED, AssetState.STORED, AssetState.LOCKED, AssetState.ERASED}
    ),
    AssetState.RECEIVED: frozenset({AssetState.STORED, AssetState.LOCKED, AssetState.ERASED}),
    AssetState.STORED: frozenset(
        {AssetState.AWAITING_CONSENT, AssetState.LOCKED, AssetState.RESTRICTED, AssetState.ERASED}
    ),
    AssetState.AWAITING_CONSENT: frozenset(
        {AssetState.STORED, AssetState.LOCKED, AssetState.RESTRICTED, AssetState.ERASED}
    ),
    AssetState.LOCKED: frozenset({AssetState.STORED, AssetState.RESTRICTED, AssetState.ERASED}),
    AssetState.RESTRICTED: frozenset({AssetState.STORED, AssetState.LOCKED, AssetState.ERASED}),
    AssetState.ERASED: frozenset(),
}


def require_move(asset: str, old: AssetState, new: AssetState) -> AssetState:
    """Return `new`, or raise Conflict (`illegal_state`) when the move is not legal."""
    if new is old or new in LEGAL_MOVES[old]:
        return new
    raise Conflict(
        f"Asset {asset} is {old} and cannot become {new}.", code="illegal_state", asset=asset
    )
