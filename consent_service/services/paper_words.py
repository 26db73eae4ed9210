"""The words that papers share, and what they call a film, a clip or a photo.

Films are called by their kind and day, never by a name.
"""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.recordings import Asset
from consent_service.domain.assets import AssetKind
from consent_service.domain.consent import Answer, SignatureKind
from consent_service.domain.people import Basis

ANSWERS = {
    Answer.YES: "Yes",
    Answer.NO: "No",
    Answer.CONFIRMED: "Confirmed",
    Answer.CHOSEN: "Chosen",
    Answer.SAID: "Said",
}
BASES = {basis: basis.value.replace("_", " ") for basis in Basis}
MANNERS = {
    SignatureKind.DRAWN: "Signed on screen",
    SignatureKind.TYPED: "Typed their name",
    SignatureKind.PAPER: "Signed on paper",
}
ROUTES = {
    "in_person": "In person",
    "remote_link": "By secure link",
    "telephone": "By telephone",
    "paper": "On paper",
    "letter": "By letter",
    "journal_replay": "Recorded again after a restore",
}
GROUNDS = {
    "hold": "The law or an open question makes us keep it for now",
    "health_record": "It is part of a health record; the IG officer decides",
    "dispute": "People who may decide do not agree; nobody can watch it meanwhile",
    "purpose_remains": "You and everyone in it still agree to another use",
}
NOT_COVERED = {
    "disk_snapshots": "Snapshots of disks made outside this service",
    "ssd_remapping": "Cells of a solid-state disk that the disk itself has set aside",
    "key_server_snapshots_until_declared_age": "Snapshots of a key server until their stated age",
    "memory_and_swap_of_running_nodes": "Memory and swap of machines that were running",
    "photos_and_bundles_handed_over": "Photos and copies that were handed over before",
}
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
