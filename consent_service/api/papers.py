"""Papers as PDF: made in memory, sent with their length, never a file of ours."""

from flask import Response

PDF = "application/pdf"


def paper(content: bytes, name: str) -> Response:
    """Return a paper; `name` is made of ids and codes only."""
    response = Response(content, mimetype=PDF)
    response.headers["Content-Disposition"] = f'inline; filename="{name}.pdf"'
    return response
