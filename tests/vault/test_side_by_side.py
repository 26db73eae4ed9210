"""Many things a few at a time: all done once, bounded, and the first fault ends it."""

import threading
from collections.abc import Iterator

import pytest

from consent_service.vault.side_by_side import AT_ONCE, side_by_side

SECONDS = 30


@pytest.mark.parametrize("many", [0, 1, 3, 50])
def test_each_is_done_once(many: int) -> None:
    """One object left out of a restore is a film that is lost."""
    assert sorted(side_by_side(lambda n: n * n, range(many), 3)) == [n * n for n in range(many)]


def test_as_many_as_said_are_under_way_and_no_more() -> None:
    """Fewer would be slow; each more holds megabytes of a film."""
    together, most, now = threading.Barrier(3, timeout=SECONDS), 0, 0
    lock = threading.Lock()

    def act(_: int) -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        together.wait()
        with lock:
            now -= 1

    list(side_by_side(act, range(12), 3))

    assert most == 3
    assert 1 < AT_ONCE <= 32


def test_what_there_is_to_do_is_read_as_it_is_done() -> None:
    """A list of a million objects is not held twice."""
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    next(side_by_side(lambda n: n, items(), 2))

    assert len(asked) <= 3


def test_after_the_first_fault_nothing_is_begun_and_what_was_under_way_has_ended() -> None:
    """Whoever is told that it failed may begin again at once."""
    begun, ended = [], []
    failed, first = threading.Event(), threading.Event()

    def act(number: int) -> None:
        begun.append(number)
        if number == 1:
            first.wait(SECONDS)
            failed.set()
            raise ValueError("broken")
        first.set()
        failed.wait(SECONDS)
        ended.append(number)

    with pytest.raises(ValueError, match="broken"):
        list(side_by_side(act, range(100), 2))

    assert begun == [0, 1] or len(begun) == 3
    assert sorted([*ended, 1]) == sorted(begun)
