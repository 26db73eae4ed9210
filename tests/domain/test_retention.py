"""Due dates: never early for what is kept, never late for what was promised to go."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.domain.assets import AssetKind, RecordClass
from consent_service.domain.calendar import Period, Unit, birthday, keep_until
from consent_service.domain.retention import (
    Facts,
    FilmFacts,
    cap,
    due,
    enough_for,
    film_rules,
    longest,
    purpose_rules,
    rule_day,
)
from consent_service.domain.retention_rules import (
    After,
    Confidence,
    RetentionAction,
    RetentionMode,
    RetentionRule,
    RetentionSchedule,
    TriggerEvent,
    schedule_of,
)
from consent_service.policy_files import default_policy_dir, read_policies

POLICIES = read_policies(default_policy_dir())
ENGLAND = POLICIES.schedule
DAYS = st.dates(date(1950, 1, 1), date(2100, 12, 31))
PERIODS = st.builds(Period, st.integers(0, 60), st.sampled_from(Unit))


def _schedule(expression: After) -> RetentionSchedule:
    rule = RetentionRule(
        "R99",
        "Invented",
        "invented",
        expression,
        expression,
        RetentionAction.DESTROY,
        RetentionMode.AUTO,
        "",
        "",
        Confidence.LOW,
    )
    return RetentionSchedule("invented", "", 1, date(2026, 1, 1), schedule_of({"R99": rule}))


@given(day=DAYS, period=PERIODS)
def test_what_is_kept_is_never_due_early(day: date, period: Period) -> None:
    """A record destroyed a day too soon cannot be put right."""
    found = due(
        _schedule(After(TriggerEvent.RECORDED, period)),
        "R99",
        Facts({TriggerEvent.RECORDED: day}),
    ).due_on

    assert found is not None
    months = period.count * {Unit.DAYS: 0, Unit.MONTHS: 1, Unit.YEARS: 12}[period.unit]
    if period.unit is Unit.DAYS:
        assert (found - day).days == period.count
    else:
        passed = (found.year - day.year) * 12 + found.month - day.month
        assert (passed, found.day) >= (months, day.day) or passed > months


@given(day=DAYS, period=PERIODS)
def test_what_was_promised_to_go_is_never_late(day: date, period: Period) -> None:
    """The form printed a last day; the day after would break the promise."""
    term = After(TriggerEvent.RECORDED, period, promise=True)
    found = due(_schedule(term), "R99", Facts({TriggerEvent.RECORDED: day}))

    assert found.due_on is not None
    assert found.due_on == found.gone_by
    assert found.due_on <= keep_until(day, period)
    assert keep_until(day, period) - found.due_on <= timedelta(days=3)


@pytest.mark.parametrize(
    ("promise", "expected"),
    [(False, date(2027, 3, 1)), (True, date(2027, 2, 28))],
)
def test_one_month_from_the_31st_of_january(promise: bool, expected: date) -> None:
    """February has no 31st: keeping runs on into March, a promise ends inside February."""
    term = After(TriggerEvent.RECORDED, Period(1, Unit.MONTHS), promise=promise)
    facts = Facts({TriggerEvent.RECORDED: date(2027, 1, 31)})

    assert due(_schedule(term), "R99", facts).due_on == expected


@given(born=DAYS, age_in_days=st.integers(0, 18 * 365), first_of_march=st.booleans())
def test_a_childs_record_is_never_due_before_the_25th_birthday(
    born: date, age_in_days: int, first_of_march: bool
) -> None:
    """R03, for any birth date, any end and either leap-day policy; 26 when 17 at the end."""
    leap = (3, 1) if first_of_march else (2, 28)
    ended = born + timedelta(days=age_in_days)

    found = due(ENGLAND, "R03", Facts(born_on=(born,), ended_on=ended, leap_day_on=leap)).due_on

    turned_17 = birthday(born, 17, leap_day_on=leap)
    turns_18 = birthday(born, 18, leap_day_on=leap)
    expected = 26 if turned_17 <= ended < turns_18 else 25
    assert found == birthday(born, expected, leap_day_on=leap)


@pytest.mark.parametrize(
    ("leap_day_on", "expected"), [((3, 1), date(2049, 3, 1)), ((2, 28), date(2049, 2, 28))]
)
def test_a_child_born_on_the_29th_of_february_has_the_policys_birthday(
    leap_day_on: tuple[int, int], expected: date
) -> None:
    """2049 has no 29 February; which day counts is the organisation's decision."""
    facts = Facts(born_on=(date(2024, 2, 29),), leap_day_on=leap_day_on)

    assert due(ENGLAND, "R03", facts).due_on == expected


def test_of_two_children_the_younger_one_decides() -> None:
    """A film of twins' older brother stays as long as the youngest child's record."""
    facts = Facts(born_on=(date(2019, 5, 5), date(2026, 9, 28)))

    assert due(ENGLAND, "R03", facts).due_on == date(2051, 9, 28)


def test_a_recording_goes_thirty_days_after_its_summary_or_two_months_after_the_end() -> None:
    """R01: whichever comes first, as the form printed it."""
    ended = {TriggerEvent.INVOLVEMENT_ENDED: date(2026, 12, 31)}
    filed = {TriggerEvent.SUMMARY_FILED: date(2026, 11, 20)}

    assert due(ENGLAND, "R01", Facts(ended)).due_on == date(2027, 2, 28)
    assert due(ENGLAND, "R01", Facts(filed)).due_on == date(2026, 12, 20)
    assert due(ENGLAND, "R01", Facts({**ended, **filed})).gone_by == date(2026, 12, 20)
    assert due(ENGLAND, "R01", Facts()).due_on is None


def test_bump_film_waits_for_the_childs_25th_birthday_when_that_is_later() -> None:
    """R05: maternity record, or the child's record if longer."""
    ceased = {TriggerEvent.CARE_CEASED: date(2026, 8, 1)}

    assert due(ENGLAND, "R05", Facts(ceased)).due_on == date(2051, 8, 1)
    facts = Facts(ceased, born_on=(date(2026, 9, 28),))
    assert due(ENGLAND, "R05", facts).due_on == date(2051, 9, 28)


def test_the_longest_class_wins_and_one_that_cannot_tell_yet_keeps() -> None:
    """A clip that is also a training copy stays, and the answer says by which rule."""
    facts = Facts(
        {
            TriggerEvent.INVOLVEMENT_ENDED: date(2026, 12, 1),
            TriggerEvent.CONSENT_GIVEN: date(2026, 11, 2),
        }
    )
    dues = [due(ENGLAND, rule, facts) for rule in ("R02", "R14")]

    assert longest(dues).by.rule.id == "R14"
    assert longest(dues).due_on == date(2029, 11, 2)
    waiting = [*dues, due(ENGLAND, "R15", facts)]
    assert longest(waiting).due_on is None
    assert longest(waiting).by.rule.id == "R15"


def test_every_day_can_be_traced_to_its_event() -> None:
    """Why is this here until 2046? Rule, fact and period answer."""
    found = due(ENGLAND, "R04", Facts({TriggerEvent.DISCHARGED: date(2026, 12, 1)}))

    assert [(t.what, t.counted_from, t.period, t.gives) for t in found.terms] == [
        ("died", None, "10 years", None),
        ("discharged", date(2026, 12, 1), "20 years", date(2046, 12, 1)),
    ]
    assert found.due_on == date(2046, 12, 1)


@pytest.mark.parametrize(
    ("film", "expected"),
    [
        (FilmFacts(AssetKind.RECORDING, RecordClass.TRANSITORY), ("R01",)),
        (FilmFacts(AssetKind.RECORDING, RecordClass.TRANSITORY, review_film=True), ("R02",)),
        (FilmFacts(AssetKind.CLIP, RecordClass.TRANSITORY), ("R02",)),
        (FilmFacts(AssetKind.STILL, RecordClass.TRANSITORY), ("R02",)),
        (FilmFacts(AssetKind.STILL, RecordClass.TRANSITORY, offered=True), ("R11",)),
        (
            FilmFacts(AssetKind.RECORDING, RecordClass.HEALTH_RECORD, children=True, adults=True),
            ("R03", "R04"),
        ),
        (FilmFacts(AssetKind.CLIP, RecordClass.HEALTH_RECORD, adults=True), ("R04",)),
        (FilmFacts(AssetKind.CLIP, RecordClass.HEALTH_RECORD, children=True), ("R03",)),
        (FilmFacts(AssetKind.CLIP, RecordClass.HEALTH_RECORD, adults=True, bump=True), ("R05",)),
    ],
)
def test_a_films_rules_follow_from_what_it_is(film: FilmFacts, expected: tuple[str, ...]) -> None:
    """The wrong rule keeps a film for decades, or destroys a health record."""
    assert film_rules(film) == expected


def test_a_permitted_purpose_keeps_only_the_kinds_that_it_needs() -> None:
    """A yes to training with a clip is no reason to keep the whole recording (rule 4)."""
    training = POLICIES.purposes["training-local"]

    assert purpose_rules(training, AssetKind.CLIP) == ("R14",)
    assert purpose_rules(training, AssetKind.RECORDING) == ()


def test_a_thing_without_a_rule_is_no_thing_of_ours() -> None:
    """A class that nobody gave a period must be met as a fault, never as "due now"."""
    with pytest.raises(ValueError, match="at least one retention rule"):
        longest([])


def test_the_promise_of_a_whole_is_that_of_the_rule_that_keeps_longest() -> None:
    """A certificate names the last day of existence that was promised."""
    filed = Facts({TriggerEvent.SUMMARY_FILED: date(2026, 11, 20)})

    assert longest([due(ENGLAND, "R01", filed)]).gone_by == date(2026, 12, 20)


def test_no_day_is_looked_up_for_a_rule_that_one_event_does_not_decide() -> None:
    """Whoever asked would destroy by half of the rule."""
    today = date(2027, 1, 1)

    assert rule_day(ENGLAND, "R08", TriggerEvent.INVOLVEMENT_ENDED, today) is None
    assert rule_day(ENGLAND, "R16", TriggerEvent.DIED, today) is None


def test_the_earliest_of_several_days_is_looked_up_by_each_event() -> None:
    """A link ends when it was revoked, whatever else the rule would wait for."""
    today = date(2027, 1, 1)

    assert rule_day(ENGLAND, "R01", TriggerEvent.SUMMARY_FILED, today) == date(2026, 12, 2)
    ended = rule_day(ENGLAND, "R29.parent-link", TriggerEvent.INVOLVEMENT_ENDED, today)
    assert ended == date(2026, 1, 1)


def test_a_policy_that_puts_leap_birthdays_early_also_ends_the_seventeenth_year_early() -> None:
    """28 February: eighteen by the policy's day, so the care record ends at 25 and not at 26."""
    born, ended = date(2008, 2, 29), date(2026, 2, 28)

    early = Facts(born_on=(born,), ended_on=ended, leap_day_on=(2, 28))
    late = Facts(born_on=(born,), ended_on=ended)

    assert due(ENGLAND, "R03", early).due_on == date(2033, 2, 28)
    assert due(ENGLAND, "R03", late).due_on == date(2034, 3, 1)


def test_one_run_may_destroy_twenty_or_a_third_of_a_class() -> None:
    """A wrong clock or date must not empty the store in one night."""
    assert (cap(0), cap(60), cap(1000)) == (20, 20, 300)


@given(st.integers(0, 5000))
def test_a_class_is_counted_as_far_as_it_decides(destroy: int) -> None:
    """Counting further would cost the whole archive every day, and less could stop a fair run."""
    enough = enough_for(destroy)

    assert cap(enough) >= destroy
    assert enough == 0 or cap(enough - 1) < destroy


@given(today=DAYS)
def test_the_day_looked_up_is_the_last_one_that_is_due(today: date) -> None:
    """Feedback is found by the day it was given: not one day early, not one forgotten."""
    day = rule_day(ENGLAND, "R16", TriggerEvent.FEEDBACK_GIVEN, today)

    assert day is not None
    facts = [Facts({TriggerEvent.FEEDBACK_GIVEN: d}) for d in (day, day + timedelta(days=1))]
    on, after = (due(ENGLAND, "R16", f).due_on for f in facts)
    assert on is not None
    assert after is not None
    assert on <= today < after
