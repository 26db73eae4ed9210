"""What is said of a field that is wrong: plain words, whatever library found it."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
import rfc8785
from pydantic import Field

import consent_service.app
from consent_service.api.shapes import Code, Day, Line, Request, Version, parsed
from consent_service.errors import InvalidInput

WRONG: tuple[Any, ...] = (None, True, 1.5, -1, 10**9, "", "\x00", "x" * 5000, [], [1], {}, {"": 0})
OF_A_LIBRARY = ("Input should", "Value error", "valid ", "instance of", "at most", "at least")


class Asked(Request):
    """One field of each kind."""

    name: Line
    version: Version
    day: Day
    route: Literal["in_person", "paper"]
    agreed: bool
    codes: Annotated[tuple[Code, ...], Field(max_length=2)]


def _faults(body: dict[str, Any], shape: type[Request] = Asked) -> dict[str, str]:
    try:
        parsed(shape, rfc8785.dumps(body))
    except InvalidInput as fault:
        return fault.faults
    return {}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", 5, "Enter text."),
        ("name", "", "Enter 1 character(s) or more."),
        ("name", "x" * 201, "Enter 200 characters or fewer."),
        ("name", " ", "This is not in the form that is expected here."),
        ("version", "1", "Enter a whole number."),
        ("version", 1.5, "Enter a whole number."),
        ("version", 0, "Enter 1 or more."),
        ("version", 10_000, "Enter 9999 or less."),
        ("day", "02/11/2026", "Enter a day as YYYY-MM-DD, in the years 1900 to 2199."),
        ("route", "pigeon", "Enter one of: 'in_person' or 'paper'."),
        ("agreed", "yes", "Enter true or false."),
        ("codes", "a", "Enter a list."),
        ("codes", ["a", "b", "c"], "Enter 2 or fewer."),
        ("shoe_size", 4, "There is no such field."),
    ],
)
def test_a_wrong_field_is_answered_in_plain_words(field: str, value: Any, said: str) -> None:
    """Whoever reads it knows the clinic's words, and not the library that read the body."""
    assert _faults({field: value})[field] == said


def _shapes(shape: type[Request] = Request) -> Iterator[type[Request]]:
    for one in shape.__subclasses__():
        if one.__module__.startswith("consent_service."):
            yield one
        yield from _shapes(one)


def test_no_request_is_answered_in_the_words_of_a_library() -> None:
    """A field that is added tomorrow is answered as plainly."""
    assert consent_service.app.create_app
    shapes = set(_shapes())
    said = {
        sentence
        for shape in shapes
        for field in shape.model_fields
        for value in WRONG
        for sentence in _faults({field: value}, shape).values()
    }

    assert len(shapes) > 20
    assert {one for one in said for words in OF_A_LIBRARY if words in one} == set()
