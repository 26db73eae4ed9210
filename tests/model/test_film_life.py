"""A film's life in any order: what the family was promised holds after every step of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from consent_service.domain.erasure import StepKind
from consent_service.domain.withdrawal import Speed
from consent_service.services import erasure_keys, erasure_steps
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


def test_a_build_that_leaves_keys_open_is_found_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that finds nothing wrong with a wrong build would prove nothing of a right one."""
    forgets = StepKind.DESTROY_CONSENT_KEY
    monkeypatch.setitem(erasure_steps.ACTS, forgets, lambda *_: {})  # type: ignore[arg-type]
    monkeypatch.setattr(erasure_keys, "seal_waiting", lambda _: 0)

    with _withdrawn(stage) as life, pytest.raises(AssertionError, match="keys open care"):
        life.look()


def test_a_build_that_certifies_what_it_did_not_delete_is_found_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate is believed: the store itself must be asked."""
    for step in (StepKind.DELETE_CIPHERTEXT, StepKind.DELETE_DERIVED, StepKind.READ_BACK):
        monkeypatch.setitem(erasure_steps.ACTS, step, lambda *_: {})  # type: ignore[arg-type]

    with _withdrawn(stage) as life:
        life.time_passes(days=8)
        life.carries_out()
        with pytest.raises(AssertionError, match="is there again"):
            life.look()


@contextmanager
def _withdrawn(stage: Stage) -> Iterator[FilmLife]:
    """A life in which a filmed mother has taken everything back."""
    life = FilmLife(stage)
    try:
        life.begins(training=True, filmed=True)
        life.withdraws("mother", for_child=False, speed=Speed.NOW, what="all", one=0)
        yield life
    finally:
        life.leave()
