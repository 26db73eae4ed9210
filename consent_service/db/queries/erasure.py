"""Reading what an erasure order is about: its scope, its holdings, its next step."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentDecision
from consent_service.db.models.erasure import ErasureItem, ErasureOrder
from consent_service.db.models.recordings import Asset, DepictedPerson
from consent_service.db.models.retention import Hold
from consent_service.db.queries.consent import findings, states_now
from consent_service.db.queries.people import members
from consent_service.db.queries.stories import Question
from consent_service.domain.assets import AssetKind, AssetState, Depiction, RecordClass
from consent_service.domain.consent import Answer, ConsentState, Finding
from consent_service.domain.erasure import Ground, Holding, OrderState, cascade
from consent_service.domain.purposes import Purpose, split_use


@dataclass(frozen=True)
class OrderScope:
    """What an order is about: people and purposes whose consent ended, or assets by id.

    `cascades` takes in everything derived from the assets named. `ended_at` is the moment from
    which consent ended: what was answered later is another consent and none of this order's.
    """

    persons: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    cascades: bool = True
    ended_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the scope as the ledger keeps it: ids and codes only."""
        return {
            "persons": list(self.persons),
            "purposes": list(self.purposes),
            "assets": list(self.assets),
            "cascades": self.cascades,
            **({"ended_at": self.ended_at.isoformat()} if self.ended_at else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "OrderScope":
        """Read what `to_json` wrote."""
        return cls(
            tuple(value["persons"]),
            tuple(value["purposes"]),
            tuple(value["assets"]),
            bool(value["cascades"]),
            datetime.fromisoformat(value["ended_at"]) if value.get("ended_at") else None,
        )


def assets_in_scope(session: Session, involvement: str, scope: OrderScope) -> list[Asset]:
    """Return every asset of the scope that is not erased yet, sorted by id."""
    standing = (
        select(Asset)
        .where(Asset.involvement_id == involvement, Asset.state != AssetState.ERASED)
        .order_by(Asset.id)
    )
    if scope.assets:
        rows = list(session.scalars(standing))
        wanted = frozenset(scope.assets)
        if scope.cascades:
            wanted = cascade(scope.assets, [(a.id, a.source_id) for a in rows])
        return [row for row in rows if row.id in wanted]
    shown = select(DepictedPerson.asset_id).where(
        DepictedPerson.person_id.in_(scope.persons),
        DepictedPerson.depiction == Depiction.DEPICTED,
    )
    return list(session.scalars(standing.where(Asset.id.in_(shown))))


def consent_keys_ended(
    session: Session,
    involvement: str,
    scope: OrderScope,
    purposes: Mapping[str, Purpose],
    at: datetime,
) -> list[str]:
    """Return the consent keys that an order of this scope ends: every yes until its moment.

    A yes that grants something at `at` is left alone: one given anew, or one that also names
    another use than the one that ended.
    """
    rows = session.execute(
        select(ConsentDecision.id, ConsentDecision.purpose, ConsentDecision.named).where(
            ConsentDecision.involvement_id == involvement,
            ConsentDecision.person_id.in_(scope.persons),
            ConsentDecision.purpose.in_({split_use(p)[0] for p in scope.purposes}),
            ConsentDecision.answer == Answer.YES,
            ConsentDecision.event_at <= (scope.ended_at or at),
        )
    )
    ended = {key for key, base, named in rows if _ends(scope, base or "", named)}
    uses = _purposes_spelt(session, involvement, purposes) if ended else []
    states = states_now(session, involvement, scope.persons, uses, at)
    return sorted(ended - {key for finding in states.values() for key in finding.granting})


def orders_under_seal(session: Session, newest: int | None = None) -> list[str]:
    """Return the orders about people whose keys were sealed and are not to go; first sealed first.

    `newest`: only so many, those that were sealed last.
    """
    query = select(ErasureOrder.id).where(
        ErasureOrder.sealed_at.is_not(None),
        ErasureOrder.keys_going_at.is_(None),
        ErasureOrder.state != OrderState.CANCELLED,
        ErasureOrder.scope["persons"].as_string() != "[]",
    )
    last_first = query.order_by(ErasureOrder.sealed_at.desc(), ErasureOrder.id.desc())
    return list(reversed(session.scalars(last_first.limit(newest)).all()))


def still_keeping(session: Session, grounds: Iterable[Ground]) -> list[str]:
    """Return, sorted, the involvements where a done order keeps film on these grounds, or keys."""
    film = (
        select(ErasureOrder.involvement_id)
        .join(ErasureItem, ErasureItem.order_id == ErasureOrder.id)
        .join(Asset, Asset.id == ErasureItem.asset_id)
        .where(ErasureItem.ground.in_(list(grounds)), Asset.state != AssetState.ERASED)
    )
    sealed = select(ErasureOrder.involvement_id).where(
        ErasureOrder.sealed_at.is_not(None),
        ErasureOrder.keys_going_at.is_(None),
        ErasureOrder.state == OrderState.DONE,
    )
    return sorted({*session.scalars(film), *session.scalars(sealed)})


def yeses_under_seal(session: Session, orders: Sequence[str], at: datetime) -> dict[str, list[str]]:
    """Return every yes that each of these orders is about: by order, in their order.

    In two statements. It takes in more than an order ends, since what grants something all the
    same is not looked up: `consent_keys_ended` tells.
    """
    about = {
        row.id: (row.involvement_id, OrderScope.from_json(row.scope))
        for row in session.execute(
            select(ErasureOrder.id, ErasureOrder.involvement_id, ErasureOrder.scope).where(
                ErasureOrder.id.in_(list(orders))
            )
        )
    }
    said = defaultdict(list)
    for row in session.execute(
        select(
            ConsentDecision.id,
            ConsentDecision.involvement_id,
            ConsentDecision.person_id,
            ConsentDecision.purpose,
            ConsentDecision.named,
            ConsentDecision.event_at,
        ).where(
            ConsentDecision.involvement_id.in_({involvement for involvement, _ in about.values()}),
            ConsentDecision.person_id.in_(
                {p for _, scope in about.values() for p in scope.persons}
            ),
            ConsentDecision.purpose.is_not(None),
            ConsentDecision.answer == Answer.YES,
        )
    ):
        said[row.involvement_id].append(row)
    found: dict[str, list[str]] = {}
    for order in orders:
        involvement, scope = about[order]
        found[order] = [
            row.id
            for row in said[involvement]
            if row.person_id in scope.persons
            and row.event_at <= (scope.ended_at or at)
            and _ends(scope, row.purpose or "", row.named)
        ]
    return found


def _ends(scope: OrderScope, base: str, named: Sequence[str]) -> bool:
    """Tell whether a yes to `base` (for the uses named) is about something that ended."""
    return base in scope.purposes or any(f"{base}:{use}" in scope.purposes for use in named)


def holdings(
    session: Session,
    purposes: Mapping[str, Purpose],
    assets: Sequence[Asset],
    at: datetime,
    known_at: datetime | None = None,
) -> list[Holding]:
    """Return the assets as an order finds them: held, disputed, still sustained by a purpose.

    Consent is as it stood at `at` as known at `known_at`: an end replayed after a restore is
    recorded later than it happened. Holds are the present ones.
    """
    if not assets:
        return []
    involvement = assets[0].involvement_id
    depicted = _depicted(session, involvement)
    people = sorted({p for who in depicted.values() for p in who})
    uses = _purposes_spelt(session, involvement, purposes)
    question = Question(involvement, tuple(people), tuple(uses), london_day(at))
    states = findings(session, question, at, known_at)
    held = _held(session, involvement)
    sources = {a.id: a.source_id for a in _all_assets(session, involvement)}
    return [
        Holding(
            asset.id,
            asset.kind,
            asset.record_class,
            asset.source_id,
            held=None in held or bool(held & _chain(asset.id, sources)),
            disputed=_disputed(states, depicted.get(asset.id, ())),
            sustained_by=_sustaining(
                states, purposes, uses, asset.kind, depicted.get(asset.id, ())
            ),
        )
        for asset in assets
    ]


def any_must_be_sealed(
    session: Session,
    purposes: Mapping[str, Purpose],
    involvement: str,
    persons: Sequence[str],
    at: datetime,
) -> bool:
    """Tell whether the keys of these people are sealed and do not go.

    So it is under a hold, where they are in a health record, and while parents disagree about
    somebody who is in a film with them: without a key, what is kept until that is settled is noise.
    """
    held = select(Hold.id).where(Hold.involvement_id == involvement, Hold.released_at.is_(None))
    with_them = (
        select(Asset.id)
        .join(DepictedPerson, DepictedPerson.asset_id == Asset.id)
        .where(
            Asset.involvement_id == involvement,
            Asset.state != AssetState.ERASED,
            DepictedPerson.person_id.in_(persons),
        )
    )
    recorded = with_them.where(Asset.record_class == RecordClass.HEALTH_RECORD)
    disputed = select(DepictedPerson.asset_id).where(
        DepictedPerson.person_id.in_(_in_dispute(session, purposes, involvement, at)),
        DepictedPerson.depiction == Depiction.DEPICTED,
        DepictedPerson.asset_id.in_(with_them),
    )
    return bool(session.scalar(select(or_(held.exists(), recorded.exists(), disputed.exists()))))


def _in_dispute(
    session: Session, purposes: Mapping[str, Purpose], involvement: str, at: datetime
) -> list[str]:
    """Return those of an involvement about whom parents disagree in anything."""
    people = [person.id for _, person in members(session, involvement)]
    uses = _purposes_spelt(session, involvement, purposes)
    states = states_now(session, involvement, people, uses, at)
    return [person for person in people if _disputed(states, [person])]


def _all_assets(session: Session, involvement: str) -> Iterable[Asset]:
    return session.scalars(select(Asset).where(Asset.involvement_id == involvement))


def _depicted(session: Session, involvement: str) -> dict[str, list[str]]:
    rows = session.execute(
        select(DepictedPerson.asset_id, DepictedPerson.person_id)
        .join(Asset, Asset.id == DepictedPerson.asset_id)
        .where(
            Asset.involvement_id == involvement,
            Asset.state != AssetState.ERASED,
            DepictedPerson.depiction == Depiction.DEPICTED,
        )
    )
    found: dict[str, list[str]] = {}
    for asset, person in rows:
        found.setdefault(asset, []).append(person)
    return found


def _purposes_spelt(
    session: Session, involvement: str, purposes: Mapping[str, Purpose]
) -> list[str]:
    rows = session.execute(
        select(ConsentDecision.purpose, ConsentDecision.named).where(
            ConsentDecision.involvement_id == involvement, ConsentDecision.purpose.is_not(None)
        )
    )
    found: set[str] = set()
    for purpose, named in rows:
        found |= {f"{purpose}:{use}" for use in named} if named else {purpose or ""}
    return sorted(p for p in found if split_use(p)[0] in purposes)


def _held(session: Session, involvement: str) -> set[str | None]:
    """Return the assets under hold; None among them means the whole involvement."""
    return set(
        session.scalars(
            select(Hold.asset_id).where(
                Hold.involvement_id == involvement, Hold.released_at.is_(None)
            )
        )
    )


def _chain(asset: str, sources: Mapping[str, str | None]) -> set[str | None]:
    """Return the asset and everything it was made from."""
    chain: set[str | None] = set()
    current: str | None = asset
    while current is not None and current not in chain:
        chain.add(current)
        current = sources.get(current)
    return chain


def _disputed(states: Mapping[tuple[str, str], Finding], people: Sequence[str]) -> bool:
    return any(
        finding.state is ConsentState.DISPUTED
        for (person, _), finding in states.items()
        if person in people
    )


def _sustaining(
    states: Mapping[tuple[str, str], Finding],
    purposes: Mapping[str, Purpose],
    uses: Sequence[str],
    kind: AssetKind,
    people: Sequence[str],
) -> tuple[str, ...]:
    """Return the purposes that everyone depicted permits and that are a reason to keep this."""
    return tuple(
        use
        for use in uses
        if people
        and purposes[split_use(use)[0]].keeps(kind)
        and all(states[person, use].state is ConsentState.GIVEN for person in people)
    )


def held_among(session: Session, involvement: str, assets: Sequence[str]) -> list[str]:
    """Return those of `assets` that a standing hold names, or all when the involvement is held."""
    found = session.scalars(
        select(Hold.asset_id).where(
            Hold.involvement_id == involvement,
            Hold.released_at.is_(None),
            or_(Hold.asset_id.is_(None), Hold.asset_id.in_(list(assets))),
        )
    ).all()
    if None in found:
        return list(assets)
    return [asset for asset in found if asset is not None]
