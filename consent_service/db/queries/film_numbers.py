"""Which film is "Film 2": recordings of an involvement by the order in which they came in.

Only what was stored counts, erased film too, and from when it was: film that was begun before
another's but came in after it gets the later number. So a number never comes to mean another film.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.recordings import Asset
from consent_service.domain.assets import AssetKind, AssetState


@dataclass(frozen=True)
class Numbered:
    """An asset and its film: the recording that it is, or was made from, and that one's number."""

    asset: str
    involvement: str
    kind: AssetKind
    state: AssetState
    recording: str
    number: int


def numbered(session: Session, involvements: Sequence[str]) -> dict[str, Numbered]:
    """Return what came in of these involvements by its id, in that order; in one query."""
    rows = session.execute(
        select(Asset.id, Asset.involvement_id, Asset.kind, Asset.state, Asset.source_id)
        .where(Asset.involvement_id.in_(involvements), Asset.stored_at.is_not(None))
        .order_by(Asset.stored_at, Asset.id)
    ).all()
    sources = {row.id: row.source_id for row in rows}
    numbers: dict[str, int] = {}
    films: Counter[str] = Counter()
    for row in rows:
        if row.kind is AssetKind.RECORDING:
            films[row.involvement_id] += 1
            numbers[row.id] = films[row.involvement_id]
    return {
        row.id: Numbered(row.id, row.involvement_id, row.kind, row.state, film, numbers[film])
        for row in rows
        if (film := _film_of(row.id, sources)) in numbers
    }


def _film_of(asset: str, sources: Mapping[str, str | None]) -> str:
    """Return the recording that an asset is or was made from, as far as it is known."""
    while (source := sources.get(asset)) is not None:
        asset = source
    return asset
