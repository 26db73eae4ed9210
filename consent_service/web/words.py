"""Codes in plain words, as pages show them. Colour never says anything that words do not."""

from collections.abc import Mapping
from enum import StrEnum

from consent_service.domain.assets import AssetState
from consent_service.domain.attunement import Principle
from consent_service.domain.consent import Answer, Capacity, ConsentState
from consent_service.domain.holds import HoldKind
from consent_service.domain.information_needs import LANGUAGE, YES, Need
from consent_service.domain.people import Basis, FamilyRole, MeetingKind, MeetingMode
from consent_service.domain.withdrawal import Route

WORDS: dict[str, str] = {
    # consent states
    ConsentState.NOT_ASKED: "Not asked yet",
    ConsentState.NOT_ANSWERED: "Asked, not answered",
    ConsentState.GIVEN: "Yes",
    ConsentState.DECLINED: "No",
    ConsentState.WITHDRAWN: "Withdrawn",
    ConsentState.REVOKED: "Ended by us",
    ConsentState.EXPIRED: "Run out",
    ConsentState.INVALIDATED: "Not valid",
    ConsentState.DISPUTED: "Parents disagree",
    ConsentState.SUPERSEDED: "Answered again later",
    # assets
    AssetState.RECEIVING: "Being received",
    AssetState.RECEIVED: "Received, being made ready",
    AssetState.STORED: "Stored",
    AssetState.AWAITING_CONSENT: "Waiting for consent",
    AssetState.LOCKED: "Locked, to be erased",
    AssetState.RESTRICTED: "Kept apart, not watchable",
    AssetState.ERASED: "Erased",
    # what was noticed in a moment
    Principle.ATTENTIVE: "Being attentive",
    Principle.ENCOURAGING: "Encouraging initiatives",
    Principle.RECEIVING: "Receiving initiatives",
    Principle.TAKING_TURNS: "Developing attuned interactions",
    Principle.GUIDING: "Guiding",
    Principle.DEEPENING: "Deepening discussion",
    # people
    FamilyRole.PARENT: "Parent",
    FamilyRole.CARER: "Carer",
    FamilyRole.BABY: "Baby",
    FamilyRole.SIBLING: "Sister or brother",
    FamilyRole.OTHER: "Someone else",
    FamilyRole.STAFF: "Member of staff",
    Basis.BIRTH_MOTHER: "Gave birth to the child",
    Basis.SECOND_FEMALE_PARENT: "Second female parent",
    Basis.MARRIED: "Married to the mother at the birth",
    Basis.BIRTH_CERTIFICATE: "On the birth certificate",
    Basis.ADOPTER: "Adopted the child",
    Basis.AGREEMENT: "Parental responsibility agreement",
    Basis.COURT_ORDER: "Court order",
    Basis.PARENTAL_ORDER: "Parental order",
    Basis.TESTAMENTARY_GUARDIAN: "Guardian named in a will",
    Basis.SPECIAL_GUARDIAN: "Special guardian",
    Basis.LOCAL_AUTHORITY: "Local authority under a care order",
    # what helps somebody to understand
    Need.LARGE_PRINT: "Large print",
    Need.EASY_READ: "Easy words and pictures",
    Need.READ_ALOUD: "Somebody reads it to them",
    Need.INTERPRETER: "Interpreter",
    Need.SIGN_LANGUAGE: "Sign language",
    Need.HEARING: "Hard of hearing: face them, hearing loop",
    Need.SIGHT: "Sees little",
    # meetings
    MeetingKind.FIRST_TALK: "First talk",
    MeetingKind.FILMING: "Filming",
    MeetingKind.SHARED_REVIEW: "Shared review",
    MeetingKind.CLOSING: "Closing meeting",
    MeetingMode.HOME: "At home",
    MeetingMode.CLINIC: "In the clinic",
    MeetingMode.WARD: "On the ward",
    MeetingMode.VIDEO_CALL: "By video call",
    # acts
    Route.IN_PERSON: "In person",
    Route.REMOTE_LINK: "By secure link",
    Route.TELEPHONE: "By telephone",
    Route.PAPER: "On paper",
    Route.LETTER: "By letter",
    Route.JOURNAL_REPLAY: "Brought back after a restore",
    Capacity.NO_DOUBT: "No reason to doubt it",
    Capacity.ASSESSED_HAS: "Assessed: can decide",
    Capacity.LACKS_NOW: "Cannot decide at the moment",
    Answer.YES: "Yes",
    Answer.NO: "No",
    Answer.CONFIRMED: "Confirmed",
    Answer.CHOSEN: "Chosen",
    Answer.SAID: "Said",
    # what happens to film
    "destroy": "Destroyed",
    "keep": "Kept",
    "asset": "Film, clip or photo",
    "recording": "Film",
    "clip": "Clip",
    "still": "Photo",
    "hold": "A hold stops it",
    "health_record": "It is part of the health record",
    "dispute": "Parents disagree",
    "consent_revoked": "Consent ended by us",
    "cut_removed": "Removed by the guider",
    "consent_invalid": "The consent was never valid",
    "purpose_remains": "Another use that was agreed to keeps it",
    "transitory": "Working material",
    # what a certificate does not cover
    "disk_snapshots": "Snapshots that somebody made of the disk",
    "ssd_remapping": "Cells that a solid-state disk set aside by itself",
    "key_server_snapshots_until_declared_age": "Snapshots of a key server, until they run out",
    "memory_and_swap_of_running_nodes": "Memory of machines that were running",
    "photos_and_bundles_handed_over": "Photos and copies that were handed over before",
    "now": "Now",
    "seven_days": "In seven days, unless they change their mind",
    "everything": "Everything",
    "purposes": "Some uses",
    "assets": "Some films, clips or photos",
    # leaflets
    "current": "Current",
    "archived": "Archived",
    "in_review": "Current, in review",
    "forthcoming": "Not issued yet",
    "reissue": "Issue anew",
    "paper": "On paper",
    "email": "By email",
    "post": "By post",
    "screen": "On a screen",
}

_HOLDS = {
    "safeguarding": "Safeguarding",
    "litigation": "Court case",
    "complaint": "Complaint",
    "inquiry": "Inquiry",
    "dispute": "Parents disagree",
}
WORDS.update({kind.value: _HOLDS.get(kind.value, kind.value.capitalize()) for kind in HoldKind})

COLOURS: dict[str, str] = {
    ConsentState.GIVEN: "green",
    ConsentState.DECLINED: "grey",
    ConsentState.WITHDRAWN: "orange",
    ConsentState.DISPUTED: "red",
    ConsentState.EXPIRED: "orange",
    ConsentState.REVOKED: "orange",
    ConsentState.INVALIDATED: "red",
    AssetState.STORED: "green",
    AssetState.RECEIVING: "blue",
    AssetState.RECEIVED: "blue",
    AssetState.AWAITING_CONSENT: "yellow",
    AssetState.LOCKED: "orange",
    AssetState.RESTRICTED: "red",
    AssetState.ERASED: "grey",
    "current": "green",
    "archived": "grey",
    "in_review": "yellow",
    "reissue": "red",
    "done": "green",
    "ok": "green",
    "failed": "orange",
    "blocked": "red",
    "warning": "yellow",
    "fault": "red",
}


def said(code: object) -> str:
    """Return a code in words; one without words of its own is shown with spaces."""
    text = str(code.value) if isinstance(code, StrEnum) else str(code)
    return WORDS.get(text) or text.replace("_", " ").replace("-", " ").capitalize()


def within(code: str, purposes: Mapping[str, str]) -> str:
    """Return a code as it stands within a sentence; ids and codes without words stay as they are.

    `purposes` are the uses of film by code, with their labels.
    """
    use, _, named = code.partition(":")
    if use in purposes:
        return f"“{purposes[use]}”" + (f" ({named})" if named else "")
    words = WORDS.get(code)
    return words[0].lower() + words[1:] if words else code


def tag(code: object) -> dict[str, str]:
    """Return text and colour of a state, as the tag component takes them."""
    text = str(code.value) if isinstance(code, StrEnum) else str(code)
    return {"text": said(code), "classes": f"nhsuk-tag--{COLOURS.get(text, 'blue')}"}


def helps(needs: Mapping[str, str]) -> list[str]:
    """Return what helps somebody to understand, line by line, what pages know of first."""
    known = [(code.value, said(code)) for code in Need] + [(LANGUAGE, "Language")]
    lines = [
        words if needs[code] in ("", YES) else f"{words}: {needs[code]}"
        for code, words in known
        if code in needs
    ]
    codes = {code for code, _ in known}
    return lines + [text for code, text in needs.items() if code not in codes and text]
