"""Calling the API as a program does: a token, JSON, and what comes back."""

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from consent_service.db.models.accounts import ApiToken, Role, UserRole
from consent_service.ids import new_id
from consent_service.services.access import Caller
from consent_service.services.tokens import token_digest
from tests.support.clinic import Clinic

PREFIX = "/api/v1"


@dataclass
class Api:
    """An app of a clinic; `api.post("/people", {...}, by="guider")`."""

    clinic: Clinic
    app: Flask
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, by: str) -> str:
        """Return a token of a member of staff, by their name in the clinic."""
        if by not in self.tokens:
            self.tokens[by] = issue_token(self.clinic, getattr(self.clinic, by))
        return self.tokens[by]

    def call(
        self, method: str, path: str, body: Any = None, *, by: str | None = "guider", **more: Any
    ) -> TestResponse:
        """Send one request below /api/v1; a path that starts with /api is taken as it is."""
        headers = dict(more.pop("headers", {}))
        if by is not None:
            headers.setdefault("Authorization", f"Bearer {self.token(by)}")
        if body is not None:
            more["json"] = body
        where = path if path.startswith("/api") else PREFIX + path
        return self.app.test_client().open(where, method=method, headers=headers, **more)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> TestResponse:
        return self.call("POST", path, body, **more)


def issue_token(clinic: Clinic, caller: Caller) -> str:
    """Give a member of staff the roles that they act in, and a token for all of them."""
    secret = f"cs_{secrets.token_urlsafe(32)}"
    with clinic.ctx.begin() as uow:
        for name in caller.roles:
            role = uow.session.scalar(select(Role.id).where(Role.name == name))
            if role is None:
                role = new_id()
                uow.session.add(Role(id=role, name=name))
                uow.session.flush()
            uow.session.merge(UserRole(user_id=caller.id, role_id=role))
        uow.session.add(
            ApiToken(
                id=new_id(),
                user_id=caller.id,
                token_sha256=token_digest(secret),
                scopes=sorted(caller.roles),
                created_at=uow.at,
                expires_at=uow.at + timedelta(days=30),
            )
        )
    return secret
