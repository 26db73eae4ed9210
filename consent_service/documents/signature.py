"""A drawn signature as an SVG picture, built from numbers alone.

The browser sends strokes, never markup: what is printed is made here, so a signature cannot carry
a script, a link or a reference. The strokes stay the evidence; the picture is how they look.
"""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from consent_service.errors import InvalidInput

MAX_STROKES = 200
MAX_POINTS = 10_000
MAX_COORDINATE = 10_000.0
_PEN = 2.5
_MARGIN = 6.0

_DRAWN = re.compile(
    r'<svg xmlns="http://www\.w3\.org/2000/svg" viewBox="0 0 [\d.]+ [\d.]+" width="[\d.]+" '
    r'height="[\d.]+"><path d="[MQL\d. -]+" fill="none" stroke="#000" stroke-width="[\d.]+" '
    r'stroke-linecap="round" stroke-linejoin="round"/></svg>'
)

Point = tuple[float, float]


def signature_svg(strokes: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """Return the SVG of `strokes`: each a list of points `{"x": px, "y": px, ...}`.

    Only `x` and `y` are read. InvalidInput (field `signature`) when there is nothing to see, a
    coordinate is no finite number within ±10,000, or there are over 200 strokes or 10,000 points.
    """
    lines = _checked(strokes)
    left, top, width, height = _box([point for line in lines for point in line])
    path = " ".join(_path([(x - left, y - top) for x, y in line]) for line in lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_number(width)} {_number(height)}" '
        f'width="{_number(width)}" height="{_number(height)}">'
        f'<path d="{path}" fill="none" stroke="#000" stroke-width="{_PEN}" '
        'stroke-linecap="round" stroke-linejoin="round"/></svg>'
    )


def is_signature_svg(text: str) -> bool:
    """Tell whether `text` is a picture that `signature_svg` could have made."""
    return _DRAWN.fullmatch(text) is not None


def _checked(strokes: Sequence[Sequence[Mapping[str, Any]]]) -> list[list[Point]]:
    if not _is_list(strokes) or len(strokes) > MAX_STROKES:
        raise _wrong(f"A signature has at most {MAX_STROKES} strokes. Clear it and sign again.")
    if not all(_is_list(stroke) for stroke in strokes):
        raise _wrong("A stroke is a list of points. Clear the signature and sign again.")
    if sum(len(stroke) for stroke in strokes) > MAX_POINTS:
        raise _wrong(f"A signature has at most {MAX_POINTS} points. Clear it and sign again.")
    lines = [[_point(point) for point in stroke] for stroke in strokes if stroke]
    if len({point for line in lines for point in line}) < 2:
        raise _wrong("Sign in the box, or choose to type your name.")
    return lines


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _point(point: object) -> Point:
    if not isinstance(point, Mapping):
        raise _wrong("A point has an x and a y. Clear the signature and sign again.")
    return _coordinate(point.get("x")), _coordinate(point.get("y"))


def _coordinate(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong("A point has an x and a y in numbers. Clear the signature and sign again.")
    if not -MAX_COORDINATE <= value <= MAX_COORDINATE or not math.isfinite(value):
        raise _wrong("A point lies outside the box. Clear the signature and sign again.")
    return float(value)


def _wrong(sentence: str) -> InvalidInput:
    return InvalidInput("The signature cannot be used.", {"signature": sentence})


def _box(points: Sequence[Point]) -> tuple[float, float, float, float]:
    """Return left, top, width and height of what is drawn, with a margin."""
    across, down = [x for x, _ in points], [y for _, y in points]
    left, top = min(across) - _MARGIN, min(down) - _MARGIN
    return left, top, max(across) + _MARGIN - left, max(down) + _MARGIN - top


def _path(line: Sequence[Point]) -> str:
    """Return one stroke, curved through the midpoints between its points."""
    start = f"M{_pair(line[0])}"
    if len(line) < 3:
        return f"{start}L{_pair(line[-1])}"
    curves = (f"Q{_pair(here)} {_pair(_middle(here, after))}" for here, after in pairwise(line[1:]))
    return f"{start}{''.join(curves)}L{_pair(line[-1])}"


def _middle(one: Point, other: Point) -> Point:
    return (one[0] + other[0]) / 2, (one[1] + other[1]) / 2


def _pair(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}"
