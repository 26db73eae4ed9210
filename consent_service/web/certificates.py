"""Orders of erasure and their certificates: how far it got, and the signed proof of the end."""

import json

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from consent_service.errors import NotFound
from consent_service.services import certificates, erasure, papers, revocation_paper
from consent_service.services.certificates import CertificateView
from consent_service.web.consents import pdf
from consent_service.web.here import caller, ctx, page_asked

certificate_pages = Blueprint("certificates", __name__, url_prefix="/certificates")


@certificate_pages.get("")
def listing() -> str:
    """List the certificates in reach, newest first."""
    found = certificates.page_of_certificates(ctx(), caller(), page_asked())
    rows = [(view, json.loads(view.body)) for view in found.items]
    return render_template("certificates/listing.html", rows=rows, page=found)


@certificate_pages.get("/orders/<id:order>")
def order(order: str) -> str:
    """Show how far an order of erasure is, and its certificate once there is one."""
    view = erasure.order(ctx(), caller(), order)
    found = _certificate(order)
    return render_template(
        "certificates/order.html",
        order=view,
        certificate=found,
        body=json.loads(found.body) if found else None,
        purposes=ctx().policies.purposes,
    )


@certificate_pages.get("/orders/<id:order>/certificate.pdf")
def paper(order: str) -> ResponseReturnValue:
    """Return the certificate on paper."""
    content = papers.certificate(ctx(), caller(), order, _revision())
    return pdf(content, f"certificate-{order}")


@certificate_pages.get("/orders/<id:order>/receipt.pdf")
def receipt(order: str) -> ResponseReturnValue:
    """Return what the family is given when the organisation ended a consent."""
    content = revocation_paper.revocation_receipt(ctx(), caller(), order)
    return pdf(content, f"ended-{order}")


@certificate_pages.get("/orders/<id:order>/certificate.json")
def bundle(order: str) -> ResponseReturnValue:
    """Return the certificate as signed: what `certificates verify` and public keys can check."""
    view = certificates.certificate(ctx(), caller(), order, _revision())
    answer = Response(view.bundle(), mimetype="application/json")
    name = f"certificate-{order}-{view.revision}.json"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _certificate(order: str) -> CertificateView | None:
    try:
        return certificates.certificate(ctx(), caller(), order, _revision())
    except NotFound:
        return None


def _revision() -> int | None:
    asked = request.args.get("revision", "")
    return int(asked) if asked.isascii() and asked.isdigit() else None
