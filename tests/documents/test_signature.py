"""A signature is drawn from numbers, and from nothing else."""

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.documents.signature import (
    MAX_COORDINATE,
    MAX_POINTS,
    MAX_STROKES,
    is_signature_svg,
    signature_svg,
)
from consent_service.errors import InvalidInput
from tests.documents import papers

WHOLE = re.compile(
    r'<svg xmlns="http://www\.w3\.org/2000/svg" viewBox="0 0 [\d.]+ [\d.]+" width="[\d.]+" '
    r'height="[\d.]+"><path d="[MQL\d. ]+" fill="none" stroke="#000" stroke-width="2\.5" '
    r'stroke-linecap="round" stroke-linejoin="round"/></svg>'
)
COORDINATES = st.floats(-MAX_COORDINATE, MAX_COORDINATE)
STROKES = st.lists(
    st.lists(st.fixed_dictionaries({"x": COORDINATES, "y": COORDINATES}), min_size=1, max_size=9),
    min_size=1,
    max_size=5,
)


@given(STROKES)
def test_whatever_the_strokes_the_picture_holds_only_lines(strokes: list[Any]) -> None:
    """A client's markup in a document would be a client's code in a document."""
    try:
        svg = signature_svg(strokes)
    except InvalidInput:
        assert len({(p["x"], p["y"]) for stroke in strokes for p in stroke}) < 2
        return
    assert WHOLE.fullmatch(svg)
    assert is_signature_svg(svg)


def test_the_same_strokes_give_the_same_picture() -> None:
    """The copy of a consent has the same bytes each time."""
    assert signature_svg(papers.strokes()) == signature_svg(papers.strokes())


def test_a_dot_in_a_second_stroke_is_drawn() -> None:
    """The dot on an i is part of how somebody signs."""
    svg = signature_svg([[{"x": 0, "y": 0}, {"x": 30, "y": 0}], [{"x": 15, "y": -9}]])

    assert svg.count("M") == 2
    assert "M21.0 6.0L21.0 6.0" in svg


@pytest.mark.parametrize(
    "strokes",
    [
        [],
        [[]],
        [[{"x": 1, "y": 1}]],
        [[{"x": 1, "y": 1}, {"x": 1, "y": 1}]],
        "strokes",
        ["stroke"],
        [["point"]],
        [[{"x": 1}, {"x": 2, "y": 2}]],
        [[{"x": "1", "y": "<script>"}, {"x": 2, "y": 2}]],
        [[{"x": True, "y": 1}, {"x": 2, "y": 2}]],
        [[{"x": math.nan, "y": 1}, {"x": 2, "y": 2}]],
        [[{"x": math.inf, "y": 1}, {"x": 2, "y": 2}]],
        [[{"x": 10**400, "y": 1}, {"x": 2, "y": 2}]],
        [[{"x": MAX_COORDINATE + 1, "y": 1}, {"x": 2, "y": 2}]],
        [[{"x": 1, "y": 1}, {"x": 2, "y": 2}]] * (MAX_STROKES + 1),
        [[{"x": n % 99, "y": 2} for n in range(MAX_POINTS + 1)]],
    ],
)
def test_what_is_no_signature_is_refused_by_name_of_the_field(strokes: Any) -> None:
    """The page has to say what to do next to the box."""
    with pytest.raises(InvalidInput) as refused:
        signature_svg(strokes)

    assert set(refused.value.faults) == {"signature"}
