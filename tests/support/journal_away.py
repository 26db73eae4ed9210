"""A journal that takes no line for a while: its disk is full, or its bucket is out of reach."""

from collections.abc import Iterator
from contextlib import contextmanager

from consent_service.errors import ConsentServiceError, DiskFull, Unavailable
from consent_service.vault.journal import Journal, JournalLine

FULL = DiskFull("The disk is full: writing to the journal failed.", system_code="ENOSPC")
OUT_OF_REACH = Unavailable("The store is away or refused (writing to the journal).")


@contextmanager
def journal_away(journal: Journal, fault: ConsentServiceError = FULL) -> Iterator[list[str]]:
    """Let nothing be written for as long as the block lasts; yields the kinds that were tried."""
    tried: list[str] = []

    def append(kind: str, *_: object, **__: object) -> JournalLine:
        tried.append(kind)
        raise fault

    vars(journal)["append"] = append
    try:
        yield tried
    finally:
        del vars(journal)["append"]
