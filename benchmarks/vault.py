"""The container beside plain copies and other encryption: `python -m benchmarks.vault [--json]`.

Whole processes take a film from file to new file through the page cache; neither we
nor `dd` wait for the disk, except in the row `durable`, where both do (`conv=fdatasync`).

Ranges are single requests at places that are new in every turn, so that the page cache serves
them and not the processor's. In `range_…_over_preadv` both sides do what a request does: open the
file, ask its size, read into fresh memory, close; ours also checks header, commitment and last
chunk. `warm_preadv` has its file open and reads into memory that is used again, and so do we,
but for opening the object. `bare_cipher` reads those of our chunks that the range lies in and
calls the cipher for each, with no key schedule, no commitment, no last chunk: nothing that
decrypts can be faster, so what is above it is ours.

Peers are slow: unless `--full` asks for everything, they get a shorter film and one turn that
counts, which is said with the result and favours them (we start more slowly than they do).
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.measure import Compared, Report, compare, run_process, seconds_of
from benchmarks.peers.container_file import CONTEXT, KEY
from benchmarks.peers.tools import Argv, Peer, copy, module, peers_here, said_by, stop_agents
from consent_service.vault.container import (
    CHUNK_BYTES,
    HEADER_BYTES,
    ContainerReader,
    EncryptingWriter,
    FileSource,
    encrypt_stream,
)
from consent_service.vault.container_format import SALT_BYTES, STORED_CHUNK_BYTES
from consent_service.vault.container_keys import derive_chunk_keys

MEBIBYTE = 1024 * 1024
BESIDE_PEERS = 256
"""Length of the film that peers are given, in MiB: they take minutes over a whole one."""
GOALS = {
    "encrypt_over_dd": 1.25,
    "decrypt_over_dd": 1.5,
    "encrypt_over_age": 0.4,
    "encrypt_over_tink": 0.25,
    "encrypt_over_rclone_crypt": 0.125,
    "encrypt_over_pyrage": 1.0,
    "encrypt_over_openssl": 1.0,
    "encrypt_over_gpg": 1.0,
    "encrypt_over_fernet": 1.0,
    "range_64k_over_preadv": 4.0,
    "range_1m_over_preadv": 2.5,
    "in_memory_over_aesgcm": 1 / 0.75,
    "encrypt_mib_above_import": 48.0,
    "decrypt_mib_above_import": 48.0,
}


@dataclass(frozen=True)
class Studio:
    """A folder on the disk to be measured, with a film in it and our object of that film."""

    folder: Path
    mebibytes: int
    turns: int
    peers_mebibytes: int
    peers_turns: int

    @property
    def film(self) -> Path:
        """The plain film."""
        return self.folder / f"film-{self.mebibytes}"

    @property
    def stored(self) -> Path:
        """The same film, in our container."""
        return self.folder / f"stored-{self.mebibytes}"

    def prepare(self) -> None:
        """Write both files; the film is noise, so that nothing can compress it."""
        block = os.urandom(MEBIBYTE)
        with self.film.open("wb") as film:
            for _ in range(self.mebibytes):
                film.write(block)
        with self.film.open("rb", buffering=0) as film, self.stored.open("wb") as sink:
            encrypt_stream(film, sink, KEY, CONTEXT, hashed=False)

    def time(self, command: Callable[[Path, Path], Argv], source: Path) -> float:
        """Return the seconds that a program takes from `source` to a file that is not there yet."""
        target = self.folder / "target"
        self.remove("target")
        return seconds_of(partial(run_process, command(source, target)))

    def remove(self, name: str) -> None:
        """Remove a file; some programs add a suffix to the name that they were given."""
        for path in self.folder.glob(f"{name}*"):
            path.unlink()

    def pair(
        self, ours: Callable[[Path, Path], Argv], source: Path, other: partial[float]
    ) -> Compared:
        """Compare one of our programs with another, by turns."""
        return compare(partial(self.time, ours, source), other, self.turns)


OUR_ENCRYPT = partial(module, "container_file", "encrypt")
OUR_DECRYPT = partial(module, "container_file", "decrypt")


def our_hashed_encrypt(source: Path, target: Path) -> Argv:
    """Encrypt and take the digest of the film, as storing an upload does."""
    return (*OUR_ENCRYPT(source, target), "--hashed")


def our_durable_encrypt(source: Path, target: Path) -> Argv:
    """Encrypt, and wait until the disk has it."""
    return (*OUR_ENCRYPT(source, target), "--durable")


def durable_dd(source: Path, target: Path) -> Argv:
    """Copy, and wait until the disk has it."""
    return (*copy(source, target), "conv=fdatasync")


def measure_copies(report: Report, studio: Studio) -> None:
    """Our container beside a plain copy."""
    plain_copy = partial(studio.time, copy, studio.film)
    report.add("encrypt_over_dd", studio.pair(OUR_ENCRYPT, studio.film, plain_copy))
    report.add("decrypt_over_dd", studio.pair(OUR_DECRYPT, studio.stored, plain_copy))
    durable_copy = partial(studio.time, durable_dd, studio.film)
    report.add(
        "durable_over_durable_dd", studio.pair(our_durable_encrypt, studio.film, durable_copy)
    )
    report.add("hashed_encrypt_over_dd", studio.pair(our_hashed_encrypt, studio.film, plain_copy))


def measure_memory(report: Report, studio: Studio) -> None:
    """How much memory a film takes beyond what importing takes."""
    target = studio.folder / "target"
    imported = run_process(module("container_file", "idle", target, target, "--memory"))
    for name, command, source in (
        ("encrypt", OUR_ENCRYPT, studio.film),
        ("decrypt", OUR_DECRYPT, studio.stored),
    ):
        studio.remove("target")
        used = run_process((*command(source, target), "--memory"))
        report.figures[f"{name}_mib_above_import"] = round((int(used) - int(imported)) / 1024, 1)


def measure_peer(report: Report, studio: Studio, peer: Peer) -> None:
    """Our container beside another program, both ways."""
    theirs = studio.folder / f"stored-by-{peer.name}"
    run_process(peer.encrypt(studio.film, theirs))
    encrypted = studio.pair(
        OUR_ENCRYPT, studio.film, partial(studio.time, peer.encrypt, studio.film)
    )
    decrypted = studio.pair(OUR_DECRYPT, studio.stored, partial(studio.time, peer.decrypt, theirs))
    studio.remove(theirs.name)
    report.peers[peer.name] = peer.version
    report.add(f"encrypt_over_{peer.name}", encrypted)
    report.add(f"decrypt_over_{peer.name}", decrypted)


def median_of(request: Callable[[int], object], offsets: list[int]) -> float:
    """Return the median seconds of one request."""
    seconds = []
    for offset in offsets:
        began = time.perf_counter()
        request(offset)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


class BareCipher:
    """Reads and decrypts whole chunks of an open object: those that a range lies in."""

    def __init__(self, stored: int, length: int) -> None:
        self._stored = stored
        self._length = length
        self._keys = derive_chunk_keys(KEY, os.pread(stored, SALT_BYTES, 0), CONTEXT)
        self._cipher = AESGCM(self._keys.key)
        most = length // CHUNK_BYTES + 1
        self._sealed = [memoryview(bytearray(STORED_CHUNK_BYTES)) for _ in range(most)]
        self._plain = [memoryview(bytearray(CHUNK_BYTES)) for _ in range(most)]

    def read(self, offset: int) -> None:
        """Decrypt every chunk from that of `offset` on; one vectored read brings all."""
        first, last = offset // CHUNK_BYTES, (offset + self._length - 1) // CHUNK_BYTES
        sealed = self._sealed[: last + 1 - first]
        os.preadv(self._stored, sealed, HEADER_BYTES + first * STORED_CHUNK_BYTES)
        for number, (chunk, plain) in enumerate(zip(sealed, self._plain, strict=False), first):
            self._cipher.decrypt_into(self._keys.nonce(number), chunk, None, plain)


def measure_range(report: Report, studio: Studio, name: str, length: int) -> None:
    """Single requests for `length` bytes at random places, by turns of a hundred."""
    plain, stored = (os.open(path, os.O_RDONLY) for path in (studio.film, studio.stored))
    buffer = bytearray(length)

    def request(offset: int) -> None:
        descriptor = os.open(studio.stored, os.O_RDONLY)
        ContainerReader(FileSource(descriptor), KEY, CONTEXT).read(offset, length)
        os.close(descriptor)

    def preadv(offset: int) -> None:
        descriptor = os.open(studio.film, os.O_RDONLY)
        os.fstat(descriptor)
        os.preadv(descriptor, (bytearray(length),), offset)
        os.close(descriptor)

    def warm(offset: int) -> None:
        ContainerReader(FileSource(stored), KEY, CONTEXT).read_into(offset, buffer)

    def warm_preadv(offset: int) -> None:
        os.preadv(plain, (buffer,), offset)

    def timed(work: Callable[[int], None]) -> float:
        last = studio.mebibytes * MEBIBYTE - length
        return median_of(work, [random.randrange(last) for _ in range(100)])

    def by_turns(mine: Callable[[int], None], theirs: Callable[[int], None]) -> Compared:
        return compare(partial(timed, mine), partial(timed, theirs), studio.turns * 5)

    report.add(f"{name}_over_preadv", by_turns(request, preadv))
    report.add(f"{name}_over_warm_preadv", by_turns(warm, warm_preadv))
    report.add(f"{name}_over_bare_cipher", by_turns(warm, BareCipher(stored, length).read))
    os.close(plain)
    os.close(stored)


class Nowhere:
    """A sink that takes everything and keeps nothing."""

    waits = False

    def write(self, buffer: memoryview, /) -> None:
        """Take the bytes."""


def measure_in_memory(report: Report, studio: Studio) -> None:
    """Updates of 1 MiB without any file, beside the bare cipher of the same library."""
    film, sealed = bytes(MEBIBYTE), bytearray(MEBIBYTE + 16)
    cipher = AESGCM(KEY)

    def ours() -> None:
        with EncryptingWriter(Nowhere(), KEY, CONTEXT, hashed=False) as writer:
            for _ in range(256):
                writer.write(film)

    def bare() -> None:
        for number in range(256):
            cipher.encrypt_into(number.to_bytes(12, "big"), film, None, sealed)

    by_turns = compare(partial(seconds_of, ours), partial(seconds_of, bare), studio.turns * 2)
    report.add("in_memory_over_aesgcm", by_turns)


def measure(studio: Studio) -> Report:
    """Measure everything, with all files in the studio's folder."""
    report = Report("vault", GOALS)
    report.peers |= {"dd": said_by("dd", "--version"), "cryptography": version("cryptography")}
    folder = studio.folder
    report.conditions |= {
        "folder": str(folder.parent),
        "film": f"{studio.mebibytes} MiB, {studio.turns} turns",
        "film_beside_peers": f"{studio.peers_mebibytes} MiB, {studio.peers_turns} turns",
    }
    studio.prepare()
    measure_copies(report, studio)
    measure_memory(report, studio)
    measure_range(report, studio, "range_64k", 64 * 1024)
    measure_range(report, studio, "range_1m", MEBIBYTE)
    measure_in_memory(report, studio)
    try:
        here, report.missing = peers_here(folder)
        for peer in here:
            measure_peer(report, _for_peer(studio, peer), peer)
    finally:
        stop_agents(folder)
    return report


def _for_peer(studio: Studio, peer: Peer) -> Studio:
    """Return a studio with fewer turns (peers are slow), and a film that the peer can take."""
    mebibytes = min(studio.peers_mebibytes, peer.fits)
    smaller = replace(studio, mebibytes=mebibytes, turns=studio.peers_turns)
    if not smaller.film.exists():
        smaller.prepare()
    return smaller


def main() -> None:
    """Read the options, measure, print, and leave nothing behind."""
    parser = argparse.ArgumentParser(description="Compare the container with its peers.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--size-mib", type=int, default=1024, help="length of the film in MiB")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="on the disk to measure")
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--short", action="store_true", help="few turns: a rough answer")
    how_long.add_argument("--full", action="store_true", help="more turns, peers with all of it")
    options = parser.parse_args()
    here = str(Path(__file__).resolve().parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join((here, os.environ.get("PYTHONPATH", "")))
    size = options.size_mib
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.folder) as folder:
        studio = Studio(Path(folder), size, 4, min(size, BESIDE_PEERS), 1)
        if options.short:
            studio = replace(studio, turns=3)
        if options.full:
            studio = replace(studio, turns=9, peers_mebibytes=size, peers_turns=3)
        report = measure(studio)
    report.show(options.json)


if __name__ == "__main__":
    main()
