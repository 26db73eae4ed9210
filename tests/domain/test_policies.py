"""What forms print follows the schedule, and purposes and roles say what they mean."""

from datetime import date

import pytest

from consent_service.domain.assets import AssetKind
from consent_service.domain.calendar import Period, Unit
from consent_service.domain.policies import Policies, form_facts
from consent_service.domain.purposes import split_use, with_use
from consent_service.domain.retention_rules import (
    After,
    Confidence,
    Latest,
    RetentionAction,
    RetentionMode,
    RetentionRule,
    RetentionSchedule,
    TriggerEvent,
    schedule_of,
)
from consent_service.policy_files import default_policy_dir, read_policies


@pytest.fixture(scope="module")
def shipped() -> Policies:
    return read_policies(default_policy_dir())


def rule(rule_id: str, *terms: After) -> RetentionRule:
    return RetentionRule(
        rule_id, "", "film", Latest(terms), None, RetentionAction.DESTROY, RetentionMode.AUTO,
        "", "", Confidence.LOW,
    )  # fmt: skip


def schedule(*rules: RetentionRule) -> RetentionSchedule:
    by_id = schedule_of({each.id: each for each in rules})
    return RetentionSchedule("test", "Test", 1, date(2026, 1, 1), by_id)


def test_forms_print_the_periods_of_the_schedule_in_force(shipped: Policies) -> None:
    """A second copy of a number would one day be the wrong one."""
    own = schedule(
        rule("R09", After(TriggerEvent.WITHDRAWN, Period(14, Unit.DAYS))),
        rule(
            "R01",
            After(TriggerEvent.SUMMARY_FILED, Period(1, Unit.MONTHS)),
            After(TriggerEvent.INVOLVEMENT_ENDED, Period(1, Unit.YEARS)),
        ),
    )

    values = form_facts(shipped.organisation, own, "T1, V1").values

    assert list(own.rules) == ["R01", "R09"]
    assert values["summary_period"] == "1 month"
    assert values["end_period"] == "1 year"
    assert values["erasure_period"] == "14 days"
    assert values["leaflet"] == "T1, V1"


def test_a_schedule_without_a_promised_period_is_an_error(shipped: Policies) -> None:
    """A form that prints nothing here would promise nothing."""
    with pytest.raises(KeyError, match="R01 has no period after summary_filed"):
        form_facts(shipped.organisation, schedule(rule("R01"), rule("R09")), "T1, V1")


def test_the_newest_version_of_a_form_is_found(shipped: Policies) -> None:
    """Consent is asked on the newest words."""
    assert shipped.latest_form("vig").version == 1
    with pytest.raises(KeyError):
        shipped.latest_form("nobody")


def test_a_purpose_keeps_only_what_it_sustains(shipped: Policies) -> None:
    """A yes to photos is no reason to keep the film they came from."""
    keepsake = shipped.purposes["keepsake"]

    assert keepsake.keeps(AssetKind.STILL)
    assert not keepsake.keeps(AssetKind.RECORDING)


def test_a_purpose_with_a_named_use_is_written_with_it() -> None:
    """Keys and permissions speak of one use at a time."""
    assert with_use("publication", "poster-2026") == "publication:poster-2026"
    assert with_use("care") == "care"
    assert split_use("publication:poster-2026") == ("publication", "poster-2026")
    assert split_use("care") == ("care", None)


@pytest.mark.parametrize("use", ["", "Poster", "a:b", "-a", "a b", "a" * 64])
def test_a_named_use_is_a_plain_code(use: str) -> None:
    """It stands in keys and in the audit trail, where a name has no place."""
    with pytest.raises(ValueError, match="lower-case"):
        with_use("publication", use)
