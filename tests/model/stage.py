"""Where a film's life is played: one installation, founded once and begun anew for each example.

Databases, keys, film and journal are the service's own, in a folder; nothing of ours is replaced
but the clock. Film comes in through the doors of the service, encrypted as film is, but without a
media program: what a film shows is no matter here.
"""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from consent_service.clock import FixedClock
from consent_service.db.models.recordings import Asset
from consent_service.domain.assets import AssetKind, AssetState, Depiction
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.purposes import CARE
from consent_service.domain.roles import Permission
from consent_service.ids import new_id
from consent_service.services import (
    cutting,
    film_keys,
    film_objects,
    permission,
    recordings,
    storing,
)
from consent_service.vault.container import new_data_key
from consent_service.wiring import build_context
from tests.support.backups import DatabaseBackup
from tests.support.clinic import Clinic, Family
from tests.support.installation import close, copy_folder, found_installation, settings_for

_LENGTH_MS = 2000


@dataclass
class Stage:
    """An installation with one family, closed; `begins` opens a copy of it as it was founded."""

    folder: Path
    clinic: Clinic
    family: Family
    backup: DatabaseBackup
    more: dict[str, object]
    _played: int = field(default=0)

    @classmethod
    def founded(cls, folder: Path, database_url: str | None = None) -> "Stage":
        """Found it in `folder`, with its database there too unless `database_url` names one."""
        more: dict[str, object] = {"database_url": database_url} if database_url else {}
        clinic = found_installation(folder / "founded", **more)
        family = clinic.family()
        backup = DatabaseBackup.take(clinic.ctx.engine, folder)
        close(clinic)
        return cls(folder, clinic, family, backup, more)

    @contextlib.contextmanager
    def begins(self) -> Iterator[Clinic]:
        """Open the clinic as it was founded, for one example."""
        self._played += 1
        place = copy_folder(self.folder / "founded", self.folder / str(self._played))
        if self.more:
            self.backup.put_back()
        clock = FixedClock(self.clinic.clock.now())
        ctx = build_context(settings_for(place, **self.more), clock)
        clinic = dataclasses.replace(self.clinic, ctx=ctx, clock=clock)
        try:
            yield clinic
        finally:
            close(clinic)
            shutil.rmtree(place)


def take_in(clinic: Clinic, request: recordings.ReserveFilm, content: bytes) -> str:
    """Reserve a film and store `content` as what is served of it; returns its id."""
    ctx = clinic.ctx
    place = _place_of(clinic, recordings.reserve(ctx, clinic.guider, request).id)
    with storing.or_given_up(ctx, clinic.guider, place):
        _store(clinic, place, AssetKind.RECORDING, content, EventKind.RECORDING_STORED)
    return place.asset


def cut(clinic: Clinic, source: str, content: bytes, *, still: bool) -> str:
    """Make a clip or photo of a film, with `content` as what is served of it; returns its id.

    Asks for the source as cutting does; raises what that raises.
    """
    ctx, caller = clinic.ctx, clinic.guider
    film_keys.data_key_of(ctx, film_keys.ground_for(ctx, caller, source, CARE, Permission.FILM_CUT))
    kind = AssetKind.STILL if still else AssetKind.CLIP
    place = _derived(clinic, source, kind)
    with storing.or_given_up(ctx, caller, place):
        event = EventKind.STILL_MADE if still else EventKind.CLIP_MADE
        _store(clinic, place, kind, content, event, source=source)
    return place.asset


def _derived(clinic: Clinic, source: str, kind: AssetKind) -> storing.Place:
    with clinic.ctx.begin() as uow:
        whole = uow.session.get_one(Asset, source)
        uow.lock_involvement(whole.involvement_id)
        row = Asset(
            id=new_id(),
            kind=kind,
            involvement_id=whole.involvement_id,
            source_id=source,
            state=AssetState.RECEIVING,
            record_class=whole.record_class,
            shard=whole.shard,
            asset_key_id=new_id(),
            filmed_on=whole.filmed_on,
            created_by=clinic.guider.id,
            created_at=uow.at,
        )
        row.blob = film_objects.object_name(row.id, film_objects.FIRST_GENERATION)
        uow.session.add(row)
        uow.session.flush()
        people = permission.depicted_in(uow.session, source)
        everyone = [(person, Depiction.DEPICTED) for person in people]
        storing.add_people(uow, clinic.guider, row.id, everyone)
        place = storing.place_of(row)
    storing.ensure_asset_key(clinic.ctx, place)
    return place


def _place_of(clinic: Clinic, asset: str) -> storing.Place:
    with clinic.ctx.begin() as uow:
        row = uow.session.get_one(Asset, asset)
        row.blob = film_objects.object_name(asset, film_objects.FIRST_GENERATION)
        place = storing.place_of(row)
    storing.ensure_asset_key(clinic.ctx, place)
    return place


def _store(
    clinic: Clinic,
    place: storing.Place,
    kind: AssetKind,
    content: bytes,
    event: EventKind,
    **details: str,
) -> None:
    ctx, key = clinic.ctx, new_data_key()
    target = film_objects.film_place(place.asset, kind, place.generation)
    with film_objects.writing(ctx, target, key, expected_size=len(content)) as writer:
        writer.write(content)
    stored = film_objects.written(target, writer)
    about = details or {"size": stored.plain_size, "digest": stored.sha256}
    told = AuditEvent(event, clinic.guider.actor, place.asset, place.involvement, about)
    still = kind is AssetKind.STILL
    facts = storing.FilmFacts(
        cutting.STILL_TYPE if still else "video/mp4", None if still else _LENGTH_MS
    )
    storing.finish(ctx, storing.Finished(place, stored, key, facts, (told,)))
