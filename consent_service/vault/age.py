"""Who backups are encrypted to, and who opens them: age's X25519 keys (age-encryption.org/v1)."""

from pathlib import Path

import pyrage

from consent_service.errors import InvalidInput, SettingsFault
from consent_service.vault import durable

_SECRET = "AGE-SECRET-KEY-1"  # noqa: S105 - how every such line begins


def recipient_of(text: str) -> pyrage.x25519.Recipient:
    """Return the recipient that `age1...` names; raises SettingsFault."""
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError as fault:
        raise SettingsFault(
            "CONSENT_BACKUP_RECIPIENT is no age recipient. Make one with `age-keygen` and set the "
            "line that begins with age1."
        ) from fault


def read_identity(path: Path) -> pyrage.x25519.Identity:
    """Return the one identity in a file as `age-keygen` writes it; raises InvalidInput."""
    return pyrage.x25519.Identity.from_str(read_secret(path))


def read_secret(path: Path) -> str:
    """Return the line `AGE-SECRET-KEY-1...` of such a file, checked; raises InvalidInput."""
    with durable.system_faults("reading the identity"):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [line.strip() for line in lines if line.strip().startswith(_SECRET)]
    try:
        (secret,) = found
        pyrage.x25519.Identity.from_str(secret)
    except (ValueError, pyrage.IdentityError) as fault:
        raise InvalidInput(
            "The backup cannot be opened with this.",
            {"--identity": f"Name the file of age-keygen, with one line that begins {_SECRET}."},
        ) from fault
    return secret
