"""WTForms fields as components of the NHS frontend, and their faults as an error summary.

Rules kept here:
  * every fault stands beside its field and in the summary, which links to the field;
  * faults that a use case names by field are shown exactly like those of the form itself;
  * a day is three boxes, as people write it, and is never guessed.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_wtf import FlaskForm
from markupsafe import Markup
from wtforms import (
    BooleanField,
    EmailField,
    Field,
    HiddenField,
    IntegerField,
    PasswordField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length, Optional

from consent_service.errors import InvalidInput
from consent_service.web.layout import as_name, component

LONGEST_LINE = 200
LONGEST_TEXT = 4000


class DayField(Field):
    """Three boxes: day, month, year. `data` is a date or None."""

    def __init__(self, label: str, validators: Any = None, **more: Any) -> None:
        super().__init__(label, validators, **more)
        self.parts = ("", "", "")

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the boxes; raises ValueError for a day that the calendar does not have."""
        self.data = None
        if not any(self.parts):
            return
        try:
            day, month, year = (int(part) for part in self.parts)
            if year < 1000:
                raise ValueError
            self.data = date(year, month, day)
        except ValueError:
            raise ValueError(_("Enter a real day, such as 14 9 2026.")) from None

    def process(self, formdata: Any, *args: Any, **more: Any) -> None:
        """Fill the boxes from the form, or from the day given."""
        if formdata is None:
            super().process(formdata, *args, **more)
            if isinstance(self.data, date):
                self.parts = (str(self.data.day), str(self.data.month), str(self.data.year))
            return
        names = (f"{self.name}-day", f"{self.name}-month", f"{self.name}-year")
        first, second, third = (str(formdata.get(name, "")).strip() for name in names)
        self.parts = (first, second, third)
        self.process_errors = []
        self.object_data = self.data = None
        self.raw_data = [" ".join(self.parts).strip()] if any(self.parts) else []
        try:
            self.process_formdata(self.raw_data)
        except ValueError as fault:
            self.process_errors.append(fault.args[0])


class PageForm(FlaskForm):  # type: ignore[misc]
    """A form of one page. `add_faults` takes what a use case found wrong."""

    summary: list[tuple[str, str]]

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.summary = []

    def add_faults(self, fault: InvalidInput) -> None:
        """Put a use case's faults beside their fields; what has no field goes to the summary."""
        for name, sentence in fault.faults.items():
            field = self._fields.get(name.partition(".")[0])
            if field is None or isinstance(field, HiddenField):
                self.summary.append((sentence, ""))
            else:
                field.errors = [*field.errors, sentence]
        if not fault.faults:
            self.summary.append((fault.message, ""))

    def say(self, sentence: str, field: str = "") -> None:
        """Put one sentence into the summary, and beside `field` when it is named."""
        if field:
            self._fields[field].errors = [*self._fields[field].errors, sentence]
        else:
            self.summary.append((sentence, ""))

    @property
    def faults(self) -> list[tuple[str, str]]:
        """Every fault with the id of the field it is about."""
        own = [
            (str(error), first_id(field))
            for field in self._fields.values()
            if not isinstance(field, HiddenField)
            for error in field.errors
        ]
        return [*own, *self.summary]

    @property
    def sent(self) -> bool:
        """Whether the form was sent, and is whole by itself."""
        return bool(self.validate_on_submit())


def day(label: str, **more: Any) -> DayField:
    """Return a required day."""
    return DayField(label, [InputRequired(f"Enter the day: {_inside(label)}")], **more)


def maybe_day(label: str, **more: Any) -> DayField:
    """Return a day that may stay empty."""
    return DayField(label, [Optional()], **more)


def line(label: str, sentence: str = "", longest: int = LONGEST_LINE, **more: Any) -> StringField:
    """Return one line of text; required when `sentence` says what to enter."""
    first = InputRequired(sentence) if sentence else Optional()
    return StringField(label, [first, _length(longest)], **more)


def text(label: str, sentence: str = "", **more: Any) -> TextAreaField:
    """Return a box of text; required when `sentence` says what to enter."""
    first = InputRequired(sentence) if sentence else Optional()
    return TextAreaField(label, [first, _length(LONGEST_TEXT)], **more)


def choice(label: str, choices: Any = (), sentence: str | None = None, **more: Any) -> RadioField:
    """Return one of several; required unless `sentence` is empty.

    Without a sentence of its own the fault repeats the question.
    """
    if sentence is None:
        sentence = f"Choose an answer: {_inside(label)}"
    checks = [InputRequired(sentence)] if sentence else [Optional()]
    return RadioField(label, checks, choices=list(choices), validate_choice=True, **more)


def several(label: str, choices: Any = (), **more: Any) -> SelectMultipleField:
    """Return any of several, shown as boxes to tick."""
    return SelectMultipleField(label, choices=list(choices), **more)


def first_of(field: RadioField) -> str | None:
    """Return the value of a field's first choice."""
    return next((str(pair[0]) for pair in field.choices or ()), None)


def only_of(field: RadioField) -> str | None:
    """Return the value of a field's only choice; None when there are several."""
    return first_of(field) if len(field.choices or ()) == 1 else None


def show(field: Field, **options: Any) -> Markup:
    """Return a field as its component. Options go into the component's parameters.

    `heading=True` makes the label the heading of the page; `conditional` maps a choice to what
    opens beneath it.
    """
    heading = options.pop("heading", False)
    opened = options.pop("conditional", {})
    # An id of the group would be the id of its first choice too.
    group = isinstance(field, RadioField | SelectMultipleField | BooleanField)
    params: dict[str, Any] = {"name": field.name, "idPrefix" if group else "id": field.name}
    if field.errors:
        params["errorMessage"] = {"text": str(field.errors[0])}
    if field.description:
        params["hint"] = {"text": str(field.description)}
    name, more = _component_of(field, heading)
    if isinstance(field, DayField):
        params.pop("name")
    for item in more.get("items", ()):
        if item.get("value") in opened:
            item["conditional"] = {"html": opened[item["value"]]}
    return component(name, {**params, **more, **options})


def summary(form: PageForm) -> Markup:
    """Return the error summary of a form; empty when there is nothing wrong."""
    if not form.faults:
        return Markup("")
    items = [
        {"text": sentence, "href": f"#{target}"} if target else {"text": sentence}
        for sentence, target in form.faults
    ]
    return component("error-summary", {"titleText": _("There is a problem"), "errorList": items})


def first_id(field: Field) -> str:
    """Return the id of the first box of a field, where its fault links to."""
    return f"{field.name}-day" if isinstance(field, DayField) else str(field.name)


def _component_of(field: Field, heading: bool) -> tuple[str, Mapping[str, Any]]:
    label = _label(str(field.label.text), heading)
    if isinstance(field, DayField):
        return "date-input", {"fieldset": {"legend": label}, "items": _boxes(field)}
    if isinstance(field, RadioField):
        return "radios", {"fieldset": {"legend": label}, "items": _items(field)}
    if isinstance(field, SelectMultipleField):
        return "checkboxes", {"fieldset": {"legend": label}, "items": _items(field)}
    if isinstance(field, BooleanField):
        item = {"value": "y", "text": str(field.label.text), "checked": bool(field.data)}
        return "checkboxes", {"items": [item]}
    if isinstance(field, SelectField):
        return "select", {"label": label, "items": _options(field)}
    value = "" if field.data is None else str(field.data)
    if isinstance(field, TextAreaField):
        return "textarea", {"label": label, "value": value, "rows": 4}
    if isinstance(field, PasswordField):
        shown = {
            "showPasswordText": _("Show"),
            "hidePasswordText": _("Hide"),
            "showPasswordAriaLabelText": _("Show password"),
            "hidePasswordAriaLabelText": _("Hide password"),
        }
        return "password-input", {"label": label, "autocomplete": _autocomplete(field), **shown}
    kind = "email" if isinstance(field, EmailField) else "text"
    more: dict[str, Any] = {"label": label, "value": value, "type": kind}
    if isinstance(field, IntegerField):
        more |= {"inputmode": "numeric", "classes": "nhsuk-input--width-4"}
    if _autocomplete(field):
        more["autocomplete"] = _autocomplete(field)
    return "input", more


def _label(words: str, heading: bool) -> dict[str, Any]:
    if heading:
        return {"text": words, "size": "l", "isPageHeading": True}
    return {"text": words, "size": "s"}


def _boxes(field: DayField) -> list[dict[str, Any]]:
    wrong = " nhsuk-input--error" if field.errors else ""
    widths = (("day", _("Day"), 2), ("month", _("Month"), 2), ("year", _("Year"), 4))
    return [
        {
            "id": f"{field.name}-{name}",
            "name": f"{field.name}-{name}",
            "label": label,
            "value": value,
            "classes": f"nhsuk-input--width-{width}{wrong}",
            "inputmode": "numeric",
        }
        for (name, label, width), value in zip(widths, field.parts, strict=True)
    ]


def _items(field: Any) -> list[dict[str, Any]]:
    # A choice may be somebody's name, so each is kept apart from the words around it.
    hints = (field.render_kw or {}).get("hints", {})
    return [
        {
            "value": value,
            "html": as_name(label),
            "checked": bool(checked),
            **({"hint": {"text": hints[value]}} if value in hints else {}),
        }
        for value, label, checked, *_ in field.iter_choices()
    ]


def _options(field: Any) -> list[dict[str, Any]]:
    return [
        {"value": value, "text": label, "selected": bool(selected)}
        for value, label, selected, *_ in field.iter_choices()
    ]


def _autocomplete(field: Field) -> str:
    return str((field.render_kw or {}).get("autocomplete", ""))


def _inside(label: str) -> str:
    """Return a label as it stands within a sentence."""
    return label[0].lower() + label[1:]


def _length(longest: int) -> Length:
    return Length(max=longest, message=f"Keep it under {longest} characters.")


def status(form: PageForm) -> int:
    """Return 400 for a form sent with faults, 200 otherwise."""
    return 400 if request.method == "POST" and form.faults else 200
