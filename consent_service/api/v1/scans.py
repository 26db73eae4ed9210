"""The scan of a paper that an act of consent was written down from."""

from datetime import datetime

from flask import Response, request
from werkzeug.exceptions import UnsupportedMediaType

from consent_service.api.operations import SCANS, Answer, Ask, Room, Traffic
from consent_service.api.papers import PDF
from consent_service.api.shapes import Id, Reply
from consent_service.domain.roles import Permission as P
from consent_service.services import consent_papers

room = Room("consents")


class ScanReply(Reply):
    """That a scan is kept with an act; `size` in bytes, as it was made anew."""

    act: Id
    media_type: str
    size: int
    attached_by: Id
    attached_at: datetime


@room.put("/consents/{id}/scan", P.CONSENT_CAPTURE, ScanReply, traffic=Traffic.SCAN)
def put_scan(ask: Ask, id: str) -> Answer:
    """Put the scan of a signed paper beside its act: one PDF, JPEG or PNG, until it is checked."""
    if request.mimetype not in SCANS:
        raise UnsupportedMediaType("Send the scan itself, as application/pdf or a picture of it.")
    kept = consent_papers.attach(ask.ctx, ask.caller, id, [request.get_data(cache=False)])
    return Answer(ScanReply.model_validate(kept))


@room.get("/consents/{id}/scan", P.CONSENT_READ, media=(PDF, "image/jpeg"))
def read_scan(ask: Ask, id: str) -> Response:
    """Read the scan that is kept with an act; each reading is written down."""
    kept = consent_papers.scan(ask.ctx, ask.caller, id)
    return Response(kept.content, mimetype=kept.media_type)
