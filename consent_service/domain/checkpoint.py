"""Checkpoints: the signed head of the audit log (https://c2sp.org/tlog-checkpoint).

Pure. Four promises are under the signature: which log and epoch (`origin`), how many entries
(`size`), their Merkle root, and, as extension lines, when it was signed and the size of the
checkpoint before. The last one makes a checkpoint that was taken out of the middle noticeable.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consent_service.domain.audit import instant_text
from consent_service.domain.merkle import HASH_BYTES
from consent_service.domain.signed_note import NoteSigner, decode_base64, open_note, sign_note
from consent_service.errors import IntegrityFault


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of one log epoch: `size` entries under `root` (32 bytes), signed at `at`.

    `previous` is the size of the checkpoint before it in the same epoch, 0 for the first.
    """

    origin: str
    size: int
    root: bytes
    at: datetime
    previous: int


def epoch_origin(log_name: str, epoch: int) -> str:
    """Return the origin line of an epoch; it is the name of the signing key in notes as well."""
    return f"{log_name}/epoch/{epoch}"


def origin_epoch(origin: str) -> int:
    """Return the number of the epoch in an origin line; raises IntegrityFault without one."""
    _, found, number = origin.rpartition("/epoch/")
    if not found or not number.isdecimal() or str(int(number)) != number:
        raise _no_checkpoint()
    return int(number)


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """Return what is signed: five lines."""
    root = base64.b64encode(checkpoint.root).decode()
    return (
        f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n"
        f"at {instant_text(checkpoint.at)}\nprevious {checkpoint.previous}\n"
    )


def parse_checkpoint(text: str) -> Checkpoint:
    """Return what `text` says; raises IntegrityFault when it is not exactly such a text."""
    try:
        origin, size, root, at, previous, rest = text.split("\n")
        checkpoint = Checkpoint(
            origin,
            int(size),
            decode_base64(root),
            datetime.fromisoformat(at.removeprefix("at ")),
            int(previous.removeprefix("previous ")),
        )
        intact = not rest and checkpoint_text(checkpoint) == text
    except ValueError as fault:
        raise _no_checkpoint() from fault
    if not intact or not origin or len(checkpoint.root) != HASH_BYTES:
        raise _no_checkpoint()
    if not 0 <= checkpoint.previous < checkpoint.size:
        raise _no_checkpoint()
    return checkpoint


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> str:
    """Return the checkpoint as a note signed under its origin."""
    return sign_note(checkpoint_text(checkpoint), signer, checkpoint.origin)


def open_checkpoint(note: str, keys: Iterable[Ed25519PublicKey], origin: str) -> Checkpoint:
    """Return the checkpoint in `note`, signed by one of `keys` for the log epoch `origin`.

    Raises IntegrityFault when it is no checkpoint, of another log, or signed by another key.
    """
    checkpoint = parse_checkpoint(open_note(note, keys, origin))
    if checkpoint.origin != origin:
        raise IntegrityFault("This checkpoint is of another log or epoch.", origin=origin)
    return checkpoint


def _no_checkpoint() -> IntegrityFault:
    return IntegrityFault("This is no checkpoint (c2sp.org/tlog-checkpoint).", code="no_checkpoint")
