"""Keepers of the master keys: files, memory, and whatever else keeps the port's promises."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from consent_service.errors import SettingsFault
from consent_service.vault.key_providers.file import FileKeyProvider
from consent_service.vault.key_providers.memory import MemoryKeyProvider
from consent_service.vault.key_providers.port import Assurance, KeyProvider, master_version_of

__all__ = [
    "Assurance",
    "FileKeyProvider",
    "KeyProvider",
    "MemoryKeyProvider",
    "master_version_of",
    "open_provider",
]


def open_provider(url: str) -> KeyProvider:
    """Open the provider at `url`: `file:///folder` or `memory://`; else raises SettingsFault."""
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return MemoryKeyProvider()
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.strip("/"):
        return FileKeyProvider(Path(unquote(parts.path)))
    raise SettingsFault(_REFUSED.get(parts.scheme, _UNKNOWN))


_UNKNOWN = (
    "CONSENT_KEY_PROVIDER and CONSENT_ESCROW_PROVIDER take an address like file:///path/to/folder. "
    "Correct the one that is different."
)
_REFUSED = {
    "openbao": (
        "This version of the service has no OpenBao key provider yet. Set CONSENT_KEY_PROVIDER and "
        "CONSENT_ESCROW_PROVIDER to file:///path/to/folder."
    )
}
