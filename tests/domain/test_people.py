"""Who decides for whom, and how an asset may change."""

from datetime import date

import pytest

from consent_service.domain.assets import AssetState, require_move
from consent_service.domain.people import Basis, Responsibility, holder_for, is_child
from consent_service.errors import Conflict

BORN = date(2026, 9, 28)


def held(holder: str, **more: object) -> Responsibility:
    values: dict[str, object] = {
        "basis": Basis.BIRTH_MOTHER,
        "from_on": BORN,
        "until_on": None,
        "may_overrule": False,
    }
    return Responsibility(f"r-{holder}", "baby", holder, **(values | more))  # type: ignore[arg-type]


def test_only_a_responsibility_in_force_lets_someone_decide() -> None:
    """Its end day no longer counts; earlier decisions stand by themselves."""
    ended = held("mother", until_on=date(2026, 11, 1))

    assert holder_for([ended], "baby", "mother", date(2026, 10, 31)) is ended
    assert holder_for([ended], "baby", "mother", date(2026, 11, 1)) is None
    assert holder_for([ended], "baby", "mother", date(2026, 9, 27)) is None
    assert holder_for([ended], "baby", "father", date(2026, 10, 1)) is None
    assert holder_for([ended], "other", "mother", date(2026, 10, 1)) is None


def test_the_strongest_basis_of_a_holder_counts() -> None:
    """Someone who may overrule does so, whatever else they also hold."""
    plain, strong = held("aunt"), held("aunt", may_overrule=True)

    assert holder_for([strong, plain], "baby", "aunt", date(2026, 11, 1)) is strong


def test_a_baby_without_a_birth_date_is_a_child_and_eighteen_is_not() -> None:
    """Nobody consents for an adult; nobody of unknown age is asked as one."""
    today = date(2026, 11, 2)

    assert is_child(None, today, young=True)
    assert not is_child(None, today, young=False)
    assert is_child(date(2008, 11, 3), today, young=False)
    assert not is_child(date(2008, 11, 2), today, young=False)


def test_an_asset_moves_only_along_legal_moves() -> None:
    """Nothing erased ever comes back through a column."""
    assert require_move("a", AssetState.STORED, AssetState.LOCKED) is AssetState.LOCKED
    assert require_move("a", AssetState.ERASED, AssetState.ERASED) is AssetState.ERASED
    with pytest.raises(Conflict) as refused:
        require_move("a", AssetState.ERASED, AssetState.STORED)
    assert refused.value.code == "illegal_state"
