"""The flow of a restore from a backup folder, by the use cases behind `backups create|restore`.

After the backup one family took everything back and was erased, another is in its seven days, and
the film of a third was lost from the store: the first two must not come back, the third must.
"""

import hashlib
import json
from typing import Any

from sqlalchemy import func, select

from consent_service.db.models.erasure import Certificate, ErasureOrder
from consent_service.domain.assets import AssetState
from consent_service.domain.erasure import OrderState
from consent_service.domain.withdrawal import Speed
from consent_service.errors import Gone, Refused
from consent_service.services import erasure, restores, startup
from consent_service.vault.keyring_values import KeyStatus
from tests.faults.flows import Home, Say, StoryFlow, keep
from tests.faults.sweep import promise
from tests.support.clinic import Clinic
from tests.support.installation import Story, found_installation
from tests.support.kept_film import asset_row
from tests.support.safe import Safe, consenting_family, made_backup, open_safe

_NOTES = "backup.json"


class RestoringBackup(StoryFlow):
    """A restore over what is there, killed anywhere and run again."""

    name = "backup-restore"
    replays_first = False

    def prepare(self, home: Home) -> None:
        clinic = found_installation(home.folder, database_url=home.database_url)
        # Beside the installation, where no copy of it takes the backup along.
        safe = open_safe(clinic, home.folder.parent)
        erased, locked, lost = (consenting_family(clinic) for _ in range(3))
        films = {
            name: clinic.stores_film(family).id
            for name, family in (("erased", erased), ("locked", locked), ("lost", lost))
        }
        watched = _digest(clinic.watches(films["lost"]))
        made = made_backup(clinic, safe)
        clinic.withdraws(erased, erased.mother)
        erasure.work(clinic.ctx, "before")
        clinic.withdraws(locked, locked.mother, speed=Speed.SEVEN_DAYS)
        clinic.ctx.blobs.delete(asset_row(clinic, films["lost"]).blob or "")
        clinic.passes(minutes=5)
        notes = {**films, "backup": made.folder.name, "watched": watched}
        (home.folder / _NOTES).write_text(json.dumps(notes), encoding="utf-8")
        keep(home, clinic, erased, films["erased"])

    def act(self, told: Story, say: Say) -> None:
        _restore(told)
        say("restored")
        startup.require_ready(told.clinic.ctx)
        erasure.work(told.clinic.ctx, "sweep")

    def look(self, home: Home, words: list[Any]) -> None:
        with home.opened(self.waits) as told:  # before the journal is replayed, too
            _require_nothing_back(told)
        super().look(home, words)

    def holds(self, told: Story, words: list[Any]) -> None:
        _require_nothing_back(told)
        if words:
            _require_back(told)

    def resume(self, told: Story) -> None:
        _restore(told)
        told.clinic.passes(hours=1)
        erasure.work(told.clinic.ctx, "after")

    def ended(self, told: Story) -> Any:
        _require_nothing_back(told)
        _require_back(told)
        ctx, row = told.clinic.ctx, asset_row(told.clinic, told.film)
        promise(row.state is AssetState.ERASED, f"the film is {row.state}")
        promise(
            set(ctx.keyring.status([row.asset_key_id]).values()) == {KeyStatus.DESTROYED}, "key"
        )
        with ctx.read() as session:
            orders = sorted(state.value for state in session.scalars(select(ErasureOrder.state)))
            issued = session.scalar(select(func.count()).select_from(Certificate))
        promise(orders.count(OrderState.DONE.value) == 1, f"orders ended as {orders}")
        promise(issued == 1, f"{issued} certificates")
        return {"orders": orders, "objects": sorted(told.clinic.objects())}


def _restore(told: Story) -> None:
    beside = told.folder.parent
    safe = Safe(beside / "disk", beside / "backup.key")
    wanted = restores.RestoreBackup(
        safe.folder / _notes(told)["backup"], safe.identity, replace=True
    )
    restores.restore(told.clinic.ctx, told.clinic.admin, wanted)


def _require_nothing_back(told: Story) -> None:
    for name in ("erased", "locked"):
        promise(_is_refused(told.clinic, _notes(told)[name]), f"film that is {name} came back")


def _require_back(told: Story) -> None:
    notes = _notes(told)
    watched = _digest(told.clinic.watches(notes["lost"]))
    promise(watched == notes["watched"], "the film that was lost is another")


def _is_refused(clinic: Clinic, film: str) -> bool:
    """Before the journal is replayed it may be frozen for want of keys; gone after that."""
    try:
        clinic.watches(film)
    except (Gone, Refused):
        return True
    return False


def _notes(told: Story) -> dict[str, str]:
    return dict(json.loads((told.folder / _NOTES).read_text(encoding="utf-8")))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
