"""Watching film: permitted, written down once, and stopped at once when consent ends."""

import hashlib
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import ProgrammingError

from consent_service.db.models.consent import Dispute
from consent_service.db.models.recordings import Asset, AssetWrap, Viewing
from consent_service.db.queries.erasure import OrderScope
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.erasure import OrderCause
from consent_service.domain.holds import HoldKind
from consent_service.domain.purposes import CARE
from consent_service.domain.withdrawal import Speed, WithdrawalScope
from consent_service.errors import (
    Conflict,
    ContainerCorrupt,
    Gone,
    InvalidInput,
    NotFound,
    RangeInvalid,
    Refused,
    Unavailable,
)
from consent_service.ids import new_id
from consent_service.services import disputes, erasure, holds, keys, recordings, viewing, withdrawal
from consent_service.services.viewing_keys import FilmFacts, Held, ViewingKeys, ViewName
from consent_service.vault.blobs import BlobSource, BlobStore
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


def test_any_range_is_that_part_of_the_film(clinic: Clinic, family: Family) -> None:
    """A player that seeks must get the very bytes that the digest was taken of."""
    film = clinic.stores_film(family, heavy_film())
    whole = clinic.watches(film.id)
    assert len(whole) > 3 * viewing.PIECE_BYTES

    with viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE) as opened:
        for start, end in (
            (0, 1),
            (16_383, 16_385),
            (300_000, 900_001),
            (opened.size - 1, opened.size),
        ):
            pieces = list(opened.iter_range(start, end))
            assert b"".join(pieces) == whole[start:end]
            assert max(map(len, pieces)) <= viewing.PIECE_BYTES
        assert list(opened.iter_range(7, 7)) == []
        with pytest.raises(RangeInvalid):
            opened.iter_range(0, opened.size + 1)
        with pytest.raises(RangeInvalid):
            opened.iter_range(9, 8)
        described = (opened.media_type, opened.etag, opened.filename)

    assert described == ("video/mp4", f'"{film.sha256}"', f"{film.id}.mp4")
    assert hashlib.sha256(whole).hexdigest() == film.sha256


def test_twenty_ranges_are_one_viewing_and_one_entry(clinic: Clinic, family: Family) -> None:
    """The log says who watched what, once; a player's requests are not twenty viewings."""
    film = clinic.stores_film(family)

    for number in range(20):
        with viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE) as opened:
            assert b"".join(opened.iter_range(number, number + 900))
        clinic.passes(seconds=20)

    (entry,) = clinic.written_down(EventKind.FILM_VIEWED)
    assert entry.event.subject == film.id
    assert entry.event.details == {"purpose": CARE}
    assert entry.event.actor == clinic.guider.actor


def test_a_viewing_ends_after_fifteen_minutes_without_a_request(
    clinic: Clinic, family: Family
) -> None:
    """Whoever comes back after lunch watches again, and the log says so."""
    film = clinic.stores_film(family)

    clinic.watches(film.id)
    clinic.passes(minutes=14)
    clinic.watches(film.id)
    clinic.passes(minutes=14)
    clinic.watches(film.id)
    assert len(clinic.written_down(EventKind.FILM_VIEWED)) == 1
    clinic.passes(minutes=16)
    clinic.watches(film.id)

    assert len(clinic.written_down(EventKind.FILM_VIEWED)) == 2


def test_many_players_at_once_still_make_one_entry(clinic: Clinic, family: Family) -> None:
    """Browsers open several connections for one film at the same moment."""
    film = clinic.stores_film(family)
    failures: list[BaseException] = []

    def watch() -> None:
        try:
            clinic.watches(film.id)
        except BaseException as failure:  # noqa: BLE001 - raised below, in the test's thread
            failures.append(failure)

    threads = [threading.Thread(target=watch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(clinic.written_down(EventKind.FILM_VIEWED)) == 1


def test_a_cached_seek_asks_neither_database_nor_keyring(clinic: Clinic, family: Family) -> None:
    """Seeking is what a shared review does all the time; it must cost microseconds."""
    film = clinic.stores_film(family)
    clinic.watches(film.id)
    blind = replace(clinic.ctx, engine=_Unusable(), keyring=_Unusable())  # type: ignore[arg-type]

    with viewing.open_film(blind, clinic.guider, film.id, CARE) as opened:
        assert b"".join(opened.iter_range(100, 200))

    clinic.passes(seconds=61)
    with pytest.raises(_Used):
        viewing.open_film(blind, clinic.guider, film.id, CARE)


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


def test_a_purpose_is_stated_by_those_who_may(clinic: Clinic, family: Family) -> None:
    """Film is opened for a reason that the family agreed to and the role may give."""
    film = clinic.stores_film(family)

    for caller, code in ((clinic.supervisor, "role"), (clinic.ig, "role")):
        with pytest.raises(Refused) as refused:
            clinic.watches(film.id, caller=caller)
        assert refused.value.code == code
    with pytest.raises(Refused) as missing:
        clinic.watches(film.id, "training-local")
    assert missing.value.code == "consent_missing"
    for purpose in ("entertainment", "publication", "care:tea", "publication:../x"):
        with pytest.raises(InvalidInput):
            clinic.watches(film.id, purpose)
    with pytest.raises(NotFound):
        clinic.watches(new_id())
    refusals = clinic.written_down(EventKind.FILM_VIEW_REFUSED)
    reasons = sorted(r.event.details["reason"] for r in refusals)
    assert reasons == ["consent_missing", "role", "role"]
    assert clinic.written_down(EventKind.FILM_VIEWED) == []


def test_film_that_is_still_coming_in_cannot_be_watched(clinic: Clinic, family: Family) -> None:
    """Half a film is not a film."""
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)
    reserved = recordings.reserve(clinic.ctx, clinic.guider, request)

    with pytest.raises(Conflict) as refused:
        clinic.watches(reserved.id)

    assert refused.value.code == "not_ready"


def test_an_altered_film_is_refused_before_its_first_byte(clinic: Clinic, family: Family) -> None:
    """A viewer must never see half a film and think that it was all there is."""
    film = clinic.stores_film(family, heavy_film())
    name = f"{film.id}.1"
    stored = clinic.ctx.blobs.read_range(name, 0, 10**9)

    for broken in (stored[:-5], stored[:-16_400], stored[:80] + b"\x00" + stored[81:]):
        with clinic.ctx.blobs.put(name, replace=True) as sink:
            sink.write(broken)
        with pytest.raises(ContainerCorrupt):
            opened = viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE)
            opened.iter_range(0, opened.size)


def test_nothing_is_released_when_store_keys_or_log_are_away(
    clinic: Clinic, family: Family
) -> None:
    """If it cannot be written down, or opened by live keys, it does not happen."""
    film = clinic.stores_film(family)
    clinic.ctx.viewings.forget_all()
    fresh = {"viewings": ViewingKeys()}

    missing = replace(clinic.ctx, blobs=_Without(clinic.ctx.blobs, f"{film.id}.1"), **fresh)
    with pytest.raises(Unavailable):
        viewing.open_film(missing, clinic.guider, film.id, CARE)
    keyless = replace(clinic.ctx, keyring=_Unusable(), **fresh)  # type: ignore[arg-type]
    with pytest.raises(_Used):
        viewing.open_film(keyless, clinic.guider, film.id, CARE)
    with clinic.ctx.begin() as uow:
        uow.session.connection().exec_driver_sql("ALTER TABLE audit_entry RENAME TO audit_away")
    try:
        with pytest.raises((Unavailable, ProgrammingError)):
            viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE)
        assert len(clinic.ctx.viewings) == 0
    finally:
        with clinic.ctx.begin() as uow:
            uow.session.connection().exec_driver_sql("ALTER TABLE audit_away RENAME TO audit_entry")
    with clinic.ctx.read() as session:
        assert session.query(Viewing).count() == 0
    assert clinic.watches(film.id)


def test_keys_that_are_not_made_yet_mean_not_yet(clinic: Clinic, family: Family) -> None:
    """A crash between the yes and its key must not look like a refusal, nor open anything."""
    film = clinic.stores_film(family)
    with clinic.ctx.begin() as uow:
        uow.session.execute(delete(AssetWrap).where(AssetWrap.asset_id == film.id))

    with pytest.raises(Unavailable) as refused:
        clinic.watches(film.id)

    assert refused.value.code == "keys_not_ready"


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


NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def _held(number: int = 0) -> tuple[ViewName, Held]:
    name = ViewName("u" * 32, f"{number:032x}", CARE, frozenset(), frozenset())
    facts = FilmFacts(
        name.asset, "i" * 32, AssetKind.RECORDING, 1, f"{name.asset}.1", b"", 1, "video/mp4", ""
    )
    return name, Held(facts, b"k" * 32, 1, NOON)


def test_a_key_is_wiped_within_a_minute_of_its_last_use() -> None:
    """A key that nobody uses must not wait in memory for whoever reads the memory."""
    held = ViewingKeys()
    name, one = _held()
    held.keep(name, one, lambda: NOON)
    slot = held._slots[name]
    assert held.take(name, NOON + timedelta(seconds=30)) is not None

    held.sweep(NOON + timedelta(seconds=74))
    assert len(held) == 1
    held.sweep(NOON + timedelta(seconds=75))

    assert len(held) == 0
    assert bytes(slot.key) == bytes(32)


def test_there_is_room_for_so_many_keys_only() -> None:
    """Memory stays bounded, and the key that was used last stays longest."""
    held = ViewingKeys(room=2)
    for number in range(2):
        held.keep(*_held(number), lambda: NOON)
    held.take(_held(0)[0], NOON)

    held.keep(*_held(2), lambda: NOON)

    assert [held.take(_held(n)[0], NOON) is not None for n in range(3)] == [True, False, True]


def test_an_epoch_is_read_again_after_a_second_or_when_the_clock_steps_back() -> None:
    """Stale is stale, also when the clock lies."""
    held = ViewingKeys()
    readings = iter(range(10))

    def read() -> int:
        return next(readings)

    moments = (0.0, 0.9, 1.0, 1.5, -30.0)
    found = [held.epoch("i", NOON + timedelta(seconds=s), read) for s in moments]

    assert found == [0, 0, 1, 1, 2]


class _Used(AssertionError):
    """Something was asked that should not have been."""


class _Unusable:
    """Raises at the first touch, whatever it is."""

    def __getattr__(self, name: str) -> object:
        raise _Used(name)


class _Without:
    """A store in which one object cannot be found."""

    def __init__(self, inner: BlobStore, name: str) -> None:
        self._inner = inner
        self._name = name

    def open(self, name: str) -> BlobSource:
        if name == self._name:
            raise NotFound("gone (told to by a test)")
        return self._inner.open(name)
