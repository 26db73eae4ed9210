"""The first door: a token, a role that has the verb, and a body that is not too long.

Rules kept here:
  * only bearer tokens count; cookies are not looked at, so no forged form can act for anybody;
  * too much is refused by its declared length, before a byte of it is read;
  * use cases ask again for themselves: this is the first door, not the only one.
"""

from flask import g, request

from consent_service.api.operations import Open, Operation, Traffic
from consent_service.errors import NotSignedIn, TooLarge
from consent_service.services import access
from consent_service.services.access import Caller
from consent_service.services.consent_papers import LARGEST_SCAN
from consent_service.services.context import Context
from consent_service.services.tokens import caller_of_token, caller_who_watches

MOST_JSON = 2**20
LONGEST_TOKEN = 200


def admit(ctx: Context, operation: Operation) -> Caller | None:
    """Return who calls; None where nobody need say. Raises NotSignedIn, Refused, TooLarge."""
    caller = None
    if operation.needs is not Open.EVERYONE:
        known = caller_who_watches if operation.ranges else caller_of_token
        caller = g.api_caller = known(ctx, token_in(request.headers.get("Authorization", "")))
        if not isinstance(operation.needs, Open):
            access.require(ctx, caller, operation.needs)
    _limit_body(ctx, operation)
    return caller


def token_in(authorization: str) -> str:
    """Return the bearer token of a header Authorization; raises NotSignedIn without one."""
    kind, _, token = authorization.partition(" ")
    if kind.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN or not token.isascii():
        raise NotSignedIn("Send a bearer token in the header Authorization.")
    return token.strip()


def _limit_body(ctx: Context, operation: Operation) -> None:
    longest = {
        Traffic.FILM: ctx.settings.max_upload,
        Traffic.PART: ctx.settings.max_upload,
        Traffic.SCAN: LARGEST_SCAN,
    }
    most = longest.get(operation.traffic, MOST_JSON)
    request.max_content_length = most
    if request.content_length is not None and request.content_length > most:
        raise TooLarge(f"Send at most {most} bytes.", limit=most)
