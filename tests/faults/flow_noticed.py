"""The flow of somebody noticed in a film that is stored: it stops for all until they have agreed.

Mother and baby were filmed, and a clip was cut; then the father is noticed, and says yes. On the
way the keys of both are replaced twice, their data keys wrapped anew and their sidecars written.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import func, select

from consent_service.db.models.consent import ConsentAct
from consent_service.db.models.recordings import DepictedPerson
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetState
from consent_service.domain.purposes import CARE
from consent_service.errors import Refused
from consent_service.services import cutting, depicted, keys, reconcile, replaced_keys
from consent_service.services.access import job_caller
from consent_service.services.context import Context
from consent_service.vault.keyring import KeyKind, KeyStatus
from consent_service.vault.wraps import open_wrap, parse_sidecar
from tests.faults.flows import Home, Say, StoryFlow, keep
from tests.faults.sweep import promise
from tests.support.installation import Story, found_installation
from tests.support.kept_film import asset_row

_NOTES = "noticed.json"


def _as_it_is(_ctx: Context) -> None:
    """The service's own code."""


def _destroy_first(ctx: Context) -> None:
    """The wrong build: the old key goes before the transaction that replaces it has committed."""

    def owe(_uow: UnitOfWork, asset: str, key: str) -> None:
        ctx.keyring.destroy([key], asset, ctx.clock.now())

    replaced_keys.owe = owe


_BUILDS: dict[str, Callable[[Context], None]] = {
    "right": _as_it_is,
    "destroyed-first": _destroy_first,
}


class Noticing(StoryFlow):
    """A father is noticed and agrees; `build` may be a wrong one."""

    def __init__(self, build: str = "right") -> None:
        self.name = "noticed" if build == "right" else build
        self._build = build

    def prepare(self, home: Home) -> None:
        clinic = found_installation(home.folder, database_url=home.database_url)
        family = clinic.family()
        clinic.captures(family, family.mother, clinic.answers(family, family.mother))
        film = clinic.stores_film(family, depicted=(family.mother, family.baby)).id
        clip = cutting.clip(clinic.ctx, clinic.guider, cutting.MakeClip(film, 0, 900, "Bath")).id
        clinic.passes(minutes=1)
        notes = {
            one: [_digest(clinic.watches(one)), asset_row(clinic, one).asset_key_id]
            for one in (film, clip)
        }
        (home.folder / _NOTES).write_text(json.dumps(notes), encoding="utf-8")
        keep(home, clinic, family, film)

    def act(self, told: Story, say: Say) -> None:
        _BUILDS[self._build](told.clinic.ctx)
        _notice(told)
        say("noticed")
        told.clinic.passes(minutes=1)
        _agree(told)
        say("agreed")

    def holds(self, told: Story, words: list[Any]) -> None:
        seen, agreed = _is_seen(told), _has_agreed(told)
        promise(seen or "noticed" not in words, "who was noticed in the film is not in it")
        promise(agreed or "agreed" not in words, "a consent that was acknowledged is lost")
        for asset, (whole, _) in _notes(told).items():
            watched = _watched(told, asset)
            promise(watched in (None, whole), "the film is another")
            if seen and not agreed:
                promise(watched is None, "film plays without the yes of somebody in it")
            promise(seen or watched == whole, "film stopped, and nobody was noticed")

    def resume(self, told: Story) -> None:
        if not _is_seen(told):
            _notice(told)
        depicted.settle_awaiting(told.clinic.ctx)
        if not _has_agreed(told):
            for asset in _notes(told):
                promise(not _opens(told, asset), "live keys open film that somebody must be asked")
            _agree(told)
        depicted.settle_awaiting(told.clinic.ctx)

    def ended(self, told: Story) -> Any:
        clinic, notes = told.clinic, _notes(told)
        held = {
            one.key_id for one in clinic.ctx.keyring.list_keys() if one.kind is not KeyKind.CONSENT
        }
        promise(held == {asset_row(clinic, one).asset_key_id for one in notes}, "keys are left")
        _require_all_fits(told)
        for asset, (whole, _) in notes.items():
            state = asset_row(clinic, asset).state
            promise(state is AssetState.STORED, f"it ended as {state}")
            promise(_watched(told, asset) == whole, "the film is lost")
            promise(_opens(told, asset), "its sidecar does not open it")
        states = set(clinic.ctx.keyring.status([key for _, key in notes.values()]).values())
        promise(states == {KeyStatus.DESTROYED}, f"the keys of before are {states}")
        with clinic.ctx.read() as session:
            wraps = keys.wraps_by_asset(session, list(notes))
        people = {len(wrap.key_ids) for some in wraps.values() for wrap in some}
        promise(people == {3}, f"wraps stand for {people} people")
        return {"watched": {one: whole for one, (whole, _) in notes.items()}}


def _notice(told: Story) -> None:
    depicted.add_depicted(told.clinic.ctx, told.clinic.guider, told.film, told.family.father)


def _agree(told: Story) -> None:
    clinic, family = told.clinic, told.family
    clinic.captures(family, family.father, clinic.answers(family, family.father))


def _is_seen(told: Story) -> bool:
    """Whether the father is written down as in the film; in the clip too, or in neither."""
    with told.clinic.ctx.read() as session:
        found = [session.get(DepictedPerson, (one, told.family.father)) for one in _notes(told)]
    promise(len({one is None for one in found}) == 1, "he is in the film and not in the clip of it")
    return found[0] is not None


def _has_agreed(told: Story) -> bool:
    wanted = select(func.count()).where(ConsentAct.person_id == told.family.father)
    with told.clinic.ctx.read() as session:
        return bool(session.scalar(wanted))


def _watched(told: Story, asset: str) -> str | None:
    """Return the digest of what a viewer is shown, None where it is refused."""
    try:
        return _digest(told.clinic.watches(asset))
    except Refused:
        return None


def _opens(told: Story, asset: str) -> bool:
    """Whether live keys alone open what stands beside the film, whatever anybody is allowed."""
    ring = told.clinic.ctx.keyring
    sidecar = parse_sidecar(told.clinic.ctx.blobs.read_range(f"{asset}.json", 0, 100_000))
    wanted = {sidecar.asset_key_id, *(key for wrap in sidecar.wraps for key in wrap.key_ids)}
    live = ring.read(sorted(wanted))
    return sidecar.asset_key_id in live and any(
        open_wrap(wrap, live[sidecar.asset_key_id], live)
        for wrap in sidecar.wraps
        if wrap.purpose == CARE and live.keys() >= set(wrap.key_ids)
    )


def _require_all_fits(told: Story) -> None:
    reconcile.reconcile(told.clinic.ctx, job_caller("reconcile"))
    again = reconcile.reconcile(told.clinic.ctx, job_caller("reconcile"))
    promise(not again.findings, f"after mending, still: {again.figures()}")


def _notes(told: Story) -> dict[str, tuple[str, str]]:
    """Return film and clip, each with its digest and the key that it had at first."""
    raw = json.loads((told.folder / _NOTES).read_text(encoding="utf-8"))
    return {one: (whole, key) for one, (whole, key) in raw.items()}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
