"""One table says who may open which page; every route, role and method is held to it."""

import pytest
from flask import Flask

from consent_service.domain.audit import EventKind
from consent_service.domain.roles import Permission
from consent_service.web.routes import Open, table
from tests.support.clinic import Clinic
from tests.support.pages import STAFF, Pages, Visitor, kinds_recorded

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ARGUMENTS = {"version": 1, "number": 1, "code": "L1111", "token": "x", "name": "nothing"} | {
    "language": "en",
    "filename": "pages.css",
    "form": "vig",
    "old": 1,
    "new": 1,
}
LEAVES = {"security.logout"}
"""What ends the session that a test goes on with."""


def _asks(app: Flask) -> list[tuple[str, str, str]]:
    """Return endpoint, method and path of everything that can be asked for."""
    found = []
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            filled = {
                name: "0" * 32 if f"<id:{name}>" in rule.rule else ARGUMENTS[name]
                for name in rule.arguments
            }
            path = app.url_for(rule.endpoint, **filled)
            for method in METHODS:
                if method in (rule.methods or ()):
                    found.append((rule.endpoint, method, path))
    return found


def test_every_page_is_in_the_table_and_the_table_names_only_pages(pages: Pages) -> None:
    """A page that nobody thought about must not be open to everybody."""
    served = {rule.endpoint for rule in pages.app.url_map.iter_rules()}

    assert served - set(table()) == set()
    assert set(table()) - served == set()


def _answer(visitor: Visitor, method: str, path: str) -> int:
    if method in ("PATCH", "DELETE"):
        headers = {"X-CSRFToken": visitor.token, "Tus-Resumable": "1.0.0", "Upload-Offset": "0"}
        kind = "application/offset+octet-stream"
        answer = visitor.client.open(path, method=method, headers=headers, content_type=kind)
    elif method == "PUT":
        headers = {"X-CSRFToken": visitor.token, "Content-Type": "video/mp4"}
        answer = visitor.client.put(path, data=b"no film", headers=headers)
    else:
        answer = visitor.client.open(path, method=method, data={"csrf_token": visitor.token})
    if answer.status_code == 302 and answer.headers["Location"].startswith("/sign-in?"):
        return 401
    return answer.status_code


def _with_token(visitor: Visitor, page: str) -> Visitor:
    visitor.opens(page)
    assert visitor.token
    return visitor


def test_a_stranger_opens_only_what_is_open_to_everyone(pages: Pages) -> None:
    """Without signing in there is nothing here but the door and the footer."""
    wrong = []
    for endpoint, method, path in _asks(pages.app):
        visitor = _with_token(pages.stranger(), "/sign-in")
        status = _answer(visitor, method, path)
        outside = table()[endpoint] is Open.EVERYONE
        if (status == 401) is outside and endpoint != "health.metrics":
            wrong.append((endpoint, method, status))

    assert wrong == []


@pytest.mark.parametrize("who", STAFF)
def test_each_role_opens_exactly_its_pages(pages: Pages, clinic: Clinic, who: str) -> None:
    """A role that reaches further than the table says would be found by whoever abuses it."""
    role = clinic.ctx.policies.roles[STAFF[who]]
    visitor = _with_token(pages.as_(who), "/sign-out")
    wrong = []

    for endpoint, method, path in _asks(pages.app):
        wanted = table()[endpoint]
        refused = isinstance(wanted, Permission) and not role.allows(wanted)
        status = _answer(visitor, method, path)
        if (status == 403) is not refused or status == 401 or status >= 500:
            wrong.append((endpoint, method, status, "refused" if refused else "allowed"))
        if endpoint in LEAVES:
            visitor = _with_token(pages.as_(who), "/sign-out")

    assert wrong == []


def test_what_is_refused_by_role_is_written_down(pages: Pages, clinic: Clinic) -> None:
    """Trying doors is the first sign of somebody who should be asked."""
    refused = pages.as_("admin").opens("/families")

    assert refused.status_code == 403
    assert EventKind.ACCESS_REFUSED in kinds_recorded(clinic)


def test_the_administrator_never_reaches_film(clinic: Clinic) -> None:
    """Whoever looks after the machine must not see what is on it."""
    administrator = clinic.ctx.policies.roles["administrator"]
    film = [wanted for endpoint, wanted in table().items() if endpoint.startswith("films.")]

    assert film
    assert not any(isinstance(wanted, Open) or administrator.allows(wanted) for wanted in film)
