"""The API's own description (OpenAPI 3.1), made by spectree from the table of operations.

What spectree does not say by itself is added here: problem documents, headers, film and papers,
which role verb an operation needs.

Nothing is described before somebody asks: describing every operation takes longer than all else
that makes the app.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import update_wrapper
from http import HTTPStatus
from typing import Any

from flask import Response, current_app, jsonify
from spectree import Response as SpecResponse
from spectree import SecurityScheme, SpecTree, Tag
from spectree.models import SecureType, SecuritySchemeData
from spectree.plugins.flask_plugin import FlaskPlugin
from werkzeug.routing import Rule

from consent_service import __version__
from consent_service.api.film import UPLOADS
from consent_service.api.operations import (
    PATH_PARAMETERS,
    PREFIX,
    SCANS,
    Open,
    Operation,
    Traffic,
)
from consent_service.api.problems import MEDIA_TYPE
from consent_service.api.shapes import PURPOSE_MARK, Problem
from consent_service.domain import tus
from consent_service.domain.purposes import USE_NAME, NamedUse, Purpose
from consent_service.services.context import Context

BEARER = "token"
_ALWAYS = frozenset({429, 500, 503})


class _OurRoutes(FlaskPlugin):
    """Shows spectree the routes of the API only."""

    def find_routes(self) -> Iterator[Rule]:
        """Yield the rules that serve an operation."""
        for rule in current_app.url_map.iter_rules():
            if rule.methods is not None and str(rule).startswith(PREFIX):
                yield rule

    def bypass(self, func: Any, method: str) -> bool:
        """Pass over what no operation says: the HEAD of a GET, but not one of its own."""
        ours = {o.method for o in _OPERATIONS.values() if o.name == func.__name__}
        return method not in ours


_SPEC = SpecTree(
    backend=_OurRoutes,
    title="Consent service",
    description=(
        "Consent and data governance for film of parents and babies. Every refusal is a problem"
        " document (RFC 9457) with a stable `code`."
    ),
    version=__version__,
    mode="strict",
    annotations=False,
    validation_error_status=400,
    validation_error_model=Problem,
    naming_strategy=lambda model: _plain_name(model.__name__),
    nested_naming_strategy=lambda _parent, child: _plain_name(child),
    security_schemes=[
        SecurityScheme(
            name=BEARER,
            data=SecuritySchemeData(type=SecureType.HTTP, scheme="bearer"),
        )
    ],
)
_FILM = {Traffic.FILM: UPLOADS, Traffic.PART: (tus.MEDIA_TYPE,)}
_RAW = {**_FILM, Traffic.SCAN: SCANS}
_UNNAMED_STATUS = {460: "Checksum Mismatch"}
_OPERATIONS: dict[tuple[str, str], Operation] = {}


View = Callable[..., Response]


def view_for(ctx: Context, views: Sequence[tuple[Operation, View]]) -> Callable[[], Response]:
    """Return the view of the document; everybody may read it. It is made once, when asked for."""
    made: list[dict[str, Any]] = []

    def view() -> Response:
        if not made:
            for operation, served in views:
                _describe(operation, served)
            made.append(document(ctx))
        return jsonify(made[0])

    return view


def _describe(operation: Operation, view: View) -> None:
    """Mark `view` so that spectree finds and describes it; it serves as before."""
    replies = {operation.status: operation.reply, **operation.also}
    resp = SpecResponse(**{f"HTTP_{status}": model for status, model in replies.items()})
    described = _SPEC.validate(
        query=operation.query,
        json=operation.body,
        resp=resp,
        tags=(Tag(name=operation.tag),),
        security=[] if operation.needs is Open.EVERYONE else {BEARER: []},
        path_parameter_descriptions={n: PATH_PARAMETERS[n][1] for n in operation.parameters},
        operation_id=operation.name,
    )(operation.handle)
    _OPERATIONS[operation.method.lower(), PREFIX + operation.path] = operation
    update_wrapper(view, described)


def document(ctx: Context) -> dict[str, Any]:
    """Return the description of the app that is at work, with the purposes of its policies."""
    made: dict[str, Any] = json.loads(json.dumps(_SPEC._generate_spec()))
    for path, methods in made["paths"].items():
        for method, described in methods.items():
            _complete(described, _OPERATIONS[method, path])
    made["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    made.pop("security", None)
    _name_purposes(made, _purpose_patterns(ctx.policies.purposes.values()))
    return made


def _purpose_patterns(purposes: Iterable[Purpose]) -> dict[str, str]:
    """Return what a purpose may be: anywhere (`named`), and when film is used (`stated`)."""
    ordered = sorted(purposes, key=lambda purpose: purpose.code)
    plain = "|".join(p.code for p in ordered if p.named_use is NamedUse.NONE)
    naming = "|".join(p.code for p in ordered if p.named_use is not NamedUse.NONE)
    use = f":{USE_NAME.pattern}"
    return {"stated": f"^(({plain})|({naming}){use})$", "named": f"^({plain}|({naming})({use})?)$"}


def _name_purposes(node: Any, patterns: dict[str, str]) -> None:
    """Put the patterns where a schema is marked as a purpose."""
    if isinstance(node, list):
        for item in node:
            _name_purposes(item, patterns)
    elif isinstance(node, dict):
        if (kind := node.pop(PURPOSE_MARK, None)) is not None:
            node["pattern"] = patterns[kind]
        for item in node.values():
            _name_purposes(item, patterns)


def _complete(described: dict[str, Any], operation: Operation) -> None:
    for parameter in described["parameters"]:
        if parameter["in"] == "path":
            pattern = PATH_PARAMETERS[parameter["name"]][0]
            parameter["schema"] = {"type": "string", "pattern": pattern}
        elif not parameter["description"]:
            del parameter["description"]
    described["parameters"] += _headers(operation)
    described["description"] = _needs(operation, described["description"])
    described["security"] = [] if operation.needs is Open.EVERYONE else [{BEARER: []}]
    if operation.traffic in _RAW:
        schema = {"type": "string", "contentMediaType": "application/octet-stream"}
        content = {name: {"schema": schema} for name in _RAW[operation.traffic]}
        described["requestBody"] = {"required": True, "content": content}
    described["responses"] = _responses(described["responses"], operation)


def _needs(operation: Operation, text: str) -> str:
    said = f"Needs `{operation.needs}`." if not isinstance(operation.needs, Open) else ""
    return "\n\n".join(part for part in (text.strip(), said) if part)


def _headers(operation: Operation) -> list[dict[str, Any]]:
    found = []
    if operation.once:
        found.append(
            _header(
                "Idempotency-Key",
                "The same key and request are done once and answered alike for a day.",
                {"type": "string", "pattern": "^[!-~]{1,200}$"},
            )
        )
    if operation.versioned:
        words = "The ETag of what is to be changed."
        found.append(_header("If-Match", words, {"type": "string", "pattern": '^"[0-9]{1,9}"$'}))
    if operation.ranges:
        pattern = "^bytes=([0-9]{1,12}-[0-9]{0,12}|-[0-9]{1,12})$"
        found.append(
            _header("Range", "One range of bytes.", {"type": "string", "pattern": pattern})
        )
        words = "The ETag for which the range is meant."
        found.append(_header("If-Range", words, {"type": "string"}))
    if operation.resumable:
        words = "The version of the protocol."
        schema = {"type": "string", "enum": [tus.VERSION]}
        found.append(_header("Tus-Resumable", words, schema, required=True))
    if operation.traffic is Traffic.PART:
        count = {"type": "string", "pattern": tus.OFFSET_PATTERN}
        words = "At which byte of the film the body begins."
        found.append(_header("Upload-Offset", words, count, required=True))
        found.append(_header("Upload-Length", "The film's length, if only now known.", count))
        words = "`sha256` or `sha1`, a space, and the body's sum in Base64."
        checksum = {"type": "string", "pattern": tus.CHECKSUM_PATTERN}
        found.append(_header("Upload-Checksum", words, checksum))
    return found


def _header(
    name: str, description: str, schema: dict[str, Any], *, required: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": schema,
    }


def _responses(found: dict[str, Any], operation: Operation) -> dict[str, Any]:
    done = found.get(str(operation.status), {"description": HTTPStatus(operation.status).phrase})
    if operation.media:
        schema = {"type": "string", "contentMediaType": "application/octet-stream"}
        done["content"] = {name: {"schema": schema} for name in operation.media}
    answers = {str(operation.status): done}
    answers |= {str(status): found[str(status)] for status in operation.also}
    if operation.ranges:
        answers["206"] = {**done, "description": "Partial Content"}
    for status in sorted(_refusals(operation)):
        answers[str(status)] = {
            "description": _UNNAMED_STATUS.get(status) or HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return answers


def _refusals(operation: Operation) -> frozenset[int]:
    """Return every status with which an operation can refuse."""
    refusals = {400, *operation.refusals, *_ALWAYS}
    if operation.needs is not Open.EVERYONE:
        refusals |= {401, 403, 404}
    if operation.parameters:
        refusals |= {404}
    if operation.traffic is not Traffic.NOTHING:
        refusals |= {413, 415}
    if operation.method != "GET":
        refusals |= {409, 413}
    if operation.versioned:
        refusals |= {412, 428}
    if operation.ranges:
        refusals |= {409, 410, 416}
    if operation.traffic in _FILM:
        refusals |= {410, 411, 422, 507}
    if operation.resumable:
        refusals |= {409, 410, 412}
    return frozenset(refusals)


def _plain_name(name: str) -> str:
    """Return a component's name; generics are written out: `Page[PersonReply]` -> PageOfPerson."""
    outer, bracket, inner = name.replace("]", "").partition("[")
    outer = outer.rstrip("_")
    if bracket:
        return f"{outer}Of{_plain_name(inner)}"
    return outer.replace("_Annotated", "")
