"""Check a YAML document against its shape, and say each fault in plain words with its line."""

from collections.abc import Iterator
from inspect import isclass
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from consent_service.policy_files.faults import Faults
from consent_service.policy_files.shapes import FormShape, LeafletShape, Shape
from consent_service.policy_files.yaml_lines import Document

AnyShape = TypeVar("AnyShape", bound=Shape)


def checked(document: Document | None, shape: type[AnyShape], faults: Faults) -> AnyShape | None:
    """Return the document as `shape`, or None after noting every fault."""
    if document is None:
        return None
    try:
        return shape.model_validate(document.value)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            faults.add(document.file, document.line(details["loc"]), _sentence(details, shape))
        return None


SENTENCES = {
    "missing": "`{key}` is missing, expected it here",
    "extra_forbidden": "`{key}` is not a key here, expected one of {keys}",
    "enum": "{name}: `{shown}` is not known, expected {expected}",
    "value_error": "{name}: {error}",
    "string_pattern_mismatch": "{name}: `{shown}` has the wrong form, expected {pattern}",
    "string_too_short": "{name} is empty, expected words",
    "string_type": "{name} is no text, expected words",
    "too_short": "{name} is an empty list, expected at least one entry",
    "less_than_equal": "{name}: {shown} is too much, expected {le} at most",
    "greater_than_equal": "{name}: {shown} is too little, expected {ge} at least",
    "tuple_type": "{name} is not a list, expected a list",
    "model_type": "{name} is not a mapping, expected `key: value` lines",
    "dict_type": "{name} is not a mapping, expected `key: value` lines",
}
OTHERWISE = "{name}: `{shown}` does not fit, expected: {message}"


def check_translations(document: Document, shape: FormShape | LeafletShape, faults: Faults) -> None:
    """Note each language after the first whose words nobody answers for, and names for no words.

    The first language is the one the words were written in.
    """
    for language in shape.languages[1:]:
        if language not in shape.translations:
            faults.add(
                document.file,
                document.line(("languages",)),
                f"nobody answers for the words in {language}, expected its translator and its "
                f"approver under `translations`",
            )
    for language in shape.translations:
        if language not in shape.languages[1:]:
            faults.add(
                document.file,
                document.line(("translations", language)),
                f"`{language}` is no translation, expected one of the languages after the first",
            )


def _sentence(details: ErrorDetails, shape: type[Shape]) -> str:
    location = details["loc"]
    return SENTENCES.get(details["type"], OTHERWISE).format(
        key=location[-1] if location else "",
        keys=", ".join(_shape_at(shape, location[:-1]).model_fields),
        name=_name(location),
        shown=_shown(details["input"]),
        message=details["msg"],
        **details.get("ctx", {}),
    )


def _name(location: tuple[int | str, ...]) -> str:
    words = [str(part) for part in location if isinstance(part, str)]
    return f"`{words[-1]}`" if words else "the file"


def _shown(value: Any) -> str:
    text = str(value) if isinstance(value, str | int) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."


def _shape_at(shape: type[Shape], location: tuple[int | str, ...]) -> type[Shape]:
    for part in location:
        field = shape.model_fields.get(str(part))
        if field is not None:
            shape = next(_shapes_in(field.annotation), shape)
    return shape


def _shapes_in(annotation: Any) -> Iterator[type[Shape]]:
    if isclass(annotation) and issubclass(annotation, Shape):
        yield annotation
    for argument in get_args(annotation):
        yield from _shapes_in(argument)
