"""Papers for people: PDF that is tagged, lasting, and the same each time it is printed.

`render_pdf` prints one paper in a confined process of its own; `signature_svg` draws a signature
from its strokes. What each paper says is a value in `content`.
"""

from consent_service.documents.render import render_pdf, start_printing, stop_printing
from consent_service.documents.signature import signature_svg

__all__ = ["render_pdf", "signature_svg", "start_printing", "stop_printing"]
