"""Data keys in memory: for a short while, so many, and never after their time."""

from datetime import UTC, datetime, timedelta

from consent_service.domain.assets import AssetKind
from consent_service.domain.purposes import CARE
from consent_service.services.viewing_keys import (
    MOST_KNOWN,
    FilmFacts,
    Held,
    Recent,
    ViewingKeys,
    ViewName,
)

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def _held(number: int = 0) -> tuple[ViewName, Held]:
    name = ViewName("u" * 32, f"{number:032x}", CARE, frozenset(), frozenset())
    facts = FilmFacts(
        name.asset, "i" * 32, AssetKind.RECORDING, 1, f"{name.asset}.1", b"", 1, "video/mp4", ""
    )
    return name, Held(facts, b"k" * 32, 1, NOON)


def test_a_key_is_wiped_within_a_minute_of_its_last_use() -> None:
    """A key that nobody uses must not wait in memory for whoever reads the memory."""
    held = ViewingKeys()
    name, one = _held()
    held.keep(name, one, lambda: NOON)
    slot = held._slots[name]
    assert held.take(name, NOON + timedelta(seconds=30)) is not None

    held.sweep(NOON + timedelta(seconds=74))
    assert len(held) == 1
    held.sweep(NOON + timedelta(seconds=75))

    assert len(held) == 0
    assert bytes(slot.key) == bytes(32)


def test_there_is_room_for_so_many_keys_only() -> None:
    """Memory stays bounded, and the key that was used last stays longest."""
    held = ViewingKeys(room=2)
    for number in range(2):
        held.keep(*_held(number), lambda: NOON)
    held.take(_held(0)[0], NOON)

    held.keep(*_held(2), lambda: NOON)

    assert [held.take(_held(n)[0], NOON) is not None for n in range(3)] == [True, False, True]


def test_an_epoch_is_read_again_after_a_second_or_when_the_clock_steps_back() -> None:
    """Stale is stale, also when the clock lies."""
    epochs = Recent[int]()
    readings = iter(range(10))

    def read() -> int:
        return next(readings)

    moments = (0.0, 0.9, 1.0, 1.5, -30.0)
    found = [epochs.get("i", NOON + timedelta(seconds=s), read) for s in moments]

    assert found == [0, 0, 1, 1, 2]


def test_epochs_of_long_ago_are_forgotten_by_whoever_only_asks() -> None:
    """A worker watches nothing, and looks at a year's families between two restarts."""
    epochs = Recent[int]()

    for second in range(3):
        for number in range(MOST_KNOWN):
            epochs.get(f"{second}.{number}", NOON + timedelta(seconds=second * 2), lambda: 1)

    assert len(epochs._known) <= MOST_KNOWN + 1
