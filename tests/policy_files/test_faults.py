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

# Each case, as `Slip`: the file, what stands there, what somebody writes instead, words on the line
# that must be named, and how the fault reads from its line number on.
ONE_SLIP = {
    "a form in a language that nobody answers for": (
        FORM, "languages: [en]", "languages: [en, cy]", "languages",
        "nobody answers for the words in cy, expected its translator and its approver",
    ),
    "a leaflet in a language that nobody answers for": (
        LEAFLET, "languages: [en]", "languages: [en, cy]", "languages",
        "nobody answers for the words in cy, expected its translator and its approver",
    ),
    "a translation without its approver": (
        FORM, "languages: [en]",
        "languages: [en, cy]\ntranslations:\n  cy:\n    translator: Words Across", "cy:",
        "`approver` is missing, expected it here",
    ),
    "a translation of nothing": (
        LEAFLET, "languages: [en]",
        "languages: [en]\ntranslations:\n  cy: {translator: Words Across, approver: A. Checker}",
        "cy: {", "`cy` is no translation, expected one of the languages after the first",
    ),
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
    "a leaflet in the wrong place": (
        LEAFLET, "version: 2", "version: 3", "version: 3",
        "the leaflet L1111 version 3 stands in leaflets/L1111/v2, expected leaflets/L1111/v3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ONE_SLIP)
def test_a_slip_is_named_with_its_file_and_line(folder: PolicyFolder, case: str) -> None:
    """An IG officer mends a file from this sentence alone."""
    folder.requires_named(ONE_SLIP[case])


def test_a_key_written_twice_is_a_fault(folder: PolicyFolder) -> None:
    """The second would win in silence, and the reader may have seen the first."""
    folder.change(ORGANISATION, "undo_days: 7", "undo_days: 7\nundo_days: 8")

    line = folder.line_of(ORGANISATION, "undo_days: 8")
    assert folder.faults() == [
        f"{ORGANISATION}:{line}: `undo_days` is written twice, expected it once"
    ]


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
