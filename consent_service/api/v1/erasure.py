"""Erasure orders, how far they got, and the certificate that proves the end."""

import json
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from flask import Response
from pydantic import Field

from consent_service.api.operations import Answer, Ask, Room
from consent_service.api.paging import part
from consent_service.api.papers import PDF, paper
from consent_service.api.shapes import Id, Page, PageQuery, Reply, Request
from consent_service.domain.erasure import OrderCause, OrderState, StepKind, StepState
from consent_service.domain.roles import Permission as P
from consent_service.services import certificates, papers
from consent_service.services import erasure as use

room = Room("erasure")


class ScopeReply(Reply):
    """What an order is about."""

    persons: tuple[Id, ...]
    purposes: tuple[str, ...]
    assets: tuple[Id, ...]
    cascades: bool


class StepReply(Reply):
    """One step of the ledger and how it stands."""

    id: Id
    kind: StepKind
    state: StepState
    attempts: int
    done_at: datetime | None
    fault: str | None
    figures: dict[str, int]


class OrderReply(Reply):
    """What is to be destroyed, why, and how far it got."""

    id: Id
    reference: str
    cause: OrderCause
    state: OrderState
    involvement: Id
    withdrawal: Id | None
    scope: ScopeReply
    ordered_at: datetime
    not_before: datetime
    access_ended_at: datetime
    key_destroyed_at: datetime | None
    completed_at: datetime | None
    irrecoverable_at: datetime | None
    steps: tuple[StepReply, ...]


class RevisionQuery(Request):
    """Which revision; the latest without."""

    revision: Annotated[int, Field(ge=1, le=999)] | None = None


class CertificateReply(Reply):
    """A certificate with its signature; verifies offline with the published keys."""

    format: str
    certificate: dict[str, Any]
    digest: str
    signature: str
    key_id: str


class CertificateLine(Reply):
    """A certificate in a list: read it by its order and revision."""

    order: Id
    revision: int
    issued_at: datetime
    digest: str
    key_id: str


@room.get("/erasure-orders", P.ERASURE_READ, Page[OrderReply], query=PageQuery)
def list_orders(ask: Ask, query: PageQuery) -> Answer:
    """List the erasure orders: what is not finished first, then the newest."""
    read = partial(use.page_of_orders, ask.ctx, ask.caller)
    return Answer(part(read, query, OrderReply))


@room.get("/certificates", P.CERTIFICATE_READ, Page[CertificateLine], query=PageQuery)
def list_certificates(ask: Ask, query: PageQuery) -> Answer:
    """List the certificates of destruction, newest first."""
    read = partial(certificates.page_of_certificates, ask.ctx, ask.caller)
    return Answer(part(read, query, CertificateLine))


@room.get("/erasure-orders/{id}", P.ERASURE_READ, OrderReply)
def read_order(ask: Ask, id: str) -> Answer:
    """Read an erasure order and its steps."""
    return Answer(OrderReply.model_validate(use.order(ask.ctx, ask.caller, id)))


@room.get(
    "/erasure-orders/{id}/certificate",
    P.CERTIFICATE_READ,
    CertificateReply,
    query=RevisionQuery,
    refusals={409},
)
def read_certificate(ask: Ask, id: str, query: RevisionQuery) -> Answer:
    """Read the signed certificate of an erasure order."""
    view = certificates.certificate(ask.ctx, ask.caller, id, query.revision)
    return Answer(CertificateReply(**json.loads(view.bundle())))


@room.get(
    "/erasure-orders/{id}/certificate.pdf",
    P.CERTIFICATE_READ,
    query=RevisionQuery,
    media=(PDF,),
    refusals={409},
)
def read_certificate_paper(ask: Ask, id: str, query: RevisionQuery) -> Response:
    """Read the certificate of an erasure order as PDF/A, the signed JSON attached."""
    made = papers.certificate(ask.ctx, ask.caller, id, query.revision)
    return paper(made, f"certificate-{id}")
