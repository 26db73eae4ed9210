"""The policies that ship are whole, say what was agreed, and are what was published."""

import re
from datetime import date

import pytest

from consent_service.domain.assets import AssetKind, RecordClass
from consent_service.domain.calendar import Period, Unit
from consent_service.domain.forms import (
    AnswerKind,
    AskedOf,
    Audience,
    Layer,
    Statement,
    questions_for,
    rendered_text,
    statements_for,
)
from consent_service.domain.leaflets import LeafletStatus, current_version
from consent_service.domain.people import Basis
from consent_service.domain.policies import LeapDayBirthday, Policies, form_facts
from consent_service.domain.purposes import KNOWN_PURPOSES, NamedUse
from consent_service.domain.retention_rules import (
    After,
    Birthday,
    Earliest,
    LongestOfRules,
    RetentionAction,
    RetentionMode,
    TriggerEvent,
)
from consent_service.domain.roles import Permission, Scope
from consent_service.policy_files import (
    check_published,
    default_policy_dir,
    published_digests,
    read_published,
)

UNDERSTANDING = ["INFO", "VOLUNTARY", "WITHDRAW", "STOP", "SAFEGUARD", "RETAIN"]
AT_WORK = date(2026, 11, 22)


def test_the_organisation_keeps_the_agreed_defaults(shipped: Policies) -> None:
    """These numbers are promises to parents; a slip here is a broken promise everywhere."""
    own = shipped.organisation

    assert (own.film_length.ask_from_minutes, own.film_length.refuse_from_minutes) == (10, 60)
    assert (own.hold_check_hours, own.undo_days, own.awaiting_consent_days) == (0, 7, 14)
    assert (own.footage.record_class, own.outside_record_system) == (RecordClass.TRANSITORY, None)
    assert (own.default_language, own.leap_day_birthday) == ("en", LeapDayBirthday.FIRST_OF_MARCH)
    assert (own.inactivity.ask_after_months, own.inactivity.counts_as_ended_after_months) == (3, 6)
    assert own.goal_suggestions["en"]


def test_working_material_without_sign_off_is_warned_about(shipped: Policies) -> None:
    """Nobody has signed for a fresh installation, and it must not pretend that they have."""
    assert len(shipped.warnings) == 1
    assert "sign-offs" in shipped.warnings[0]


def test_every_purpose_is_there_and_sustains_what_was_agreed(shipped: Policies) -> None:
    """Film that nothing sustains is destroyed, so a wrong word here destroys or keeps too much."""
    kept = {code: purpose.sustains for code, purpose in shipped.purposes.items()}
    named = {code: p.named_use for code, p in shipped.purposes.items() if p.named_use != "none"}
    film = {AssetKind.RECORDING, AssetKind.CLIP}
    parts = {AssetKind.CLIP, AssetKind.STILL}

    assert tuple(shipped.purposes) == KNOWN_PURPOSES
    assert kept.pop("care") == kept.pop("care-review-film") == film
    assert kept.pop("keepsake") == {AssetKind.STILL}
    assert kept.pop("team") == kept.pop("family") == set()
    assert set(kept.values()) == {frozenset(parts)}
    assert named == {
        "team": NamedUse.GROUP,
        "family": NamedUse.GROUP,
        "research": NamedUse.STUDY,
        "publication": NamedUse.USE,
    }


def test_care_rests_on_public_task_and_not_on_consent_alone(shipped: Policies) -> None:
    """The lawful basis decides which right to erasure a parent has."""
    assert not shipped.purposes["care"].lawful_basis.is_consent
    assert shipped.purposes["training-local"].lawful_basis.is_consent


def test_only_those_who_work_with_film_may_watch_it(shipped: Policies) -> None:
    """The IG officer and the administrator see no film in the ordinary way."""
    watchers = {code for code, role in shipped.roles.items() if role.allows(Permission.FILM_WATCH)}

    assert watchers == {"guider", "supervisor"}
    assert shipped.roles["guider"].states("care")
    assert shipped.roles["supervisor"].may_state == {"supervision", "intervision", "accreditation"}
    assert not shipped.roles["supervisor"].states("care")
    assert not shipped.roles["ig_officer"].may_state


def test_every_verb_belongs_to_some_role(shipped: Policies) -> None:
    """A verb that nobody has is a page that nobody can open."""
    given = {verb for role in shipped.roles.values() for verb in role.permissions}

    assert given == set(Permission)
    assert shipped.roles["parent"].scope is Scope.OWN
    assert shipped.roles["guider"].scope is Scope.TEAM


def test_the_schedule_has_every_agreed_rule(shipped: Policies) -> None:
    """A class without a rule would be kept for ever or destroyed on a whim."""
    numbers = {rule.partition(".")[0] for rule in shipped.schedule.rules}

    assert numbers == {f"R{n:02}" for n in [*range(1, 24), *range(28, 33)]}


def test_the_promise_about_recordings_reads_as_the_form_prints_it(shipped: Policies) -> None:
    """The earlier of 30 days after the summary and two months after the end, and never later."""
    rule = shipped.schedule.rule("R01")

    assert rule.due == Earliest(
        (
            After(TriggerEvent.SUMMARY_FILED, Period(30, Unit.DAYS), promise=True),
            After(TriggerEvent.INVOLVEMENT_ENDED, Period(2, Unit.MONTHS), promise=True),
        )
    )
    assert (rule.gone_by, rule.mode) == (rule.due, RetentionMode.AUTO)


def test_only_the_five_promised_rules_say_when_a_thing_must_be_gone(shipped: Policies) -> None:
    """Rule 19: the others only say from when it may go."""
    both = {rule.id for rule in shipped.schedule.rules.values() if rule.gone_by is not None}

    assert both == {"R01", "R02", "R09", "R11", "R16"}


def test_other_rules_read_as_agreed(shipped: Policies) -> None:
    """One of each way of writing a due date."""
    rules = shipped.schedule.rules

    assert rules["R03"].due == Birthday(25, 26)
    assert rules["R07"].due == LongestOfRules(("R03", "R04", "R05", "R06"))
    assert rules["R09"].gone_by == After(TriggerEvent.WITHDRAWN, Period(28, Unit.DAYS), True)
    assert rules["R10"].action is RetentionAction.RESTRICT
    assert rules["R16"].action is RetentionAction.ANONYMISE
    assert [rule.id for rule in shipped.schedule.rules_for("supervision-copy")] == ["R13"]


def test_every_automatic_class_has_one_proposal(shipped: Policies) -> None:
    """Without an approved appraisal a job destroys nothing, so each class needs one to approve."""
    automatic = {r.id for r in shipped.schedule.rules.values() if r.mode is RetentionMode.AUTO}
    proposed = [rule for each in shipped.appraisals.values() for rule in each.rules]

    assert sorted(proposed) == sorted(automatic)


def codes(statements: tuple[Statement, ...]) -> set[str]:
    return {statement.code for statement in statements}


def test_the_form_asks_each_person_what_was_agreed(shipped: Policies) -> None:
    """A line not asked is a permission never given; a line too many is a burden."""
    form = shipped.latest_form("vig")
    parent = codes(statements_for(form, Audience(frozenset({AskedOf.ADULT_FILMED}))))
    holder = codes(statements_for(form, Audience(frozenset({AskedOf.HOLDER}))))
    optional_for_both = {
        "CARE.FILM.REVIEW", "SUP.SUPERVISOR", "SUP.INTERVISION", "SUP.ACCREDIT", "TRAIN.LOCAL",
        "TRAIN.EXTERNAL", "SHARE.TEAM", "SHARE.FAMILY", "RES.USE", "PUB.WEB", "PHOTO.KEEP",
        "PHOTO.OTHERS",
    }  # fmt: skip

    assert parent == optional_for_both | {f"UND.{word}" for word in UNDERSTANDING} | {
        "CARE.FILM.SELF", "CARE.EDIT", "CARE.REVIEW", "CARE.SUMMARY", "RES.CONTACT", "FB.COLLECT",
        "FB.QUOTE",
    }  # fmt: skip
    assert holder == optional_for_both | {"PR.CONFIRM", "CARE.FILM.CHILD"}


def test_only_a_pregnant_parent_is_asked_about_the_bump(shipped: Policies) -> None:
    """Asking the others would be careless."""
    form = shipped.latest_form("vig")
    parent = frozenset({AskedOf.ADULT_FILMED})

    assert "CARE.FILM.BUMP" not in codes(statements_for(form, Audience(parent)))
    assert "CARE.FILM.BUMP" in codes(statements_for(form, Audience(parent, pregnant=True)))


def test_another_person_gets_the_short_form(shipped: Policies) -> None:
    """A grandmother in the picture needs what concerns film, and nothing about goals or photos."""
    form = shipped.latest_form("vig-other-person")
    asked = codes(statements_for(form, Audience(frozenset({AskedOf.OTHER_PERSON}))))

    assert asked == codes(form.statements)
    assert asked == {f"UND.{word}" for word in UNDERSTANDING} | {
        "CARE.FILM.SELF", "CARE.FILM.REVIEW", "SUP.SUPERVISOR", "SUP.INTERVISION", "SUP.ACCREDIT",
        "TRAIN.LOCAL", "TRAIN.EXTERNAL", "RES.USE", "PUB.WEB",
    }  # fmt: skip


def test_layers_and_answers_are_as_agreed(shipped: Policies) -> None:
    """The summary is needed but gives no permission; understanding is confirmed, not consented."""
    form = shipped.latest_form("vig")
    needed = {s.code: s.purpose for s in form.statements if s.layer is Layer.NEEDED}

    assert needed == {
        "CARE.FILM.SELF": "care",
        "CARE.EDIT": "care",
        "CARE.REVIEW": "care",
        "CARE.FILM.CHILD": "care",
        "CARE.FILM.BUMP": "care",
        "CARE.SUMMARY": None,
    }
    assert {s.answer for s in form.statements if s.code.startswith("UND.")} == {AnswerKind.CONFIRM}
    assert form.statement("FB.QUOTE").answer is AnswerKind.TEXT
    assert form.statement("PR.CONFIRM").choices == tuple(Basis)


@pytest.mark.parametrize("record_class", RecordClass)
@pytest.mark.parametrize("hours", [0, 48])
def test_the_form_prints_the_truth_about_keeping(
    shipped: Policies, record_class: RecordClass, hours: int
) -> None:
    """Parents decide on these sentences, so they follow what the organisation decided."""
    audience = Audience(frozenset({AskedOf.ADULT_FILMED}))
    facts = form_facts(shipped.organisation, shipped.schedule, "L1111, V2")
    facts = type(facts)(
        leaflet_control_line=facts.leaflet_control_line,
        record_class=record_class,
        hold_check_hours=hours,
        supervision_required=bool(hours),
        values={**facts.values, "hold_check_hours": str(hours)},
    )

    text = rendered_text(shipped.latest_form("vig"), "en", audience, facts)

    transitory = record_class is RecordClass.TRANSITORY
    assert ("no later than 30 days after your written summary" in text) == transitory
    assert ("destroyed within 28 days" in text) == transitory
    assert ("25th birthday" in text) == (not transitory)
    assert ("up to 48 hours" in text) == bool(hours)
    assert ("cannot offer you film work" in text) == bool(hours)
    assert "in 7 days" in text
    assert not re.search(r"[{}]", text)


def test_a_parent_of_a_child_is_asked_for_both(shipped: Policies) -> None:
    """A yes for oneself is no yes for the child."""
    both = Audience(frozenset({AskedOf.ADULT_FILMED, AskedOf.HOLDER}))
    asked = [
        question.capacity
        for question in questions_for(shipped.latest_form("vig"), both)
        if question.statement.code == "TRAIN.LOCAL"
    ]

    assert asked == [AskedOf.ADULT_FILMED, AskedOf.HOLDER]


def test_version_1_of_the_leaflet_is_archived_and_version_2_is_current(shipped: Policies) -> None:
    """A fresh installation works from V2 and shows V1 for what it is."""
    first, second = shipped.leaflet_versions("L1111")

    assert first.control_line == "L1111, V1, 14/09/2020 (Archive: 14/09/2023)"
    assert (first.texts, first.status_on(AT_WORK)) == ({}, LeafletStatus.ARCHIVED)
    assert second.control_line == "L1111, V2, 01/09/2026 (Archive: 01/09/2029)"
    assert second.status_on(AT_WORK) is LeafletStatus.CURRENT
    assert current_version((first, second), AT_WORK) is second


@pytest.mark.parametrize(
    "topic",
    ["## What is VIG", "NICE", "goals", "few minutes", "shy", "Ask whatever", "consent form",
     "watch together", "Photos", "change my mind", "care stays the same", "secure link",
     "Who can see", "How long", "another language", "what I thought"],
)  # fmt: skip
def test_version_2_covers(shipped: Policies, topic: str) -> None:
    """Everything the first version told parents, and what it left out."""
    assert topic in shipped.leaflets["L1111", 2].texts["en"]


def test_version_2_invents_no_parent_and_backs_its_claims(shipped: Policies) -> None:
    """Quotes need permission, and nobody gave any for this version."""
    leaflet = shipped.leaflets["L1111", 2]

    assert leaflet.quotes == ()
    assert not re.search('[“”"]', leaflet.texts["en"])
    assert len(leaflet.sources) == 2


def test_what_ships_is_what_was_published() -> None:
    """Editing a published version by mistake must not reach a family."""
    folder = default_policy_dir()
    published = read_published(folder)
    versions = {path for path in published if path.count("/") == 2}

    assert versions == {
        "consent-forms/vig/v1",
        "consent-forms/vig-other-person/v1",
        "leaflets/L1111/v1",
        "leaflets/L1111/v2",
    }
    for path in versions:
        assert published_digests(folder, path).items() <= published.items()
    check_published(folder, published)
