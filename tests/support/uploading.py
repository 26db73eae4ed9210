"""Sending a film by parts, as a client does: what is reserved, sent and kept."""

from collections.abc import Iterator

from sqlalchemy import func, select

from consent_service.db.models.recordings import AssetWrap, UploadPart
from consent_service.domain.assets import AssetState
from consent_service.domain.tus import Checksum, Offered
from consent_service.services import (
    recordings,
    upload_keys,
    uploads,
)
from consent_service.services.access import Caller
from consent_service.services.context import Context
from consent_service.services.uploads import UploadView
from consent_service.vault.keyring import KeyKind, KeyStatus
from tests.support.clinic import Clinic, Family, sample_film


def reserved(clinic: Clinic, family: Family, size: int | None) -> str:
    """Make room for a film; returns the recording."""
    request = recordings.ReserveFilm(
        family.involvement, family.everyone, clinic.today, declared_size=size
    )
    return recordings.reserve(clinic.ctx, clinic.guider, request).id


def begun(clinic: Clinic, film: bytes | None = None) -> tuple[Family, str]:
    """A family that said yes, and a recording that waits for a film."""
    family = clinic.family()
    clinic.both_consent(family)
    return family, reserved(clinic, family, len(film or sample_film()))


def send(
    clinic: Clinic,
    asset: str,
    offset: int,
    body: bytes | Iterator[bytes],
    *,
    ctx: Context | None = None,
    length: int | None = None,
    checksum: Checksum | None = None,
    caller: Caller | None = None,
) -> UploadView:
    """Send a piece of a film as a PATCH does; an iterator has no known size."""
    size = len(body) if isinstance(body, bytes) else None
    pieces = iter([body]) if isinstance(body, bytes) else body
    piece = uploads.Piece(Offered(offset, length, checksum), pieces, size)
    return uploads.append(ctx or clinic.ctx, caller or clinic.guider, asset, piece)


def offset_of(clinic: Clinic, asset: str) -> int:
    """How many bytes of an upload are kept."""
    return uploads.upload(clinic.ctx, clinic.guider, asset).offset


def state_of(clinic: Clinic, asset: str) -> AssetState:
    """Where a recording is in its life."""
    return recordings.asset(clinic.ctx, clinic.guider, asset).state


def breaking(film: bytes) -> Iterator[bytes]:
    """A body that breaks off after `film`."""
    yield film
    raise ConnectionResetError


def rows_of(clinic: Clinic, asset: str) -> tuple[int, int]:
    """How many parts and wraps the ledger has of an upload."""
    with clinic.ctx.read() as session:
        parts = select(func.count()).where(UploadPart.asset_id == asset)
        wraps = select(func.count()).where(
            AssetWrap.asset_id == asset, AssetWrap.purpose == upload_keys.WRAPPED_FOR
        )
        return session.scalar(parts) or 0, session.scalar(wraps) or 0


def live_asset_keys(clinic: Clinic) -> set[str]:
    """Every asset key that could still open something."""
    entries = list(clinic.ctx.keyring.list_keys(kind=KeyKind.ASSET))
    states = clinic.ctx.keyring.status([e.key_id for e in entries])
    return {key for key, state in states.items() if state is KeyStatus.LIVE}
