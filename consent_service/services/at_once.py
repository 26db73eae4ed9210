"""Key work right after a commit: done at once where it can be, and by the worker where it cannot.

Rules kept here:
  * the act is committed and stands, whatever becomes of its keys: access follows the act alone;
  * what the key server forbids to this process, or cannot do while it is away, is asked of the
    worker, which takes it up within seconds and tries until it is done; so is what must not be
    done beside a journal that cannot be trusted, and what stops at a damaged key;
  * jobs do not call this: they fail openly, so that the worker tries again and says so.
"""

import logging
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from consent_service.errors import IntegrityFault, JournalBroken, Refused, Unavailable
from consent_service.services import jobs
from consent_service.services.context import Context
from consent_service.vault.key_providers import is_forbidden

KEY_JOBS = ("make-keys", "settle-awaiting")
"""The jobs of the catalogue that do everything that may be left."""

_log = logging.getLogger(__name__)
_About = ParamSpec("_About")


def at_once(
    ctx: Context,
    act: Callable[Concatenate[Context, _About], object],
    *about: _About.args,
    **more: _About.kwargs,
) -> None:
    """Do idempotent key work now, or leave it to the worker."""
    try:
        act(ctx, *about, **more)
    except (IntegrityFault, JournalBroken, Refused, Unavailable) as fault:
        if isinstance(fault, Refused) and not is_forbidden(fault):
            raise
        _log.warning("left to the worker: %s", fault.code)
        jobs.ask(ctx, KEY_JOBS)
