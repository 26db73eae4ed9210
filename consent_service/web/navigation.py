"""What stands in the menu, for each role only what it may open."""

from dataclasses import dataclass

from flask import current_app, request, url_for

from consent_service.domain.roles import Permission
from consent_service.web import here
from consent_service.web.routes import ROUTES


@dataclass(frozen=True)
class MenuLink:
    """One entry of the menu."""

    text: str
    href: str
    current: bool


MENU = (
    ("Overview", "governance.overview"),
    ("My families", "families.mine"),
    ("Papers to check", "governance.late"),
    ("Films to watch", "films.for_supervision"),
    ("Due items", "retention.due"),
    ("Holds", "holds.listing"),
    ("Certificates", "certificates.listing"),
    ("Audit", "audit.search"),
    ("Subject access", "subject_access.listing"),
    ("Leaflets", "leaflets.listing"),
    ("People and roles", "users.listing"),
    ("Jobs", "jobs.listing"),
)


def links() -> list[MenuLink]:
    """Return the menu of whoever is signed in; empty before."""
    if not here.signed_in():
        return []
    known = current_app.view_functions
    return [
        MenuLink(text, url_for(endpoint), _is_current(endpoint))
        for text, endpoint in MENU
        if isinstance(wanted := ROUTES.get(endpoint), Permission)
        and here.may(wanted)
        and endpoint in known
    ]


def home() -> str:
    """Return where somebody starts: the first entry of their menu."""
    own = links()
    return own[0].href if own else url_for("account.show")


def _is_current(endpoint: str) -> bool:
    asked, entries = request.endpoint or "", [wanted for _, wanted in MENU]
    if asked in entries:
        return asked == endpoint
    room = asked.partition(".")[0]
    room = PART_OF.get(room, room)
    # The first entry of a room stands for its other pages.
    return endpoint == next((e for e in entries if e.partition(".")[0] == room), None)


PART_OF = {
    **dict.fromkeys(
        ("films", "reviews", "handovers", "consents", "withdrawals", "links"), "families"
    ),
    "consent_ends": "governance",
}
"""Rooms without an entry of their own, and the room whose entry stands for them."""
