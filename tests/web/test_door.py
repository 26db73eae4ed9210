"""Pages and programs stand behind one door, and what belongs to one opens nothing of the other."""

from dataclasses import replace
from io import RawIOBase
from typing import Any

import pytest
from pydantic import SecretStr

from consent_service.app import create_app
from consent_service.services import sign_in as accounts
from consent_service.web.account_store import PageUser
from consent_service.web.sign_in import BEGUN, PROVED, SEEN
from tests.support.api import issue_token
from tests.support.clinic import Clinic
from tests.support.pages import Pages

NOBODY = "0" * 32


def test_a_session_opens_nothing_that_programs_are_served(pages: Pages) -> None:
    """A forged form in a signed-in browser sends its cookie along, and must not act with it."""
    visitor = pages.as_("ig")

    answers = [
        visitor.opens(f"/api/v1/involvements/{NOBODY}"),
        visitor.opens(f"/fhir/R4/Patient/{NOBODY}"),
        visitor.client.post("/api/v1/involvements", json={}),
    ]

    assert [answer.status_code for answer in answers] == [401] * 3
    assert {answer.headers.get("Set-Cookie") for answer in answers} == {None}


def test_a_token_opens_no_page(pages: Pages, clinic: Clinic) -> None:
    """What a program holds has no second factor."""
    token = issue_token(clinic, clinic.ig)
    client = pages.stranger().client

    answer = client.get("/families", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/sign-in")


@pytest.mark.parametrize("where", ["header", "address"])
def test_a_token_of_the_sign_in_s_library_opens_no_page_either(
    pages: Pages, clinic: Clinic, where: str
) -> None:
    """The library knows tokens of its own, which would pass by the second factor."""
    account = accounts.find_account(clinic.ctx, id=clinic.ig.id)
    assert account is not None
    with pages.app.test_request_context():
        token = PageUser(clinic.ctx, account).get_auth_token()
    client = pages.stranger().client
    with client.session_transaction() as session:
        # As if somebody had just been here: no limit of time is to end it instead.
        session.update(dict.fromkeys((SEEN, BEGUN, PROVED), clinic.clock.now().timestamp()))

    answer = (
        client.get("/families", headers={"Authentication-Token": token})
        if where == "header"
        else client.get("/families", query_string={"auth_token": token})
    )

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/sign-in")


class Body(RawIOBase):
    """A body without an end that knows how much of it was taken."""

    taken = 0

    def readable(self) -> bool:
        """Say that there is something to read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Give as much as is asked for."""
        self.taken += len(buffer)
        return len(buffer)


def test_of_what_a_stranger_sends_nothing_is_read(pages: Pages) -> None:
    """A film has no largest length there, so its body must wait for the sender to be known."""
    body = Body()

    answer = pages.stranger().client.patch(
        f"/uploads/{NOBODY}",
        content_type="application/json",
        environ_overrides={"wsgi.input": body, "CONTENT_LENGTH": str(1 << 20)},
    )

    assert answer.status_code in (302, 400, 401, 403)
    assert body.taken == 0


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api", "application/problem+json"),
        ("/api/nothing", "application/problem+json"),
        ("/fhir", "application/fhir+json"),
        ("/apis", "text/html"),
        ("/nothing/api/v1", "text/html"),
    ],
)
def test_the_first_word_of_an_address_leads(pages: Pages, path: str, kind: str) -> None:
    """Programs get a problem document and people a page, also where there is nothing."""
    answer = pages.as_("guider").opens(path)

    assert (answer.status_code, answer.mimetype) == (404, kind)


def test_programs_get_the_headers_and_are_counted_as_pages_are(clinic: Clinic) -> None:
    """Two apps, one service: whoever watches it sees all of it."""
    settings = clinic.ctx.settings.model_copy(update={"metrics_token": SecretStr("a-token")})
    client = create_app(replace(clinic.ctx, settings=settings)).test_client()

    answer = client.get(f"/api/v1/recordings/{NOBODY}")
    figures = client.get("/metrics", headers={"Authorization": "Bearer a-token"})

    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert len(answer.headers["X-Request-Id"]) == 16
    assert 'endpoint="api.' in figures.get_data(as_text=True)
