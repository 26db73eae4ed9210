"""Kill -9 at every boundary of the way out, start again, and look at what is there.

For each boundary a copy of one prepared installation is opened by a process of its own, which
withdraws and is killed there. What stands then is checked before anything is mended, and again
after a restart: always the same end.

Rules kept here:
  * the first sweep is over a wrong build (*unlink, then commit*) and must find fault with it;
  * a kill is SIGKILL to a real process over real files; nothing is simulated.
"""

import argparse
import hashlib
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text

from consent_service.db.models.erasure import Certificate, ErasureOrder, Tombstone, Withdrawal
from consent_service.db.models.jobs import Notice
from consent_service.db.models.recordings import AssetWrap
from consent_service.db.queries.erasure import OrderScope, assets_in_scope
from consent_service.domain.erasure import OrderState
from consent_service.errors import Gone
from consent_service.services import (
    audit,
    certificates,
    erasure,
    startup,
    withdrawal,
)
from consent_service.services.context import Context
from consent_service.vault.keyring_values import KeyStatus
from tests.faults import story as stories
from tests.faults.killing import Boundaries, watched
from tests.support.installation import Story, close, files_with

WAIT = 70  # seconds by which a dead worker's lease is over


class Broken(AssertionError):
    """A promise that did not hold."""


def promise(holds: bool, sentence: str) -> None:
    """Raise Broken unless it holds."""
    if not holds:
        raise Broken(sentence)


# --- what the killed process does ----------------------------------------------------------


def withdraw(ctx: Context, told: Story) -> None:
    """Withdraw and carry everything out, as web server and worker do."""
    withdrawal.withdraw(ctx, told.clinic.guider, stories.everything(told))
    erasure.work(ctx, "sweep")


def unlink_first(ctx: Context, told: Story) -> None:
    """The wrong build: the objects go before the transaction that orders it has committed."""
    order = erasure.order_erasure

    def deleting(uow: Any, actor: Any, wanted: erasure.OrderErasure, **more: Any) -> Any:
        scope: OrderScope = wanted.scope
        for asset in assets_in_scope(uow.session, wanted.involvement, scope):
            ctx.blobs.delete(asset.blob or "")
        return order(uow, actor, wanted, **more)

    erasure.order_erasure = deleting
    withdraw(ctx, told)


BUILDS: dict[str, Callable[[Context, Story], None]] = {
    "right": withdraw,
    "unlink-first": unlink_first,
}


# --- what must hold ------------------------------------------------------------------------


def check_after_kill(told: Story) -> bool:
    """Before anything is mended: all or nothing. Tells whether the withdrawal was recorded."""
    ctx = told.clinic.ctx
    with ctx.read() as session:
        recorded = session.scalar(select(func.count()).select_from(Withdrawal)) == 1
    for asset in (told.film, told.clip):
        try:
            told.clinic.watches(asset)
        except Gone:
            promise(recorded, f"{asset} is gone, and nobody withdrew")
        except Exception as fault:
            raise Broken(f"{asset} cannot be watched, and nobody withdrew: {fault!r}") from fault
        else:
            promise(not recorded, f"{asset} can be watched after the withdrawal")
    return recorded


def check_end(told: Story, traces: list[bytes]) -> dict[str, Any]:
    """After the restart: one certificate, no bytes, no keys, everything verifies."""
    ctx, folder = told.clinic.ctx, told.folder
    audit.seal(ctx)
    with ctx.read() as session:
        orders = session.scalars(select(ErasureOrder)).all()
        states = [order.state for order in orders]
        issued = session.scalars(select(Certificate)).all()
        stones = set(session.scalars(select(Tombstone.asset_id)))
        wraps = session.scalar(select(func.count()).select_from(AssetWrap))
    promise(not _told_of_a_restore(ctx), "a crash was taken for a restored backup")
    promise(states == [OrderState.DONE], f"orders ended as {states}")
    promise(len(issued) == 1, f"{len(issued)} certificates")
    promise(stones == {told.film, told.clip}, "tombstones are not of film and clip")
    promise(not wraps, "wraps are left")
    promise(not list(ctx.blobs.list()), "objects are left in the store")
    promise(not list(ctx.blobs.list_unfinished()), "unfinished objects are left")
    bundle = certificates.certificate(ctx, told.clinic.ig, orders[0].id).bundle()
    promise(certificates.verify_bundle(bundle, ctx.signers.published).ok, "it does not verify")
    body = json.loads(bundle)["certificate"]
    keys = [row["key"] for row in body["keys"]]
    states_of_keys = set(ctx.keyring.status(keys).values())
    promise(states_of_keys == {KeyStatus.DESTROYED}, f"keys are {states_of_keys}")
    destroyed = {row["asset"] for row in body["destroyed"]}
    promise(destroyed == {told.film, told.clip}, "the inventory is not film and clip")
    ctx.journal.verify()
    promise(audit.verify(ctx, told.clinic.ig).ok, "the audit log does not verify")
    left = files_with(folder, traces)
    promise(not left, f"traces of film or keys in {[str(p.name) for p in left]}")
    return {"assets": sorted(destroyed), "keys": sorted(keys)}


def _told_of_a_restore(ctx: Context) -> bool:
    with ctx.read() as session:
        told = select(func.count()).select_from(Notice).where(Notice.kind == "restore_found")
        return bool(session.scalar(told))


def traces_of(folder: Path, told: Story) -> list[bytes]:
    """Bytes by which film, sidecars and wrapped keys would be known anywhere in the folder."""
    found = []
    for blob in (folder / "film").rglob("*.1"):
        content = blob.read_bytes()
        found += [content[56:120], content[-64:]]
    with closing(sqlite3.connect(folder / "keyring" / "keyring.sqlite3")) as keyring:
        mine = keyring.execute("SELECT key_id, wrapped FROM held_key").fetchall()
    ending = _keys_that_go(folder, told)
    found += [wrapped for key, wrapped in mine if key in ending]
    promise(len(found) >= 4 + len(ending), "the search has too little to search for")
    return found


def _keys_that_go(folder: Path, told: Story) -> set[str]:
    with told.clinic.ctx.read() as session:
        rows = session.execute(
            text(
                "SELECT asset_key_id FROM asset UNION SELECT id FROM consent_decision"
                " WHERE person_id = :person AND answer = 'yes' AND purpose IS NOT NULL"
            ),
            {"person": told.family.mother},
        ).all()
    with closing(sqlite3.connect(folder / "keyring" / "keyring.sqlite3")) as keyring:
        held = {row[0] for row in keyring.execute("SELECT key_id FROM held_key")}
    return {row[0] for row in rows} & held


# --- processes ------------------------------------------------------------------------------


def in_a_process(act: Callable[[], Any]) -> tuple[int, Any]:
    """Run `act` in a child of its own; return how it ended (0, or minus the signal) and its word."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _speak(writing, act)
        finally:
            os._exit(2)  # never on through what its parent cleans up
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), json.loads(said) if said else None


def _speak(writing: int, act: Callable[[], Any]) -> None:
    code = 0
    try:
        word = act()
    except Broken as fault:
        code, word = 1, str(fault)
    except BaseException:  # noqa: BLE001  (whatever it was, the parent must hear of it)
        code, word = 2, traceback.format_exc()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(json.dumps(word).encode())
    os._exit(code)


class Sweep:
    """One prepared installation, and a copy of it for every boundary."""

    def __init__(self, work: Path, build: str, *, system: bool) -> None:
        self.work, self.build, self.system = work, build, system
        self.prepared = work / "prepared"
        self._traces: list[bytes] = []

    def prepare(self) -> None:
        """Set the installation up, once, and learn its traces; the search must find them first."""
        if not self.prepared.exists():
            self._must(lambda: stories.begin(self.prepared) and None)
        code, word = in_a_process(lambda: [t.hex() for t in self._look()])
        promise(code == 0, f"preparing failed: {word}")
        self._traces = [bytes.fromhex(t) for t in word]
        found = files_with(self.prepared, self._traces)
        promise(len(found) >= 3, "the search does not find what is there")

    def _look(self) -> list[bytes]:
        told = stories.load(self.prepared)
        found = traces_of(self.prepared, told)
        close(told.clinic)
        return found

    def boundaries(self) -> list[str]:
        """Return the names of all boundaries of one undisturbed run."""
        folder = self._copy(0)
        code, names = in_a_process(lambda: self._run(folder, 0))
        promise(code == 0, f"an undisturbed run failed: {names}")
        self._finish(folder)
        shutil.rmtree(folder)
        return list(names)

    def kill_at(self, number: int) -> dict[str, Any]:
        """Kill at one boundary, look, start again, look again; returns the end."""
        folder = self._copy(number)
        code, word = in_a_process(lambda: self._run(folder, number))
        try:
            promise(code == -9, f"it was not killed but ended with {code}: {word}")
            return self._finish(folder)
        finally:
            shutil.rmtree(folder)

    def _finish(self, folder: Path) -> dict[str, Any]:
        self._must(lambda: self._after(folder, check_after_kill))
        self._must(lambda: self._after(folder, self._resume))
        code, end = in_a_process(lambda: self._after(folder, lambda s: check_end(s, self._traces)))
        if code:
            raise Broken(str(end))
        return dict(end)

    def _run(self, folder: Path, number: int) -> list[str]:
        told = stories.load(folder)
        startup.require_ready(told.clinic.ctx)
        at = Boundaries(number)
        with watched(told.clinic.ctx, at, system=self.system) as ctx:
            BUILDS[self.build](ctx, told)
        return at.names

    def _after(self, folder: Path, act: Callable[[Story], Any]) -> Any:
        told = stories.load(folder)
        told.clinic.passes(seconds=WAIT)
        startup.require_ready(told.clinic.ctx)
        return act(told)

    def _resume(self, told: Story) -> None:
        """What the next worker does; who got no answer withdraws again."""
        ctx = told.clinic.ctx
        with ctx.read() as session:
            recorded = session.scalar(select(func.count()).select_from(Withdrawal))
        if not recorded:
            withdrawal.withdraw(ctx, told.clinic.guider, stories.everything(told))
        erasure.void_leases(ctx)
        erasure.work(ctx, "after")

    def _must(self, act: Callable[[], Any]) -> None:
        code, word = in_a_process(act)
        if code:
            raise Broken(str(word))

    def _copy(self, number: int) -> Path:
        folder = self.work / f"{self.build}-{number}"
        shutil.copytree(self.prepared, folder)
        return folder


def sweep(
    work: Path, build: str, every: int, *, system: bool = False, until_found: bool = False
) -> dict[str, Any]:
    """Kill at every `every`th boundary; returns figures and every fault found.

    `until_found` stops at the first fault: one is enough to tell a wrong build.
    """
    running = Sweep(work, build, system=system)
    running.prepare()
    names = running.boundaries()
    faults, ends = [], set()
    chosen = range(1, len(names) + 1, every)
    for number in chosen:
        try:
            end = running.kill_at(number)
        except Broken as fault:
            faults.append({"boundary": number, "where": names[number - 1], "fault": str(fault)})
            if until_found:
                break
        else:
            ends.add(hashlib.sha256(json.dumps(end).encode()).hexdigest())
    return {
        "build": build,
        "boundaries": len(names),
        "killed": len(chosen),
        "ends": len(ends),
        "faults": faults,
    }


def main(arguments: list[str] | None = None) -> int:
    """Sweep the wrong build until it is found out, then the right one; 0 when all held."""
    parser = argparse.ArgumentParser(prog="./dev faults", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="kill at every n-th boundary only")
    parser.add_argument("--system", action="store_true", help="also at every sync and unlink")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="consent-faults-") as folder:
        wrong = sweep(Path(folder), "unlink-first", 1, until_found=True)
        right = sweep(Path(folder), "right", chosen.every, system=chosen.system)
    good = bool(wrong["faults"]) and not right["faults"] and right["ends"] == 1
    said = {"wrong": wrong, "right": right, "seconds": round(time.monotonic() - began, 1)}
    if chosen.json:
        print(json.dumps(said, indent=2))
    else:
        _print(said)
    return 0 if good else 1


def _print(said: dict[str, Any]) -> None:
    for which in ("wrong", "right"):
        one = said[which]
        print(f"{one['build']}: {one['boundaries']} boundaries, killed at {one['killed']},")
        print(f"    {len(one['faults'])} faults found, {one['ends']} different ends")
        for fault in one["faults"][: 3 if which == "wrong" else 100]:
            print(f"    {fault['boundary']} {fault['where']}: {fault['fault']}")
    print(f"{said['seconds']} s")


if __name__ == "__main__":
    sys.exit(main())
