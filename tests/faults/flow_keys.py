"""The flows of key backups, by what `keys backup` and `keys restore` do.

A backup is made, and then a family withdraws and the keys are rotated: nothing may be called
irrecoverable while the file is there. In the other flow the keyring was lost since: what was
destroyed meanwhile must not come back, what was sealed must be sealed, all else must be there.
"""

import io
import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import pyrage
from click.exceptions import Exit
from sqlalchemy import func, select

from consent_service.cli.keys import _appearing
from consent_service.db.models.erasure import ErasureOrder, Withdrawal
from consent_service.domain.erasure import OrderState
from consent_service.domain.withdrawal import Speed
from consent_service.services import certificates, erasure, key_ends, key_rotation, startup
from consent_service.services.access import job_caller
from consent_service.vault.key_backups import LIFETIME
from consent_service.vault.key_providers.port import Assurance
from consent_service.vault.keyring_values import KeyStatus
from tests.faults.flows import Home, Say, StoryFlow, keep
from tests.faults.sweep import promise
from tests.support.clinic import Clinic
from tests.support.installation import Story, found_installation
from tests.support.kept_film import asset_row, keep_film
from tests.support.safe import consenting_family

_NOTES, _IDENTITY, _SAFE = "keys.json", "backup.key", "safe"
_NIGHT = job_caller("rotate-keys")


def _named_first(file: Path) -> BinaryIO:
    """The wrong build: the file has its name from the beginning."""
    return file.open("xb")


_BUILDS: dict[str, Callable[[Path], AbstractContextManager[BinaryIO]]] = {
    "right": _appearing,
    "named-first": _named_first,
}


class KeyBackingUp(StoryFlow):
    """A key backup, and an erasure after it; `build` may be a wrong one."""

    def __init__(self, build: str = "right") -> None:
        self.name = "key-backup" if build == "right" else build
        self._build = build

    def prepare(self, home: Home) -> None:
        clinic = found_installation(home.folder, database_url=home.database_url)
        family, other = consenting_family(clinic), consenting_family(clinic)
        film = keep_film(clinic, family)
        keep_film(clinic, other)
        (home.folder / _SAFE).mkdir()
        _make_identity(home.folder)
        keep(home, clinic, family, film)

    def act(self, told: Story, say: Say) -> None:
        self._back_up(told)
        say("backed up")
        if self._build == "right":  # what is wrong with the other lies before this
            told.clinic.passes(minutes=5)
            self._go_on(told, say)

    def holds(self, told: Story, words: list[Any]) -> None:
        named = _file(told).exists()
        promise(named or "backed up" not in words, "a backup that was told of is not there")
        promise(_is_withdrawn(told) or "withdrawn" not in words, "a withdrawal is lost")
        _require_honest(told)

    def resume(self, told: Story) -> None:
        if not _file(told).exists():
            for unfinished in (told.folder / _SAFE).iterdir():
                unfinished.unlink()  # as the refusal says
            self._back_up(told)
        promise(self._is_refused(told), "a backup took the place of another")
        told.clinic.passes(hours=1)
        self._go_on(told, lambda _: None)

    def ended(self, told: Story) -> Any:
        ctx, clinic = told.clinic.ctx, told.clinic
        _require_honest(told)
        both = _keys_in(_file(told)) & _destroyed(told)
        key = asset_row(clinic, told.film).asset_key_id
        promise(key in both, "the film's key is not in the backup, or is not destroyed")
        [order] = _orders(told)
        promise(order.state is OrderState.DONE, f"the order is {order.state}")
        clinic.clock.advance(LIFETIME)
        _file(told).unlink()
        key_rotation.backups_gone(ctx, clinic.admin)
        sure = [line.body["assurance"] for line in ctx.journal.lines() if "assurance" in line.body]
        promise(bool(sure), "the journal does not know of the rotation")
        wanted = 1 if Assurance.UNLINKED_ONLY.value in sure else 2
        found = certificates.certificate(ctx, clinic.ig, order.id).revision
        promise(found == wanted, f"certificate revision {found} of {wanted}")
        left = [one for one in ctx.keyring.backups.registered() if one.expired_at is None]
        promise(not left, "a backup that is gone is waited for")
        return {"destroyed": sorted(both), "revision": found}

    def _back_up(self, told: Story) -> None:
        recipient = str(_identity(told.folder).to_public())
        with _BUILDS[self._build](_file(told)) as stream:
            key_rotation.backup(told.clinic.ctx, told.clinic.admin, stream, recipient)

    def _is_refused(self, told: Story) -> bool:
        before = _file(told).read_bytes()
        try:
            self._back_up(told)
        except (Exit, FileExistsError):
            return _file(told).read_bytes() == before
        return False

    def _go_on(self, told: Story, say: Say) -> None:
        clinic = told.clinic
        if not _is_withdrawn(told):
            clinic.withdraws(told.family, told.family.mother)
        erasure.work(clinic.ctx, "sweep")
        say("withdrawn")
        clinic.passes(minutes=5)
        key_rotation.rotate(clinic.ctx, _NIGHT)
        say("rotated")


def _require_honest(told: Story) -> None:
    """A file with its name is whole; it is known of; no certificate denies what it holds."""
    ctx, files = told.clinic.ctx, list((told.folder / _SAFE).iterdir())
    registered = {one.backup_id for one in ctx.keyring.backups.registered()}
    journalled = {one.backup_id for one in key_rotation.known_backups(ctx.journal.lines())}
    promise(registered <= journalled, "the keyring knows of a backup that the journal does not")
    written = [file for file in files if file.stat().st_size]
    promise(bool(registered) or not written, "bytes of a backup that nobody knows of are there")
    for file in (file for file in files if not file.name.startswith(".")):
        first, *_ = _lines_of(file)
        promise(first["backup"] in registered, "a backup is there that nobody knows of")
        gone = sorted(_keys_in(file) & _destroyed(told))
        since = ctx.keyring.irrecoverable_since(gone)
        promise(not any(since.values()), "a key is called irrecoverable that a backup holds")
    if written:
        for order in _orders(told):
            promise(order.irrecoverable_at is None, "film is certified irrecoverable and is not")


class KeyRestoring(StoryFlow):
    """A lost keyring comes back from its backup; `build` may be a wrong one."""

    replays_first = False

    def __init__(self, build: str = "right") -> None:
        self.name = "key-restore" if build == "right" else build
        self._build = build

    def prepare(self, home: Home) -> None:
        clinic = found_installation(home.folder, database_url=home.database_url)
        erased, locked, kept = (consenting_family(clinic) for _ in range(3))
        films = [keep_film(clinic, erased), keep_film(clinic, locked)]
        film = clinic.stores_film(kept).id
        _make_identity(home.folder)
        recipient = str(_identity(home.folder).to_public())
        with (home.folder / "keys.age").open("xb") as stream:
            key_rotation.backup(clinic.ctx, clinic.admin, stream, recipient)
        clinic.passes(minutes=5)
        clinic.withdraws(erased, erased.mother)
        erasure.work(clinic.ctx, "before")
        clinic.withdraws(locked, locked.mother, speed=Speed.SEVEN_DAYS)
        _keep_notes(home, clinic, film)
        keep(home, clinic, kept, films[0])
        for file in (home.folder / "keyring").iterdir():
            file.unlink()
        # As `keys restore` does first of all: nothing else begins a keyring where one was.
        (home.folder / "keyring" / "keyring.sqlite3").touch(mode=0o600)

    def act(self, told: Story, say: Say) -> None:
        if self._build == "buried-last":
            with (told.folder / "keys.age").open("rb") as stream:
                identity, now = str(_identity(told.folder)), told.clinic.clock.now()
                told.clinic.ctx.keyring.backups.restore(stream, identity, now)
        _restore(told)
        say("restored")
        startup.require_ready(told.clinic.ctx)
        erasure.work(told.clinic.ctx, "sweep")

    def look(self, home: Home, words: list[Any]) -> None:
        with home.opened(self.waits) as told:  # before the journal is replayed, too
            _require_ended(told, sealed=bool(words))
        super().look(home, words)

    def holds(self, told: Story, words: list[Any]) -> None:
        _require_ended(told, sealed=True)
        if words:
            _require_film(told)

    def go_on(self, home: Home) -> None:
        with home.opened(self.waits) as told:
            _restore(told)
            promise(_restore(told).restored == 0, "what came back comes back again")
        super().go_on(home)

    def resume(self, told: Story) -> None:
        told.clinic.passes(hours=1)
        erasure.work(told.clinic.ctx, "after")

    def ended(self, told: Story) -> Any:
        _require_ended(told, sealed=True)
        _require_film(told)
        ring, notes = told.clinic.ctx.keyring, _notes(told)
        states = {key: state.value for key, state in ring.status(sorted(notes["keys"])).items()}
        now = {key: KeyStatus(state) for key, state in states.items()}
        for name, state in (("destroyed", KeyStatus.DESTROYED), ("sealed", KeyStatus.SEALED)):
            promise({now[key] for key in notes[name]} == {state}, f"what was {name} is not")
        known = {one.backup_id for one in ring.backups.registered()}
        told_of = {o.backup_id for o in key_rotation.known_backups(told.clinic.ctx.journal.lines())}
        promise(known == told_of, "the new keyring does not know of the backup")
        return states


def _restore(told: Story) -> key_rotation.RestoredKeys:
    with (told.folder / "keys.age").open("rb") as stream:
        identity = str(_identity(told.folder))
        return key_rotation.restore(told.clinic.ctx, told.clinic.admin, stream, identity)


def _keep_notes(home: Home, clinic: Clinic, film: str) -> None:
    held = sorted(_keys_in(home.folder / "keys.age"))
    states = clinic.ctx.keyring.status(held)
    notes = {
        "film": film,
        "watched": len(clinic.watches(film)),
        "keys": held,
        "destroyed": [key for key, state in states.items() if state is KeyStatus.DESTROYED],
        "sealed": [key for key, state in states.items() if state is KeyStatus.SEALED],
    }
    promise(bool(notes["destroyed"]) and bool(notes["sealed"]), "nothing ended since the backup")
    (home.folder / _NOTES).write_text(json.dumps(notes), encoding="utf-8")


def _require_ended(told: Story, *, sealed: bool) -> None:
    """No destroyed key is here; no sealed one can be used, where that was seen to already."""
    ring, notes = told.clinic.ctx.keyring, _notes(told)
    here = {KeyStatus.LIVE, KeyStatus.SEALED}
    back = here & set(ring.status(notes["destroyed"]).values())
    promise(not back, "a key that was destroyed came back")
    if sealed:
        promise(not ring.read(notes["sealed"]), "a key that was sealed can be used")


def _require_film(told: Story) -> None:
    notes = _notes(told)
    promise(len(told.clinic.watches(notes["film"])) == notes["watched"], "the film is another")


def _notes(told: Story) -> dict[str, Any]:
    return dict(json.loads((told.folder / _NOTES).read_text(encoding="utf-8")))


def _make_identity(folder: Path) -> None:
    (folder / _IDENTITY).write_text(str(pyrage.x25519.Identity.generate()), encoding="ascii")


def _identity(folder: Path) -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.from_str((folder / _IDENTITY).read_text(encoding="ascii"))


def _file(told: Story) -> Path:
    return told.folder / _SAFE / "keys.age"


def _lines_of(file: Path) -> list[dict[str, Any]]:
    """Return the lines of a key backup; one that is not whole is a broken promise."""
    try:
        folder = file.parent if (file.parent / _IDENTITY).exists() else file.parent.parent
        plain = pyrage.decrypt(file.read_bytes(), [_identity(folder)])
    except pyrage.DecryptError:
        plain = b""
    lines = [json.loads(line) for line in io.BytesIO(plain)]
    promise(bool(lines) and "end" in lines[-1], "a key backup has its name and is not whole")
    return lines


def _keys_in(file: Path) -> set[str]:
    return {line["key"] for line in _lines_of(file) if "key" in line}


def _destroyed(told: Story) -> set[str]:
    lines = told.clinic.ctx.journal.lines()
    return {stone.key_id for stone in key_ends.tombstones(lines)}


def _orders(told: Story) -> Iterable[ErasureOrder]:
    with told.clinic.ctx.read() as session:
        return list(session.scalars(select(ErasureOrder)))


def _is_withdrawn(told: Story) -> bool:
    with told.clinic.ctx.read() as session:
        return bool(session.scalar(select(func.count()).select_from(Withdrawal)))
