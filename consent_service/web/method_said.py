"""For networks that let through GET and POST alone: the method of an upload, said in a header.

tus 1.0.0 asks it of every server (X-HTTP-Method-Override). Only there, and only for the methods of
an upload: anywhere else the method of a request is what its first line says.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

UPLOADS = ("/uploads/", "/api/v1/uploads/")
METHODS = frozenset({"HEAD", "PATCH", "DELETE"})


class MethodSaid:
    """Takes the method that a POST to an upload says for the request's own."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> "Iterable[bytes]":
        """Answer a request; guards and limits after this see the method that was said."""
        said = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "")
        is_upload = environ.get("PATH_INFO", "").startswith(UPLOADS)
        if environ["REQUEST_METHOD"] == "POST" and is_upload and said in METHODS:
            environ["REQUEST_METHOD"] = said
        return self._app(environ, start_response)
