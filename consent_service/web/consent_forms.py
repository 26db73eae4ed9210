"""Forms around a consent: how it is asked, and how it is signed."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import HiddenField, MultipleFileField

from consent_service.domain.consent import Capacity
from consent_service.domain.withdrawal import Route
from consent_service.services.leaflets import IssueView
from consent_service.web.fields import (
    PageForm,
    choice,
    day,
    first_of,
    line,
    maybe_day,
    only_of,
)
from consent_service.web.layout import long_date
from consent_service.web.words import said

ROUTES = (Route.IN_PERSON, Route.TELEPHONE, Route.PAPER)
LANGUAGES = {"en": "English", "cy": "Welsh", "ar": "Arabic", "ur": "Urdu", "pl": "Polish"}


class SetUpForm(PageForm):
    """How the answers are given."""

    leaflet_issue = choice("Which leaflet did they have?", sentence="Choose the leaflet.")
    language = choice("In which language do you ask?", sentence="Choose the language.")
    route = choice("How do they answer?", [(r.value, said(r)) for r in ROUTES])
    said_on = day("On which day did they answer?")
    capacity = choice(
        "Can they decide about this now?",
        [(c.value, said(c)) for c in Capacity],
        description="Nobody else can decide for an adult. If they cannot now, ask another day.",
    )
    ask_again_on = maybe_day(
        "Ask again on", description="Only if they cannot decide at the moment."
    )
    interpreter = line("Interpreter's name", description="Leave it empty if there was none.")
    witness = line("Witness's name", description="Leave it empty if there was none.")

    def offer(self, words: Mapping[str, Any], given: Sequence[IssueView]) -> None:
        """Offer the languages of the form and the leaflets that were given, newest first."""
        self.language.choices = [(code, LANGUAGES.get(code, code)) for code in sorted(words)]
        self.leaflet_issue.choices = [
            (i.id, f"{i.code}, version {i.version}, given on {long_date(i.given_on)}")
            for i in reversed(given)
        ]

    def start(self, today: date) -> None:
        """Choose what is most likely."""
        self.leaflet_issue.data = first_of(self.leaflet_issue)
        self.language.data = only_of(self.language)
        self.route.data = Route.IN_PERSON.value
        self.said_on.process(None, today)

    def validate(self, extra_validators: object = None) -> bool:
        """Whoever cannot decide now is asked again on a day."""
        good = bool(super().validate(extra_validators))
        if self.capacity.data == Capacity.LACKS_NOW and not self.ask_again_on.data:
            self.say("Say on which day you will ask again.", "ask_again_on")
            good = False
        return good

    def setup(self) -> dict[str, Any]:
        """Return what a draft keeps."""
        again = self.ask_again_on.data
        return {
            "leaflet_issue": self.leaflet_issue.data,
            "language": self.language.data,
            "route": self.route.data,
            "said_on": self.said_on.data.isoformat(),
            "capacity": self.capacity.data,
            "ask_again_on": again.isoformat() if again else None,
            "interpreter": self.interpreter.data or "",
            "witness": self.witness.data or "",
        }


class SignForm(PageForm):
    """A signature: drawn, typed, or on the paper that was signed."""

    how = choice(_l("How do they sign?"), sentence=_l("Choose how they sign."))
    strokes = HiddenField()
    typed_name = line("Full name of the person signing")
    scan = MultipleFileField("The scan, or a photo of each page")

    def offer(self, *, paper: bool) -> None:
        """Offer paper only where paper was signed."""
        ways = [("drawn", _("Draw a signature")), ("typed", _("Type the full name"))]
        if paper:
            ways.insert(0, ("paper", "It is on the paper"))
        self.how.choices = ways
        if not self.is_submitted():
            self.how.data = "paper" if paper else None
