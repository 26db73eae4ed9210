"""Which single films, clips and photos somebody may stop by their own link.

Rules kept here:
  * only what shows the holder themself: a film of the child with somebody else would tell when
    they met; who decides for the child stops that one with the guider;
  * what they stopped is not offered again, whatever became of it since, and what somebody else
    stopped, froze or holds is offered as before, until it is erased: nothing here tells of it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentEnding
from consent_service.db.models.erasure import Withdrawal
from consent_service.db.models.recordings import Asset
from consent_service.db.queries.recordings import assets_of
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.consent import EndingKind
from consent_service.domain.erasure import cascade
from consent_service.domain.purposes import CARE
from consent_service.domain.roles import Permission
from consent_service.domain.withdrawal import WithdrawalScope
from consent_service.services import keys
from consent_service.services.access import Caller, Own, involvement_for, require_own
from consent_service.services.context import Context


@dataclass(frozen=True)
class OwnFilm:
    """A film, clip or photo by its kind and day; `number` tells several of a day apart, from 1.

    `number` is None where it is the only one. No title: staff wrote it, and it may name others.
    """

    id: str
    kind: AssetKind
    filmed_on: date
    number: int | None


def stoppable(ctx: Context, caller: Caller) -> list[OwnFilm]:
    """Return what the holder of a link may stop one by one, oldest day first."""
    own = require_own(caller)
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.WITHDRAWAL_PREVIEW, own.involvement)
        return list(_numbered(_offered(session, own)))


def _offered(session: Session, own: Own) -> list[Asset]:
    rows = assets_of(session, own.involvement)
    people = keys.depicted_by_asset(session, [row.id for row in rows])
    named = _stopped_by_name(session, own, rows)
    ends = _stopped_at(session, own)
    return [
        row
        for row in rows
        if row.stored_at is not None
        and row.state is not AssetState.ERASED
        and own.person in people.get(row.id, ())
        and row.id not in named
        and not any(
            row.created_at <= ends[person] for person in people.get(row.id, ()) if person in ends
        )
    ]


def _stopped_by_name(session: Session, own: Own, rows: Sequence[Asset]) -> frozenset[str]:
    """Return what the holder stopped one by one, with all that was made from it."""
    acts = session.scalars(
        select(Withdrawal.asset_ids).where(
            Withdrawal.involvement_id == own.involvement,
            Withdrawal.by_person_id == own.person,
            Withdrawal.scope == WithdrawalScope.ASSETS,
            Withdrawal.cancelled_at.is_(None),
        )
    )
    named = {asset for ids in acts for asset in ids}
    return cascade(named, [(row.id, row.source_id) for row in rows])


def _stopped_at(session: Session, own: Own) -> dict[str, datetime]:
    """Return for whom the holder stopped film as a whole, and when last."""
    rows = session.scalars(
        select(ConsentEnding)
        .where(
            ConsentEnding.involvement_id == own.involvement,
            ConsentEnding.by_person_id == own.person,
            ConsentEnding.purpose == CARE,
            ConsentEnding.kind.in_((EndingKind.WITHDRAWN, EndingKind.UNDONE)),
        )
        .order_by(ConsentEnding.recorded_at)
    ).all()
    undone = {row.ref for row in rows if row.kind is EndingKind.UNDONE}
    return {
        row.person_id: row.recorded_at
        for row in rows
        if row.kind is EndingKind.WITHDRAWN and row.ref not in undone
    }


def _numbered(rows: Sequence[Asset]) -> Iterator[OwnFilm]:
    of_a_day = Counter((row.filmed_on, row.kind) for row in rows)
    seen: Counter[tuple[date, AssetKind]] = Counter()
    kinds = list(AssetKind)
    for row in sorted(rows, key=lambda row: (row.filmed_on, kinds.index(row.kind), row.created_at)):
        day = (row.filmed_on, row.kind)
        seen[day] += 1
        yield OwnFilm(row.id, row.kind, row.filmed_on, seen[day] if of_a_day[day] > 1 else None)
