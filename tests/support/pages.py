"""Pages as a browser sees them, without a browser: who signs in, what is sent, what comes back."""

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from consent_service.app import create_app
from consent_service.db import audit_log
from consent_service.db.models.accounts import Role, UserAccount
from consent_service.domain.audit import EventKind
from consent_service.ids import new_id
from consent_service.services import sign_in as accounts
from consent_service.web.sign_in import BEGUN, PROVED, SEEN
from tests.support.clinic import Clinic

STAFF = {
    "guider": "guider",
    "ig": "ig_officer",
    "ig2": "ig_officer",
    "supervisor": "supervisor",
    "admin": "administrator",
}


@dataclass
class Visitor:
    """One browser: keeps cookies, sends the form token of the page it last saw."""

    client: FlaskClient
    clinic: Clinic
    last: TestResponse | None = None
    token: str = ""

    def opens(self, path: str, **more: Any) -> TestResponse:
        """GET a page; remember its form token."""
        self.last = self.client.get(path, **more)
        self._remember()
        return self.last

    def sends(self, path: str, **form: Any) -> TestResponse:
        """POST a form as the page at `path` would send it."""
        self.opens(path)
        return self.posts(path, **form)

    def posts(self, path: str, **form: Any) -> TestResponse:
        """POST with the form token at hand."""
        fields = {name.replace("__", "-"): value for name, value in form.items()}
        self.last = self.client.post(path, data={"csrf_token": self.token, **fields})
        self._remember()
        return self.last

    def follows(self, response: TestResponse) -> TestResponse:
        """Open where a redirect leads."""
        assert response.status_code in (302, 303), words(response)
        return self.opens(response.headers["Location"])

    def _remember(self) -> None:
        assert self.last is not None
        if self.last.mimetype != "text/html":
            return
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.last.get_data(as_text=True))
        if found:
            self.token = found[1]


@dataclass
class Pages:
    """The whole web application over a clinic."""

    app: Flask
    clinic: Clinic
    visitors: list[Visitor] = field(default_factory=list)

    def stranger(self) -> Visitor:
        """A browser of somebody who is not signed in."""
        return Visitor(self.app.test_client(), self.clinic)

    def as_(self, who: str) -> Visitor:
        """A browser in which `who` (guider, ig, ig2, supervisor, admin) has just signed in."""
        visitor = self.stranger()
        account = accounts.find_account(self.clinic.ctx, id=getattr(self.clinic, who).id)
        assert account is not None
        now = self.clinic.clock.now().timestamp()
        with visitor.client.session_transaction() as session:
            session.update(
                {"_user_id": account.fs_uniquifier, "_fresh": True, "fs_cc": "set"}
                | {SEEN: now, BEGUN: now, PROVED: now}
            )
        return visitor


def open_pages(clinic: Clinic) -> Pages:
    """Return the pages of a clinic whose staff have accounts with their roles."""
    with clinic.ctx.begin() as uow:
        roles = {}
        for who, code in STAFF.items():
            role = roles.get(code) or uow.session.scalar(select(Role).where(Role.name == code))
            roles[code] = role = role or Role(id=new_id(), name=code)
            account = uow.session.get_one(UserAccount, getattr(clinic, who).id)
            account.roles = [role]
    app = create_app(clinic.ctx)
    app.testing = False
    return Pages(app, clinic)


def words(response: TestResponse) -> str:
    """Return what a page says, without its marks."""
    text = re.sub(r"<(script|style).*?</\1>", " ", response.get_data(as_text=True), flags=re.S)
    text = text.replace("<wbr>", "")  # where a long word may break: no end of it
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def kinds_recorded(clinic: Clinic) -> list[EventKind]:
    """Return the kind of every event in the audit log, newest first."""
    with clinic.ctx.read() as session:
        page = audit_log.entries(session, audit_log.EntryFilter(), limit=500)
        return [entry.recorded.event.kind for entry in page.entries]
