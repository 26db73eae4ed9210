"""The flow of clips: one is cut and kept, one meets a withdrawal while it is being written."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import func, select

from consent_service.db.models.erasure import Withdrawal
from consent_service.db.models.recordings import Asset
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.errors import ConsentServiceError, Gone, Refused
from consent_service.services import (
    cutting,
    erasure,
    permission,
    reconcile,
    recordings,
    storing,
)
from consent_service.services.access import job_caller
from tests.faults.flows import Home, Say, StoryFlow, keep
from tests.faults.sweep import promise
from tests.support.clinic import Family
from tests.support.faulty_store import HappeningStore
from tests.support.installation import Story, found_installation
from tests.support.safe import consenting_family

_NOTES = "clips.json"
_AFTER_ALL = "cut after a withdrawal"


def _as_it_is() -> None:
    """The service's own code."""


def _store_first() -> None:
    """The wrong build: the row says *stored* before there is an object, and its wraps."""
    derived = cutting._derived

    def stored(uow: UnitOfWork, *more: Any) -> Asset:
        row = derived(uow, *more)
        row.state, row.stored_at = AssetState.STORED, uow.at
        return row

    cutting._derived = stored
    storing.require_arriving = lambda *_: None
    storing.require_move = lambda *_: AssetState.STORED


_BUILDS: dict[str, Callable[[], None]] = {"right": _as_it_is, "stored-first": _store_first}


class Clipping(StoryFlow):
    """A family's smile is kept, another's withdrawal wins; `build` may be a wrong one."""

    def __init__(self, build: str = "right") -> None:
        self.name = "clip" if build == "right" else build
        self._build = build

    def prepare(self, home: Home) -> None:
        clinic = found_installation(home.folder, database_url=home.database_url)
        family, other = consenting_family(clinic), consenting_family(clinic)
        film, ending = clinic.stores_film(family).id, clinic.stores_film(other).id
        clinic.passes(minutes=1)
        notes = {"family": asdict(other), "film": ending}
        (home.folder / _NOTES).write_text(json.dumps(notes), encoding="utf-8")
        keep(home, clinic, family, film)

    def act(self, told: Story, say: Say) -> None:
        _BUILDS[self._build]()
        say(_cut(told, told.film))
        if self._build == "right":  # what is wrong with the other lies before this
            self._cut_while_it_ends(told, say)
            erasure.work(told.clinic.ctx, "sweep")

    def _cut_while_it_ends(self, told: Story, say: Say) -> None:
        other, film = _other(told)
        real = told.clinic.ctx

        def ends() -> None:
            told.clinic.passes(seconds=2)
            told.clinic.withdraws(other, other.mother)

        meeting = replace(real, blobs=HappeningStore(real.blobs, ".1", ends))  # type: ignore[arg-type]
        try:
            request = cutting.MakeClip(film, 0, 1000, "A smile")
            cutting.clip(meeting, told.clinic.guider, request)
        except (Gone, Refused):
            return
        say(_AFTER_ALL)

    def holds(self, told: Story, words: list[Any]) -> None:
        promise(_AFTER_ALL not in words, "a clip was cut of film that was withdrawn")
        clips, (_, ending) = _clips(told), _other(told)
        for clip in clips:
            promise(_people(told, clip.id) == _people(told, clip.source_id), "somebody is not in")
            if clip.state is AssetState.STORED and clip.source_id == told.film:
                promise(bool(told.clinic.watches(clip.id)), "a clip that is stored is empty")
            elif clip.state is not AssetState.STORED:
                promise(_is_refused(told, clip.id), f"a clip that is {clip.state} can be watched")
        if _withdrawn(told):
            of_other = [clip.id for clip in clips if clip.source_id == ending]
            shown = [one for one in (ending, *of_other) if not _is_refused(told, one)]
            promise(not shown, "film that was withdrawn, or a clip of it, can be watched")
        for clip_id in words:
            stands = any(c.id == clip_id and c.state is AssetState.STORED for c in clips)
            promise(stands, "a clip that was acknowledged is lost")

    def resume(self, told: Story) -> None:
        clinic, (other, _) = told.clinic, _other(told)
        if not [c for c in _clips(told, told.film) if c.state is AssetState.STORED]:
            _cut(told, told.film)
        if not _withdrawn(told):
            clinic.withdraws(other, other.mother)
        clinic.passes(days=2)
        recordings.abandon_stale(clinic.ctx, job_caller("abandon-uploads"))
        erasure.work(clinic.ctx, "after")

    def ended(self, told: Story) -> Any:
        clinic = told.clinic
        self.holds(told, [])
        clips = _clips(told)
        stored = [c for c in clips if c.state is AssetState.STORED]
        promise([c.source_id for c in stored] == [told.film], f"{len(stored)} clips are stored")
        others = {c.state for c in clips if c.state is not AssetState.STORED}
        promise(others <= {AssetState.ERASED}, f"leftovers ended as {others}")
        reconcile.reconcile(clinic.ctx, job_caller("reconcile"))
        again = reconcile.reconcile(clinic.ctx, job_caller("reconcile"))
        promise(not again.findings, f"after mending, still: {again.figures()}")
        names = {name.split(".")[0] for name in clinic.objects()}
        promise(names == {told.film, stored[0].id}, "objects of other clips are left")
        promise(not list(clinic.ctx.blobs.list_unfinished()), "unfinished objects are left")
        return {"bytes": len(clinic.watches(stored[0].id)), "title": stored[0].title}


def _cut(told: Story, film: str) -> str:
    request = cutting.MakeClip(film, 0, 1000, "A smile")
    return cutting.clip(told.clinic.ctx, told.clinic.guider, request).id


def _clips(told: Story, source: str | None = None) -> list[Asset]:
    with told.clinic.ctx.read() as session:
        query = select(Asset).where(Asset.kind == AssetKind.CLIP).order_by(Asset.id)
        return [c for c in session.scalars(query) if source in (None, c.source_id)]


def _people(told: Story, asset: str | None) -> list[str]:
    with told.clinic.ctx.read() as session:
        return sorted(permission.depicted_in(session, asset or ""))


def _withdrawn(told: Story) -> bool:
    with told.clinic.ctx.read() as session:
        return bool(session.scalar(select(func.count()).select_from(Withdrawal)))


def _is_refused(told: Story, asset: str) -> bool:
    try:
        told.clinic.watches(asset)
    except ConsentServiceError:
        return True
    return False


def _other(told: Story) -> tuple[Family, str]:
    """Return the family that withdraws, and its film."""
    notes = json.loads((told.folder / _NOTES).read_text(encoding="utf-8"))
    return Family(**notes["family"]), notes["film"]
