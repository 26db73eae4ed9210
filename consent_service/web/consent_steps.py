"""The steps of one sitting: which page asks what, what was said so far, and what is still open.

For whoever puts a form to somebody: the guider's pages, and a person's own link. The templates
that show it are the macros of `consents/questions.html`. Pure: the pages fetch, store and send.

Rules kept here:
  * one thing on a page: one line of the form, asked about each person whom it concerns;
  * a line that is optional may be left open; open is read back as no.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from consent_service.domain.forms import FormFacts, Layer
from consent_service.errors import NotFound
from consent_service.services.consent import Questions
from consent_service.web import consent_draft
from consent_service.web.consent_draft import OPEN, Box, Part

USES_AFTER_FILMING = frozenset({"training-local", "training-external", "research", "publication"})
"""What is better decided once they know what was filmed (rule 11)."""

USES = "uses"
"""The sitting that asks about these alone."""


@dataclass(frozen=True)
class Heard:
    """One page as it is read back: its number, counted from 1, and its answers."""

    number: int
    part: Part
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Steps:
    """The pages of one sitting over what was `answers`ed so far, as `consent_draft` keeps it."""

    asked: Questions
    facts: FormFacts
    answers: Mapping[str, Any]
    together: bool = False
    only: frozenset[str] | None = None

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Return the pages, in order."""
        return consent_draft.parts(self.asked, together=self.together, only=self.only)

    def part(self, number: int) -> Part:
        """Return a page by its number from 1; raises NotFound."""
        if not 1 <= number <= len(self.parts):
            raise NotFound("There is no such part.", kind="part")
        return self.parts[number - 1]

    def boxes(self, part: Part) -> tuple[Box, ...]:
        """Return the questions of a page as it shows them."""
        return tuple(
            consent_draft.box(self.asked, question, place, self.answers, self.facts)
            for place, question in enumerate(part.questions)
        )

    def take(
        self, part: Part, form: Mapping[str, str]
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Return all answers once a page was sent, and its faults: sentence and field."""
        read, faults = consent_draft.read_part(part, self.boxes(part), form)
        asked_here = {consent_draft.key_of(question) for question in part.questions}
        others = {key: said for key, said in self.answers.items() if key not in asked_here}
        return others | read, faults

    @cached_property
    def heard(self) -> tuple[Heard, ...]:
        """Return every page with its answers, to be read back."""
        pages = enumerate(self.parts, 1)
        return tuple(Heard(number, part, self.boxes(part)) for number, part in pages)

    @cached_property
    def unsaid(self) -> tuple[tuple[int, Box], ...]:
        """Return what has to be answered before signing, each with the number of its page.

        A sitting of optional lines alone needs one answer: with none there is nothing to sign.
        """
        found = [
            (heard.number, box)
            for heard in self.heard
            for box in heard.boxes
            if box.answer in ("", OPEN)
        ]
        needed = [
            (number, box)
            for number, box in found
            if self.parts[number - 1].layer is not Layer.OPTIONAL
        ]
        nothing_said = len(found) == sum(len(heard.boxes) for heard in self.heard)
        return tuple(needed or (found if nothing_said else ()))

    @cached_property
    def first_open(self) -> int | None:
        """Return the number of the first page with a question that nobody answered."""
        return next(
            (h.number for h in self.heard if any(box.answer in ("", OPEN) for box in h.boxes)), None
        )

    def begins_optional(self, number: int) -> bool:
        """Tell whether the uses that may be left for another day begin with this page."""
        optional = self.part(number).layer is Layer.OPTIONAL
        return optional and number > 1 and self.part(number - 1).layer is not Layer.OPTIONAL
