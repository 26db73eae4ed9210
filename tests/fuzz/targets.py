"""Everything that reads bytes which we did not write, with valid samples and what must hold.

Each target takes any bytes. It returns when they were read or refused as the reader promises, and
raises whatever else the reader raised, or AssertionError when something wrong was accepted.
"""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from consent_service.db.audit_export import verify_export
from consent_service.domain.audit_check import Trust
from consent_service.domain.byte_ranges import asked_range
from consent_service.domain.leaflet_file import parse_leaflet_file
from consent_service.domain.tus import declared_length, offered, speaks
from consent_service.errors import (
    ContainerCorrupt,
    InvalidInput,
    JournalBroken,
    PolicyFault,
    RangeInvalid,
)
from consent_service.policy_files.reading import default_policy_dir, read_policies
from consent_service.services import audit, certificates, erasure
from consent_service.vault.container_reader import ContainerReader
from consent_service.vault.journal_line import BEFORE_FIRST, Entry, LineKind, read_line, write_line
from consent_service.vault.signing_keys import PublicKey, Signer, SigningUse
from consent_service.vault.wraps import Sidecar, make_wrap, parse_sidecar, sidecar_bytes
from tests.fuzz import key_targets
from tests.fuzz.bounds import bounded
from tests.support.clinic import Clinic, build_schema, open_clinic
from tests.support.containers import (
    CHUNK,
    CONTEXT,
    KEY,
    RecordingSource,
    film_of,
    sealed_by_library,
)
from tests.support.installation import close
from tests.support.kept_film import keep_film

Feed = Callable[[bytes], None]
DEEP = b'{"a":' * 10_000
"""Nested deeper than any reader should go down."""


@dataclass(frozen=True)
class Target:
    """One reader: valid samples, to begin with, and what takes bytes made from them."""

    name: str
    seeds: Callable[[], list[bytes]]
    feed: Feed

    def meets(self, content: bytes) -> None:
        """Feed it once, within bounds of time and memory; libFuzzer has the same of its own."""
        with bounded():
            self.feed(content)


# --- the vault ------------------------------------------------------------------------------

_SIZES = (0, 1, 300, CHUNK, CHUNK + 5)


@cache
def _containers() -> dict[bytes, bytes]:
    plains = [film_of(size) for size in _SIZES]
    return {sealed_by_library(plain): plain for plain in plains}


def container(stored: bytes) -> None:
    """Accepted only if it is, to the byte, what was sealed."""
    try:
        reader = ContainerReader(RecordingSource(stored), KEY, CONTEXT)
        plain = reader.read(0, reader.size)
    except ContainerCorrupt:
        return
    assert _containers().get(stored) == plain, "an object that nobody sealed was accepted"


def _wrap_seeds() -> list[bytes]:
    asset = "0190" * 8
    keys = {f"{n:032x}": bytes([n]) * 32 for n in (1, 2, 3)}
    wrap = make_wrap((asset, 1, "care"), b"d" * 32, b"a" * 32, keys)
    return [
        sidecar_bytes(Sidecar(asset, 1, "recording", "0191" * 8, wraps)) for wraps in ((), (wrap,))
    ]


def sidecar(content: bytes) -> None:
    """What is read can be written, and is then read as the same."""
    try:
        read = parse_sidecar(content)
    except ContainerCorrupt:
        return
    assert parse_sidecar(sidecar_bytes(read)) == read, "it reads otherwise than it was written"


# --- signed documents -----------------------------------------------------------------------

_AT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
_SIGNER = Signer(SigningUse.JOURNAL, Ed25519PrivateKey.generate())
_JOURNAL_KEYS = (_SIGNER.published(_AT),)


@cache
def _lines() -> tuple[bytes, ...]:
    entries = (
        Entry(LineKind.KEY_BACKUP_MADE, {"backup": "0190" * 8, "until": _AT.isoformat()}, _AT),
        Entry(LineKind.MASTER_DESTROYED, {"zone": "live", "versions": [1, 2]}, _AT, "0" * 64),
    )
    return tuple(write_line(entry, BEFORE_FIRST, _SIGNER) for entry in entries)


def journal_line(raw: bytes) -> None:
    """Accepted only if it is, to the byte, what was signed."""
    try:
        read_line(raw, 1, _JOURNAL_KEYS)
    except JournalBroken:
        return
    assert raw in _lines(), "a line that nobody signed was accepted"


@dataclass(frozen=True)
class _Signed:
    """Documents of one real clinic, and the keys that they are checked with."""

    bundle: bytes
    export: bytes
    published: tuple[PublicKey, ...]

    @property
    def log_keys(self) -> list[Ed25519PublicKey]:
        return [key.key for key in self.published if key.use is SigningUse.LOG]


@cache
def _signed() -> _Signed:
    with TemporaryDirectory(prefix="consent-fuzz-") as folder:
        url = f"sqlite:///{folder}/consent.sqlite3"
        build_schema(url)
        clinic = open_clinic(url, Path(folder))
        found = _of(clinic)
        close(clinic)
    return found


def _of(clinic: Clinic) -> _Signed:
    family = clinic.family()
    clinic.both_consent(family)
    keep_film(clinic, family)
    done = clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "fuzz")
    audit.seal(clinic.ctx)
    audit.publish_checkpoint(clinic.ctx)
    out = io.BytesIO()
    audit.export(clinic.ctx, clinic.ig, out)
    assert done.erasure_order is not None
    bundle = certificates.certificate(clinic.ctx, clinic.ig, done.erasure_order).bundle()
    return _Signed(bundle, out.getvalue(), tuple(clinic.ctx.signers.published))


def certificate(bundle: bytes) -> None:
    """Never raises; good only with the very content that was signed."""
    signed = _signed()
    if certificates.verify_bundle(bundle, signed.published).ok:
        content = [json.loads(one)["certificate"] for one in (bundle, signed.bundle)]
        assert content[0] == content[1], "a certificate that nobody signed was accepted"


def audit_export(content: bytes) -> None:
    """Never raises; good only to the byte."""
    signed = _signed()
    with TemporaryDirectory(prefix="consent-fuzz-") as folder:
        path = Path(folder, "log.ndjson")
        path.write_bytes(content)
        report = verify_export(path, Trust(signed.log_keys))
    assert not report.ok or content == signed.export, "a log that nobody sealed was accepted"


# --- files and headers ----------------------------------------------------------------------


def _leaflets() -> list[bytes]:
    return [
        b"Film and you\n\nWhat \xe2\x80\x9cfilm\xe2\x80\x9d is.\n\n"
        b"L1111, V1, 14/09/2020 (Archive: 14/09/2023)\n",
        b'\xef\xbb\xbfT\r\n- "a\r\nL2, V2, 1/1/2021 (Archive: 2/1/2021)',
    ]


def leaflet(raw: bytes) -> None:
    """Kept byte for byte, or refused with a line."""
    try:
        draft = parse_leaflet_file(raw)
    except PolicyFault as fault:
        assert 1 <= fault.details["line"] <= raw.count(b"\n") + raw.count(b"\r") + 1
        return
    assert draft.raw == raw
    assert draft.archive_on > draft.issued_on


_TUS = ("Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Defer-Length", "Upload-Checksum")


def _headers() -> list[bytes]:
    sums = "sha256 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    return [
        "\n".join(("1.0.0", "0", "1048576", "", "")).encode(),
        "\n".join(("1.0.0", "16384", "", "1", sums)).encode(),
    ]


def tus_headers(raw: bytes) -> None:
    """Numbers that a column holds, sums of the right length, or refused by header."""
    values = raw.decode("latin-1").split("\n")
    headers = {name: value for name, value in zip(_TUS, values, strict=False) if value}
    for read in (speaks, declared_length, offered):
        try:
            found = read(headers)
        except InvalidInput as fault:
            assert set(fault.faults) <= set(_TUS)
            continue
        if read is offered:
            assert 0 <= found.offset < 1 << 63
            assert found.checksum is None or len(found.checksum.digest) in (20, 32)


def byte_range(raw: bytes) -> None:
    """Always inside the object, or refused."""
    header, _, condition = raw.decode("latin-1").partition("\n")
    for size in (0, 1, 5_000, 1 << 40):
        try:
            found = asked_range(header, condition or None, '"e"', size)
        except RangeInvalid:
            continue
        assert 0 <= found.start <= found.end <= size
        assert found.partial or (found.start, found.end) == (0, size)


@cache
def _policies() -> Path:
    """A folder with those files alone: reading all forms each time would take most of the time."""
    folder = Path(_cleaned.name)
    for file in _POLICY_FILES:
        (folder / file).parent.mkdir(exist_ok=True)
        shutil.copyfile(default_policy_dir() / file, folder / file)
    return folder


_cleaned = TemporaryDirectory(prefix="consent-fuzz-")
_POLICY_FILES = ("organisation.yaml", "purposes.yaml", "roles.yaml", "retention/england.yaml")


def _policy_seeds() -> list[bytes]:
    folder = default_policy_dir()
    return [bytes([n]) + (folder / f).read_bytes() for n, f in enumerate(_POLICY_FILES)]


def policy(raw: bytes) -> None:
    """Refused with file and line, since there are no forms; the first byte says which file."""
    place = _policies() / _POLICY_FILES[(raw[:1] or b"\0")[0] % len(_POLICY_FILES)]
    before = place.read_bytes()
    place.write_bytes(raw[1:])
    try:
        read_policies(_policies())
        raise AssertionError("policies without a form were accepted")
    except PolicyFault as fault:
        assert fault.details["faults"]
    finally:
        place.write_bytes(before)


TARGETS = {
    target.name: target
    for target in (
        Target("container", lambda: list(_containers()), container),
        Target("sidecar", lambda: [*_wrap_seeds(), DEEP], sidecar),
        Target("journal-line", lambda: [*_lines(), DEEP], journal_line),
        Target("certificate", lambda: [_signed().bundle, DEEP], certificate),
        Target("audit-export", lambda: [_signed().export, DEEP], audit_export),
        Target("leaflet", _leaflets, leaflet),
        Target("tus-headers", _headers, tus_headers),
        Target("byte-range", lambda: [b"bytes=0-99", b'bytes=-5\n"e"', b"bytes=7-"], byte_range),
        Target("key-backup", lambda: [*key_targets.key_backups(), DEEP], key_targets.key_backup),
        Target("manifest", lambda: [*key_targets.manifests(), DEEP], key_targets.manifest),
        Target(
            "key-server", lambda: [*key_targets.answers(), b"\0\0" + DEEP], key_targets.key_server
        ),
        Target("policy", lambda: [*_policy_seeds(), b"\0a: " + b"[" * 20_000], policy),
    )
}
