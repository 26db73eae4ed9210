"""What a start does not load, does not take time: no clock is asked here, only what was loaded."""

import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory

from consent_service.cli import retention
from consent_service.cli.root import NOUNS
from consent_service.db import schema
from consent_service.services.dispositions import Decision

LOAD = "import sys; {}; print(*{{name.partition('.')[0] for name in sys.modules}})"


def _loaded_by(code: str) -> set[str]:
    """The top-level names of all modules in a fresh process that ran `code`."""
    argv = [sys.executable, "-c", LOAD.format(code)]
    return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())


def test_serving_loads_no_library_that_only_other_work_needs() -> None:
    """Migrating, drawing papers and reading film have processes, or moments, of their own."""
    loaded = _loaded_by("import consent_service.app, consent_service.jobs.worker")

    assert "sqlalchemy" in loaded
    assert not loaded & {"alembic", "weasyprint", "av", "psycopg", "schemathesis", "pytest"}


def test_the_newest_migration_is_the_one_that_is_asked_for() -> None:
    """The service reads file names instead of asking alembic: both must mean the same."""
    head = ScriptDirectory.from_config(schema._config()).get_current_head()

    assert schema.newest_version() == head


@pytest.mark.parametrize("module", sorted({place.partition(":")[0] for place in NOUNS.values()}))
def test_a_verb_explains_itself_without_loading_the_service(module: str) -> None:
    """`--help` answers at once; a name taken out of a service at the top would load it all."""
    noun = next(name for name, place in NOUNS.items() if place.startswith(f"{module}:"))
    loaded = _loaded_by(
        f"from consent_service.cli.root import root; root.get_command(None, {noun!r})"
    )

    assert "click" in loaded
    assert not loaded & {"sqlalchemy", "flask", "yaml", "rich"}


def test_every_decision_can_be_typed() -> None:
    """The words stand beside the verb, so that it explains itself without the service."""
    assert set(retention.DECISIONS) == {*Decision, "confirm"}
