"""What a page asks for first: the Context of this service, who is calling, and which page."""

from dataclasses import replace
from typing import cast

from flask import current_app, g, request
from flask_login import current_user

from consent_service.domain.paging import PageAsk
from consent_service.domain.roles import Permission
from consent_service.errors import NotSignedIn
from consent_service.services import access
from consent_service.services.access import Caller
from consent_service.services.context import Context

EXTENSION = "consent_service"
PROGRAMS = "consent_programs"
"""Where the app of the pages keeps the app of the programs, which has the same Context."""
ROWS = 25
"""How many rows of a long list are on one page."""


def ctx() -> Context:
    """Return the Context that this app was made with."""
    return cast(Context, current_app.extensions[EXTENSION])


def signed_in() -> bool:
    """Tell whether somebody is signed in."""
    return bool(current_user.is_authenticated)


def caller() -> Caller:
    """Return who is signed in, as the caller of use cases; raises NotSignedIn."""
    if not signed_in():
        raise NotSignedIn("Sign in to see this page.")
    if "caller" not in g:
        account = current_user.account
        known = account.caller(fresh=bool(g.get("fresh")))
        g.caller = replace(known, session=account.fs_uniquifier)
    return cast(Caller, g.caller)


def may(permission: Permission) -> bool:
    """Tell whether the person signed in has this verb, to show or leave out a link."""
    return signed_in() and access.allows(ctx(), caller(), permission)


def page_asked() -> PageAsk:
    """Return which page of a long list the address asks for."""
    return PageAsk(ROWS, request.args.get("cursor") or None)
