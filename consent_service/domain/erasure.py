"""Decide what must be destroyed, in which order, and why (rules 4 to 8).

Pure: reads no clock, file or database. The services load the holdings, call `plan`, and the plan is
carried out from the ledger.

Rules kept here:
  * the consent key goes before the ciphertext, so a crash half-way leaves noise, never a film;
  * what a hold, the record class or a dispute keeps is listed with its ground, never left out;
  * the same holdings always give the same plan.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from consent_service.domain.assets import AssetKind, RecordClass


class OrderCause(StrEnum):
    """Why an erasure was ordered."""

    WITHDRAWAL = "withdrawal"
    ASSETS_WITHDRAWN = "assets_withdrawn"
    RETENTION = "retention"
    DISPOSITION = "disposition"
    ABANDONED_UPLOAD = "abandoned_upload"
    UPLOAD_REFUSED = "upload_refused"
    CONSENT_REFUSED = "consent_refused"
    HOLD_RELEASED = "hold_released"
    CONSENT_REVOKED = "consent_revoked"
    CUT_REMOVED = "cut_removed"


class OrderState(StrEnum):
    """How far an erasure order is."""

    WAITING = "waiting"
    ORDERED = "ordered"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class StepKind(StrEnum):
    """The steps of an order, in the order in which they run."""

    DESTROY_CONSENT_KEY = "destroy_consent_key"
    FREEZE_INVENTORY = "freeze_inventory"
    DESTROY_ASSET_KEYS = "destroy_asset_keys"
    DELETE_WRAPS = "delete_wraps"
    DELETE_CIPHERTEXT = "delete_ciphertext"
    DELETE_DERIVED = "delete_derived"
    ERASE_TITLES = "erase_titles"
    READ_BACK = "read_back"
    CERTIFY = "certify"


STEP_ORDER: tuple[StepKind, ...] = tuple(StepKind)


class StepState(StrEnum):
    """How far a step is; `failed` will be tried again, `blocked` slowly and with an alarm."""

    PENDING = "pending"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"


class Outcome(StrEnum):
    """What becomes of one thing in an order's inventory."""

    DESTROY = "destroy"
    KEEP = "keep"


class Ground(StrEnum):
    """On what ground something is kept."""

    HOLD = "hold"
    HEALTH_RECORD = "health_record"
    DISPUTE = "dispute"
    PURPOSE_REMAINS = "purpose_remains"


@dataclass(frozen=True)
class Holding:
    """One asset as an order finds it.

    `sustained_by` names the purposes that would still permit it after this order; `disputed` tells
    that parents disagree about someone depicted.
    """

    asset: str
    kind: AssetKind
    record_class: RecordClass
    source: str | None
    held: bool
    disputed: bool
    sustained_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlanLine:
    """What happens to one asset, and why."""

    asset: str
    kind: AssetKind
    outcome: Outcome
    ground: Ground | None = None


@dataclass(frozen=True)
class Plan:
    """What an order does to every asset in its scope, sorted by id."""

    lines: tuple[PlanLine, ...]

    @property
    def destroyed(self) -> tuple[PlanLine, ...]:
        """Lines of what goes."""
        return tuple(line for line in self.lines if line.outcome is Outcome.DESTROY)

    @property
    def kept(self) -> tuple[PlanLine, ...]:
        """Lines of what stays, each with its ground."""
        return tuple(line for line in self.lines if line.outcome is Outcome.KEEP)


GROUNDS: Mapping[OrderCause, frozenset[Ground]] = {
    OrderCause.WITHDRAWAL: frozenset(Ground),
    OrderCause.HOLD_RELEASED: frozenset(Ground),
    OrderCause.CONSENT_REFUSED: frozenset(Ground),
    OrderCause.CONSENT_REVOKED: frozenset(Ground),
    OrderCause.ASSETS_WITHDRAWN: frozenset({Ground.HOLD, Ground.DISPUTE, Ground.HEALTH_RECORD}),
    OrderCause.RETENTION: frozenset({Ground.HOLD, Ground.DISPUTE}),
    OrderCause.DISPOSITION: frozenset({Ground.HOLD}),
    OrderCause.ABANDONED_UPLOAD: frozenset({Ground.HOLD}),
    OrderCause.UPLOAD_REFUSED: frozenset(),
    OrderCause.CUT_REMOVED: frozenset({Ground.HOLD, Ground.DISPUTE, Ground.HEALTH_RECORD}),
}
"""Which grounds can keep something from an order of this cause; a hold wins over all but refusal
of an upload, of which nothing was ever kept."""


def plan(holdings: Iterable[Holding], cause: OrderCause) -> Plan:
    """Plan an order over the assets in its scope (rules 4 and 8).

    A thing is kept when a hold applies, while another permitted purpose sustains it, while parents
    dispute, or when it is a health record (the IG officer decides), as far as the order's cause
    leaves room for that ground. Everything else goes.
    """
    lines = [_line(holding, GROUNDS[cause]) for holding in holdings]
    return Plan(tuple(sorted(lines, key=lambda line: line.asset)))


def _line(holding: Holding, grounds: frozenset[Ground]) -> PlanLine:
    ground = next((g for g in _grounds(holding) if g in grounds), None)
    outcome = Outcome.DESTROY if ground is None else Outcome.KEEP
    return PlanLine(holding.asset, holding.kind, outcome, ground)


def _grounds(holding: Holding) -> Iterator[Ground]:
    """Yield every ground for keeping, the strongest first."""
    if holding.held:
        yield Ground.HOLD
    if holding.sustained_by:
        yield Ground.PURPOSE_REMAINS
    if holding.disputed:
        yield Ground.DISPUTE
    if holding.record_class is RecordClass.HEALTH_RECORD:
        yield Ground.HEALTH_RECORD


def cascade(asset_ids: Iterable[str], sources: Sequence[tuple[str, str | None]]) -> frozenset[str]:
    """Return the assets named and everything derived from them, however deep.

    `sources` lists (asset, its source or None) for every asset of the involvement.
    """
    found = set(asset_ids)
    while True:
        more = {asset for asset, source in sources if source in found} - found
        if not more:
            return frozenset(found)
        found |= more
