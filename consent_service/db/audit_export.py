"""The log as one file that anybody can verify with the public keys and nothing else.

The file is NDJSON, every line canonical JSON (RFC 8785):
  * first `{"epochs":[{"epoch":1,"origin":"…","size":3}],"format":"…"}` with the format below;
  * for each entry, in leaf order, `{"body":{…},"epoch":1,"hash":"…","index":0}`: `body` holds the
    very bytes that were sealed, `hash` their leaf hash in hexadecimal;
  * each signed head, `{"checkpoint":"…","epoch":1}`, right after the last entry that it covers.

What verification finds: any byte changed, entries cut, added or moved, another signing key. Where
somebody cuts the end, the last heads *and* the first line to match, the file looks like an older
export; that is found when a head kept elsewhere (journal, witness) is given as well.
"""

import json
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
)
from consent_service.domain.merkle import first_difference, leaf_hashes
from consent_service.errors import InvalidInput
from consent_service.ids import is_id

FORMAT = "consent-service/audit-export/v1"
MEDIA_TYPE = "application/x-ndjson"

_PAGE = 4096
_LONGEST_LINE = 1 << 20
_ENTRY = b'{"body":'
_HEX_HASH = 64
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
        before, after = _around_hash(epoch, index)
        out.write(_ENTRY + body + before + leaf.hex().encode() + after)
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


def _around_hash(epoch: int, index: int) -> tuple[bytes, bytes]:
    """Return what stands between body and hash, and after the hash, in the line of an entry."""
    return b',"epoch":%d,"hash":"' % epoch, b'","index":%d}\n' % index


class _FileReader:
    """Feeds the lines of a file to the check; raises LogFault at the first that is wrong."""

    def __init__(self, file: BinaryIO, check: LogCheck) -> None:
        self._file = file
        self._check = check
        self._epoch = 0
        self._index = 0
        self._bodies: list[bytes] = []
        self._hashes: list[bytes] = []

    def read(self) -> None:
        """Go over the whole file."""
        for epoch in self._first_line():
            self._epoch, self._index = epoch["epoch"], 0
            self._read_epoch(epoch["origin"], epoch["size"])
        if self._file.read(1):
            self._refuse("the file goes on after its end")

    def _first_line(self) -> list[dict[str, Any]]:
        line = self._file.readline(_LONGEST_LINE)
        epochs: list[dict[str, Any]] = []
        try:
            for listed in json.loads(line)["epochs"]:
                size, number = int(listed["size"]), int(listed["epoch"])
                epochs.append({"epoch": number, "origin": str(listed["origin"]), "size": size})
            same = rfc8785.dumps({"epochs": epochs, "format": FORMAT}) + b"\n" == line
        except (ValueError, KeyError, TypeError, RecursionError):
            same = False
        if not same or any(epoch["size"] < 1 for epoch in epochs):
            self._refuse("the first line is not that of an export of this format")
        return epochs

    def _read_epoch(self, origin: str, size: int) -> None:
        covered = 0
        while covered < size:
            line = self._file.readline(_LONGEST_LINE)
            if not line:
                self._refuse("the file ends before it")
            if line.startswith(_ENTRY):
                body = self._take_entry(line)
                if self._index == 1:
                    self._check.begin_epoch(self._epoch, origin, body)
            elif self._index:
                covered = self._take_head(line)
            else:
                self._refuse("its line is missing or altered")
        if covered != size:
            self._refuse("the first line gives this epoch another size than its last checkpoint")

    def _take_entry(self, line: bytes) -> bytes:
        """Keep body and hash of the line of the next entry until some thousand are together."""
        before, after = _around_hash(self._epoch, self._index)
        hash_end = len(line) - len(after)
        body_end = hash_end - _HEX_HASH - len(before)
        body, leaf = line[len(_ENTRY) : body_end], line[body_end + len(before) : hash_end]
        if line != _ENTRY + body + before + leaf + after:
            self._refuse("its line is missing or altered")
        if len(self._bodies) == _PAGE:
            self._feed()
        self._bodies.append(body)
        self._hashes.append(leaf)
        self._index += 1
        return body

    def _take_head(self, line: bytes) -> int:
        self._feed()
        try:
            note = str(json.loads(line)["checkpoint"])
            same = rfc8785.dumps({"checkpoint": note, "epoch": self._epoch}) + b"\n" == line
        except (ValueError, KeyError, TypeError, RecursionError):
            same = False
        if not same:
            self._refuse("its line is missing or altered")
        return self._check.add_checkpoint(note).size

    def _feed(self) -> None:
        """Compare the bodies kept with their hashes and give them to the check."""
        bodies, stored = self._bodies, self._hashes
        self._bodies, self._hashes = [], []
        if not bodies:
            return
        hashes = leaf_hashes(bodies)
        wrong = first_difference([found.hex().encode() for found in hashes], stored)
        if wrong < len(bodies):
            place = self._index - len(bodies) + wrong
            what = "its body is not what was sealed"
            raise LogFault(BadEntry(self._epoch, place, _id_in(bodies[wrong]), what))
        self._check.add_leaves(_id_in(bodies[0]), hashes)

    def _refuse(self, what: str) -> NoReturn:
        """Refuse the next line, unless one of the entries before it is bad already."""
        self._feed()
        raise LogFault(BadEntry(self._epoch, self._index, None, what))


def _id_in(body: bytes) -> str | None:
    """Return the id of an entry from its body, as far as that can still be read."""
    try:
        found = json.loads(body)["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) and is_id(found) else None


def _no_keys() -> InvalidInput:
    sentence = "Give a PEM file with Ed25519 public keys and nothing else."
    return InvalidInput(f"These are not the log's public keys. {sentence}", {"keys": sentence})
