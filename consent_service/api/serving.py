"""From operation to route: what comes in is checked, what goes out is written, once for all.

Rules kept here:
  * path, query and body are checked whole before a use case hears of them;
  * a POST with an Idempotency-Key is done once: the same request gets the same answer for a day;
  * no answer is kept by a browser or proxy.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, current_app, g, request
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.routing import BaseConverter

from consent_service.api import guard
from consent_service.api.operations import (
    PATH_PARAMETERS,
    PREFIX,
    Answer,
    Ask,
    Operation,
    Outcome,
)
from consent_service.api.shapes import parsed, parsed_strings
from consent_service.errors import InvalidInput
from consent_service.services import idempotency
from consent_service.services.access import job_caller
from consent_service.services.context import Context

KEY = re.compile(r"[\x21-\x7e]{1,200}")
NOBODY = job_caller("public-reading")
"""Who asks where nobody need say: has no verb that a public operation could use."""


def view_of(operation: Operation, ctx: Context) -> Callable[..., Response]:
    """Return the function that serves an operation."""

    def view(**path: str) -> Response:
        caller = guard.admit(ctx, operation)
        ask = Ask(ctx, caller or NOBODY)
        arguments = {**_path(path), **_arguments(operation)}
        key = _key(operation)
        if key is None or caller is None:
            return _response(operation, operation.handle(ask, **arguments))
        return _once(operation, ask, key, arguments)

    view.__name__ = operation.name
    view.__doc__ = operation.handle.__doc__
    return view


def converters() -> dict[str, type[BaseConverter]]:
    """Return the converters of paths: what cannot name anything does not match at all."""
    return {
        f"api_{name}": type(f"Part_{name}", (BaseConverter,), {"regex": pattern.strip("^$")})
        for name, (pattern, _) in PATH_PARAMETERS.items()
    }


def _path(path: Mapping[str, str]) -> dict[str, Any]:
    return {name: int(value) if name == "n" else value for name, value in path.items()}


def _arguments(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, read in (("query", _query), ("body", _body)):
        if getattr(operation, name) is None:
            continue
        try:
            found[name] = read(getattr(operation, name))
        except InvalidInput as fault:
            faults |= fault.faults
    if operation.query is None and request.args:
        faults |= {name[:40]: "There is no such field." for name in request.args}
    if faults:
        raise InvalidInput("Some details need to be put right.", faults)
    return found


def _query(model: type[Any]) -> Any:
    repeated = {
        name[:40]: "Give this once." for name, values in request.args.lists() if len(values) > 1
    }
    if repeated:
        raise InvalidInput("Some details need to be put right.", repeated)
    return parsed_strings(model, request.args.to_dict())


def _body(model: type[Any]) -> Any:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send JSON, with the content type application/json.")
    body = parsed(model, request.get_data(cache=True))
    names = ("involvement", "person", "asset", "child", "team", "review", "recording")
    g.api_ids = [value for name in names if isinstance(value := getattr(body, name, None), str)]
    return body


def _key(operation: Operation) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None or not operation.once:
        return None
    if not KEY.fullmatch(key):
        sentence = "A key has 1 to 200 printable ASCII characters without spaces."
        raise InvalidInput(sentence, {"Idempotency-Key": sentence})
    return key


def _once(operation: Operation, ask: Ask, key: str, arguments: dict[str, Any]) -> Response:
    kept = idempotency.claim(ask.ctx, ask.caller, key, _digest())
    if kept is not None:
        response = _json(kept.status, kept.body, kept.location)
        response.headers["Idempotent-Replayed"] = "true"
        return response
    try:
        response = _response(operation, operation.handle(ask, **arguments))
    except BaseException:
        idempotency.release(ask.ctx, ask.caller, key)
        raise
    body = response.get_json(silent=True)
    answer = idempotency.KeptAnswer(response.status_code, body, response.headers.get("Location"))
    idempotency.keep(ask.ctx, ask.caller, key, answer)
    return response


def _digest() -> str:
    whole = hashlib.sha256(f"{request.method} {request.full_path}\n".encode())
    whole.update(request.get_data(cache=True) if request.mimetype == "application/json" else b"")
    return whole.hexdigest()


def _response(operation: Operation, outcome: Outcome) -> Response:
    if isinstance(outcome, Answer):
        content = outcome.content.model_dump(mode="json") if outcome.content else None
        where = f"{PREFIX}{outcome.location}" if outcome.location else None
        response = _json(outcome.status or operation.status, content, where)
        response.headers.update(outcome.headers)
        return response
    return outcome


def _json(status: int, content: dict[str, Any] | None, location: str | None) -> Response:
    text = "" if content is None else current_app.json.dumps(content)
    response = current_app.response_class(text, status=status, mimetype="application/json")
    if content is None:
        del response.headers["Content-Type"]
    elif isinstance(content.get("version"), int):
        response.set_etag(str(content["version"]))
    if location is not None:
        response.headers["Location"] = location
    return response
