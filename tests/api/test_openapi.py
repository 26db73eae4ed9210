"""The description of the API: valid, whole, and true to the table of operations."""

from openapi_spec_validator import validate

from consent_service.api.operations import Open
from consent_service.api.shapes import Reply, Request
from consent_service.api.v1 import OPERATIONS
from tests.support.api import Api


def test_every_operation_is_described_and_nothing_else(api: Api) -> None:
    """A client's generator must find all of it, and nothing that is not there."""
    made = api.get("/openapi.json", by=None).get_json()

    described = {
        (method.upper(), path) for path, methods in made["paths"].items() for method in methods
    }
    assert described == {(o.method, "/api/v1" + o.path) for o in OPERATIONS}


def test_the_description_is_valid_openapi(api: Api) -> None:
    """Generators refuse what the standard does not know."""
    validate(api.get("/openapi.json", by=None).get_json())


def test_every_operation_says_who_may_and_how_it_refuses(api: Api) -> None:
    """A client's author must not have to find out by trying."""
    made = api.get("/openapi.json", by=None).get_json()
    for operation in OPERATIONS:
        described = made["paths"]["/api/v1" + operation.path][operation.method.lower()]
        assert described["summary"] and described["tags"], operation.name
        public = operation.needs is Open.EVERYONE
        assert described["security"] == ([] if public else [{"token": []}])
        refusals = [r for s, r in described["responses"].items() if int(s) >= 400]
        assert refusals
        for refusal in refusals:
            schema = refusal["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}


def test_no_two_shapes_share_a_name() -> None:
    """The second would silently replace the first in the description."""
    names = [shape.__name__ for base in (Request, Reply) for shape in _below(base)]
    assert sorted(names) == sorted(set(names))


def _below(base: type) -> list[type]:
    found = {shape for child in base.__subclasses__() for shape in (child, *_below(child))}
    return list(found)
