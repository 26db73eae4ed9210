"""What verbs read from the command line: days, moments, members of staff, public keys.

Rule kept here: a value that cannot be read gets one sentence that says how to write it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from consent_service.cli.terminal import operator
from consent_service.clock import start_of_london_day
from consent_service.errors import InvalidInput
from consent_service.services import accounts, involvements
from consent_service.vault.signing import PublicKey, SigningUse

if TYPE_CHECKING:
    from consent_service.services.access import Caller
    from consent_service.services.context import Context

Code = TypeVar("Code", bound=StrEnum)

_PEM_END = "-----END PUBLIC KEY-----"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def day_of(text: str | None, option: str) -> date | None:
    """Return a day written as 2026-12-31; raises InvalidInput naming the option."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _unread(option, "Give a day as year-month-day, such as 2026-12-31.") from None


def moment_of(text: str | None, option: str) -> datetime | None:
    """Return a moment: an instant with its zone, or a day, which means its start in London."""
    if text is None:
        return None
    try:
        if len(text) == len("2026-12-31"):
            return start_of_london_day(date.fromisoformat(text))
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.tzinfo is None:
        sentence = "Give a moment such as 2026-12-31T09:30:00Z, or a day such as 2026-12-31."
        raise _unread(option, sentence)
    return moment.astimezone(UTC)


def code_of(kind: type[Code], text: str, option: str) -> Code:
    """Return one of a few codes; raises InvalidInput that lists them."""
    try:
        return kind(text)
    except ValueError:
        raise _unread(option, f"Give one of: {', '.join(kind)}.") from None


def staff(ctx: "Context", email: str) -> "Caller":
    """Return a member of staff as the one who acts; raises InvalidInput for an unknown address."""
    account = accounts.find_account(ctx, email=email)
    if account is None or not account.active:
        raise _unread("as", "There is no active account with this address. See `users list`.")
    return account.caller(fresh=True)


def operator_everywhere(ctx: "Context") -> "Caller":
    """Return the operator as a member of every team, for what only a family's own team may do."""
    who = operator()
    return replace(who, teams=frozenset(team for team, _ in involvements.teams(ctx, who)))


def read_keys(path: Path) -> list[PublicKey]:
    """Return the public keys in a file: JSON as `keys public --json` prints it, or PEM.

    A folder of such files will do. Raises InvalidInput when a file holds none.
    """
    if path.is_dir():
        return [key for file in sorted(path.glob("*.json")) for key in read_keys(file)]
    text = path.read_text(encoding="utf-8", errors="replace")
    keys = _from_pem(text) if _PEM_END in text and "{" not in text else _from_json(text)
    if not keys:
        raise _no_keys()
    return keys


def _from_json(text: str) -> list[PublicKey]:
    try:
        read = json.loads(text)
    except ValueError:
        raise _no_keys() from None
    if isinstance(read, dict):
        read = read.get("keys", [read])
    if not isinstance(read, list) or not all(isinstance(record, dict) for record in read):
        raise _no_keys()
    return [PublicKey.from_json(record) for record in read]


def _from_pem(text: str) -> list[PublicKey]:
    """A PEM file does not say what a key is for, so each may have signed anything."""
    blocks = [f"{block.strip()}\n{_PEM_END}\n" for block in text.split(_PEM_END) if block.strip()]
    return [key for block in blocks for key in _for_every_use(block)]


def _for_every_use(pem: str) -> Sequence[PublicKey]:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise _no_keys() from None
    if not isinstance(key, Ed25519PublicKey):
        raise _no_keys()
    key_id = hashlib.sha256(key.public_bytes_raw()).hexdigest()[:8]
    return [PublicKey(use, key_id, pem, _LONG_AGO) for use in SigningUse]


def _no_keys() -> InvalidInput:
    return _unread("keys", "This file holds no public keys. Make it with `keys public --json`.")


def _unread(option: str, sentence: str) -> InvalidInput:
    return InvalidInput("This cannot be done as it stands.", {f"--{option}": sentence})
