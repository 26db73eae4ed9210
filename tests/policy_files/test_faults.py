"""Whatever is wrong with a policy file is said as `file:line: what is wrong, what was expected`."""

from pathlib import Path

import pytest

from consent_service.errors import PolicyFault
from consent_service.policy_files import read_policies
from tests.policy_files.conftest import PolicyFolder

ORGANISATION = "organisation.yaml"
ENGLAND = "retention/england.yaml"
FORM = "consent-forms/vig/v1/form.yaml"
WORDS = "consent-forms/vig/v1/en.md"
LEAFLET = "leaflets/L1111/v2/leaflet.yaml"
TEXT = "leaflets/L1111/v2/en.md"
LINKS = "appraisals/links.yaml"

# Each case: the file, what stands there, what somebody writes instead, words on the line that must
# be named, and how the fault reads from its line number on.
ONE_SLIP = {
    "an unknown key": (
        ORGANISATION, "undo_days: 7", "undoo_days: 7", "undoo_days",
        "`undoo_days` is not a key here, expected one of name, default_language,",
    ),
    "a missing key": (
        ORGANISATION, "  telephone: 01632 960 011\n", "", "contact:",
        "`telephone` is missing, expected it here",
    ),
    "a key inside a list entry": (
        "purposes.yaml", "    named_use: group", "    named: group", "named: group",
        "`named` is not a key here, expected one of code, label,",
    ),
    "a number where a day belongs": (
        LEAFLET, "2026-09-01", "20260901", "issued_on",
        "`issued_on`: `20260901` is not a day, expected year-month-day such as 2026-09-01",
    ),
    "a day that does not exist": (
        LEAFLET, "2026-09-01", "2026-02-30", "issued_on",
        "`issued_on`: 2026-02-30 is no day of the calendar, expected a real day",
    ),
    "an archive date before the issue date": (
        LEAFLET, "2029-09-01", "2026-09-01", "archive_on",
        "the archive date 2026-09-01 is not after the issue date 2026-09-01, expected a later day",
    ),
    "words where a number belongs": (
        ORGANISATION, "undo_days: 7", "undo_days: seven", "undo_days",
        "`undo_days`: `seven` is not a whole number, expected one such as 7",
    ),
    "a number that is too large": (
        ORGANISATION, "hold_check_hours: 0", "hold_check_hours: 73", "hold_check_hours",
        "`hold_check_hours`: 73 is too much, expected 72 at most",
    ),
    "a number that is too small": (
        ORGANISATION, "undo_days: 7", "undo_days: 0", "undo_days",
        "`undo_days`: 0 is too little, expected 1 at least",
    ),
    "yes where true or false belongs": (
        ORGANISATION, "supervision_required: false", "supervision_required: no",
        "supervision_required",
        "`supervision_required`: `no` is neither true nor false, expected one of them",
    ),
    "an unknown word": (
        ORGANISATION, "record_class: transitory", "record_class: temporary", "record_class:",
        "`record_class`: `temporary` is not known, expected 'transitory' or 'health_record'",
    ),
    "no words": (
        ORGANISATION, "leaflet_owner: Perinatal team lead", "leaflet_owner: ''", "leaflet_owner",
        "`leaflet_owner` is empty, expected words",
    ),
    "a mapping where words belong": (
        ORGANISATION, "leaflet_owner: Perinatal team lead", "leaflet_owner: {a: b}",
        "leaflet_owner", "`leaflet_owner` is no text, expected words",
    ),
    "words where a mapping belongs": (
        ORGANISATION, "inactivity:\n  ask_after_months: 3\n  counts_as_ended_after_months: 6",
        "inactivity: 3", "inactivity",
        "`inactivity` is not a mapping, expected `key: value` lines",
    ),
    "words where a list belongs": (
        "roles.yaml", "    may_state: []", "    may_state: care", "may_state: care",
        "`may_state` is not a list, expected a list",
    ),
    "a code of the wrong form": (
        "purposes.yaml", "article_6: 6(1)(e)", "article_6: Article 6", "article_6: Article 6",
        "`article_6`: `Article 6` has the wrong form, expected ^6",
    ),
    "an address that is none": (
        LEAFLET, "address: https://www", "address: http://www", "address: http://www",
        "`address`: `http://www.nice.org.uk/guidance/ph40` has the wrong form, expected",
    ),
    "film lengths the wrong way round": (
        ORGANISATION, "refuse_from_minutes: 60", "refuse_from_minutes: 10", "film_length",
        "`film_length`: refuse_from_minutes is not above ask_from_minutes, expected it to be",
    ),
    "months the wrong way round": (
        ORGANISATION, "counts_as_ended_after_months: 6", "counts_as_ended_after_months: 3",
        "inactivity", "`inactivity`: it ends before anybody is asked, expected more months",
    ),
    "no goals in the default language": (
        ORGANISATION, "  en:\n    - I want to notice", "  cy:\n    - I want to notice",
        "goal_suggestions",
        "`goal_suggestions`: the default language has no goals, expected some",
    ),
    "a permission nobody knows": (
        "roles.yaml", "      - film.upload", "      - film.uplaod", "film.uplaod",
        "`permissions`: `film.uplaod` is not known, expected 'people.read',",
    ),
    "a role that states no known purpose": (
        "roles.yaml", "      - care\n", "      - caring\n", "    may_state:",
        "caring is no purpose, expected one",
    ),
    "a purpose that nobody may state": (
        "roles.yaml", "      - keepsake\n", "", "roles:",
        "no role may state keepsake, expected one that may",
    ),
    "a role that is gone": (
        "roles.yaml", "code: scheduled_job", "code: robot", "roles:",
        "the role scheduled_job is missing, expected it",
    ),
    "a role that stands twice": (
        "roles.yaml", "code: parent", "code: guider", "code: guider\n    label: Parent",
        "guider stands twice, expected it once",
    ),
    "a purpose that is gone": (
        "purposes.yaml", "code: keepsake", "code: souvenir", "purposes:",
        "the purpose keepsake is missing, expected it",
    ),
    "a purpose under a rule that does not exist": (
        "purposes.yaml", "retention_rules: [R11, R09, R10]", "retention_rules: [R99]",
        "retention_rules: [R99]", "R99 is no rule of the schedule, expected one",
    ),
    "a period that is none": (
        ENGLAND, "plus: 30 days, promise", "plus: 4 weeks, promise", "    due:",
        "`due`: `4 weeks` is not a period, expected such as 30 days, 2 months, 8 years",
    ),
    "an event that is none": (
        ENGLAND, "event: summary_filed", "event: summary_written", "    due:",
        "`due`: `summary_written` is not an event, expected one of summary_filed,",
    ),
    "a due date with a key too many": (
        ENGLAND, "plus: 30 days, promise: true", "plus: 30 days, vow: true", "    due:",
        "`due`: `vow` is not a key here, expected only event, plus, promise",
    ),
    "a due date with none of its keys": (
        ENGLAND, "      earliest:\n", "      soonest:\n", "    due:",
        "`due`: the due date has none of its keys, expected one of event, birthday,",
    ),
    "a due date that is no mapping": (
        ENGLAND, "due: {longest_of_rules: [R22]}", "due: R22", "due: R22",
        "`due`: `R22` is not a due date, expected a mapping such as event and plus",
    ),
    "a list of rules that is none": (
        ENGLAND, "{longest_of_rules: [R22]}", "{longest_of_rules: R22}", "rules: R22",
        "`due`: longest_of_rules is not a list, expected rule ids such as [R03, R04]",
    ),
    "an earliest of one": (
        ENGLAND, "        - {event: involvement_ended, plus: 2 months, promise: true}\n", "",
        "    due:", "`due`: earliest has fewer than two parts, expected a list of due dates",
    ),
    "a rule that refers to none": (
        ENGLAND, "{longest_of_rules: [R22]}", "{longest_of_rules: [R24]}", "- id: R21",
        "R21 refers to R24, which is no rule, expected one",
    ),
    "a rule number that stands twice": (
        ENGLAND, "- id: R02", "- id: R01", "- id: R01\n    title: Clip",
        "R01 stands twice, expected it once",
    ),
    "an automatic class without an appraisal": (
        ENGLAND, "mode: review", "mode: auto", "- id: R03",
        "R03 is automatic without an appraisal, expected a proposal",
    ),
    "a promise to parents that the schedule lacks": (
        ENGLAND, "event: summary_filed", "event: copy_made", "id: england",
        "R01 has no period after summary_filed, expected R01, R09 with what forms print",
    ),
    "an appraisal of what is not automatic": (
        LINKS, "[R29.consent-link, R29.parent-link]", "[R29.consent-link, R29.parent-link, R03]",
        "rules:", "R03 is not automatic, expected one that is",
    ),
    "an appraisal that ends before it begins": (
        LINKS, "2029-08-31", "2026-08-31", "valid_until",
        "it ends before it begins, expected a later day",
    ),
    "an appraisal by nobody": (
        LINKS, "ig_officer", "caretaker", "proposed_by_role",
        "caretaker is no role, expected one",
    ),
    "an appraisal under another name": (
        LINKS, "id: links", "id: old-links", "id: old-links",
        "the id old-links is not the file's name, expected links",
    ),
    "an appraisal of nothing": (
        LINKS, "[R29.consent-link, R29.parent-link]", "[]", "rules: []",
        "`rules` is an empty list, expected at least one entry",
    ),
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
    "a leaflet in the wrong place": (
        LEAFLET, "version: 2", "version: 3", "version: 3",
        "the leaflet L1111 version 3 stands in leaflets/L1111/v2, expected leaflets/L1111/v3",
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
    """An IG officer mends a file from this sentence alone."""
    file, old, new, near, sentence = ONE_SLIP[case]
    folder.change(file, old, new)

    faults = folder.faults()

    line = line_of(folder, file, near)
    assert any(fault.startswith(f"{file}:{line}: {sentence}") for fault in faults), faults


def line_of(folder: PolicyFolder, file: str, near: str) -> int:
    text = (folder.path / file).read_text(encoding="utf-8")
    return text[: text.index(near)].count("\n") + 1


def test_a_key_written_twice_is_a_fault(folder: PolicyFolder) -> None:
    """The second would win in silence, and the reader may have seen the first."""
    folder.change(ORGANISATION, "undo_days: 7", "undo_days: 7\nundo_days: 8")

    line = folder.line_of(ORGANISATION, "undo_days: 8")
    assert folder.faults() == [
        f"{ORGANISATION}:{line}: `undo_days` is written twice, expected it once"
    ]


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


def test_all_faults_are_told_at_once_in_order(folder: PolicyFolder) -> None:
    """Mending one fault a run would take an afternoon."""
    folder.change(ORGANISATION, "undo_days: 7", "undo_days: seven")
    folder.change("purposes.yaml", "sustains: [still]", "sustains: [photo]")
    folder.change(LEAFLET, "2026-09-01", "soon")
    folder.change(WORDS, "## UND.STOP", "## UND.HALT")

    faults = folder.faults()

    assert [fault.split(":")[0] for fault in faults] == [
        WORDS, WORDS, LEAFLET, ORGANISATION, "purposes.yaml",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "file", [ORGANISATION, "purposes.yaml", "roles.yaml", ENGLAND, FORM, WORDS, LEAFLET, TEXT]
)
def test_a_missing_file_is_named(folder: PolicyFolder, file: str) -> None:
    """Without it there would be a traceback on the first morning."""
    (folder.path / file).unlink()

    assert folder.faults() == [f"{file}:1: the file is missing, expected it here"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A wrong setting is told as what it is."""
    with pytest.raises(PolicyFault, match=r"^nowhere:1: there is no such folder, expected"):
        read_policies(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"name: a\nowner: b: c\n", "2: this is not YAML ("),
        (b"name: [a\n", "2: this is not YAML ("),
        (b"name: a\nowner: caf\xe9\n", "2: the file is not UTF-8, expected UTF-8 text"),
        (b"name: \x07\n", "1: the file holds a character YAML does not allow, expected plain"),
        (b"", "1: the file has no keys, expected `key: value` lines"),
        (b"- a\n- b\n", "1: the file has no keys, expected `key: value` lines"),
        (b"? [a, b]\n: c\n", "1: a key is a list or a mapping, expected a word"),
        (b"name: *other\n", "1: this is not YAML ("),
        (b"name: &a [*a]\n", "1: this is used again by an alias, expected it written out"),
        (b"name: &a x\nowner: *a\n", "1: this is used again by an alias"),
    ],
)
def test_what_is_no_yaml_is_a_fault_with_its_line(
    folder: PolicyFolder, raw: bytes, fault: str
) -> None:
    """Never a traceback, whatever bytes are in the file."""
    (folder.path / ORGANISATION).write_bytes(raw)

    assert any(line.startswith(f"{ORGANISATION}:{fault}") for line in folder.faults())


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


def test_another_organisation_may_decide_otherwise(folder: PolicyFolder) -> None:
    """Everything an organisation may choose reads without a fault."""
    folder.change(ORGANISATION, "record_class: transitory", "record_class: health_record")
    folder.change(ORGANISATION, "system: null", "system: the county record system")
    folder.change(ORGANISATION, "day: 1 March", "day: 28 February")
    folder.change(ORGANISATION, "governance: null", "governance: {by: Head of IG, on: 2026-09-01}")

    policies = read_policies(folder.path)

    assert policies.warnings == ()
    assert policies.organisation.outside_record_system == "the county record system"
    assert policies.organisation.leap_day_birthday.month_and_day == (2, 28)


def test_both_sign_offs_end_the_warning(folder: PolicyFolder) -> None:
    """One office alone cannot make film working material."""
    folder.change(ORGANISATION, "governance: null", "governance: {by: Head of IG, on: 2026-09-01}")
    assert read_policies(folder.path).warnings

    folder.change(ORGANISATION, "guardian: null", "guardian: {by: Guardian, on: 2026-09-02}")
    assert read_policies(folder.path).warnings == ()
