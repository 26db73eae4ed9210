"""Reading assets: who is in them, what they come from, which class their consents printed."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentAct, ConsentDecision
from consent_service.db.models.erasure import ErasureOrder, Tombstone
from consent_service.db.models.people import InvolvementPerson
from consent_service.db.models.recordings import Asset, AssetWrap, DepictedPerson, Viewing
from consent_service.domain.assets import AssetState, Depiction, RecordClass
from consent_service.domain.erasure import cascade
from consent_service.domain.people import FamilyRole


def roles_in(session: Session, involvement: str) -> dict[str, FamilyRole]:
    """Return what everyone who belongs to an involvement is in it."""
    rows = session.execute(
        select(InvolvementPerson.person_id, InvolvementPerson.role).where(
            InvolvementPerson.involvement_id == involvement
        )
    )
    return dict(rows.all())


def record_class_of(session: Session, decisions: Collection[str]) -> RecordClass:
    """Return the class that the forms of these decisions printed; the stricter if they differ."""
    printed = set(
        session.scalars(
            select(ConsentAct.record_class)
            .join(ConsentDecision, ConsentDecision.act_id == ConsentAct.id)
            .where(ConsentDecision.id.in_(list(decisions)))
        )
    )
    strict = RecordClass.HEALTH_RECORD
    return strict if not printed or strict.value in printed else RecordClass.TRANSITORY


def people_in(session: Session, assets: Iterable[str]) -> dict[str, list[DepictedPerson]]:
    """Return the rows of everyone recorded with each asset, sorted by person."""
    rows = session.scalars(
        select(DepictedPerson)
        .where(DepictedPerson.asset_id.in_(list(assets)))
        .order_by(DepictedPerson.asset_id, DepictedPerson.person_id)
    )
    found: dict[str, list[DepictedPerson]] = {}
    for row in rows:
        found.setdefault(row.asset_id, []).append(row)
    return found


def assets_of(session: Session, involvement: str) -> Sequence[Asset]:
    """Return every asset of an involvement, oldest first, erased ones included."""
    return session.scalars(
        select(Asset)
        .where(Asset.involvement_id == involvement)
        .order_by(Asset.created_at, Asset.id)
    ).all()


def derived_from(session: Session, asset: Asset) -> list[Asset]:
    """Return the asset and everything made of it that is not erased."""
    rows = assets_of(session, asset.involvement_id)
    wanted = cascade([asset.id], [(row.id, row.source_id) for row in rows])
    return [r for r in rows if r.id in wanted and r.state is not AssetState.ERASED]


def origin_of(session: Session, asset: Asset) -> Asset:
    """Return the recording that an asset comes from; itself when it is one."""
    current = asset
    while current.source_id is not None:
        current = session.get_one(Asset, current.source_id)
    return current


def references_of_erased(session: Session, assets: Iterable[str]) -> dict[str, str]:
    """Return, per erased asset, the reference of the order that erased it."""
    rows = session.execute(
        select(Tombstone.asset_id, ErasureOrder.reference)
        .join(ErasureOrder, ErasureOrder.id == Tombstone.order_id)
        .where(Tombstone.asset_id.in_(list(assets)))
    )
    return dict(rows.all())


def unfinished_since(session: Session, before: datetime) -> Sequence[Asset]:
    """Return everything that began to be received before an instant."""
    return session.scalars(
        select(Asset)
        .where(Asset.state == AssetState.RECEIVING, Asset.created_at < before)
        .order_by(Asset.created_at, Asset.id)
    ).all()


def received_since(session: Session, before: datetime) -> Sequence[Asset]:
    """Return everything that came in whole and is not stored, reserved before an instant."""
    return session.scalars(
        select(Asset)
        .where(Asset.state == AssetState.RECEIVED, Asset.created_at < before)
        .order_by(Asset.created_at, Asset.id)
    ).all()


def unsettled_involvements(session: Session) -> list[str]:
    """Return the involvements in which a film waits for an answer, or is wrapped for others.

    A wrap has one key for each person depicted, so a different number of keys is for others; and
    what is older than the last change of who is in the film may be.
    """
    waiting = select(Asset.involvement_id).where(Asset.state == AssetState.AWAITING_CONSENT)
    counts = (
        select(DepictedPerson.asset_id, func.count().label("people"))
        .where(DepictedPerson.depiction == Depiction.DEPICTED)
        .group_by(DepictedPerson.asset_id)
        .subquery()
    )
    stale = (
        select(Asset.involvement_id)
        .join(AssetWrap, AssetWrap.asset_id == Asset.id)
        .join(counts, counts.c.asset_id == Asset.id)
        .where(
            Asset.state == AssetState.STORED,
            func.json_array_length(AssetWrap.key_ids) != counts.c.people,
        )
    )
    older = (
        select(Asset.involvement_id)
        .join(AssetWrap, AssetWrap.asset_id == Asset.id)
        .join(DepictedPerson, DepictedPerson.asset_id == Asset.id)
        .where(
            Asset.state == AssetState.STORED,
            or_(
                DepictedPerson.added_at > AssetWrap.made_at,
                DepictedPerson.removed_at > AssetWrap.made_at,
            ),
        )
    )
    return sorted({row for found in (waiting, stale, older) for row in session.scalars(found)})


def viewing_since(
    session: Session, user: str, asset: str, purpose: str, since: datetime
) -> Viewing | None:
    """Return the viewing that is still going on: its last request was not before `since`."""
    return session.scalar(
        select(Viewing)
        .where(
            Viewing.asset_id == asset,
            Viewing.user_id == user,
            Viewing.purpose == purpose,
            Viewing.last_at >= since,
        )
        .order_by(Viewing.last_at.desc())
        .limit(1)
    )
