"""Answering whether an asset may be used for a purpose, without using it."""

from datetime import datetime

from consent_service.domain.roles import Permission
from consent_service.services import film_keys, permission
from consent_service.services.access import Caller
from consent_service.services.assets import asset_for
from consent_service.services.context import Context
from consent_service.services.permission import Permitted


def may_use(
    ctx: Context, caller: Caller, asset: str, purpose: str, at: datetime | None = None
) -> Permitted:
    """Tell whether the caller may use an asset for a purpose at a moment (now without `at`).

    Raises NotFound for another team's asset as for none, InvalidInput for an unknown purpose.
    """
    with ctx.read() as session:
        row = asset_for(ctx, session, caller, Permission.FILM_LIST, asset)
        film_keys.require_purpose(ctx, purpose)
        return permission.check(ctx, session, row, purpose, at or ctx.clock.now(), caller)
