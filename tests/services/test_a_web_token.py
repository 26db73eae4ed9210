"""A web process that may wrap under escrow and open nothing there, and the worker beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from consent_service.db.models.erasure import ErasureStep
from consent_service.domain.assets import AssetState
from consent_service.domain.erasure import OrderState, StepKind, StepState
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Speed
from consent_service.errors import ConsentServiceError, Refused, Unavailable
from consent_service.jobs.worker import Worker
from consent_service.services import depicted, erasure, holds, startup, withdrawal
from consent_service.vault.key_providers import KeyProvider
from consent_service.vault.key_providers.port import FORBIDDEN
from consent_service.vault.keyring import Keyring, KeyStatus, Zone
from tests.support.backups import DatabaseBackup
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.keyrings import WrapsOnly
from tests.support.uploading import reserved, send

NO = frozenset({"CARE.FILM.SELF"})


class _Nothing(WrapsOnly):
    """A token without a policy for escrow at all."""

    def wrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        raise Refused("Not with this token.", code=FORBIDDEN)


class _Away(WrapsOnly):
    """A key server that goes down once the keyring is open."""

    def __init__(self, inner: KeyProvider) -> None:
        super().__init__(inner)
        self.opened = False

    def wrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        raise Unavailable("The key server does not answer.")

    def unwrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        if self.opened:
            raise Unavailable("The key server does not answer.")
        self.opened = True
        return self._inner.unwrap_many(items)


@pytest.fixture
def worker(clinic: Clinic) -> Worker:
    """A worker that has started; it works when a test says so."""
    found = Worker(clinic.ctx, name="worker")
    found.start_up()
    found.work_runs()
    return found


@pytest.fixture
def web(clinic: Clinic) -> Iterator[Clinic]:
    """The same clinic as a web process has it."""
    live, escrow = _providers(clinic)
    found = _with(clinic, live, WrapsOnly(escrow))
    yield found
    found.ctx.keyring.close()


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family who agreed to everything."""
    found = clinic.family()
    clinic.both_consent(found)
    clinic.passes(minutes=1)
    return found


def _providers(clinic: Clinic) -> tuple[KeyProvider, KeyProvider]:
    providers = clinic.ctx.keyring._shards.providers
    return providers[Zone.LIVE], providers[Zone.ESCROW]


def _with(clinic: Clinic, live: KeyProvider, escrow: KeyProvider) -> Clinic:
    keyring = Keyring(clinic.ctx.settings.keyring_url, live, escrow)
    return replace(clinic, ctx=replace(clinic.ctx, keyring=keyring))


def _does_its_work(clinic: Clinic, worker: Worker) -> None:
    clinic.passes(seconds=2)
    worker.carry_out()
    worker.work_runs()


def _sealed(clinic: Clinic) -> int:
    return len(list(clinic.ctx.keyring.list_keys(Zone.ESCROW)))


def test_a_stop_with_time_to_think_shuts_the_web_out_and_an_undo_lets_it_in(
    clinic: Clinic, web: Clinic, worker: Worker, family: Family
) -> None:
    """Both are one click for a parent; only the way back may take the worker's seconds."""
    film = web.stores_film(family).id

    act = web.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    assert _sealed(clinic) == 1

    clinic.passes(minutes=1)
    withdrawal.cancel(web.ctx, web.guider, act.id, family.mother)
    with pytest.raises(ConsentServiceError):
        web.watches(film)
    _does_its_work(clinic, worker)

    assert web.watches(film)
    assert _sealed(clinic) == 0


def test_a_restored_change_of_mind_is_the_workers_to_open_and_stops_no_web_process(
    clinic: Clinic, web: Clinic, worker: Worker, family: Family, tmp_path: Path
) -> None:
    """Whoever replays first may be one that can open nothing: what it cannot do is not forgotten."""
    film = web.stores_film(family).id
    act = web.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    backup = DatabaseBackup.take(clinic.ctx.engine, tmp_path)
    clinic.passes(minutes=1)
    withdrawal.cancel(web.ctx, web.guider, act.id, family.mother)
    backup.put_back()

    startup.replay(web.ctx)
    _does_its_work(clinic, worker)

    assert web.watches(film)
    assert _sealed(clinic) == 0


def test_a_yes_after_a_no_opens_the_film_when_the_worker_has_been(
    clinic: Clinic, web: Clinic, worker: Worker, family: Family
) -> None:
    """The yes is recorded and answered at once; the film needs the key that her no sealed."""
    film = web.stores_film(family).id
    about = frozenset({family.mother})
    for no in (NO, frozenset[str]()):
        clinic.passes(minutes=1)
        answers = web.answers(family, family.mother, no=no, about=about)
        web.captures(family, family.mother, answers)
    with pytest.raises(ConsentServiceError):
        web.watches(film)

    _does_its_work(clinic, worker)

    assert web.watches(film)


def test_a_film_goes_on_coming_in_after_a_no_and_a_yes_when_the_worker_has_been(
    clinic: Clinic, web: Clinic, worker: Worker, family: Family
) -> None:
    """A browser that is told to come back goes on by itself; a refusal would end the film."""
    film, about = sample_film(), frozenset({family.mother})
    asset = reserved(web, family, len(film))
    send(web, asset, 0, film[:5000])
    for no in (NO, frozenset[str]()):
        clinic.passes(minutes=1)
        web.captures(family, family.mother, web.answers(family, family.mother, no=no, about=about))
    with pytest.raises(Unavailable) as early:
        send(web, asset, 5000, film[5000:])
    assert early.value.code == "keys_not_ready"

    _does_its_work(clinic, worker)

    assert send(web, asset, 5000, film[5000:]).state is AssetState.STORED
    assert web.watches(asset)


def test_somebody_newly_noticed_shuts_the_film_and_their_yes_opens_it(
    clinic: Clinic, web: Clinic, worker: Worker
) -> None:
    """The data key goes under escrow in the web, and comes back by the worker alone."""
    family = clinic.family()
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    film = web.stores_film(family, depicted=(family.mother, family.baby)).id
    clinic.passes(minutes=1)
    depicted.add_depicted(web.ctx, web.guider, film, family.father)
    assert _sealed(clinic) == 1

    clinic.passes(minutes=1)
    web.captures(family, family.father, web.answers(family, family.father))
    with pytest.raises(ConsentServiceError):
        web.watches(film)
    _does_its_work(clinic, worker)

    assert web.watches(film)


def _hold(clinic: Clinic, family: Family) -> None:
    request = holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "Letter 12")
    holds.place(clinic.ctx, clinic.ig, request)
    clinic.passes(minutes=1)


def _key_step(clinic: Clinic, order: str) -> ErasureStep:
    with clinic.ctx.read() as session:
        rows = session.query(ErasureStep).filter_by(
            order_id=order, kind=StepKind.DESTROY_CONSENT_KEY
        )
        return rows.one()


def test_what_is_held_is_sealed_by_the_web_itself(
    clinic: Clinic, web: Clinic, worker: Worker, family: Family
) -> None:
    """A hold keeps film from going, and nobody may watch it for that."""
    web.stores_film(family)
    _hold(clinic, family)

    act = web.withdraws(family, family.mother)

    assert _key_step(clinic, act.erasure_order or "").state is StepState.DONE
    assert _sealed(clinic) == 1


def test_a_step_that_a_token_does_not_allow_is_left_as_it_was(
    clinic: Clinic, worker: Worker, family: Family
) -> None:
    """It is nobody's failure, unless a worker's token does not allow it: that must be seen."""
    clinic.stores_film(family)
    _hold(clinic, family)
    live, escrow = _providers(clinic)
    web = _with(clinic, live, _Nothing(escrow))

    act = web.withdraws(family, family.mother)

    step = _key_step(clinic, act.erasure_order or "")
    assert (step.state, step.attempts, step.fault) == (StepState.PENDING, 0, None)
    clinic.passes(seconds=2)
    Worker(web.ctx, name="with the wrong token").carry_out()
    step = _key_step(clinic, act.erasure_order or "")
    assert (step.state, step.attempts, step.fault) == (StepState.FAILED, 1, FORBIDDEN)
    clinic.passes(seconds=10)
    _does_its_work(clinic, worker)
    assert _key_step(clinic, act.erasure_order or "").state is StepState.DONE
    assert _sealed(clinic) == 1
    web.ctx.keyring.close()


def test_a_yes_said_while_the_key_server_is_away_counts_once_it_is_back(
    clinic: Clinic, worker: Worker, family: Family
) -> None:
    """A signature was taken: to answer it with a fault would make a family sign twice."""
    other = clinic.family()
    live, escrow = _providers(clinic)
    away = _with(clinic, _Away(live), _Away(escrow))

    away.both_consent(other)
    with pytest.raises(Unavailable):
        away.stores_film(other)
    clinic.passes(hours=9)  # longer than the keys of an hour are looked back for
    _does_its_work(clinic, worker)

    film = clinic.stores_film(other).id
    assert clinic.watches(film)
    away.ctx.keyring.close()


def test_a_stop_is_taken_and_others_go_on_being_carried_out_while_the_key_server_is_away(
    clinic: Clinic, worker: Worker, family: Family
) -> None:
    """One who takes time to think waits for a seal; that must keep nobody else's film from going."""
    other = clinic.family()
    clinic.both_consent(other)
    for home in (family, other):
        clinic.stores_film(home)
    live, escrow = _providers(clinic)
    away = _with(clinic, live, _Away(escrow))

    away.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    act = away.withdraws(other, other.mother)
    clinic.passes(seconds=10)
    with pytest.raises(Unavailable):
        Worker(away.ctx, name="cut-off").carry_out()

    order = erasure.order(clinic.ctx, clinic.ig, act.erasure_order or "")
    assert order.state is OrderState.DONE
    assert _sealed(clinic) == 0
    worker.carry_out()
    assert (
        KeyStatus.SEALED
        in clinic.ctx.keyring.status(
            [entry.key_id for entry in clinic.ctx.keyring.list_keys(Zone.ESCROW)]
        ).values()
    )
    away.ctx.keyring.close()


def test_what_a_keyring_put_back_made_live_is_the_workers_to_seal_where_the_web_may_not(
    clinic: Clinic, worker: Worker, family: Family
) -> None:
    """No start waits for it: access has ended anyway, and whoever may seal is asked to."""
    clinic.stores_film(family)
    clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    sealed = [entry.key_id for entry in clinic.ctx.keyring.list_keys(Zone.ESCROW)]
    assert clinic.ctx.keyring.unseal(sealed, clinic.clock.now()) == set(sealed)
    live, escrow = _providers(clinic)
    web = _with(clinic, live, _Nothing(escrow))

    startup.require_ready(web.ctx)

    assert set(clinic.ctx.keyring.status(sealed).values()) == {KeyStatus.LIVE}
    _does_its_work(clinic, worker)
    assert set(clinic.ctx.keyring.status(sealed).values()) == {KeyStatus.SEALED}
    web.ctx.keyring.close()
