"""Letters out: what a sender is, and the two that need nothing but this machine or a mail server.

Rules kept here:
  * a message holds no name, no number and no link with a secret: who gets it signs in to see more;
  * sending the same message twice is better than never: a sender may be asked again;
  * nothing is sent unless a setting says where; the inbox in the service is always there.
"""

import smtplib
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from consent_service.errors import SettingsFault, Unavailable

SETTING = "CONSENT_SMTP_URL"
TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Message:
    """One message to a member of staff, in plain words without anything personal."""

    id: str
    to: str
    subject: str
    text: str


class Sender(Protocol):
    """Hands a message on; raises Unavailable when it cannot be handed on now."""

    name: str

    def send(self, message: Message) -> None:
        """Send one message; may be called again with the same message."""
        ...


class SmtpSender:
    """Sends by a mail server: `smtp://user:password@host:587?from=service@trust.example`.

    `smtps://` speaks TLS from the start; `smtp://` must be able to start TLS, except on this
    machine, where a test server or a relay may listen.
    """

    name = "smtp"

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise _wrong("is smtp://host:port or smtps://host:port")
        self._secure = parts.scheme == "smtps"
        self._host = parts.hostname
        self._port = parts.port or (465 if self._secure else 587)
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._from = parse_qs(parts.query).get("from", [""])[0]
        if "@" not in self._from:
            raise _wrong("names the sender, as ?from=service@trust.example")

    def send(self, message: Message) -> None:
        """Send one e-mail; raises Unavailable when the server does not take it."""
        letter = EmailMessage()
        letter["Subject"] = message.subject
        letter["From"] = self._from
        letter["To"] = message.to
        letter["Message-ID"] = f"<{message.id}@{self._from.partition('@')[2]}>"
        letter.set_content(message.text)
        try:
            with self._connection() as server:
                if self._user:
                    server.login(self._user, self._password)
                server.send_message(letter)
        except (OSError, smtplib.SMTPException) as fault:
            raise Unavailable(
                "The mail server did not take a message. It will be tried again.",
                code="mail_unavailable",
            ) from fault

    def _connection(self) -> smtplib.SMTP:
        if self._secure:
            return smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT_SECONDS)
        server = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_SECONDS)
        if self._host not in {"localhost", "127.0.0.1", "::1"}:
            server.starttls()
        return server


def _wrong(what: str) -> SettingsFault:
    return SettingsFault(f"{SETTING} {what}.", setting=SETTING)
