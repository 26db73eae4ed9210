"""Who comes first: a hold or a step, a change of mind or a worker, one worker or another.

Real threads with transactions of their own; on PostgreSQL they truly meet.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, update

from consent_service.db.models.erasure import Certificate, ErasureStep
from consent_service.db.models.people import Involvement
from consent_service.domain.assets import AssetState
from consent_service.domain.consent import ConsentState
from consent_service.domain.erasure import OrderState, StepKind
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Speed
from consent_service.errors import Conflict, Gone
from consent_service.services import (
    assets,
    certificates,
    consent,
    erasure,
    erasure_keys,
    erasure_steps,
    holds,
    keys,
    withdrawal,
)
from consent_service.services.context import Context
from consent_service.vault.keyring_values import KeyStatus
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family


def _state(clinic: Clinic, film: str) -> AssetState:
    return assets.asset(clinic.ctx, clinic.ig, film).state


def _hold(family: Family, film: str | None = None) -> holds.PlaceHold:
    return holds.PlaceHold(family.involvement, HoldKind.SAFEGUARDING, "Worried.", asset=film)


def test_a_hold_that_comes_while_keys_are_going_is_told_that_it_is_too_late(
    clinic: Clinic, family: Family
) -> None:
    """Whoever holds noise believes that film is kept: they must be told, with the film named."""
    film = clinic.stores_film(family).id
    done = clinic.withdraws(family, family.mother)
    assert done.erasure_order is not None
    order = erasure.order(clinic.ctx, clinic.ig, done.erasure_order)
    assert [s.kind for s in order.steps if s.done_at] == [StepKind.DESTROY_CONSENT_KEY]

    with pytest.raises(Conflict) as refused:
        holds.place(clinic.ctx, clinic.guider, _hold(family, film))

    assert refused.value.code == "too_late"
    assert refused.value.details["assets"] == [film]
    erasure.work(clinic.ctx, "worker")
    assert _state(clinic, film) is AssetState.ERASED


def test_a_hold_on_the_family_names_what_is_gone_and_keeps_the_rest(
    clinic: Clinic, family: Family
) -> None:
    """One film of three people is going, one of father and baby is not."""
    going = clinic.stores_film(family).id
    staying = clinic.stores_film(family, depicted=(family.father, family.baby)).id
    clinic.withdraws(family, family.mother)

    hold = holds.place(clinic.ctx, clinic.guider, _hold(family))

    assert hold.too_late == (going,)
    erasure.work(clinic.ctx, "worker")
    assert _state(clinic, going) is AssetState.ERASED
    assert clinic.watches(staying)


def test_a_hold_before_the_keys_go_seals_and_its_release_destroys(
    clinic: Clinic, family: Family
) -> None:
    """Any hold wins; when two people release it, the withdrawal takes its course."""
    film = clinic.stores_film(family).id
    hold = holds.place(clinic.ctx, clinic.guider, _hold(family, film))
    done = clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "worker")
    assert _state(clinic, film) is AssetState.RESTRICTED
    assert done.erasure_order is not None
    first = erasure.order(clinic.ctx, clinic.ig, done.erasure_order)
    assert (first.state, first.key_destroyed_at) == (OrderState.DONE, None)

    holds.ask_release(clinic.ctx, clinic.ig, hold.id, "Over.")
    holds.confirm_release(clinic.ctx, clinic.ig2, hold.id)
    erasure.work(clinic.ctx, "worker")

    assert _state(clinic, film) is AssetState.ERASED
    orders = whole_lists.orders(clinic.ctx, clinic.ig, family.involvement)
    assert [o.state for o in orders] == [OrderState.DONE, OrderState.DONE]
    sealed = [e for e in clinic.ctx.keyring.list_keys() if e.zone.value == "escrow"]
    assert not sealed
    assert len(certificates.certificates(clinic.ctx, clinic.ig)) == 2


def test_film_taken_back_by_name_goes_once_its_hold_is_released(
    clinic: Clinic, family: Family
) -> None:
    """Care still stands, and is no reason to keep what a parent named."""
    film = clinic.stores_film(family).id
    hold = holds.place(clinic.ctx, clinic.guider, _hold(family, film))
    clinic.withdraws(family, family.mother, scope=withdrawal.WithdrawalScope.ASSETS, assets=(film,))
    erasure.work(clinic.ctx, "worker")
    assert _state(clinic, film) is AssetState.RESTRICTED

    holds.ask_release(clinic.ctx, clinic.ig, hold.id, "Over.")
    holds.confirm_release(clinic.ctx, clinic.ig2, hold.id)
    erasure.work(clinic.ctx, "worker")

    assert _state(clinic, film) is AssetState.ERASED


def test_a_yes_given_after_a_withdrawal_lives_through_the_erasure(
    clinic: Clinic, family: Family
) -> None:
    """Somebody comes back within the seven days: old film goes, new film can be made."""
    old = clinic.stores_film(family).id
    clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    clinic.passes(days=2)
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))

    clinic.passes(days=6)
    erasure.work(clinic.ctx, "worker")

    now = clinic.clock.now()
    views = consent.state(clinic.ctx, clinic.ig, family.mother, now, now)
    assert next(v.state for v in views if v.purpose == "care") is ConsentState.GIVEN
    assert _state(clinic, old) is AssetState.ERASED
    assert clinic.watches(clinic.stores_film(family).id)


def test_two_workers_do_each_step_once(clinic: Clinic, family: Family) -> None:
    """Two nodes that meet on one order must leave one certificate and one of each step."""
    film = clinic.stores_film(family).id
    done = clinic.withdraws(family, family.mother)
    together = threading.Barrier(2)

    def works(name: str) -> dict[str, int]:
        together.wait()
        return erasure.work(clinic.ctx, name)

    with ThreadPoolExecutor(2) as pool:
        figures = list(pool.map(works, ["one", "two"]))

    assert sum(f["steps_failed"] for f in figures) == 0
    assert done.erasure_order is not None
    order = erasure.order(clinic.ctx, clinic.ig, done.erasure_order)
    assert order.state is OrderState.DONE
    assert {step.attempts for step in order.steps} == {1}
    with clinic.ctx.read() as session:
        assert session.scalar(select(func.count()).select_from(Certificate)) == 1
    assert _state(clinic, film) is AssetState.ERASED


def test_a_worker_that_was_taken_for_dead_completes_nothing(
    clinic: Clinic, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease ran out while it acted; the one who took over writes the step down, once."""
    clinic.stores_film(family)
    done = clinic.withdraws(family, family.mother)
    assert done.erasure_order is not None
    real = erasure_steps.ACTS[StepKind.FREEZE_INVENTORY]

    def overtaken(ctx: Context, order: str) -> dict[str, int]:
        monkeypatch.setitem(erasure_steps.ACTS, StepKind.FREEZE_INVENTORY, real)  # type: ignore[arg-type]
        with ctx.begin() as uow:
            uow.session.execute(
                update(ErasureStep)
                .where(ErasureStep.order_id == order, ErasureStep.kind == "freeze_inventory")
                .values(lease_until=uow.at)
            )
        erasure.work(ctx, "second")
        return real(ctx, order)

    monkeypatch.setitem(erasure_steps.ACTS, StepKind.FREEZE_INVENTORY, overtaken)  # type: ignore[arg-type]
    erasure.work(clinic.ctx, "first")

    order = erasure.order(clinic.ctx, clinic.ig, done.erasure_order)
    assert order.state is OrderState.DONE
    frozen = next(s for s in order.steps if s.kind is StepKind.FREEZE_INVENTORY)
    assert (frozen.attempts, frozen.figures) == (2, {"destroy": 1, "keep": 0})


def test_two_ends_at_once_both_move_the_consent_epoch(clinic: Clinic, family: Family) -> None:
    """An end that another end hides would leave a stream running that must be cut."""
    with clinic.ctx.read() as session:
        before = session.get_one(Involvement, family.involvement).consent_epoch
    together = threading.Barrier(2)

    def counts(_: int) -> None:
        with clinic.ctx.begin() as uow:
            uow.session.get_one(Involvement, family.involvement)
            if clinic.ctx.engine.dialect.name == "postgresql":
                together.wait()
            uow.lock_involvement(family.involvement).consent_epoch += 1

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(counts, range(2)))

    with clinic.ctx.read() as session:
        assert session.get_one(Involvement, family.involvement).consent_epoch == before + 2


def test_a_change_of_mind_that_meets_the_sealing_of_keys_gets_them_back(
    clinic: Clinic, family: Family
) -> None:
    """The worker had read the order before it was cancelled, and seals after."""
    film = clinic.stores_film(family).id
    done = clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    assert done.erasure_order is not None
    with pytest.raises(Gone):
        clinic.watches(film)
    sealed = [e.key_id for e in clinic.ctx.keyring.list_keys() if e.zone.value == "escrow"]
    withdrawal.cancel(clinic.ctx, clinic.guider, done.id, family.mother)

    erasure_keys.seal_keys(clinic.ctx, done.erasure_order, sealed)

    assert KeyStatus.SEALED not in clinic.ctx.keyring.status(sealed).values()
    keys.settle(clinic.ctx, family.involvement)
    assert clinic.watches(film)
