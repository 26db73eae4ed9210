"""Film that is kept already: rows, keys, wraps and a tiny encrypted-looking object, no media work.

For tests of what happens to film later; how film comes in is tested with real films elsewhere.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

from consent_service.clock import london_day
from consent_service.db.models.recordings import Asset, DepictedPerson
from consent_service.db.models.reviews import SessionSummary, SharedReview
from consent_service.domain.assets import AssetKind, AssetState, Depiction, RecordClass
from consent_service.ids import new_id
from consent_service.services import keys, retention, retention_dates
from consent_service.vault.keyring import KeyKind
from tests.support.clinic import Clinic, Family


@dataclass(frozen=True)
class Kept:
    """What kind of film is put in; `depicted` None means the whole family."""

    kind: AssetKind = AssetKind.RECORDING
    record_class: RecordClass = RecordClass.TRANSITORY
    source: str | None = None
    depicted: tuple[str, ...] | None = None
    state: AssetState = AssetState.STORED
    more: tuple[tuple[str, Any], ...] = ()


def keep_film(clinic: Clinic, family: Family, kept: Kept | None = None) -> str:
    """Put a film into the clinic as if it had been received now; returns its id."""
    kept = kept or Kept()
    ctx, identifier, key = clinic.ctx, new_id(), new_id()
    blob = f"{identifier}.1"
    with ctx.blobs.put(blob) as sink:
        sink.write(b"noise")
    with ctx.begin() as uow:
        row = uow.lock_involvement(family.involvement)
        uow.session.add(
            Asset(
                id=identifier,
                kind=kept.kind,
                involvement_id=row.id,
                source_id=kept.source,
                state=kept.state,
                record_class=kept.record_class,
                shard=row.shard,
                asset_key_id=key,
                blob=blob,
                stored_size=5,
                filmed_on=london_day(uow.at),
                created_by=clinic.guider.id,
                created_at=uow.at,
                stored_at=uow.at,
                **dict(kept.more),
            )
        )
        uow.session.flush()
        for person in kept.depicted or family.everyone:
            uow.session.add(
                DepictedPerson(
                    asset_id=identifier,
                    person_id=person,
                    depiction=Depiction.DEPICTED,
                    added_by=clinic.guider.id,
                    added_at=uow.at,
                )
            )
        uow.session.flush()
        shard = row.shard
        retention_dates.recompute(ctx, uow, row.id)
    ctx.keyring.create(key, KeyKind.ASSET, shard, clinic.clock.now())
    keys.write_sidecar(ctx, asset_row(clinic, identifier), ())
    return identifier


def film_that_will_go(clinic: Clinic) -> tuple[Family, str]:
    """A family and their film, reviewed, which two officers let go once its days are over."""
    for caller in (clinic.ig, clinic.ig2):
        retention.approve_appraisal(clinic.ctx, caller, "recordings")
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    file_summary(clinic, family, film)
    return family, film


def file_summary(clinic: Clinic, family: Family, recording: str) -> None:
    """Review a recording and file its summary now."""
    with clinic.ctx.begin() as uow:
        involvement = uow.lock_involvement(family.involvement)
        review = SharedReview(
            id=new_id(),
            involvement_id=family.involvement,
            recording_id=recording,
            clip_ids=[],
            held_on=london_day(uow.at),
            recorded_by=clinic.guider.id,
            recorded_at=uow.at,
        )
        uow.session.add(review)
        uow.session.flush()
        uow.session.add(
            SessionSummary(
                id=new_id(),
                involvement_id=family.involvement,
                review_id=review.id,
                strengths="She waits for his answer.",
                points="Naming what he sees.",
                written_by=clinic.guider.id,
                written_at=uow.at,
                signed_at=uow.at,
                signed_by=clinic.guider.id,
                filed_at=uow.at,
            )
        )
        involvement.last_entry_at = uow.at
        retention_dates.recompute(clinic.ctx, uow, family.involvement)


def asset_row(clinic: Clinic, asset: str) -> Asset:
    """Return an asset as it stands."""
    with clinic.ctx.read() as session:
        return session.get_one(Asset, asset)


def due_on(clinic: Clinic, asset: str) -> date | None:
    """Return the first day on which an asset may be destroyed."""
    return asset_row(clinic, asset).due_on
