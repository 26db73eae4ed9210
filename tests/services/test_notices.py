"""Messages to staff: shown to whom they are for, sent on without anything personal."""

import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import SecretStr

from consent_service.errors import NotFound, SettingsFault
from consent_service.notices import SmtpSender
from consent_service.services import accounts, notices
from consent_service.services.access import job_caller
from tests.support import whole_lists
from tests.support.clinic import Clinic


class _MailHandler(socketserver.StreamRequestHandler):
    """Speaks as much SMTP as one letter needs and keeps the letter."""

    def handle(self) -> None:
        letters: list[str] = self.server.letters  # type: ignore[attr-defined]
        self.wfile.write(b"220 mail\r\n")
        while line := self.rfile.readline():
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                letters.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
            if line.upper().startswith(b"QUIT"):
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")


@pytest.fixture
def mail() -> Iterator[tuple[str, list[str]]]:
    """A real mail server on loopback: its address, and what it was given."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _MailHandler) as server:
        server.letters = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"smtp://127.0.0.1:{server.server_address[1]}?from=service@clinic.example"
        yield url, server.letters  # type: ignore[attr-defined]
        server.shutdown()


def _leave(clinic: Clinic) -> None:
    with clinic.ctx.begin() as uow:
        notices.notify(uow, "dispute_opened", role="ig_officer", subject="f" * 32)


def _addresses(clinic: Clinic, role: str) -> list[str]:
    found = accounts.list_users(clinic.ctx, clinic.admin)
    return [one.email for one in found if role in one.roles]


def test_a_message_is_shown_to_its_role_only(clinic: Clinic) -> None:
    """A guider must not read what the IG officer is told about a family."""
    _leave(clinic)

    (seen,) = whole_lists.inbox(clinic.ctx, clinic.ig)
    notices.mark_seen(clinic.ctx, clinic.ig, seen.id)

    assert "disagree" in seen.sentence
    assert whole_lists.inbox(clinic.ctx, clinic.ig)[0].seen_at is not None
    assert whole_lists.inbox(clinic.ctx, clinic.guider) == []
    with pytest.raises(NotFound):
        notices.mark_seen(clinic.ctx, clinic.guider, seen.id)


def test_a_message_is_sent_on_once_and_names_nobody(
    clinic: Clinic, mail: tuple[str, list[str]]
) -> None:
    """E-mail is read on telephones in trains: it says that, never whom."""
    url, letters = mail
    details = accounts.UserDetails(
        "officer@clinic.example", "Test officer", frozenset({"ig_officer"}), frozenset()
    )
    accounts.create_user(clinic.ctx, clinic.admin, details)
    _leave(clinic)
    ctx = replace(
        clinic.ctx, settings=clinic.ctx.settings.model_copy(update={"smtp_url": SecretStr(url)})
    )

    first = notices.deliver(ctx, job_caller("deliver-notices"))
    second = notices.deliver(ctx, job_caller("deliver-notices"))

    assert (first["sent"], second["sent"]) == (1, 0)
    to = [line for letter in letters for line in letter.splitlines() if line.startswith("To: ")]
    officers = {f"To: {one}" for one in _addresses(clinic, "ig_officer")}
    assert "To: officer@clinic.example" in officers
    assert sorted(to) == sorted(officers)
    assert not [letter for letter in letters if "f" * 32 in letter]


def test_a_message_that_cannot_be_sent_waits(clinic: Clinic) -> None:
    """A dead mail server delays a message and loses none."""
    details = accounts.UserDetails(
        "officer@clinic.example", "Test officer", frozenset({"ig_officer"}), frozenset()
    )
    accounts.create_user(clinic.ctx, clinic.admin, details)
    _leave(clinic)
    nobody = SmtpSender("smtp://127.0.0.1:9?from=service@clinic.example")

    done = notices.deliver(clinic.ctx, job_caller("deliver-notices"), nobody)

    assert done == {"sent": 0, "waiting": 1}


@pytest.mark.parametrize("url", ["http://host", "smtp://host:25", "smtp://?from=a@b.example"])
def test_a_half_told_mail_server_is_refused(url: str) -> None:
    """Half-configured means saying so, not sending from nowhere."""
    with pytest.raises(SettingsFault):
        SmtpSender(url)
