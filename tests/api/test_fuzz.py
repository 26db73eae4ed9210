"""The API against its own description: schemathesis sends what it allows and what it forbids.

Rule kept here: with every check of schemathesis switched on, nothing is found. The use cases
behind are tried on both databases elsewhere; here one is enough.
"""

import logging
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from schemathesis.engine import events, from_schema
from werkzeug.serving import make_server

from consent_service.app import create_app
from tests.support.api import Api
from tests.support.clinic import build_schema, open_clinic

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


@pytest.fixture
def api() -> Iterator[Api]:
    """The API over a database in memory: thousands of refusals are written down here."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        url = f"sqlite:///{folder}/consent.sqlite3"
        build_schema(url)
        clinic = open_clinic(url, Path(folder))
        yield Api(clinic, create_app(clinic.ctx))
        clinic.ctx.keyring.close()
        clinic.ctx.engine.dispose()


@pytest.fixture
def address(api: Api) -> Iterator[str]:
    """Where the API is served, on this machine only."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, api.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("phase", "by"), [("coverage", "guider"), ("fuzzing", "ig")])
def test_the_api_does_what_its_description_says(
    api: Api, address: str, phase: str, by: str
) -> None:
    """No server error, no undocumented status, type or shape; bad refused, good accepted."""
    schema = schemathesis.openapi.from_url(
        f"{address}/api/v1/openapi.json", config=schemathesis.Config(seed=20261102)
    )
    schema.config.update(headers={"Authorization": f"Bearer {api.token(by)}"})
    schema.config.generation.update(max_examples=1)
    # Another version of the upload protocol is answered 412, as that protocol has it.
    rejection = schema.config.checks.negative_data_rejection
    rejection.expected_statuses = [*rejection.expected_statuses, "412"]
    for name in ("examples", "coverage", "fuzzing", "stateful"):
        getattr(schema.config.phases, name).enabled = name == phase

    sent, found = 0, []
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            found.append(str(getattr(event, "info", event)))
        elif isinstance(event, events.ScenarioFinished):
            sent += len(event.recorder.interactions)
            found += _failures(event)
    assert found == []
    assert sent >= 70


def _failures(event: events.ScenarioFinished) -> list[str]:
    return [
        f"{event.label}: {check.failure_info.failure}\n{check.failure_info.code_sample}"
        for checks in event.recorder.checks.values()
        for check in checks
        if check.failure_info is not None
    ]
