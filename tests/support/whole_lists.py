"""Whole lists, for tests that look at all of one; the service itself reads pages only."""

from consent_service.domain.paging import every
from consent_service.services import dispositions as disposing
from consent_service.services import erasure, notices, subject_access
from consent_service.services.access import Caller
from consent_service.services.context import Context
from consent_service.services.dispositions import DispositionView
from consent_service.services.erasure import OrderView
from consent_service.services.notices import NoticeView
from consent_service.services.subject_access import RequestView


def orders(ctx: Context, caller: Caller, involvement: str | None = None) -> list[OrderView]:
    """Every order of erasure that the caller reaches."""
    return list(
        every(lambda ask: erasure.page_of_orders(ctx, caller, ask, involvement=involvement))
    )


def inbox(ctx: Context, caller: Caller) -> list[NoticeView]:
    """Every message to the caller."""
    return list(every(lambda ask: notices.page_of_inbox(ctx, caller, ask)))


def dispositions(ctx: Context, caller: Caller) -> list[DispositionView]:
    """All that waits for a decision within the caller's reach."""
    return list(every(lambda ask: disposing.page_of_dispositions(ctx, caller, ask)))


def requests(ctx: Context, caller: Caller, *, open_only: bool = False) -> list[RequestView]:
    """Every request for a copy within the caller's reach."""
    page = subject_access.page_of_requests
    return list(every(lambda ask: page(ctx, caller, ask, open_only=open_only)))
