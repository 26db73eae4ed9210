"""Holds stop disposal for a reason; any hold wins (rule 8). Pure."""

from enum import StrEnum


class HoldKind(StrEnum):
    """Why something must not be destroyed now."""

    LITIGATION = "litigation"
    COMPLAINT = "complaint"
    SAFEGUARDING = "safeguarding"
    INQUIRY = "inquiry"
    DISPUTE = "dispute"
