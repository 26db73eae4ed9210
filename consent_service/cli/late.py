"""Lets verbs name what they call without loading it: it is loaded when it is first used.

So `--help` and a mistyped option answer at once, without database, keys and papers. Only modules
that are imported whole wait (`from consent_service.services import erasure`); a name taken out of
one (`from consent_service.services.erasure import work`) loads it at once, so at the top of a
module of verbs such names stand under TYPE_CHECKING.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

WAITING = (
    "consent_service.services.",
    "consent_service.wiring",
    "consent_service.policy_files",
    "consent_service.jobs.catalogue",
    "consent_service.db.audit_log",
    "consent_service.db.schema",
    "consent_service.db.engine",
)


class _LateFinder(MetaPathFinder):
    """Finds modules as usual, and lets those that are named above wait."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(WAITING):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def loading_late() -> Iterator[None]:
    """Let the floors below wait, for whatever is imported within the block."""
    finder = _LateFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
