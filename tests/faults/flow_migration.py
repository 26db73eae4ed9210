"""The flow of an upgrade: rows of the first schema, brought to the newest."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import command
from sqlalchemy import Engine, inspect, text

from consent_service.db import schema
from consent_service.db.engine import open_engine
from tests.faults.calls import Act
from tests.faults.flows import Home
from tests.faults.sweep import promise
from tests.support.installation import settings_for

_TEAMS = 40
_FIRST = "0001"


class Migrating:
    """Either the old schema or the new one stands, and never fewer rows."""

    name = "migration"

    def prepare(self, home: Home) -> None:
        home.folder.mkdir(mode=0o700, parents=True)
        config = schema._config()
        with _opened(home) as engine, engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, _FIRST)
            for number in range(_TEAMS):
                row = {"id": f"team-{number}", "name": f"Team {number}", "at": "2026-11-02 09:30"}
                insert = "INSERT INTO team (id, name, created_at) VALUES (:id, :name, :at)"
                connection.execute(text(insert), row)

    def ready(self, home: Home) -> Act:
        engine = open_engine(_url(home))
        return lambda say: (schema.upgrade(engine), say("upgraded"))

    def look(self, home: Home, words: list[Any]) -> None:
        with _opened(home) as engine:
            version = _version(engine)
            promise(version in {_FIRST, schema.newest_version()}, f"it stopped at {version}")
            promise(schema.is_current(engine) or not words, "an upgrade that was told of is lost")
            promise(_teams(engine) == _TEAMS, "rows are lost")

    def go_on(self, home: Home) -> None:
        with _opened(home) as engine:
            schema.upgrade(engine)

    def end(self, home: Home) -> Any:
        with _opened(home) as engine:
            promise(schema.is_current(engine), "it is not at the newest version")
            promise(_teams(engine) == _TEAMS, "rows are lost")
            seen = inspect(engine)
            tables = {t: [c["name"] for c in seen.get_columns(t)] for t in seen.get_table_names()}
            return json.loads(json.dumps(tables))


def _url(home: Home) -> str:
    return str(settings_for(home.folder, database_url=home.database_url).database_url)


@contextmanager
def _opened(home: Home) -> Iterator[Engine]:
    engine = open_engine(_url(home))
    try:
        yield engine
    finally:
        engine.dispose()


def _version(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def _teams(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM team")) or 0)
