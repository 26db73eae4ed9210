"""What a guider may have noticed in a moment, by the principles of attuned interaction.

The six headings under which video interaction guidance describes contact between two people, from
the first to what builds on it (Kennedy, Landor and Todd, *Video Enhanced Reflective Practice*,
2015). A moment may carry any of them, or none: they help to find moments, and say nothing about a
person.
"""

from collections.abc import Iterable
from enum import StrEnum


class Principle(StrEnum):
    """One principle of attuned interaction, in the order in which they build on each other."""

    ATTENTIVE = "being_attentive"
    ENCOURAGING = "encouraging_initiatives"
    RECEIVING = "receiving_initiatives"
    TAKING_TURNS = "developing_attuned_interactions"
    GUIDING = "guiding"
    DEEPENING = "deepening_discussion"


def in_order(principles: Iterable[Principle]) -> tuple[Principle, ...]:
    """Return principles once each, in the order in which they build on each other."""
    wanted = frozenset(principles)
    return tuple(principle for principle in Principle if principle in wanted)
