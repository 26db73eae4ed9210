"""Certificates: signed proof of an erasure order, printed from the ledger.

Rules kept here:
  * revision 1 follows read-back; a later revision carries the digest of the one before;
  * three times are told apart: access ended, keys destroyed, irrecoverable;
  * every certificate says what it does not cover;
  * verifying needs nothing but the certificate and public keys.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785
from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.erasure import Certificate, ErasureItem, ErasureOrder
from consent_service.db.models.people import Involvement
from consent_service.db.queries.erasure import OrderScope, consent_keys_ended
from consent_service.db.queries.pages import Order, page_of
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.erasure import OrderState, Outcome
from consent_service.domain.paging import Page, PageAsk, every
from consent_service.domain.roles import Permission
from consent_service.errors import IntegrityFault, NotFound
from consent_service.ids import new_id
from consent_service.services import replaced_keys
from consent_service.services.access import Caller, involvement_for, require, teams_reached
from consent_service.services.context import Context
from consent_service.services.withdrawal_told import certificate_told
from consent_service.vault.signing import PublicKey, SigningUse, verify

FORMAT = "consent-service/certificate/v1"
NOT_COVERED = (
    "disk_snapshots",
    "ssd_remapping",
    "key_server_snapshots_until_declared_age",
    "memory_and_swap_of_running_nodes",
    "photos_and_bundles_handed_over",
)
_NEWEST_FIRST = Order((Certificate.issued_at, Certificate.id))
SIGNER = Actor(ActorKind.JOB, "certify-erasures")


@dataclass(frozen=True)
class CertificateView:
    """A certificate as issued: canonical JSON bytes and the signature over them."""

    id: str
    order: str
    revision: int
    body: bytes
    digest: str
    signature: bytes
    key_id: str
    issued_at: datetime

    def bundle(self) -> bytes:
        """Return one JSON document that can be verified offline with public keys only."""
        return json.dumps(
            {
                "format": f"{FORMAT}+signature",
                "certificate": json.loads(self.body),
                "digest": self.digest,
                "signature": base64.b64encode(self.signature).decode("ascii"),
                "key_id": self.key_id,
            },
            indent=2,
            sort_keys=True,
        ).encode("utf-8")


@dataclass(frozen=True)
class Verified:
    """What verifying a certificate found; `fault` names what is wrong."""

    ok: bool
    order: str | None
    revision: int | None
    fault: str | None = None


def issue(ctx: Context, order: str) -> None:
    """Issue revision 1 from the ledger, unless it was issued before."""
    with ctx.read() as session:
        if _latest(session, order) is not None:
            return
        body = _body(ctx, session, session.get_one(ErasureOrder, order), 1, None)
    _append(ctx, order, 1, body, None)


def supplement(ctx: Context) -> list[str]:
    """Issue the next revision for every order whose film has since become irrecoverable.

    Returns the ids of those orders. A job runs this after each rotation.
    """
    with ctx.read() as session:
        rows = session.scalars(
            select(ErasureOrder).where(
                ErasureOrder.state == OrderState.DONE,
                ErasureOrder.irrecoverable_at.is_(None),
                ErasureOrder.key_destroyed_at.is_not(None),
            )
        )
        waiting = {row.id: _destroyed_keys(ctx, session, row) for row in rows.all()}
    issued = []
    for order, key_ids in waiting.items():
        moments = ctx.keyring.irrecoverable_since(key_ids)
        known = [m for m in moments.values() if m is not None]
        if not known or len(known) != len(key_ids):
            continue
        _make_irrecoverable(ctx, order, max(known))
        issued.append(order)
    return issued


def certificate(
    ctx: Context, caller: Caller, order: str, revision: int | None = None
) -> CertificateView:
    """Return a certificate of an order (by id or reference), the latest without `revision`."""
    with ctx.read() as session:
        parent = session.scalar(
            select(ErasureOrder).where(
                (ErasureOrder.id == order) | (ErasureOrder.reference == order)
            )
        )
        if parent is None:
            raise _not_found()
        involvement_for(ctx, session, caller, Permission.CERTIFICATE_READ, parent.involvement_id)
        newest = _latest(session, parent.id)
        row = newest if revision is None else _latest(session, parent.id, revision)
        told = row or newest
        if told is None or not certificate_told(session, caller, parent, json.loads(told.body)):
            raise _not_found()
        if row is None:
            raise NotFound(
                f"There is no such revision: the newest is {told.revision}, the first is 1.",
                kind="certificate",
            )
        return _view(row)


def certificates(ctx: Context, caller: Caller) -> list[CertificateView]:
    """Return all that `page_of_certificates` returns page by page."""
    return list(every(lambda ask: page_of_certificates(ctx, caller, ask)))


def page_of_certificates(ctx: Context, caller: Caller, ask: PageAsk) -> Page[CertificateView]:
    """Return the certificates in the caller's reach, newest first."""
    require(ctx, caller, Permission.CERTIFICATE_READ)
    with ctx.read() as session:
        query = select(Certificate)
        teams = teams_reached(ctx, caller, Permission.CERTIFICATE_READ)
        if teams is not None:
            query = (
                query.join(ErasureOrder, ErasureOrder.id == Certificate.order_id)
                .join(Involvement, Involvement.id == ErasureOrder.involvement_id)
                .where(Involvement.team_id.in_(teams))
            )
        found = page_of(session, query, _NEWEST_FIRST, ask)
        return found.of([_view(row) for row in found.items])


def verify_bundle(bundle: bytes, keys: Sequence[PublicKey]) -> Verified:
    """Check a certificate's document with public keys only; never raises for a bad document."""
    try:
        read: dict[str, Any] = json.loads(bundle)
        content = read["certificate"]
        body = rfc8785.dumps(content)
        signature = base64.b64decode(read["signature"], validate=True)
        key_id = str(read["key_id"])
        order, revision = str(content["order"]), int(content["revision"])
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return Verified(False, None, None, "This is not a certificate of this service.")
    if hashlib.sha256(body).hexdigest() != read.get("digest"):
        return Verified(False, order, revision, "The certificate was changed after signing.")
    if content.get("signing_key") != key_id:
        return Verified(False, order, revision, "The certificate names another signing key.")
    try:
        verify(keys, SigningUse.CERTIFICATES, body, signature, key_id)
    except IntegrityFault as fault:
        return Verified(False, order, revision, fault.message)
    return Verified(True, order, revision)


def _append(
    ctx: Context,
    order: str,
    revision: int,
    body: bytes,
    previous: str | None,
    *,
    irrecoverable_at: datetime | None = None,
) -> None:
    """Keep a signed revision, and in the same transaction the moment that it tells of."""
    signature = ctx.signers.certificates.sign(body)
    with ctx.begin() as uow:
        parent = uow.session.get_one(ErasureOrder, order)
        parent.irrecoverable_at = parent.irrecoverable_at or irrecoverable_at
        row = Certificate(
            id=new_id(),
            order_id=order,
            revision=revision,
            body=body,
            digest=hashlib.sha256(body).hexdigest(),
            previous_digest=previous,
            signature=signature,
            key_id=ctx.signers.certificates.key_id,
            issued_at=uow.at,
        )
        uow.session.add(row)
        uow.record(
            AuditEvent(
                EventKind.CERTIFICATE_ISSUED,
                SIGNER,
                row.id,
                parent.involvement_id,
                {"revision": revision, "order": order, "digest": row.digest},
            )
        )


def _make_irrecoverable(ctx: Context, order: str, at: datetime) -> None:
    with ctx.read() as session:
        latest = _latest(session, order)
        if latest is None:
            return
        parent = session.get_one(ErasureOrder, order)
        session.expunge(parent)
        parent.irrecoverable_at = at  # for the body; it is kept together with the revision
        body = _body(ctx, session, parent, latest.revision + 1, latest.digest)
        revision, previous = latest.revision + 1, latest.digest
    _append(ctx, order, revision, body, previous, irrecoverable_at=at)


def _body(
    ctx: Context, session: Session, order: ErasureOrder, revision: int, previous: str | None
) -> bytes:
    items = session.scalars(
        select(ErasureItem).where(ErasureItem.order_id == order.id).order_by(ErasureItem.asset_id)
    ).all()
    scope = OrderScope.from_json(order.scope)
    return rfc8785.dumps(
        {
            "format": FORMAT,
            "order": order.id,
            "reference": order.reference,
            "revision": revision,
            "previous_digest": previous,
            "cause": order.cause.value,
            "rule": order.rule,
            "involvement": order.involvement_id,
            "withdrawal": order.withdrawal_id,
            "purposes": list(scope.purposes),
            "ordered_at": _instant(order.ordered_at),
            "access_ended_at": _instant(order.access_ended_at),
            "key_destroyed_at": _instant(order.key_destroyed_at),
            "keys_sealed_at": _instant(order.sealed_at),
            "irrecoverable_at": _instant(order.irrecoverable_at),
            "destroyed": [_destroyed(i) for i in items if i.outcome is Outcome.DESTROY],
            "kept": [_kept(i) for i in items if i.outcome is Outcome.KEEP],
            "keys": _key_rows(ctx, session, order),
            "not_covered": list(NOT_COVERED),
            "signing_key": ctx.signers.certificates.key_id,
            "issued_at": _instant(ctx.clock.now()),
        }
    )


def _destroyed(item: ErasureItem) -> dict[str, Any]:
    return {
        "asset": item.asset_id,
        "kind": item.kind.value,
        "class": item.record_class.value,
        "sha256": item.sha256,
        "stored_size": item.stored_size,
        "key_destroyed_at": _instant(item.key_destroyed_at),
        "deleted_at": _instant(item.deleted_at),
        "read_back_at": _instant(item.read_back_at),
    }


def _kept(item: ErasureItem) -> dict[str, Any]:
    return {
        "asset": item.asset_id,
        "kind": item.kind.value,
        "class": item.record_class.value,
        "ground": item.ground.value if item.ground else None,
    }


def _key_rows(ctx: Context, session: Session, order: ErasureOrder) -> list[dict[str, Any]]:
    stones = ctx.keyring.tombstones(_destroyed_keys(ctx, session, order))
    return [
        {
            "key": key,
            "fingerprint": stone.fingerprint.hex() if stone.fingerprint else None,
            "destroyed_at": _instant(stone.destroyed_at),
        }
        for key, stone in sorted(stones.items())
    ]


def _destroyed_keys(ctx: Context, session: Session, order: ErasureOrder) -> list[str]:
    """Return the ids of every key that this order destroyed: consent keys and asset keys.

    With an asset's key goes what was made to take its place and never did.
    """
    scope = OrderScope.from_json(order.scope)
    found: set[str] = set()
    if order.keys_going_at is not None:
        purposes = ctx.policies.purposes
        now = ctx.clock.now()
        found |= set(consent_keys_ended(session, order.involvement_id, scope, purposes, now))
    of_assets = session.scalars(
        select(ErasureItem.asset_key_id).where(
            ErasureItem.order_id == order.id, ErasureItem.outcome == Outcome.DESTROY
        )
    ).all()
    found |= {*of_assets, *replaced_keys.followers(ctx, of_assets)}
    return sorted(ctx.keyring.tombstones(found))


def _latest(session: Session, order: str, revision: int | None = None) -> Certificate | None:
    query = select(Certificate).where(Certificate.order_id == order)
    if revision is not None:
        query = query.where(Certificate.revision == revision)
    return session.scalar(query.order_by(Certificate.revision.desc()).limit(1))


def _view(row: Certificate) -> CertificateView:
    return CertificateView(
        row.id,
        row.order_id,
        row.revision,
        row.body,
        row.digest,
        row.signature,
        row.key_id,
        row.issued_at,
    )


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _not_found() -> NotFound:
    return NotFound("There is no certificate for this order yet.", kind="certificate")
