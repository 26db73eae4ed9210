"""How much a reader is handed at a time."""

from consent_service.services.pace import AT_ONCE, AT_ONCE_SLOWLY, PUT_ASIDE, QUICK, Pace


def _takes(pace: Pace, total: int, speed: float) -> None:
    """Take so many bytes, in the pieces that are handed out, at so many bytes a second."""
    while total > 0:
        count = pace.at_once
        pace.took(count, count / speed)
        total -= count


def test_nobody_is_quick_before_more_is_taken_than_can_be_put_aside() -> None:
    """The first pieces fill buffers at once, however slowly they are read."""
    pace = Pace()
    _takes(pace, PUT_ASIDE, QUICK * 1000)

    assert pace.at_once == AT_ONCE_SLOWLY

    _takes(pace, AT_ONCE_SLOWLY, QUICK * 1000)

    assert pace.at_once == AT_ONCE


def test_whoever_slows_down_is_handed_little_again() -> None:
    """A telephone that leaves its wireless network must not be sent a minute of film."""
    pace = Pace()
    _takes(pace, 2 * PUT_ASIDE, QUICK * 2)
    assert pace.at_once == AT_ONCE

    _takes(pace, 1, QUICK / 2)

    assert pace.at_once == AT_ONCE_SLOWLY
    _takes(pace, 4 * PUT_ASIDE, QUICK / 2)
    assert pace.at_once == AT_ONCE_SLOWLY
