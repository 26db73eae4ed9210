"""Nothing of a film and none of its keys is left anywhere once it was erased and keys rotated.

A film with a marker nobody else has is taken in, cut, watched, its records exported and the papers
about its people printed; then it is erased and the keys are rotated. Before, the plaintext of
upload, film, clip and papers and every raw key are noted. After, they are searched for in every
file of the installation with its databases' logs, in the folders for temporary files, in shared
memory, and on a raw disk where there is one.

Rules kept here: a search first finds plaintext and keys that were planted; a search of a disk goes
over its bytes and not over its files.
"""

import contextlib
import io
import mmap
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pikepdf

from consent_service.db.models.recordings import Asset
from consent_service.media.sample import make_sample_film
from consent_service.services import (
    audit,
    consent,
    cutting,
    erasure,
    key_rotation,
    keys,
    papers,
    subject_access,
)
from consent_service.services.access import job_caller
from consent_service.vault.wraps import open_wrap
from tests.faults import disks
from tests.faults.sweep import promise
from tests.support.clinic import Clinic, Family
from tests.support.installation import close, found_installation

_WINDOW = 64
_LARGEST = 64 * 1024**2
_DISK_MIB = 96


@dataclass(frozen=True)
class Secrets:
    """What must not be found: `anywhere` is unlike anything else on the machine; `own` may be in
    other tests' folders too, so it is searched for in the installation only; `told` are words that
    the databases hold by right, and no other file.
    """

    anywhere: tuple[bytes, ...]
    own: tuple[bytes, ...]
    told: tuple[bytes, ...]

    @property
    def all(self) -> tuple[bytes, ...]:
        return self.anywhere + self.own


def live_through(folder: Path, **more: object) -> Secrets:
    """Take a film in, use it, erase it, rotate; return what must not be found from now on.

    `more` are settings that are not told by the folder, such as another store.
    """
    clinic = found_installation(folder, **more)
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"TRAIN.LOCAL"}))
    marker = secrets.token_hex(24)
    upload = make_sample_film(2.0, metadata={"comment": marker})
    promise(marker.encode() in upload, "the film does not carry its marker")
    film = clinic.stores_film(family, upload).id
    clip = cutting.clip(clinic.ctx, clinic.guider, cutting.MakeClip(film, 0, 1000, "A smile")).id
    served = [clinic.watches(asset) for asset in (film, clip)]
    audit.seal(clinic.ctx)
    audit.publish_checkpoint(clinic.ctx)
    export = io.BytesIO()
    audit.export(clinic.ctx, clinic.ig, export)
    passphrase, printed, records = _printed(clinic, family)
    raw_keys = {*_keys_of(clinic, film), *_keys_of(clinic, clip), *_masters(folder)}
    plain = [piece for content in (upload, *served, *printed) for piece in _windows(content)]
    words = (marker.encode(), passphrase.encode())
    told = [piece for content in (records, export.getvalue()) for piece in _windows(content)]
    found = Secrets((*words, *sorted(raw_keys)), tuple(dict.fromkeys(plain)), tuple(told))
    require_found_when_planted(folder, found)
    clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "residue")
    clinic.passes(hours=1)
    key_rotation.rotate(clinic.ctx, job_caller("rotate-keys"))
    close(clinic)
    return found


def _printed(clinic: Clinic, family: Family) -> tuple[str, list[bytes], bytes]:
    """Answer a subject access request and print a consent.

    Returns the answer's passphrase, both papers as printed, and the records inside the answer.
    """
    passphrase = secrets.token_hex(24)
    wanted = subject_access.OpenRequest(family.mother, clinic.today)
    asked = subject_access.open_request(clinic.ctx, clinic.ig, wanted).id
    locked = subject_access.file(clinic.ctx, clinic.ig, asked, passphrase)
    with pikepdf.open(io.BytesIO(locked), password=passphrase) as pdf:
        records = pdf.attachments["records.json"].get_file().read_bytes()
    act = consent.acts(clinic.ctx, clinic.guider, family.involvement)[0].id
    return passphrase, [locked, papers.consent_copy(clinic.ctx, clinic.guider, act)], records


def require_found_when_planted(folder: Path, what: Secrets) -> None:
    """Plant plaintext and a key where they might be left; the search must find each of them."""
    places = [folder, *elsewhere()]
    for place in places:
        for needle in (what.anywhere[0], what.anywhere[-1]):
            planted = place / f"consent-planted-{secrets.token_hex(8)}"
            planted.write_bytes(b"-" * 5000 + needle + b"-")
            try:
                found = files_holding([place], (needle,), since=time.time() - 60)
                promise(planted in found, f"the search does not find what lies in {place}")
            finally:
                planted.unlink()


def elsewhere() -> list[Path]:
    """Folders outside the installation in which something might be left."""
    places = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/dev/shm")]
    return [place for place in dict.fromkeys(places) if place.is_dir()]


def files_holding(places: Iterable[Path], needles: Iterable[bytes], since: float) -> list[Path]:
    """Return every file in `places` that holds one of `needles`.

    Of what lies directly in a place only what changed after `since` is looked through; other file
    systems mounted below are left out.
    """
    wanted = list(needles)
    return [
        path
        for place in places
        for path in _files(place, since)
        if any(needle in _content(path) for needle in wanted)
    ]


def _files(place: Path, since: float) -> Iterator[Path]:
    device = place.stat().st_dev
    for entry in place.iterdir():
        found = _looked_at(entry)
        if found is None or found.st_dev != device or found.st_ctime < since:
            continue
        if stat.S_ISREG(found.st_mode):
            yield entry
        elif stat.S_ISDIR(found.st_mode):
            with contextlib.suppress(FileNotFoundError, PermissionError):  # gone or not ours
                yield from _files(entry, 0)


def _looked_at(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:  # somebody else's, gone meanwhile
        return None


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError:  # somebody else's, gone meanwhile
        return b""


def _windows(content: bytes) -> list[bytes]:
    """Pieces of the film itself, from all over it, that are unlike any other bytes."""
    step = max(1, len(content) // 12)
    pieces = (content[at : at + _WINDOW] for at in range(step, len(content) - _WINDOW, step))
    return [piece for piece in pieces if len(set(piece)) > _WINDOW // 3]


def _keys_of(clinic: Clinic, asset: str) -> Iterator[bytes]:
    """The raw asset key, consent keys and data key of a film, as memory has them while it plays."""
    with clinic.ctx.read() as session:
        row = session.get_one(Asset, asset)
        wraps = keys.wraps_by_asset(session, [asset])[asset]
    for wrap in wraps:
        opened = clinic.ctx.keyring.read([row.asset_key_id, *wrap.key_ids])
        yield from opened.values()
        yield open_wrap(wrap, opened[row.asset_key_id], opened)


def _masters(folder: Path) -> Iterator[bytes]:
    """The raw master keys, which do lie on the disk until a rotation destroys them."""
    for zone in ("master", "escrow"):
        for path in (folder / zone).glob("master-*.key"):
            yield path.read_bytes()[:32]


# --- a raw disk -----------------------------------------------------------------------------


def on_disk(image: Path, needles: Iterable[bytes]) -> list[int]:
    """Return where in the raw image one of `needles` begins, each at its first place."""
    with image.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        return sorted(at for needle in needles if (at := raw.find(needle)) >= 0)


def search_disk() -> str:
    """Live through it on a file system of its own and search its every byte; raises Broken."""
    with tempfile.TemporaryDirectory(prefix="consent-residue-") as folder:
        image = Path(folder, "disk.ext4")
        disks.make(image, _DISK_MIB)
        with disks.mounted(image, Path(folder, "place")) as place:
            found = live_through(place / "installation")
            (place / "planted").write_bytes(found.own[0] + found.anywhere[-1])
        planted = on_disk(image, (found.own[0], found.anywhere[-1]))
        promise(len(planted) == 2, "the search of the disk does not find what was planted")
        with_planted = len(on_disk(image, found.all))
        promise(with_planted == 2, f"{with_planted - 2} pieces of film or keys are on the disk")
        return f"{len(found.all)} pieces searched for on a disk of {_DISK_MIB} MiB, none found"
