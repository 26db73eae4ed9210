"""The flows by which film goes, and what keeps it gone: withdrawal, purge, rotation, restore."""

import hashlib
import json
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from consent_service.db.models.erasure import Certificate, ErasureOrder, Withdrawal
from consent_service.domain.assets import AssetState
from consent_service.domain.erasure import OrderState
from consent_service.errors import Gone
from consent_service.services import (
    audit,
    certificates,
    erasure,
    key_rotation,
    retention,
    startup,
    withdrawal,
)
from consent_service.services.access import job_caller
from consent_service.vault.key_providers.port import Assurance
from consent_service.vault.keyring_values import KeyStatus
from tests.faults import story as stories
from tests.faults.calls import Act
from tests.faults.flows import Home, Say, StoryFlow, keep
from tests.faults.sweep import (
    BUILDS,
    check_after_kill,
    check_end,
    promise,
    traces_of,
)
from tests.support.backups import DatabaseBackup
from tests.support.installation import Story, close, files_with, found_installation
from tests.support.kept_film import asset_row, film_that_will_go, keep_film

TRACES = "traces.json"


class Withdrawing(StoryFlow):
    """A mother takes everything back, and it is carried out; `build` may be a wrong one."""

    def __init__(self, build: str = "right") -> None:
        self.name = "withdrawal" if build == "right" else build
        self._build = build

    def prepare(self, home: Home) -> None:
        stories.begin(home.folder, database_url=home.database_url)
        with home.opened() as told:
            traces = traces_of(home.folder, told)
        found = files_with(home.folder, traces)
        promise(len(found) >= 3, "the search does not find what is there")
        # Beside the installation, or the search would find its own list.
        _traces_file(home).write_text(json.dumps([t.hex() for t in traces]), encoding="utf-8")

    def act(self, told: Story, say: Say) -> None:
        BUILDS[self._build](told.clinic.ctx, told)
        say("withdrawn")

    def holds(self, told: Story, words: list[Any]) -> None:
        recorded = check_after_kill(told)
        promise(recorded or not words, "a withdrawal that was acknowledged is lost")

    def resume(self, told: Story) -> None:
        ctx = told.clinic.ctx
        with ctx.read() as session:
            recorded = session.scalar(select(func.count()).select_from(Withdrawal))
        if not recorded:
            withdrawal.withdraw(ctx, told.clinic.guider, stories.everything(told))
        told.clinic.passes(hours=1)
        erasure.work(ctx, "after")

    def ended(self, told: Story) -> Any:
        raw = json.loads(_traces_file(Home(told.folder)).read_text(encoding="utf-8"))
        return check_end(told, [bytes.fromhex(trace) for trace in raw])


def _traces_file(home: Home) -> Path:
    return home.folder.parent / TRACES


class Purging(StoryFlow):
    """Film whose day has come goes under an appraisal."""

    name = "purge"

    def prepare(self, home: Home) -> None:
        clinic = found_installation(home.folder, database_url=home.database_url)
        family, film = film_that_will_go(clinic)
        clinic.passes(days=31)
        keep(home, clinic, family, film)

    def act(self, told: Story, say: Say) -> None:
        done = retention.run(told.clinic.ctx, job_caller("retention"))
        if done.destroyed:
            say("ordered")
        erasure.work(told.clinic.ctx, "sweep")
        say("carried out")

    def holds(self, told: Story, words: list[Any]) -> None:
        orders = _orders(told)
        promise(len(orders) <= 1, f"{len(orders)} orders for one film")
        promise(bool(orders) or not words, "an order that was acknowledged is lost")
        if not orders:
            key = asset_row(told.clinic, told.film).asset_key_id
            promise(bool(told.clinic.ctx.keyring.read([key])), "the key went without an order")
            promise(bool(told.clinic.objects()), "film went without an order")

    def resume(self, told: Story) -> None:
        retention.run(told.clinic.ctx, job_caller("retention"))
        told.clinic.passes(hours=1)
        erasure.work(told.clinic.ctx, "after")

    def ended(self, told: Story) -> Any:
        row = asset_row(told.clinic, told.film)
        promise(row.state is AssetState.ERASED, f"the film is {row.state}")
        return {**_gone(told, [row.asset_key_id]), "film": told.film}


class Rotating(StoryFlow):
    """Master and shard keys are replaced after an erasure; its certificate gets a revision."""

    name = "rotation"

    def prepare(self, home: Home) -> None:
        clinic = found_installation(home.folder, database_url=home.database_url)
        family, other = clinic.family(), clinic.family()
        for one in (family, other):
            clinic.both_consent(one)
        film = keep_film(clinic, family)
        keep_film(clinic, other)
        clinic.withdraws(family, family.mother)
        erasure.work(clinic.ctx, "before")
        (home.folder / "open-keys").write_text(_open_keys(clinic.ctx), encoding="utf-8")
        keep(home, clinic, family, film)

    def act(self, told: Story, say: Say) -> None:
        key_rotation.rotate(told.clinic.ctx, job_caller("rotate-keys"))
        say("rotated")

    def holds(self, told: Story, words: list[Any]) -> None:
        ctx = told.clinic.ctx
        before = (told.folder / "open-keys").read_text(encoding="utf-8")
        promise(_open_keys(ctx) == before, "keys were lost or changed, or some came back")
        if words:
            promise(not ctx.keyring.dirty_shards(), "a rotation that was acknowledged is lost")

    def resume(self, told: Story) -> None:
        told.clinic.passes(days=1)
        key_rotation.rotate(told.clinic.ctx, job_caller("rotate-keys"))

    def ended(self, told: Story) -> Any:
        ctx = told.clinic.ctx
        self.holds(told, ["rotated"])
        [order] = _orders(told)
        latest = certificates.certificate(ctx, told.clinic.ig, order.id)
        sure = [line.body["assurance"] for line in ctx.journal.lines() if "assurance" in line.body]
        promise(bool(sure), "the journal does not know of the rotation")
        wanted = 1 if Assurance.UNLINKED_ONLY.value in sure else 2
        promise(latest.revision == wanted, f"certificate revision {latest.revision} of {wanted}")
        promise(certificates.verify_bundle(latest.bundle(), ctx.signers.published).ok, "it is bad")
        body = json.loads(latest.bundle())["certificate"]
        masters = sorted(p.name.split("~")[0] for p in (told.folder / "master").iterdir())
        promise(not [m for m in masters if "000001" in m], f"the old master is here: {masters}")
        return {"keys": sorted(row["key"] for row in body["keys"]), "revision": latest.revision}


class Restoring(StoryFlow):
    """The database from before a withdrawal is put back; the journal brings the end back."""

    name = "restore"

    def prepare(self, home: Home) -> None:
        clinic = found_installation(home.folder, database_url=home.database_url)
        family = clinic.family()
        clinic.both_consent(family)
        film = keep_film(clinic, family)
        audit.seal(clinic.ctx)
        audit.publish_checkpoint(clinic.ctx)
        startup.replay(clinic.ctx)
        backup = DatabaseBackup.take(clinic.ctx.engine, home.folder)
        clinic.passes(minutes=5)
        clinic.withdraws(family, family.mother)
        erasure.work(clinic.ctx, "before")
        audit.seal(clinic.ctx)
        audit.publish_checkpoint(clinic.ctx)
        backup.put_back()
        backup.file.unlink(missing_ok=True)
        clinic.passes(minutes=5)
        stories.save(Story(clinic, family, film, ""), home.folder)
        close(clinic)

    def ready(self, home: Home) -> Act:
        """Readiness is what is tried here, so it is not made before."""
        told = stories.load(home.folder, database_url=home.database_url)
        return lambda say: self.act(told, say)

    def act(self, told: Story, say: Say) -> None:
        startup.require_ready(told.clinic.ctx)
        say("ready")
        erasure.work(told.clinic.ctx, "sweep")

    def holds(self, told: Story, words: list[Any]) -> None:
        try:
            told.clinic.watches(told.film)
        except Gone:
            return
        promise(False, "film that was erased came back")

    def resume(self, told: Story) -> None:
        told.clinic.passes(hours=1)
        erasure.work(told.clinic.ctx, "after")

    def ended(self, told: Story) -> Any:
        self.holds(told, [])
        row = asset_row(told.clinic, told.film)
        promise(row.state is AssetState.ERASED, f"the film is {row.state}")
        return {**_gone(told, [row.asset_key_id]), "film": told.film}


def _orders(told: Story) -> list[ErasureOrder]:
    with told.clinic.ctx.read() as session:
        return list(session.scalars(select(ErasureOrder)))


def _gone(told: Story, destroyed: list[str]) -> dict[str, Any]:
    """One order done, one certificate, no object, no key; the certificate verifies."""
    ctx, orders = told.clinic.ctx, _orders(told)
    promise([o.state for o in orders] == [OrderState.DONE], f"{[o.state for o in orders]}")
    with ctx.read() as session:
        issued = session.scalar(select(func.count()).select_from(Certificate))
    promise(issued == 1, f"{issued} certificates")
    bundle = certificates.certificate(ctx, told.clinic.ig, orders[0].id).bundle()
    promise(certificates.verify_bundle(bundle, ctx.signers.published).ok, "it does not verify")
    body = json.loads(bundle)["certificate"]
    found = sorted({row["key"] for row in body["keys"]} | set(destroyed))
    states = set(ctx.keyring.status(found).values())
    promise(states == {KeyStatus.DESTROYED}, f"keys are {states}")
    promise(not list(ctx.blobs.list()), "objects are left in the store")
    promise(not list(ctx.blobs.list_unfinished()), "unfinished objects are left")
    return {"keys": found, "assets": sorted(row["asset"] for row in body["destroyed"])}


def _open_keys(ctx: Any) -> str:
    """A fingerprint of every key that still opens something."""
    entries = sorted(entry.key_id for entry in ctx.keyring.list_keys())
    opened = ctx.keyring.read(entries)
    return hashlib.sha256(b"".join(k.encode() + opened[k] for k in sorted(opened))).hexdigest()
