"""Keepers of the master keys: files, memory, and whatever else keeps the port's promises."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from consent_service.errors import SettingsFault
from consent_service.vault.key_providers.file import FileKeyProvider
from consent_service.vault.key_providers.memory import MemoryKeyProvider
from consent_service.vault.key_providers.openbao import OpenBaoKeyProvider, TransitKey
from consent_service.vault.key_providers.port import (
    Assurance,
    KeyProvider,
    is_forbidden,
    master_version_of,
)

__all__ = [
    "Assurance",
    "FileKeyProvider",
    "KeyProvider",
    "MemoryKeyProvider",
    "OpenBaoKeyProvider",
    "TransitKey",
    "is_forbidden",
    "master_version_of",
    "open_provider",
]


def open_provider(url: str, *, must_exist: bool = False) -> KeyProvider:
    """Open the provider at `url`; raises SettingsFault.

    `file:///folder`, `openbao://host/mount/key?token_file=…` or, for tests, `memory://`. A folder
    without keys gets its first, unless they `must_exist`: then it is `master_missing`.
    """
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return MemoryKeyProvider()
    if parts.scheme == "openbao":
        return OpenBaoKeyProvider(TransitKey.of(url))
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.strip("/"):
        return FileKeyProvider(Path(unquote(parts.path)), must_exist=must_exist)
    raise SettingsFault(
        "CONSENT_KEY_PROVIDER and CONSENT_ESCROW_PROVIDER take an address like "
        "file:///path/to/folder or openbao://host:8200/transit/key?token_file=/path/of/token. "
        "Correct the one that is different."
    )
