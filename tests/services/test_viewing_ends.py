"""Watching stops when consent, time or agreement ends, and nothing else stops it."""

import hashlib
from dataclasses import replace

import pytest

from consent_service.db.models.consent import Dispute
from consent_service.db.models.recordings import Asset
from consent_service.db.queries.erasure import OrderScope
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.erasure import OrderCause
from consent_service.domain.holds import HoldKind
from consent_service.domain.purposes import CARE
from consent_service.domain.withdrawal import Speed, WithdrawalScope
from consent_service.errors import (
    Gone,
    Refused,
)
from consent_service.services import (
    disputes,
    erasure,
    holds,
    keys,
    pace,
    recordings,
    viewing,
    withdrawal,
)
from consent_service.services.viewing_keys import ViewingKeys
from consent_service.vault.keyring import KeyStatus
from tests.support.clinic import Clinic, Family
from tests.support.films import heavy_film

TRAINING = frozenset({"TRAIN.LOCAL"})


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which everyone has said yes to `care`."""
    found = clinic.family()
    clinic.both_consent(found)
    return found


def test_a_mother_who_withdraws_for_herself_stops_the_film_for_everyone(
    clinic: Clinic, family: Family
) -> None:
    """Her picture cannot be cut out of it; and the stream that runs is cut, not politely ended."""
    film = clinic.stores_film(family, heavy_film())
    opened = viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE)
    stream = opened.iter_range(0, opened.size)
    seen = next(stream)

    clinic.passes(seconds=5)
    clinic.withdraws(family, family.mother)

    with pytest.raises(Gone):
        list(stream)
    assert 0 < len(seen) < opened.size
    opened.close()
    with pytest.raises(Gone) as refused:
        viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE)
    assert refused.value.details["order"].startswith("E-")
    refusals = clinic.written_down(EventKind.FILM_VIEW_REFUSED)
    assert {r.event.details["reason"] for r in refusals} == {"gone"}
    assert len(clinic.ctx.viewings) == 0
    erasure.work(clinic.ctx, "test")
    assert clinic.objects() == set()
    with pytest.raises(Gone):
        clinic.watches(film.id)
    gone = recordings.asset(clinic.ctx, clinic.guider, film.id)
    assert (gone.state, gone.order) == (AssetState.ERASED, refused.value.details["order"])


def test_a_slow_reader_is_handed_little_at_a_time(
    clinic: Clinic, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Web servers go on sending the pieces that they were handed: large ones would be seconds."""
    film = clinic.stores_film(family, heavy_film())
    now = [0.0]
    monkeypatch.setattr(viewing, "_seconds", lambda: now[0])
    with viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE) as opened:
        quickly = [len(piece) for piece in opened.iter_range(0, opened.size)]
        slowly = []
        for piece in opened.iter_range(0, opened.size):
            slowly.append(len(piece))
            now[0] += 0.5
        stream = opened.iter_range(0, opened.size)
        next(stream)
        clinic.passes(seconds=5)
        clinic.withdraws(family, family.mother)

        with pytest.raises(Gone):
            next(stream)

    assert sum(quickly) == sum(slowly) == film.size
    assert max(quickly) == pace.AT_ONCE <= 262144
    small = pace.PUT_ASIDE // pace.AT_ONCE_SLOWLY
    assert max(quickly[:small]) == pace.AT_ONCE_SLOWLY <= 32768
    assert max(slowly[1:]) == pace.AT_ONCE_SLOWLY
    assert clinic.ctx.blobs.open(f"{film.id}.1").stride > pace.AT_ONCE_SLOWLY


def test_denial_reaches_a_process_that_has_the_key_within_a_second(
    clinic: Clinic, family: Family
) -> None:
    """Another process recorded the withdrawal; this one holds the data key and must not use it."""
    film = clinic.stores_film(family)
    other = replace(clinic, ctx=replace(clinic.ctx, viewings=ViewingKeys()))
    assert other.watches(film.id)
    assert len(other.ctx.viewings) == 1

    clinic.withdraws(family, family.father)
    clinic.passes(seconds=1)

    with pytest.raises(Gone):
        viewing.open_film(other.ctx, clinic.guider, film.id, CARE)
    assert len(other.ctx.viewings) == 0


def test_a_stream_goes_on_when_what_changed_leaves_it_permitted(
    clinic: Clinic, family: Family
) -> None:
    """Answering a question in another room must not tear the film that is being watched."""
    film = clinic.stores_film(family, heavy_film())
    opened = viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE)
    stream = opened.iter_range(0, opened.size)
    seen = next(stream)

    clinic.passes(seconds=5)
    clinic.both_consent(family, optional=TRAINING)
    seen += b"".join(stream)

    assert hashlib.sha256(seen).hexdigest() == film.sha256


def test_withdrawing_training_leaves_care_playing(clinic: Clinic) -> None:
    """One yes taken back is one yes taken back."""
    family = clinic.family()
    clinic.both_consent(family, optional=TRAINING)
    film = clinic.stores_film(family)
    assert film.purposes == (CARE, "training-local")
    clinic.passes(minutes=1)

    clinic.withdraws(
        family, family.mother, scope=WithdrawalScope.PURPOSES, purposes=("training-local",)
    )
    erasure.work(clinic.ctx, "test")

    assert hashlib.sha256(clinic.watches(film.id)).hexdigest() == film.sha256
    with pytest.raises(Gone):
        clinic.watches(film.id, "training-local")
    view = recordings.asset(clinic.ctx, clinic.guider, film.id)
    assert (view.state, view.purposes) == (AssetState.STORED, (CARE,))
    with clinic.ctx.read() as session:
        assert [w.purpose for w in keys.wraps_by_asset(session, [film.id])[film.id]] == [CARE]


def test_a_new_yes_opens_new_film_but_never_what_was_erased(clinic: Clinic, family: Family) -> None:
    """Consent can be given again; what was destroyed in between stays destroyed."""
    old = clinic.stores_film(family)
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "test")
    clinic.passes(days=1)
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))

    new = clinic.stores_film(family)

    assert clinic.watches(new.id)
    with pytest.raises(Gone):
        clinic.watches(old.id)
    keys.settle(clinic.ctx, family.involvement)
    with clinic.ctx.read() as session:
        assert set(keys.wraps_by_asset(session, [old.id, new.id])) == {new.id}


def test_film_of_a_withdrawal_that_was_cancelled_plays_again(
    clinic: Clinic, family: Family
) -> None:
    """Within seven days a parent may change their mind, whatever others answered meanwhile."""
    film = clinic.stores_film(family)
    clinic.passes(minutes=1)
    done = clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    clinic.passes(minutes=1)
    with pytest.raises(Gone):
        clinic.watches(film.id)
    clinic.captures(family, family.father, clinic.answers(family, family.father, optional=TRAINING))
    clinic.passes(days=2)

    withdrawal.cancel(clinic.ctx, clinic.guider, done.id, family.mother)

    clinic.passes(minutes=1)
    assert hashlib.sha256(clinic.watches(film.id)).hexdigest() == film.sha256


def test_parents_who_disagree_freeze_the_film_until_it_is_settled(
    clinic: Clinic, family: Family
) -> None:
    """Nothing is erased and nothing is watched while nobody knows who is right."""
    film = clinic.stores_film(family)
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.baby, by=family.father)
    clinic.passes(minutes=1)
    with pytest.raises(Refused) as refused:
        clinic.watches(film.id)
    assert refused.value.code == "access_frozen"
    with clinic.ctx.read() as session:
        (dispute,) = session.query(Dispute).filter(Dispute.purpose == CARE).all()

    disputes.resolve(clinic.ctx, clinic.ig, dispute.id, give=True, reason="Heard both.")

    clinic.passes(minutes=1)
    assert hashlib.sha256(clinic.watches(film.id)).hexdigest() == film.sha256


def test_film_under_hold_is_not_watched_and_not_erased(clinic: Clinic, family: Family) -> None:
    """A hold keeps evidence; it does not keep permission."""
    film = clinic.stores_film(family)
    holds.place(
        clinic.ctx,
        clinic.ig,
        holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "A complaint."),
    )
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "test")

    with pytest.raises(Gone):
        clinic.watches(film.id)

    view = recordings.asset(clinic.ctx, clinic.guider, film.id)
    assert view.state is AssetState.RESTRICTED
    assert f"{film.id}.1" in clinic.objects()


def test_retention_cuts_streams_too(clinic: Clinic, family: Family) -> None:
    """A film whose time is over ends like one whose consent is: no consent event tells us."""
    film = clinic.stores_film(family, heavy_film())
    opened = viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE)
    stream = opened.iter_range(0, opened.size)
    next(stream)
    clinic.passes(seconds=2)

    with clinic.ctx.begin() as uow:
        erasure.order_erasure(
            uow,
            clinic.ig.actor,
            erasure.OrderErasure(
                family.involvement,
                OrderCause.RETENTION,
                OrderScope(assets=(film.id,), cascades=False),
                uow.at,
            ),
        )

    with pytest.raises(Gone):
        list(stream)
    opened.close()


def test_an_erased_film_keeps_its_tombstone_only(clinic: Clinic, family: Family) -> None:
    """What stays says that there was a film and why it is gone, not what it showed."""
    film = clinic.stores_film(family)
    clinic.passes(minutes=1)

    clinic.withdraws(family, family.mother, scope=WithdrawalScope.ASSETS, assets=(film.id,))
    erasure.work(clinic.ctx, "test")

    view = recordings.asset(clinic.ctx, clinic.guider, film.id)
    assert (view.state, view.title, view.purposes) == (AssetState.ERASED, None, ())
    assert view.order is not None
    with clinic.ctx.read() as session:
        row = session.get_one(Asset, film.id)
        assert (row.blob, row.header) == (None, None)
        assert clinic.ctx.keyring.status([row.asset_key_id]) == {
            row.asset_key_id: KeyStatus.DESTROYED
        }
