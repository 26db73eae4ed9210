"""Count what a use case asks the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event

from tests.support.clinic import Clinic


@contextmanager
def counted(clinic: Clinic) -> Iterator[list[str]]:
    """Collect the statements that run meanwhile."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(clinic.ctx.engine, "before_cursor_execute", note)
    yield statements
    event.remove(clinic.ctx.engine, "before_cursor_execute", note)
