"""The addresses under `/fhir/R4`: read one, or search by `_id` or `patient`; UK Core R4.

Rules kept here:
  * bearer tokens only, and the same verbs and reach as in the JSON API;
  * only ids stand in addresses: a search by a name or a number is refused;
  * every refusal is an OperationOutcome, and another team's record one that does not exist.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from consent_service import __version__, errors
from consent_service.api import guard, problems
from consent_service.api.fhir.audit_event import audit_event
from consent_service.api.fhir.bundle import outcome, searchset
from consent_service.api.fhir.capability import capability_statement
from consent_service.api.fhir.codes import Resource
from consent_service.api.fhir.consent import consent
from consent_service.api.fhir.document_reference import document_reference
from consent_service.api.fhir.patient import patient
from consent_service.api.fhir.provenance import provenance
from consent_service.api.fhir.related_person import related_person
from consent_service.api.operations import Operation
from consent_service.domain.roles import Permission
from consent_service.errors import InvalidInput
from consent_service.services import fhir
from consent_service.services.access import Caller
from consent_service.services.context import Context
from consent_service.services.fhir_records import Kind

ROOM = "fhir"
PREFIX = "/fhir/R4"
MEDIA_TYPE = "application/fhir+json"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
IGNORED = frozenset({"_format", "_pretty"})
_ID = re.compile(r"[0-9a-f]{32}(-[0-9]{1,3})?")


@dataclass(frozen=True)
class Served:
    """One type of resource: how it is read and how it is written out."""

    kind: Kind
    write: Callable[[Any, str], Resource]

    @property
    def needs(self) -> Permission:
        """The verb that reading it asks for."""
        return fhir.NEEDS[self.kind]


SERVED: Mapping[str, Served] = {
    "Patient": Served(Kind.PATIENT, patient),
    "RelatedPerson": Served(Kind.RELATED_PERSON, related_person),
    "Consent": Served(Kind.CONSENT, consent),
    "Provenance": Served(Kind.PROVENANCE, provenance),
    "DocumentReference": Served(Kind.DOCUMENT, document_reference),
    "AuditEvent": Served(Kind.AUDIT, audit_event),
}
"""Every type that is served; routes, statement and tests are made from it."""


def room(ctx: Context) -> Blueprint:
    """Return the blueprint of everything below `/fhir`."""
    blueprint = Blueprint(ROOM, __name__)
    for name, served in SERVED.items():
        _add(blueprint, f"{PREFIX}/{name}", f"search_{name}", _searching(ctx, name, served))
        _add(blueprint, f"{PREFIX}/{name}/<id>", f"read_{name}", _reading(ctx, served))
    _add(blueprint, f"{PREFIX}/metadata", "metadata", lambda: _metadata(ctx))
    for path in ("/fhir", "/fhir/", "/fhir/<path:rest>"):
        blueprint.add_url_rule(
            path, "nothing_here", _nothing_here, methods=METHODS, provide_automatic_options=False
        )
    problems.register(blueprint, ctx, _outcome)
    return blueprint


def _add(blueprint: Blueprint, path: str, name: str, view: Callable[..., Response]) -> None:
    blueprint.add_url_rule(path, name, view, methods=["GET"], provide_automatic_options=False)


def _reading(ctx: Context, served: Served) -> Callable[..., Response]:
    def read(id: str) -> Response:
        caller = _admit(ctx, served)
        _parameters(frozenset())
        if not _ID.fullmatch(id):
            raise errors.NotFound(problems.NOTHING_HERE)
        record = fhir.read(ctx, caller, served.kind, id)
        return _answer(served.write(record, _base(ctx)))

    return read


def _searching(ctx: Context, name: str, served: Served) -> Callable[..., Response]:
    def search() -> Response:
        caller = _admit(ctx, served)
        asked = _parameters(frozenset({"_id", "patient"}))
        if not asked:
            raise _invalid("_id", "Search by _id or by patient; nothing else is offered.")
        found = fhir.search(
            ctx, caller, served.kind, identifier=asked.get("_id"), patient=asked.get("patient")
        )
        base = _base(ctx)
        root = f"{base}{PREFIX}"
        query = "&".join(f"{key}={value}" for key, value in sorted(asked.items()))
        resources = [served.write(record, base) for record in found]
        return _answer(searchset(resources, f"{root}/{name}?{query}", root))

    return search


def _metadata(ctx: Context) -> Response:
    root = f"{_base(ctx)}{PREFIX}"
    return _answer(capability_statement(root, __version__, tuple(SERVED)))


def _admit(ctx: Context, served: Served) -> Caller:
    caller = guard.admit(ctx, Operation("GET", PREFIX, served.needs, _metadata, ROOM))
    if caller is None:
        raise errors.NotSignedIn("Send a bearer token in the header Authorization.")
    return caller


def _parameters(offered: frozenset[str]) -> dict[str, str]:
    """Return what was asked by; a reference may be written `Patient/id`."""
    asked = {}
    for name, values in request.args.lists():
        if name in IGNORED:
            continue
        value = values[0].removeprefix("Patient/") if name == "patient" else values[0]
        if name not in offered:
            raise _invalid("parameter", "Only _id and patient can be searched by.")
        if len(values) > 1 or not _ID.fullmatch(value):
            raise _invalid(name, "Give one id, as this server wrote it.")
        asked[name] = value
    return asked


def _invalid(field: str, sentence: str) -> InvalidInput:
    return InvalidInput(sentence, {field: sentence})


def _base(ctx: Context) -> str:
    return str(ctx.settings.base_url).rstrip("/")


def _answer(content: Resource, status: int = 200) -> Response:
    text = current_app.json.dumps(content)
    return current_app.response_class(text, status=status, mimetype=MEDIA_TYPE)


def _nothing_here(rest: str = "") -> Response:
    known = rest.removeprefix("R4/").partition("/")[0]
    if request.method != "GET" and known in (*SERVED, "metadata"):
        raise MethodNotAllowed(valid_methods=["GET", "HEAD"])
    raise NotFound


def _outcome(problem: Response) -> Response:
    """Return a problem document as an OperationOutcome, its headers kept."""
    told = problem.get_json()
    found = _answer(outcome(problem.status_code, told["code"], told["detail"]), problem.status_code)
    for name in problems.KEPT_HEADERS:
        if name in problem.headers:
            found.headers[name] = problem.headers[name]
    return found
