"""An empty audit log for the tests of this room, on each engine in turn."""

from collections.abc import Iterator

import pytest

from consent_service.db.engine import open_engine
from tests.support.audit import AuditLog, build_audit_tables
from tests.support.databases import Databases


@pytest.fixture
def log(databases: Databases) -> Iterator[AuditLog]:
    """An empty log, on each engine in turn."""
    with databases.ready(build_audit_tables) as url:
        engine = open_engine(url)
        yield AuditLog(engine)
        engine.dispose()
