"""The description of the API: valid, whole, and true to the table of operations."""

from consent_service.api.v1 import OPERATIONS
from tests.support.api import Api


def test_every_operation_is_described_and_nothing_else(api: Api) -> None:
    """A client's generator must find all of it, and nothing that is not there."""
    made = api.get("/openapi.json", by=None).get_json()

    described = {
        (method.upper(), path) for path, methods in made["paths"].items() for method in methods
    }
    assert described == {(o.method, "/api/v1" + o.path) for o in OPERATIONS}
