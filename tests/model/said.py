"""Who said what about whom, and what follows from it: told independently of the service's rules.

Knows three people, of whom two adults decide for the child, and nothing of tables, keys or orders.
Rules kept here: unanswered is no; each adult's newest word on themselves counts; for the child a
yes counts while no other word stands against it, or once the disagreement was settled for it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

CARE, TRAINING = "care", "training-local"
PURPOSES = (CARE, TRAINING)


class Word(StrEnum):
    """What somebody said, or what was decided about it."""

    YES = "yes"
    NO = "no"
    STOP = "stop"
    REVOKED = "revoked"
    SETTLED_FOR = "settled_for"
    SETTLED_AGAINST = "settled_against"


AGAINST = frozenset({Word.NO, Word.STOP})
SETTLED = frozenset({Word.SETTLED_FOR, Word.SETTLED_AGAINST})


@dataclass
class Said:
    """One word. `act` is the act or withdrawal it was part of; `void` and it never counted."""

    number: int
    by: str
    about: str
    purpose: str
    word: Word
    act: str
    void: bool = False


@dataclass
class Record:
    """Every word, oldest first."""

    child: str
    words: list[Said] = field(default_factory=list)

    def says(self, by: str, about: str, purpose: str, word: Word, act: str) -> None:
        """Note a word."""
        number = self.words[-1].number + 1 if self.words else 1
        self.words.append(Said(number, by, about, purpose, word, act))

    def never_was(self, act: str) -> None:
        """Let nothing of an act count, as after an undo or when it was found never valid."""
        for said in self.words:
            said.void = said.void or said.act == act

    def forgets_yeses_after(self, number: int) -> None:
        """Lose what a restored database loses: what people agreed to since. What ended stays."""
        self.words = [s for s in self.words if s.number <= number or s.word is not Word.YES]

    @property
    def number(self) -> int:
        """How far the record goes."""
        return self.words[-1].number if self.words else 0

    def permits(self, people: Iterable[str], purpose: str) -> bool:
        """Tell whether everyone agrees to a use."""
        return all(self.given(person, purpose) for person in people)

    def given(self, person: str, purpose: str) -> bool:
        """Tell whether one person's consent to a use stands."""
        words = [s for s in self.words if (s.about, s.purpose) == (person, purpose) and not s.void]
        newest = {s.by: s for s in words if s.word is Word.YES or s.word in AGAINST}
        if not newest:
            return False
        last = max(s.number for s in newest.values())
        after = [s.word for s in words if s.number > last]
        if Word.REVOKED in after:
            return False
        if person != self.child:
            return person in newest and newest[person].word is Word.YES
        stances = {s.word for s in newest.values()}
        if Word.YES in stances and stances & AGAINST:
            settled = [word for word in after if word in SETTLED]
            return bool(settled) and settled[-1] is Word.SETTLED_FOR
        return Word.YES in stances
