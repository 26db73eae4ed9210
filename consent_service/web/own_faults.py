"""What a family reads when something is refused: their own words, in the language of the page.

Rules kept here:
  * a service says what is wrong in English, to staff too; here stands what its sentence is for the
    person who holds the link, and only what stands here is said to them;
  * any other sentence becomes one that names nothing: no id, no code of a line, nothing in a
    language that the reader did not choose.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l

from consent_service.errors import ConsentServiceError, InvalidInput
from consent_service.services import own_withdrawal

GENERAL = _l("Something here does not fit any more. Go back and look again, or ask your guider.")
_NOT_YOURS = _l(
    "Choose from the films that show you. Others are stopped together with your guider."
)

SAID: Mapping[str, Any] = {
    # stopping, and keeping after all
    "Only this person, or someone who may decide for the child, can withdraw.": _l(
        "Only you yourself, or somebody who may decide for the child, can stop it."
    ),
    "Name at least one purpose.": _l("Choose at least one use."),
    "A purpose is either withdrawn or kept.": _l("A use either stops or stays. Choose one."),
    "Name at least one film, clip or still.": _l("Choose at least one film or photo."),
    "Each of these must show this person and be kept in this involvement.": _NOT_YOURS,
    own_withdrawal.NOT_OFFERED: _NOT_YOURS,
    own_withdrawal.PIN_FORM: _l("Choose a number of six digits, or leave it empty."),
    own_withdrawal.WRONG_PIN: _l(
        "This is not the number that you chose. After five wrong tries only your guider can."
    ),
    "Only you together with your guider can do this now.": _l(
        "Only you together with your guider can do this now."
    ),
    "This withdrawal was cancelled already.": _l("You kept it after all already."),
    "The time to change one's mind is over; what was to go is going or gone.": _l(
        "The time to change your mind is over. What was to go is going or gone."
    ),
    # answering
    "Your link asks for other answers than these.": _l(
        "Your link asks for other answers than these. Open it again and answer anew."
    ),
    "The act cannot be before the leaflet was given.": _l("Read the leaflet first."),
    "Answer at least one statement.": _l("Answer at least one line."),
    "Answer this line too: yes or no.": _l("Answer every line of this part: yes or no."),
    "Type the full name of the person signing.": _l("Type your full name."),
    "Draw a signature, or type the full name.": _l("Draw your signature, or type your full name."),
    "You have signed already. Your copy is ready.": _l(
        "You have signed already. Your copy is ready."
    ),
}
"""A service's sentence -> what the holder of a link reads."""


@dataclass(frozen=True)
class OwnPage:
    """Heading and what to do next."""

    heading: Any
    advice: Any


_CLOSED = OwnPage(
    _l("This page has closed"),
    _l(
        "Open your link again and give your date of birth. If it does not open, ask your guider for"
        " a new one."
    ),
)
_AWAY = OwnPage(
    _l("This does not work at the moment"), _l("Nothing was lost. Try again in a minute.")
)
_WRONG = OwnPage(_l("Something went wrong"), _l("Try again. If it stays, tell your guider."))
TOO_OLD = OwnPage(
    _l("This page is too old to send"),
    _l("Go back, load the page again and repeat what you entered."),
)
BY_STATUS: Mapping[int, OwnPage] = {
    400: OwnPage(_l("Some details need to be put right"), _l("Go back and check.")),
    401: _CLOSED,
    403: OwnPage(_l("You cannot do this with your link"), _l("Your guider can help you with it.")),
    404: OwnPage(
        _l("Page not found"), _l("Open your link again, and go on from there to what you need.")
    ),
    409: OwnPage(
        _l("This does not fit any more"), _l("Load the page again to see how things stand.")
    ),
    410: OwnPage(_l("This is gone"), _l("Nobody can see it any more. Your guider can tell you.")),
    413: OwnPage(_l("That is too much"), _l("Send less.")),
    429: OwnPage(_l("Too many tries"), _l("Wait a few minutes, then try again.")),
    503: _AWAY,
    507: _AWAY,
}


def page_of(status: int, code: str) -> OwnPage:
    """Return what a refusal of this status looks like to a family."""
    return TOO_OLD if code == "csrf" else BY_STATUS.get(status, _WRONG)


def known(sentence: str) -> str:
    """Return a service's sentence in a family's words; empty when there are none for it."""
    return str(SAID.get(sentence, ""))


def said(sentence: str) -> str:
    """Return a service's sentence in a family's words, or that something does not fit."""
    return known(sentence) or str(GENERAL)


def translated(fault: ConsentServiceError) -> InvalidInput:
    """Return a fault as a form of a family's page shows it, each sentence beside its field."""
    faults = fault.faults if isinstance(fault, InvalidInput) else {"": fault.message}
    own = {field: said(sentence) for field, sentence in faults.items()}
    return InvalidInput(said(fault.message), own)
