"""Whose consent is missing for a use (rule 3). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from consent_service.domain.consent import ConsentState, Finding


@dataclass(frozen=True)
class Missing:
    """One reason why a use is not permitted: whose consent, for what, and its state."""

    person: str
    purpose: str
    state: ConsentState


def missing_for(findings: Iterable[tuple[str, Finding]], purpose: str) -> tuple[Missing, ...]:
    """Name everyone whose state is not *given* (rule 3); empty means permitted by consent."""
    return tuple(
        Missing(person, purpose, finding.state)
        for person, finding in findings
        if finding.state is not ConsentState.GIVEN
    )
