"""Slips in what parents read and sign: forms, their words and leaflets, told by file and line."""

import pytest

from tests.policy_files.conftest import PolicyFolder

ORGANISATION = "organisation.yaml"
FORM = "consent-forms/vig/v1/form.yaml"
WORDS = "consent-forms/vig/v1/en.md"
TEXT = "leaflets/L1111/v2/en.md"

# Each case, as `Slip`: the file, what stands there, what somebody writes instead, words on the line
# that must be named, and how the fault reads from its line number on.
ONE_SLIP = {
    "a form in the wrong place": (
        FORM, "version: 1", "version: 2", "version: 2",
        "the form vig version 2 stands in consent-forms/vig/v1, expected consent-forms/vig/v2",
    ),
    "a form without its leaflet": (
        FORM, "leaflet: L1111", "leaflet: L9", "# What is asked",
        "L9 is no leaflet, expected one",
    ),
    "a statement with an unknown purpose": (
        FORM, "purpose: training-local", "purpose: teaching", "# What is asked",
        "TRAIN.LOCAL: teaching is no purpose, expected one of purposes.yaml",
    ),
    "a yes that must name somebody": (
        FORM, "    purpose: training-local", "    purpose: team", "# What is asked",
        "TRAIN.LOCAL: a yes to team must say for whom or what, expected names: people",
    ),
    "a statement that stands twice": (
        FORM, "code: UND.STOP", "code: UND.INFO", "code: UND.INFO\n    layer: U\n    asked_of: [P]"
        "\n    answer: confirm\n\n  - code: UND.SAFE",
        "UND.INFO: the code stands twice, expected it once",
    ),
    "a purpose without its end": (
        FORM, "    valid_for: decision + 24 months\n", "", "purpose: supervision",
        "SUP.SUPERVISOR: only one of purpose and valid_for is given, expected both or neither",
    ),
    "a validity that is none": (
        FORM, "valid_for: decision + 24 months", "valid_for: for ever", "valid_for: for ever",
        "`valid_for`: `for ever` is not a validity, expected `decision + 3 years`,",
    ),
    "a name for a plain yes": (
        FORM, "    answer: yes_no_named\n    purpose: research",
        "    answer: yes_no\n    purpose: research", "names: study",
        "RES.USE: names and the answer do not fit, expected names with yes_no_named only",
    ),
    "a choice without choices": (
        FORM, "  - code: RES.CONTACT\n    layer: O\n    asked_of: [P]\n    answer: yes_no",
        "  - code: RES.CONTACT\n    layer: O\n    asked_of: [P]\n    answer: choice",
        "code: RES.CONTACT",
        "RES.CONTACT: choices and the answer do not fit, expected choices with choice only",
    ),
    "a purpose that is only confirmed": (
        FORM, "    answer: yes_no\n    purpose: supervision",
        "    answer: confirm\n    purpose: supervision", "answer: confirm\n    purpose",
        "SUP.SUPERVISOR: a purpose needs a yes or a no, expected yes_no or yes_no_named",
    ),
    "a statement code of the wrong form": (
        FORM, "code: UND.STOP", "code: stop", "code: stop",
        "`code`: `stop` has the wrong form, expected",
    ),
    "a statement without words": (
        WORDS, "## UND.STOP", "## UND.HALT", "# Consent to film",
        "UND.STOP has no words, expected `## UND.STOP`",
    ),
    "words without a statement": (
        WORDS, "## UND.STOP", "## UND.HALT", "## UND.HALT",
        "UND.HALT is no statement of form.yaml, expected one",
    ),
    "a statement without its wording": (
        WORDS, "I agree that my bump may be filmed while I am pregnant.\n", "",
        "## CARE.FILM.BUMP", "CARE.FILM.BUMP lacks its wording, expected its words",
    ),
    "a statement without words for a child": (
        WORDS, "- child: I have parental responsibility for this child. This is because:\n", "",
        "## PR.CONFIRM", "PR.CONFIRM lacks `- child:`, expected its words",
    ),
    "a choice without words": (
        WORDS, "- choice adopter: I have adopted this child\n", "", "## PR.CONFIRM",
        "PR.CONFIRM lacks `- choice adopter:`, expected its words",
    ),
    "a consequence that is not said": (
        WORDS, "- no: We will not ask for feedback.\n", "", "## FB.COLLECT",
        "FB.COLLECT lacks `- no:`, expected its words",
    ),
    "an entry nobody knows": (
        WORDS, "- no: We will not ask.", "- no: We will not ask.\n- maybe: We might.", "- maybe",
        "`maybe` is not known here, expected one of child, no, why, withdraw",
    ),
    "a label that is gone": (
        WORDS, "- why: Why we ask:\n", "", "## Labels",
        "Labels lack `why`, expected `- why: words`",
    ),
    "a passage nobody knows": (
        WORDS, "- hold_check.none: If", "- hold_check.nil: If", "- hold_check.nil",
        "`hold_check.nil` is not known in Passages, expected one of after_withdrawal.health_record",
    ),
    "a placeholder without a value": (
        WORDS, "{undo_days} days", "{cooling_off} days", "## UND.WITHDRAW",
        "{cooling_off} has no value, expected one of address,",
    ),
    "a placeholder without a value in an entry": (
        WORDS, "If you say no:", "If {you} say no:", "If {you}",
        "{you} has no value, expected one of address,",
    ),
    "a line that cannot be read": (
        WORDS, "I agree that my bump", "> I agree that my bump", "> I agree",
        "the line cannot be read, expected a heading, words or `- key: `",
    ),
    "an entry that cannot be read": (
        WORDS, "- no: We will not ask.", "- We will not ask.", "- We will not ask.",
        "the entry cannot be read, expected `- key: words` in a section",
    ),
    "an entry that stands twice": (
        WORDS, "- no: We will not ask.", "- no: We will not ask.\n- no: Or so.", "- no: Or so.",
        "`no` stands twice in RES.CONTACT, expected it once",
    ),
    "a section that stands twice": (
        WORDS, "## UND.STOP", "## UND.INFO", "## UND.INFO\n\nI know that I can ask",
        "the section UND.INFO stands twice, expected it once",
    ),
    "two titles": (
        WORDS, "## Labels", "# Again\n\n## Labels", "# Again",
        "there is a second title, expected one `# Title`",
    ),
    "no title": (
        WORDS, "# Consent to film: working together with video interaction guidance", "Consent",
        "Consent", "the file has no title, expected `# Title` first",
    ),
    "a leaflet without its control line": (
        TEXT, "L1111, V2, 01/09/2026 (Archive: 01/09/2029)", "L1111, V2", "L1111, V2",
        "the last line is not the control line, expected L1111, V2, 01/09/2026 (Archive: 01/09/2029",
    ),
    "a leaflet without a title": (
        TEXT, "# Video interaction guidance", "Video interaction guidance", "Video interaction",
        "the leaflet has no title, expected `# Title` first",
    ),
    "a claim without a source": (
        TEXT, "the two of\nthem grow close [1].", "the two of\nthem grow close [7].", "close [7]",
        "[7] has no source in leaflet.yaml, expected one",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ONE_SLIP)
def test_a_slip_is_named_with_its_file_and_line(folder: PolicyFolder, case: str) -> None:
    """Whoever writes forms and leaflets is no programmer."""
    folder.requires_named(ONE_SLIP[case])


def test_an_entry_continued_without_spaces_is_a_fault(folder: PolicyFolder) -> None:
    """Half a sentence would move from the explanation into what the parent agrees to."""
    folder.change(WORDS, "- no: We will not ask.", "- no: We will\nnot ask.")

    line = folder.line_of(WORDS, "not ask.")
    assert folder.faults() == [
        f"{WORDS}:{line}: the line continues an entry, expected two spaces in front"
    ]


def test_a_form_needs_its_words_in_the_default_language(folder: PolicyFolder) -> None:
    """A parent who asks for no language must still get words."""
    folder.change(ORGANISATION, "default_language: en", "default_language: cy")

    assert f"{FORM}:1: the form has no words in cy, expected them" in folder.faults()


def test_a_source_that_backs_no_claim_is_a_fault(folder: PolicyFolder) -> None:
    """A reference without a claim means that a claim was lost, or its number."""
    text = (folder.path / TEXT).read_text(encoding="utf-8")
    (folder.path / TEXT).write_text(text.replace("[2]", ""), encoding="utf-8")

    assert folder.faults() == [f"{TEXT}:1: source 2 backs no claim, expected [2] in the words"]


def test_a_second_language_is_checked_like_the_first(folder: PolicyFolder) -> None:
    """A translation that lost a line would ask some families for less than others."""
    folder.change(FORM, "languages: [en]", "languages: [en, cy]")
    words = (folder.path / WORDS).read_text(encoding="utf-8")
    welsh = WORDS.replace("en.md", "cy.md")
    (folder.path / welsh).write_text(words.replace("## UND.STOP", "## Saib"), encoding="utf-8")

    assert folder.faults()[0] == f"{welsh}:1: UND.STOP has no words, expected `## UND.STOP`"
