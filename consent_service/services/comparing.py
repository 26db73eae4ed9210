"""One comparison of what should be with what is: what it may do, and what it has found so far.

Rules kept here:
  * what cannot be read or mended for one thing is a finding about that thing, and the rest is
    compared; where it is more than a few things, or what holds them all, that part is left;
  * a part that is left keeps no other from being compared; its fault is raised at the end;
  * what was found and done is written down in any case, whatever is raised.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.jobs import Notice
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.roles import ADMINISTRATOR
from consent_service.errors import (
    ConsentServiceError,
    ContainerCorrupt,
    IntegrityFault,
    Unavailable,
)
from consent_service.ids import is_id
from consent_service.services.access import Caller
from consent_service.services.context import Context
from consent_service.services.notices import notify
from consent_service.services.unknown_things import UnknownThings

GRACE = timedelta(days=1)
MOST_TOLD = 50
"""So many things that need a person stand in the log by id; more are counted."""
MOST_FORGIVEN = 50
"""Where more things of one part fail, it is not they that are broken."""
FORGIVEN = (Unavailable, IntegrityFault, ContainerCorrupt)
_NOTICE = "reconcile_unknown_object"
_NOTICE_OF_KEPT = "reconcile_unknown_kept"
_FINDING = "reconcile_finding"
_LONGEST = 80
_A_NIGHT = timedelta(hours=12)

_log = logging.getLogger(__name__)


class Part(StrEnum):
    """What is compared with what; `STORE` is the list of all that lies there."""

    STORE = "store"
    OBJECTS = "objects"
    UPLOADS = "uploads"
    LEDGER = "ledger"
    ASSET_KEYS = "asset-keys"
    WRAPS = "wraps"
    CONSENT_KEYS = "consent-keys"
    SEALED_KEYS = "sealed-keys"
    UNKNOWN_KEYS = "unknown-keys"
    SIDECARS = "sidecars"


class Fault(StrEnum):
    """What does not fit together."""

    OBJECT_OF_ERASED = "object_of_erased"
    UNKNOWN_OBJECT = "unknown_object"
    LEFTOVER_UPLOAD = "leftover_upload"
    OBJECT_MISSING = "object_missing"
    KEY_ALIVE = "key_alive"
    KEY_MISSING = "key_missing"
    WRAP_WITHOUT_RIGHT = "wrap_without_right"
    SIDECAR_WRONG = "sidecar_wrong"
    CONSENT_KEY_WITHOUT_RIGHT = "consent_key_without_right"
    SEALED_KEY_LIVE = "sealed_key_live"
    CONSENT_WITHOUT_KEY = "consent_without_key"
    UNKNOWN_KEY = "unknown_key"
    KEPT_OBJECT = "kept_object"
    KEPT_KEY = "kept_key"
    KEPT_SIDECAR = "kept_sidecar"
    NOT_COMPARED = "not_compared"


UNKNOWN = {
    Fault.UNKNOWN_OBJECT: _NOTICE,
    Fault.UNKNOWN_KEY: _NOTICE,
    Fault.KEPT_OBJECT: _NOTICE_OF_KEPT,
    Fault.KEPT_KEY: _NOTICE_OF_KEPT,
    Fault.KEPT_SIDECAR: _NOTICE_OF_KEPT,
}
"""What nothing stands for, and how people are told, once: the first two are removed a day later,
if it is still so; the others may belong to a database that is still to be put back, or are held."""


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit; `repaired` if mended.

    `subject` is an asset, key, object or, where nobody could tell, an involvement or a `Part`.
    """

    fault: Fault
    subject: str
    repaired: bool


@dataclass(frozen=True)
class Report:
    """What was compared and what was found."""

    objects: int
    assets: int
    keys: int
    findings: tuple[Finding, ...]

    @property
    def kept(self) -> int:
        """How many unknown things a person is asked about."""
        return sum(UNKNOWN.get(f.fault) == _NOTICE_OF_KEPT for f in self.open)

    @property
    def gone(self) -> int:
        """How many unknown things were destroyed."""
        return sum(f.repaired for f in self.findings if f.fault in UNKNOWN)

    @property
    def open(self) -> tuple[Finding, ...]:
        """Findings that need a person."""
        return tuple(f for f in self.findings if not f.repaired)

    def figures(self) -> dict[str, int]:
        """Return how many of each fault were found."""
        return dict(Counter(f.fault.value for f in self.findings))


class Comparing:
    """A comparison as it goes on.

    `repair`: mend what is safe to mend. `confirmed`: a person said that what a database which was
    put back does not know may go.
    """

    def __init__(self, ctx: Context, *, repair: bool, confirmed: bool) -> None:
        self.ctx = ctx
        self.repair = repair
        self.confirmed = confirmed
        self.things = UnknownThings(ctx, confirmed=confirmed)
        self.findings: list[Finding] = []
        self.left: ConsentServiceError | None = None
        self._forgiven = 0
        with ctx.read() as session:
            self._reported = _reported_before(ctx, session, confirmed)

    def may_go(self, subject: str) -> bool:
        """Tell whether something is mended that goes only a day after it was reported."""
        return self.repair and subject in self._reported

    def compare(self, part: Part, findings: Iterable[Finding]) -> None:
        """Take what a part finds, for as long as it can find anything."""
        with self.part(part):
            for finding in findings:
                self.findings.append(finding)

    @contextmanager
    def part(self, part: Part) -> Iterator[None]:
        """Go on with other parts where this one cannot be compared, or not to its end."""
        self._forgiven = 0
        try:
            yield
        except FORGIVEN as fault:
            self._tell(part, fault)
            self.left = self.left or fault

    @contextmanager
    def about(self, subject: str) -> Iterator[None]:
        """Go on with the part where this one thing can be neither read nor mended."""
        try:
            yield
        except FORGIVEN as fault:
            self.forgive(subject, fault)

    def forgive(self, subject: str, fault: ConsentServiceError) -> None:
        """Take the fault of one thing for a finding; raises it where there are too many."""
        if self._forgiven >= MOST_FORGIVEN:
            raise fault
        self._forgiven += 1
        self._tell(subject, fault)

    def _tell(self, subject: str, fault: ConsentServiceError) -> None:
        _log.warning("could not be compared: %s", fault.code)
        self.findings.append(Finding(Fault.NOT_COMPARED, subject, False))

    def write_down(self, caller: Caller, report: Report) -> None:
        """Put what was found and done into the log, and tell people what needs them."""
        named = [f"{f.fault.value}/{f.subject}" for f in report.open if _may_be_named(f.subject)]
        with self.ctx.begin() as uow:
            uow.record(
                AuditEvent(
                    EventKind.RECONCILE_REPORTED,
                    caller.actor,
                    details={
                        "findings": len(report.findings),
                        **report.figures(),
                        **({"confirmed": report.gone} if self.confirmed else {}),
                        **({"open": named[:MOST_TOLD]} if named else {}),
                    },
                )
            )
            told = _told_of_unknown(uow.session) | _told_just_now(uow)
            for finding in report.open:
                kind, subject = UNKNOWN.get(finding.fault, _FINDING), finding.subject
                if (kind, subject) not in told and len(subject) <= _LONGEST:
                    notify(uow, kind, role=ADMINISTRATOR, subject=subject)


def _may_be_named(subject: str) -> bool:
    """Tell whether a subject is an id or a part: an object may be named as somebody pleased."""
    return is_id(subject.partition(".")[0]) or subject in list(Part)


def _reported_before(ctx: Context, session: Session, confirmed: bool) -> frozenset[str]:
    """Return what was said to go tomorrow; once that is confirmed, also what was said to stay."""
    kinds = {_NOTICE, _NOTICE_OF_KEPT} if confirmed else {_NOTICE}
    rows = session.scalars(
        select(Notice.subject).where(
            Notice.kind.in_(kinds), Notice.created_at <= ctx.clock.now() - GRACE
        )
    )
    return frozenset(name for name in rows if name)


def _told_of_unknown(session: Session) -> set[tuple[str, str | None]]:
    rows = session.execute(
        select(Notice.kind, Notice.subject).where(Notice.kind.in_(set(UNKNOWN.values())))
    )
    return {(row.kind, row.subject) for row in rows}


def _told_just_now(uow: UnitOfWork) -> set[tuple[str, str | None]]:
    """Return what people were told of tonight: a comparison that fails is tried again."""
    rows = uow.session.scalars(
        select(Notice.subject).where(Notice.kind == _FINDING, Notice.created_at > uow.at - _A_NIGHT)
    )
    return {(_FINDING, subject) for subject in rows}
