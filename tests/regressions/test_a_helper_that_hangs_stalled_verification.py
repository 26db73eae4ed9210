"""A process that helped to verify the log and hung was waited for without end."""

import pytest

from consent_service.db import audit_helpers
from consent_service.db.engine import open_engine
from consent_service.domain.merkle import TILE_WIDTH
from tests.support.audit import AuditLog, build_audit_tables
from tests.support.databases import Databases

ENTRIES = 5 * TILE_WIDTH


@pytest.mark.parametrize(
    "program",
    [
        "import threading; threading.Event().wait()",
        "import pickle, sys, threading; [pickle.load(sys.stdin.buffer) for _ in range(2)];"
        " threading.Event().wait()",
    ],
    ids=["from the start", "over a range"],
)
def test_a_log_is_verified_though_its_helpers_hang(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """Verification answers an auditor, and a stuck disk or driver must not keep them waiting."""
    monkeypatch.setattr(audit_helpers, "RANGE", TILE_WIDTH)
    monkeypatch.setattr(audit_helpers, "_processors", lambda: 3)
    monkeypatch.setattr(audit_helpers, "_PATIENCE", 0.2)
    monkeypatch.setattr(audit_helpers, "_PROGRAM", program)

    with databases.ready(build_audit_tables) as url:
        engine = open_engine(url)
        log = AuditLog(engine)
        log.sealed(ENTRIES)
        report = log.verify()
        engine.dispose()

    assert report.ok
    assert report.entries == ENTRIES
