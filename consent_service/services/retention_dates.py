"""Due dates of everything in an involvement, computed anew whenever a fact changes (rule 8)."""

from consent_service.db.unit_of_work import UnitOfWork
from consent_service.services.context import Context


def recompute(ctx: Context, uow: UnitOfWork, involvement: str) -> None:
    """Compute the due dates of the involvement's assets in the caller's transaction."""
