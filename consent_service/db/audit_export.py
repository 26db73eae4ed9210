"""The log as one file that anybody can verify with the public keys and nothing else.

The file is NDJSON, every line canonical JSON (RFC 8785):
  * first `{"epochs":[{"epoch":1,"origin":"…","size":3}],"format":"consent-service/audit-export/v1"}`;
  * for each entry, in leaf order, `{"body":{…},"epoch":1,"hash":"…","index":0}`: `body` holds the
    very bytes that were sealed, `hash` their leaf hash in hexadecimal;
  * each signed head, `{"checkpoint":"…","epoch":1}`, right after the last entry that it covers.

What verification finds: any byte changed, entries cut, added or moved, another signing key. Where
somebody cuts the end, the last heads *and* the first line to match, the file looks like an older
export; that is found when a head kept elsewhere (journal, witness) is given as well.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import rfc8785
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from consent_service.db.models.audit import AuditCheckpoint, AuditEntry, AuditEpoch, AuditLeaf
from consent_service.domain.audit_check import (
    BadEntry,
    LogCheck,
    LogFault,
    Trust,
    VerifyReport,
    first_difference,
)
from consent_service.domain.merkle import leaf_hashes
from consent_service.errors import InvalidInput

FORMAT = "consent-service/audit-export/v1"
MEDIA_TYPE = "application/x-ndjson"

_PAGE = 4096
_LONGEST_LINE = 1 << 20
_ENTRY = b'{"body":'
_HASH = b',"hash":"'
_PEM_END = b"-----END PUBLIC KEY-----"


def export(session: Session, out: BinaryIO) -> int:
    """Write the log, up to the heads that stand now, to `out`; return the number of entries."""
    sizes = select(AuditCheckpoint.epoch, func.max(AuditCheckpoint.size).label("size"))
    heads = sizes.group_by(AuditCheckpoint.epoch).subquery()
    epochs = session.execute(
        select(AuditEpoch.epoch, AuditEpoch.origin, heads.c.size)
        .join(heads, heads.c.epoch == AuditEpoch.epoch)
        .order_by(AuditEpoch.epoch)
    ).all()
    listed = [{"epoch": row.epoch, "origin": row.origin, "size": row.size} for row in epochs]
    out.write(rfc8785.dumps({"epochs": listed, "format": FORMAT}) + b"\n")
    for row in epochs:
        _export_epoch(session, out, row.epoch, row.size)
    return sum(row.size for row in epochs)


def _export_epoch(session: Session, out: BinaryIO, epoch: int, size: int) -> None:
    leaves = session.execute(
        select(AuditLeaf.hash, AuditEntry.body)
        .join(AuditEntry, AuditEntry.id == AuditLeaf.entry_id)
        .where(AuditLeaf.epoch == epoch, AuditLeaf.index < size)
        .order_by(AuditLeaf.index),
        execution_options={"yield_per": _PAGE},
    )
    heads = session.execute(
        select(AuditCheckpoint.size, AuditCheckpoint.note)
        .where(AuditCheckpoint.epoch == epoch, AuditCheckpoint.size <= size)
        .order_by(AuditCheckpoint.size),
        execution_options={"yield_per": _PAGE},
    )
    head = next(heads, None)
    for index, (leaf, body) in enumerate(leaves):
        out.write(_ENTRY + body + _entry_end(epoch, index, leaf))
        while head is not None and head.size == index + 1:
            out.write(rfc8785.dumps({"checkpoint": head.note, "epoch": epoch}) + b"\n")
            head = next(heads, None)


def verify_export(path: Path, trust: Trust) -> VerifyReport:
    """Verify an exported file offline; a fault is in the report, never an exception.

    `trust.published` may hold signed heads kept elsewhere: the file must contain them.
    """
    check = LogCheck(trust)
    try:
        check.expect_published()
        with path.open("rb") as file:
            _FileReader(file, check).read()
        return check.finish()
    except LogFault as fault:
        return check.failed(fault.bad)


def read_public_keys(pem: bytes) -> list[Ed25519PublicKey]:
    """Return every Ed25519 public key in `pem`, one after the other; raises InvalidInput."""
    blocks = [block + _PEM_END for block in pem.split(_PEM_END) if block.strip()]
    try:
        keys = [load_pem_public_key(block.strip()) for block in blocks]
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise _no_keys() from fault
    found = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if not found or len(found) != len(keys):
        raise _no_keys()
    return found


@dataclass
class _Place:
    """Where the reader is: the epoch, how many entries it shall have, how many it has had."""

    epoch: int
    size: int
    index: int = 0


class _FileReader:
    """Feeds the lines of a file to the check; raises LogFault at the first that is wrong."""

    def __init__(self, file: BinaryIO, check: LogCheck) -> None:
        self._file = file
        self._check = check
        self._place = _Place(0, 0)
        self._bodies: list[bytes] = []
        self._hashes: list[bytes] = []

    def read(self) -> None:
        """Go over the whole file."""
        for epoch in self._first_line():
            self._place = _Place(epoch["epoch"], epoch["size"])
            self._read_epoch(epoch["origin"])
        if self._file.read(1):
            self._fail("the file goes on after its end")

    def _first_line(self) -> list[dict[str, Any]]:
        line = self._file.readline(_LONGEST_LINE)
        try:
            first = json.loads(line)
            epochs = [
                {"epoch": int(e["epoch"]), "origin": str(e["origin"]), "size": int(e["size"])}
                for e in first["epochs"]
            ]
            same = rfc8785.dumps({"epochs": epochs, "format": FORMAT}) + b"\n" == line
        except (ValueError, KeyError, TypeError, RecursionError):
            same = False
        if not same:
            self._fail("the first line is not that of an export of this format")
        return epochs

    def _read_epoch(self, origin: str) -> None:
        place = self._place
        covered = 0
        line = self._file.readline(_LONGEST_LINE)
        first = self._entry(line) if line.startswith(_ENTRY) else None
        self._check.begin_epoch(place.epoch, origin, first)
        while covered < place.size:
            if line.startswith(_ENTRY) and place.index < place.size:
                self._take(self._entry(line), line)
            else:
                self._feed()
                covered = self._take_head(line)
            line = self._file.readline(_LONGEST_LINE) if covered < place.size else b""
