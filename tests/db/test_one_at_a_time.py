"""What several processes must not do at once: one does it, the others wait."""

import threading

import pytest
from sqlalchemy import create_engine

from consent_service.db import one_at_a_time as one_at_a_time_module
from consent_service.db.engine import open_engine
from consent_service.db.one_at_a_time import one_at_a_time
from consent_service.errors import Unavailable


def test_the_second_waits_for_the_first(database_url: str) -> None:
    """Two nodes that bring one restored database up to date at once would tell of it twice."""
    engines = [open_engine(database_url) for _ in range(2)]
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with one_at_a_time(engines[1], "test", 7):
            order.append("second")

    thread = threading.Thread(target=second)
    with one_at_a_time(engines[0], "test", 7):
        thread.start()
        assert waiting.wait(30)
        thread.join(0.2)  # were nobody waiting, it would be through by now
        order.append("first")
    thread.join(30)

    assert order == ["first", "second"]
    for engine in engines:
        engine.dispose()


def test_nobody_waits_for_ever(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs at a replay must not keep all others from saying what is wrong."""
    first, second = (open_engine(database_url) for _ in range(2))
    monkeypatch.setattr(one_at_a_time_module, "WAIT_SECONDS", 0.1)

    with (
        one_at_a_time(first, "test", 7),
        pytest.raises(Unavailable, match="if it hangs, stop it") as refused,
        one_at_a_time(second, "test", 7),
    ):
        pass
    assert refused.value.code == "taken_for_long"
    with one_at_a_time(second, "test", 7):
        pass

    if second.dialect.name == "postgresql":
        with second.connect() as connection:
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "0"
    for engine in (first, second):
        engine.dispose()


def test_a_fault_within_lets_the_next_in(database_url: str) -> None:
    """A replay that fails is tried again a few seconds later."""
    engine = open_engine(database_url)
    with pytest.raises(ValueError, match="within"), one_at_a_time(engine, "test", 7):
        raise ValueError("within")

    with one_at_a_time(engine, "test", 7):
        engine.dispose()


def test_a_database_in_memory_is_nobody_elses() -> None:
    """A drill restores into one, beside a service at work."""
    with one_at_a_time(create_engine("sqlite://"), "test", 7):
        pass


def test_a_server_that_is_away_is_said_in_our_words() -> None:
    """The driver's own words would quote the address."""
    engine = open_engine("postgresql+psycopg://keeper:hush@127.0.0.1:1/film")

    with (
        pytest.raises(Unavailable, match="cannot be used at the moment"),
        one_at_a_time(engine, "test", 7),
    ):
        pass
