"""What papers call a film, a clip or a photo: its kind and its day, never a name."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.recordings import Asset
from consent_service.domain.assets import AssetKind

KINDS = {"recording": "Film", "clip": "Clip", "still": "Photo"}


def what_each_is(session: Session, identifiers: Collection[str]) -> dict[str, str]:
    """Return what each film, clip or photo is in words, read all at once."""
    rows = session.scalars(select(Asset).where(Asset.id.in_(identifiers)))
    return {row.id: _words_of(row) for row in rows}


def _words_of(row: Asset) -> str:
    day = f"{row.filmed_on.day} {row.filmed_on:%B %Y}"
    if row.kind is AssetKind.RECORDING:
        return f"Film of {day}"
    return f"{KINDS[row.kind.value]} from the film of {day}"
