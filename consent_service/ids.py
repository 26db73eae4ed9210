"""Opaque identifiers: 16 random bytes, written as 32 lower-case hexadecimal digits.

An id says nothing about what it names, so it may stand in logs, URLs and the audit trail.
"""

import os

ID_BYTES = 16


def new_id() -> str:
    """Return a fresh id of 32 hexadecimal digits (128 random bits)."""
    return os.urandom(ID_BYTES).hex()


def id_bytes(identifier: str) -> bytes:
    """Return the 16 bytes of `identifier`; raises ValueError when it is no id."""
    raw = bytes.fromhex(identifier)
    if len(raw) != ID_BYTES or raw.hex() != identifier:
        raise ValueError("an id has 32 lower-case hexadecimal digits")
    return raw


def is_id(text: str) -> bool:
    """Tell whether `text` has the form of an id."""
    try:
        id_bytes(text)
    except ValueError:
        return False
    return True
