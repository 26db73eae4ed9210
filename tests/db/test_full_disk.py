"""A disk that is full is said to be, so that somebody makes room instead of waiting."""

from pathlib import Path

import pytest
from sqlalchemy import text

from consent_service.clock import SystemClock
from consent_service.db.engine import open_engine
from consent_service.db.unit_of_work import begin
from consent_service.errors import DiskFull


def test_a_full_disk_is_not_said_to_pass_by_itself(tmp_path: Path) -> None:
    """*Try again in a minute* would be tried all night."""
    engine = open_engine(f"sqlite:///{tmp_path / 'consent.sqlite3'}")
    with begin(engine, SystemClock().now()) as uow:
        uow.session.execute(text("CREATE TABLE much (words TEXT)"))

    with pytest.raises(DiskFull) as full, begin(engine, SystemClock().now()) as uow:
        uow.session.execute(text("PRAGMA max_page_count = 1"))
        uow.session.execute(text("INSERT INTO much VALUES (zeroblob(1000000))"))

    assert "Make room" in full.value.message
    engine.dispose()
