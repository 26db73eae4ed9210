"""Purposes: the uses of film that each need their own yes.

What a purpose means is policy text (`policies/purposes.yaml`); the codes below are the ones the
service's own rules speak of, and the policy reader refuses a folder that lacks one of them.

Rules kept here:
  * a purpose whose yes names a use, a study or a group is written `purpose:name` wherever a key or
    a permission speaks of it (rule 3);
  * `sustains` names the kinds of film that a purpose is a reason to keep (rule 4).
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from consent_service.domain.assets import AssetKind

CARE = "care"
CARE_REVIEW_FILM = "care-review-film"
SUPERVISION = "supervision"
INTERVISION = "intervision"
ACCREDITATION = "accreditation"
TEAM = "team"
FAMILY = "family"
TRAINING_LOCAL = "training-local"
TRAINING_EXTERNAL = "training-external"
RESEARCH = "research"
PUBLICATION = "publication"
KEEPSAKE = "keepsake"

KNOWN_PURPOSES = (
    CARE,
    CARE_REVIEW_FILM,
    SUPERVISION,
    INTERVISION,
    ACCREDITATION,
    TEAM,
    FAMILY,
    TRAINING_LOCAL,
    TRAINING_EXTERNAL,
    RESEARCH,
    PUBLICATION,
    KEEPSAKE,
)

USE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class NamedUse(StrEnum):
    """What a yes for the purpose must name, if anything."""

    NONE = "none"
    USE = "use"
    STUDY = "study"
    GROUP = "group"


@dataclass(frozen=True)
class LawfulBasis:
    """Why the organisation may do it: UK GDPR articles and the common law of confidence."""

    article_6: str
    article_9: str
    common_law: str

    @property
    def is_consent(self) -> bool:
        """Tell whether UK GDPR consent itself is the basis (Articles 7(3) and 17 then apply)."""
        return self.article_6 == "6(1)(a)"


@dataclass(frozen=True)
class Purpose:
    """One use of film, as `policies/purposes.yaml` describes it."""

    code: str
    label: str
    description: str
    named_use: NamedUse
    sustains: frozenset[AssetKind]
    lawful_basis: LawfulBasis
    on_withdrawal: str
    record_class: str
    retention_rules: tuple[str, ...]
    dpv: str
    fhir: str

    def keeps(self, kind: AssetKind) -> bool:
        """Tell whether a permission for this purpose is a reason to keep such an asset."""
        return kind in self.sustains


def with_use(purpose: str, use: str | None = None) -> str:
    """Return `purpose`, or `purpose:use` when the yes names one; ValueError for a bad name."""
    if use is None:
        return purpose
    if not USE_NAME.fullmatch(use):
        raise ValueError("a named use is lower-case letters, digits and hyphens, 63 at most")
    return f"{purpose}:{use}"


def split_use(purpose: str) -> tuple[str, str | None]:
    """Return (code, named use or None) of a written purpose such as `publication:poster-2026`."""
    code, colon, use = purpose.partition(":")
    return code, (use if colon else None)
