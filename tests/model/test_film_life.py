"""A film's life in any order: what the family was promised holds after every step of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from consent_service.domain.erasure import StepKind
from consent_service.services import erasure_steps
from tests.model.film_life import FilmLife
from tests.model.stage import Stage
from tests.support.databases import Databases


@pytest.fixture
def stage(databases: Databases, engine_name: str, tmp_path: Path) -> Iterator[Stage]:
    """An installation with a family, its database on each engine in turn."""
    if engine_name == "sqlite":
        yield Stage.founded(tmp_path)
        return
    with databases.empty() as url:
        yield Stage.founded(tmp_path, url)


def _live(stage: Stage) -> None:
    chosen = settings.get_current_profile_name()
    lived = settings.get_profile("long" if chosen == "long" else "few")
    run_state_machine_as_test(lambda: FilmLife(stage), settings=lived)  # type: ignore[no-untyped-call]


def test_whatever_happens_nobody_sees_what_they_may_not(stage: Stage) -> None:
    """Each promise is tested alone elsewhere; families live through all of them at once."""
    _live(stage)


def test_a_build_that_forgets_to_destroy_keys_is_found_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that finds nothing wrong with a wrong build would prove nothing of a right one."""

    def forgets(*_: object) -> Mapping[str, int]:
        return {"keys": 0}

    monkeypatch.setitem(erasure_steps.ACTS, StepKind.DESTROY_CONSENT_KEY, forgets)  # type: ignore[arg-type]

    with pytest.raises(AssertionError, match="keys open"):
        _live(stage)
