"""The JSON API under `/api/v1` and FHIR under `/fhir/R4`, guarded by bearer tokens.

Rules kept here:
  * an address or a method that does not exist is answered like every refusal: a problem document,
    with the methods that do exist in Allow.
"""

from flask import Blueprint, Flask, Response, request
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import Rule
from werkzeug.routing.exceptions import RequestRedirect

from consent_service.api import fhir, openapi, problems, serving
from consent_service.api.operations import PREFIX
from consent_service.api.v1 import OPERATIONS
from consent_service.domain import tus
from consent_service.services.context import Context

ROOM = "api"
"""The name of the blueprint; nothing outside a blueprint of this name serves the API."""
ROOTS = frozenset({"api", "fhir"})
"""What the addresses begin with that are served here."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def register(app: Flask, ctx: Context) -> None:
    """Mount the API."""
    app.url_map.converters |= serving.converters()
    blueprint = Blueprint(ROOM, __name__)
    problems.register(blueprint, ctx)
    views = [(operation, serving.view_of(operation, ctx)) for operation in OPERATIONS]
    for operation, view in views:
        blueprint.add_url_rule(
            PREFIX + operation.rule,
            operation.name,
            view,
            methods=[operation.method],
            provide_automatic_options=False,
        )
    blueprint.add_url_rule(
        f"{PREFIX}/openapi.json",
        "openapi",
        openapi.view_for(ctx, views),
        provide_automatic_options=False,
    )
    blueprint.after_request(_say_protocol)
    app.register_blueprint(blueprint)
    app.register_blueprint(fhir.room(ctx))
    _catch_the_rest(app, ctx)


def _catch_the_rest(app: Flask, ctx: Context) -> None:
    """Answer whatever else is below /api, by any method, within the blueprint."""
    endpoint = f"{ROOM}.nothing_here"

    def nothing_here(rest: str = "") -> Response:
        return _nothing_here(ctx)

    app.view_functions[endpoint] = nothing_here
    for path in ("/api", "/api/", "/api/<path:rest>"):
        app.url_map.add(Rule(path, endpoint=endpoint, methods=None, strict_slashes=True))


def _nothing_here(ctx: Context) -> Response:
    allowed = [method for method in METHODS if _is_served(method)]
    if not allowed:
        raise NotFound
    if request.method == "OPTIONS":
        told = tus.capabilities(ctx.settings.max_upload) if _is_resumable() else {}
        return Response(status=204, headers={"Allow": ", ".join((*allowed, "OPTIONS")), **told})
    raise MethodNotAllowed(valid_methods=[*allowed, "OPTIONS"])


def _is_resumable() -> bool:
    return request.path.startswith(f"{PREFIX}/uploads/")


def _is_served(method: str) -> bool:
    adapter = request_ctx.url_adapter
    if adapter is None:
        return False
    try:
        endpoint, _ = adapter.match(request.path, method=method)
    except (RequestRedirect, HTTPException):
        return False
    return str(endpoint) != f"{ROOM}.nothing_here"


def _say_protocol(response: Response) -> Response:
    if _is_resumable():
        response.headers.update(tus.answer_headers(response.status_code))
    return response
