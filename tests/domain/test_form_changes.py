"""What changed between two versions of a form, line by line."""

from dataclasses import replace

from consent_service.domain.form_changes import INTRODUCTION, ChangeKind, form_changes
from consent_service.domain.policies import form_facts
from consent_service.policy_files import default_policy_dir, read_policies

POLICIES = read_policies(default_policy_dir())
FORM = POLICIES.forms["vig", 1]
FACTS = form_facts(
    POLICIES.organisation, POLICIES.schedule, "L1111, V2, 01/09/2026 (Archive: 01/09/2029)"
)


def test_the_same_words_have_not_changed() -> None:
    """Nobody is asked again about nothing."""
    assert form_changes(FORM, FORM, "en", FACTS) == ()


def test_another_introduction_is_a_change_of_its_own() -> None:
    """It is read before the first line, and may promise something that no line says."""
    words = replace(FORM.words["en"], title="Another title")
    newer = replace(FORM, words={**FORM.words, "en": words})

    [change] = form_changes(FORM, newer, "en", FACTS)

    assert (change.code, change.kind) == (INTRODUCTION, ChangeKind.CHANGED)
    assert change.after[0] == "Another title"
    assert change.before[1:] == change.after[1:]
