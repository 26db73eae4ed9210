"""What an order destroys, what it keeps, and on which ground."""

from consent_service.domain.assets import AssetKind, RecordClass
from consent_service.domain.erasure import (
    Ground,
    Holding,
    OrderCause,
    Outcome,
    cascade,
    plan,
)


def holding(asset: str, **more: object) -> Holding:
    values: dict[str, object] = {
        "kind": AssetKind.RECORDING,
        "record_class": RecordClass.TRANSITORY,
        "source": None,
        "held": False,
        "disputed": False,
    }
    return Holding(asset, **(values | more))  # type: ignore[arg-type]


def test_what_nothing_sustains_is_destroyed_and_the_plan_is_always_the_same() -> None:
    """The preview, the inventory and the certificate must be one list."""
    one, other = holding("b"), holding("a")

    first, second = (
        plan([one, other], OrderCause.WITHDRAWAL),
        plan([other, one], OrderCause.WITHDRAWAL),
    )

    assert first == second
    assert [line.asset for line in first.destroyed] == ["a", "b"]


def test_a_hold_wins_over_every_other_ground_and_is_listed() -> None:
    """Nothing that is kept is ever left out of what people are told."""
    held = holding("a", held=True, disputed=True, record_class=RecordClass.HEALTH_RECORD)

    kept = plan([held], OrderCause.WITHDRAWAL).kept

    assert [(line.outcome, line.ground) for line in kept] == [(Outcome.KEEP, Ground.HOLD)]


def test_grounds_count_only_where_the_cause_leaves_room() -> None:
    """Retention ends a film although its people still agree; a health record is for the IG."""
    sustained = holding("a", sustained_by=("care",))
    record = holding("b", record_class=RecordClass.HEALTH_RECORD)
    disputed = holding("c", disputed=True)

    assert [line.asset for line in plan([sustained], OrderCause.RETENTION).destroyed] == ["a"]
    assert plan([sustained], OrderCause.WITHDRAWAL).kept[0].ground is Ground.PURPOSE_REMAINS
    assert plan([record], OrderCause.WITHDRAWAL).kept[0].ground is Ground.HEALTH_RECORD
    assert plan([record], OrderCause.DISPOSITION).destroyed
    assert plan([disputed], OrderCause.ASSETS_WITHDRAWN).kept[0].ground is Ground.DISPUTE


def test_a_cascade_takes_everything_derived_however_deep() -> None:
    """A still of a clip of the film goes with the film."""
    sources = [("film", None), ("clip", "film"), ("still", "clip"), ("other", None)]

    assert cascade(["film"], sources) == {"film", "clip", "still"}
    assert cascade(["clip"], sources) == {"clip", "still"}
