"""Settings: frozen, read once from the environment or `.env`, checked at start.

Rules kept here:
  * every name may also be given as `<NAME>_FILE`, the path of a file that holds the value;
  * an unknown `CONSENT_` name is refused, since a mistyped setting is a setting not made;
  * half-configured, or of a form that nothing could use, means refusing to start, naming the
    setting and not its value;
  * plain http only on this machine's own address;
  * people are shown no secret: of an address, neither who logs in nor an option that could be one.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, parse_qs, urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_validator

from consent_service.errors import SettingsFault

PREFIX = "CONSENT_"
DEMO_MARK = "DEMO"
"""Name of the file by which a data folder says that its families are invented."""
SECRET_LENGTH = 32
"""Fewer characters than these could be guessed."""
_HIDDEN = "********"
_OF_FILES = frozenset({"file", "sqlite"})
_OPTIONS_SHOWN = frozenset(
    {"ca", "credentials_file", "endpoint", "region", "sslmode", "sslrootcert", "tls", "token_file"}
)
"""Options of addresses that are no secrets; the value of any other is hidden."""
_PLAIN = re.compile(r"[\w./:+-]*")
_SIZE = re.compile(r"([0-9]{1,18})\s*(B|KiB|MiB|GiB)?", re.IGNORECASE)
_UNITS = {"b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30}


class Settings(BaseModel):
    """Everything that can be set; each field `x` is `CONSENT_X` in the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Path("./data")
    database_url: str = ""
    keyring_url: str = ""
    blob_url: str = ""
    journal_url: str = ""
    key_provider: str = ""
    escrow_provider: str = ""
    signing_keys: Path | None = None
    policy_dir: Path | None = None
    listen: str = "127.0.0.1:8000"
    base_url: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: str = ""
    secret_key: SecretStr | None = None
    organisation: str = ""
    max_upload: int = 4 * 2**30
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr | None = None
    smtp_url: SecretStr | None = None
    notify_api_key: SecretStr | None = None
    backup_recipient: str = ""
    metrics_token: SecretStr | None = None
    log_format: str = "console"

    @field_validator("max_upload", mode="before")
    @classmethod
    def _size(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise ValueError("it must be a size, such as 4 GiB")
        return int(match[1]) * _UNITS[(match[2] or "B").lower()]

    @field_validator("max_upload")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value <= 0:
            raise ValueError("it must be more than nothing, such as 4 GiB")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        try:
            for part in value.split(",") if value.strip() else ():
                ipaddress.ip_network(part.strip(), strict=False)
        except ValueError:
            raise ValueError(
                "it must be addresses or networks, such as 10.0.0.5, 10.1.0.0/16"
            ) from None
        return value

    @field_validator("secret_key")
    @classmethod
    def _long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SECRET_LENGTH:
            raise ValueError(f"it must have {SECRET_LENGTH} characters or more, from a generator")
        return value

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = _server_in(value.get_secret_value(), {"smtp", "smtps"})
            if parts is None or "@" not in parse_qs(parts.query).get("from", [""])[0]:
                raise ValueError(
                    "it must be smtp://host:port?from=service@trust.example, or smtps://; write"
                    " signs such as / or @ in a password as %2F or %40"
                )
        return value

    @field_validator("log_format")
    @classmethod
    def _log_format(cls, value: str) -> str:
        if value not in {"console", "json"}:
            raise ValueError("use console or json")
        return value

    @property
    def listen_host(self) -> str:
        """The address to listen on."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def listen_port(self) -> int:
        """The port to listen on."""
        return int(self.listen.rpartition(":")[2])

    @property
    def secure(self) -> bool:
        """Whether browsers reach us over https."""
        return self.base_url.startswith("https://") or self.tls_cert is not None

    @property
    def public_url(self) -> str:
        """The address that people type, without a slash at the end."""
        scheme = "https" if self.tls_cert else "http"
        return (self.base_url or f"{scheme}://{self.listen}").rstrip("/")

    @property
    def is_demo(self) -> bool:
        """Whether the data folder was filled with invented families."""
        return self.under_data(DEMO_MARK).exists()

    def under_data(self, *names: str) -> Path:
        """Return a path in the data folder."""
        return self.data_dir.absolute().joinpath(*names)

    def filled(self) -> Self:
        """Return the settings with every address that was left open set to the data folder."""
        return self.model_copy(
            update={
                "data_dir": self.data_dir.absolute(),
                "database_url": self.database_url
                or f"sqlite:///{self.under_data('consent.sqlite3')}",
                "keyring_url": self.keyring_url
                or f"sqlite:///{self.under_data('keyring', 'keyring.sqlite3')}",
                "blob_url": self.blob_url or f"file://{self.under_data('film')}",
                "journal_url": self.journal_url
                or f"file://{self.under_data('journal', 'journal.jsonl')}",
                "key_provider": self.key_provider or f"file://{self.under_data('master')}",
                "escrow_provider": self.escrow_provider or f"file://{self.under_data('escrow')}",
                "signing_keys": self.signing_keys or self.under_data("signing"),
            }
        )

    def as_environment(self) -> dict[str, str]:
        """Return what a child process needs to have exactly these settings, secrets included."""
        found = {}
        for name, value in self.model_dump().items():
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            if plain not in (None, ""):
                found[f"{PREFIX}{name.upper()}"] = str(plain)
        return found

    def masked(self) -> dict[str, str]:
        """Return every setting as text for people, secrets masked."""
        return {
            f"{PREFIX}{name.upper()}": _mask(value) for name, value in self.model_dump().items()
        }


def load_settings(environ: Mapping[str, str], dotenv: Path | None = None) -> Settings:
    """Read settings from `environ`, and from `dotenv` where the environment is silent.

    Raises SettingsFault naming the setting that is unknown, unreadable, wrong or missing.
    """
    values: dict[str, Any] = {}
    for source in (_from_dotenv(dotenv), environ):
        values.update(_values(source))
    try:
        settings = Settings(**values).filled()
    except ValidationError as fault:
        raise _as_settings_fault(fault) from None
    _require_whole(settings)
    return settings


def _from_dotenv(path: Path | None) -> Mapping[str, str]:
    if path is None or not path.is_file():
        return {}
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def _values(source: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in source.items():
        if not name.startswith(PREFIX):
            continue
        field, from_file = _field_of(name)
        if field in found:
            raise SettingsFault(
                f"{PREFIX}{field.upper()} and {PREFIX}{field.upper()}_FILE are both set."
                " Keep one of them."
            )
        found[field] = _read_file(name, value) if from_file else value
    return found


def _field_of(name: str) -> tuple[str, bool]:
    field = name.removeprefix(PREFIX).lower()
    if field in Settings.model_fields:
        return field, False
    if field.endswith("_file") and field.removesuffix("_file") in Settings.model_fields:
        return field.removesuffix("_file"), True
    raise SettingsFault(
        f"{name} is not a setting of this service. Run `consent-service check` to list them all."
    )


def _read_file(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SettingsFault(f"{name} names a file that cannot be read. Check its path.") from None


def _as_settings_fault(fault: ValidationError) -> SettingsFault:
    first = fault.errors(include_input=False, include_url=False)[0]
    name = f"{PREFIX}{str(first['loc'][0]).upper()}"
    ours = first["type"] == "value_error"
    why = first["msg"].removeprefix("Value error, ") if ours else "it is not of the expected form"
    return SettingsFault(f"{name} is wrong: {why}. Correct it and start again.")


def _require_whole(settings: Settings) -> None:
    host, _, port = settings.listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise SettingsFault("CONSENT_LISTEN must be an address and a port, such as 127.0.0.1:8000.")
    if bool(settings.tls_cert) != bool(settings.tls_key):
        missing = "CONSENT_TLS_KEY" if settings.tls_cert else "CONSENT_TLS_CERT"
        raise SettingsFault(f"{missing} is missing: a certificate and its key go together.")
    _require_readable(settings)
    oidc = (settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret)
    if any(oidc) and not all(oidc):
        raise SettingsFault(
            "CONSENT_OIDC_ISSUER, CONSENT_OIDC_CLIENT_ID and CONSENT_OIDC_CLIENT_SECRET"
            " go together: set all three or none."
        )
    if settings.key_provider == settings.escrow_provider and settings.key_provider != "memory://":
        raise SettingsFault(
            "CONSENT_KEY_PROVIDER and CONSENT_ESCROW_PROVIDER are the same."
            " Give escrow a place of its own."
        )
    _require_https(settings)


def _require_readable(settings: Settings) -> None:
    for name, path in (
        ("CONSENT_TLS_CERT", settings.tls_cert),
        ("CONSENT_TLS_KEY", settings.tls_key),
    ):
        if path is not None and not (path.is_file() and os.access(path, os.R_OK)):
            raise SettingsFault(
                f"{name} names {path}, which is no file that can be read. Check its path and mode."
            )


def _server_in(address: str, schemes: set[str]) -> SplitResult | None:
    """Return the parts of an address that names a server in one of these schemes, else None."""
    try:
        parts = urlsplit(address)
        fits = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if fits else None


def _require_https(settings: Settings) -> None:
    public = urlsplit(settings.base_url).hostname if settings.base_url else settings.listen_host
    if settings.secure:
        return
    if is_this_machine(public or "") and is_this_machine(settings.listen_host):
        return
    raise SettingsFault(
        "Plain http is only for this machine: listen on 127.0.0.1, or set CONSENT_TLS_CERT and"
        " CONSENT_TLS_KEY, or CONSENT_BASE_URL to the https address of the proxy in front."
    )


def is_this_machine(host: str) -> bool:
    """Tell whether `host` is a loopback address or localhost."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _mask(value: object) -> str:
    if value is None or value == "":
        return "(not set)"
    if isinstance(value, SecretStr):
        return _HIDDEN
    return _mask_address(value) if isinstance(value, str) else str(value)


def _mask_address(address: str) -> str:
    """Return an address without whoever logs in, and without options that could be secret.

    A password may hold any sign, so what cannot be told apart is hidden as a whole.
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        before, found, after = address.rpartition("@")
        return f"{_HIDDEN}@{after}" if found and ":" in before else address
    place, question, options = rest.partition("?")
    if "@" in options:
        return f"{scheme}://{_HIDDEN}"
    place, fragment, _ = _without_login(scheme, place).partition("#")
    hidden = f"#{_HIDDEN}" if fragment else ""
    shown = "&".join(_mask_option(option) for option in options.split("&")) if question else ""
    return f"{scheme}://{place}{hidden}{question}{shown}"


def _without_login(scheme: str, place: str) -> str:
    if scheme in _OF_FILES and place.startswith("/"):
        return place
    _, login, host = place.rpartition("@")
    return f"{_HIDDEN}@{host}" if login else place


def _mask_option(option: str) -> str:
    name, named, value = option.partition("=")
    if name in _OPTIONS_SHOWN and _PLAIN.fullmatch(value):
        return option
    return f"{name}={_HIDDEN}" if named else _HIDDEN
