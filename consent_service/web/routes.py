"""Who may open which page: one table, closed by default.

Every endpoint of the pages stands here. One that does not is refused to everybody, and a test
fails. Use cases ask again for themselves: this is the first door, not the only one.
"""

from collections.abc import Mapping
from enum import StrEnum

from flask import Flask, request
from flask.typing import ResponseReturnValue

from consent_service.domain.roles import Permission as P
from consent_service.errors import NotFound
from consent_service.services import access
from consent_service.web import here


class Open(StrEnum):
    """A page that asks for no verb."""

    EVERYONE = "everyone"
    SIGNED_IN = "signed in"


ROUTES: dict[str, P | Open] = {
    "static": Open.EVERYONE,
    # signing in
    "security.login": Open.EVERYONE,
    "security.logout": Open.SIGNED_IN,
    "security.verify": Open.SIGNED_IN,
    "security.two_factor_setup": Open.EVERYONE,
    "security.two_factor_setup_validate": Open.SIGNED_IN,
    "security.two_factor_token_validation": Open.EVERYONE,
    "security.two_factor_rescue": Open.EVERYONE,
    "security.tf_select": Open.EVERYONE,
    "security.mf_recovery": Open.EVERYONE,
    "security.mf_recovery_codes": Open.SIGNED_IN,
    "account.show": Open.SIGNED_IN,
    "account.sign_out": Open.SIGNED_IN,
    "account.signed_out": Open.EVERYONE,
    "account.set_up": Open.EVERYONE,
    # what everybody may read
    "about.start": Open.SIGNED_IN,
    "about.accessibility": Open.EVERYONE,
    "about.privacy": Open.EVERYONE,
    "about.cookies": Open.EVERYONE,
    "about.contact": Open.EVERYONE,
    "health.live": Open.EVERYONE,
    "health.ready": Open.EVERYONE,
    "health.metrics": Open.EVERYONE,
    # families
    "families.mine": P.INVOLVEMENT_READ,
    "families.show": P.INVOLVEMENT_READ,
    "families.begin": P.INVOLVEMENT_WRITE,
    "families.end": P.INVOLVEMENT_WRITE,
    "families.reopen": P.INVOLVEMENT_WRITE,
    "families.add_person": P.INVOLVEMENT_WRITE,
    "families.add_responsibility": P.PEOPLE_WRITE,
    "families.end_responsibility": P.PEOPLE_WRITE,
    "families.change_person": P.PEOPLE_WRITE,
    "families.find": P.PEOPLE_READ,
    "families.add_meeting": P.INVOLVEMENT_WRITE,
    "families.safeguard": P.HOLD_PLACE_SAFEGUARDING,
    # leaflets and consent
    "leaflets.listing": P.LEAFLET_READ,
    "leaflets.read": P.LEAFLET_READ,
    "leaflets.paper": P.LEAFLET_READ,
    "leaflets.give": P.LEAFLET_GIVE,
    "leaflets.bring_in": P.LEAFLET_PUBLISH,
    "leaflets.review": P.LEAFLET_REVIEW,
    "leaflets.override": P.LEAFLET_OVERRIDE,
    "consents.begin": P.CONSENT_CAPTURE,
    "consents.words": P.CONSENT_CAPTURE,
    "consents.layer": P.CONSENT_CAPTURE,
    "consents.check": P.CONSENT_CAPTURE,
    "consents.sign": P.CONSENT_CAPTURE,
    "consents.act": P.CONSENT_READ,
    "consents.copy": P.CONSENT_READ,
    "consents.confirm_late": P.CONSENT_CONFIRM_LATE,
    # the way out
    "withdrawals.begin": P.WITHDRAWAL_PREVIEW,
    "withdrawals.preview": P.WITHDRAWAL_PREVIEW,
    "withdrawals.confirm": P.WITHDRAWAL_RECORD,
    "withdrawals.receipt": P.WITHDRAWAL_PREVIEW,
    "withdrawals.receipt_paper": P.WITHDRAWAL_PREVIEW,
    "withdrawals.keep_after_all": P.WITHDRAWAL_CANCEL,
}


def register(app: Flask) -> None:
    """Guard every endpoint of an app with the table."""
    app.before_request(_guard)


def _guard() -> ResponseReturnValue | None:
    endpoint = request.endpoint
    if endpoint is None or endpoint.partition(".")[0] in API_ROOMS:
        return None
    wanted = ROUTES.get(endpoint)
    if wanted is None:
        raise NotFound("This page is not in the table of pages.", kind="page")
    if wanted is Open.EVERYONE:
        return None
    caller = here.caller()
    if not isinstance(wanted, Open):
        access.require(here.ctx(), caller, wanted)
    return None


API_ROOMS = frozenset({"api", "api_v1", "fhir", "openapi"})
"""Blueprints that guard themselves, with tokens: their routes stand in their own table."""


def table() -> Mapping[str, P | Open]:
    """Return the table, for tests and for people."""
    return dict(ROUTES)
