"""Film that came in whole and may not, or cannot, be stored now: nothing lost, nothing for ever."""

from dataclasses import replace

import pytest

from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.consent_ends import InvalidBecause
from consent_service.domain.holds import HoldKind
from consent_service.errors import NotAFilm, Refused
from consent_service.services import (
    consent,
    dispositions,
    disputes,
    erasure,
    holds,
    invalidation,
    overview,
    recordings,
    storing,
    uploads,
)
from consent_service.services.access import job_caller
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.faulty_store import HappeningStore
from tests.support.uploading import begun, send, state_of

WORKER = job_caller("finish-uploads")
RETENTION = job_caller("retention")
NO_TO_CHILD = frozenset({"CARE.FILM.CHILD"})


def _received(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> tuple[Family, str]:
    """A film whose last byte came, in a process that died then."""

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    family, asset = begun(clinic)
    with monkeypatch.context() as patched:
        patched.setattr(storing, "finish", dies)
        with pytest.raises(KeyboardInterrupt):
            send(clinic, asset, 0, sample_film())
    clinic.passes(minutes=6)
    return family, asset


def _never_valid(clinic: Clinic, family: Family) -> invalidation.InvalidationView:
    acts = consent.acts(clinic.ctx, clinic.guider, family.involvement)
    act = next(act.id for act in acts if act.person == family.mother)
    because = InvalidBecause.WRONG_PERSON
    return invalidation.invalidate(clinic.ctx, clinic.ig, act, because, "It was her sister")


def _father_refuses(clinic: Clinic, family: Family) -> None:
    answers = clinic.answers(family, family.father, no=NO_TO_CHILD)
    clinic.captures(family, family.father, answers)


def test_film_received_under_a_void_act_is_put_to_a_person(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be somebody's lawful film: no job stores it or erases it, and it is not forgotten."""
    family, asset = _received(clinic, monkeypatch)

    view = _never_valid(clinic, family)

    assert view.kept_apart == (asset,)
    assert overview.overview(clinic.ctx, clinic.ig).exceptions["due"] == 1
    (line,) = whole_lists.dispositions(clinic.ctx, clinic.ig)
    assert (line.subject, line.why) == (asset, "consent_invalid")
    clinic.passes(days=2)
    uploads.finish_received(clinic.ctx, WORKER)
    assert recordings.abandon_stale(clinic.ctx, WORKER) == []
    assert state_of(clinic, asset) is AssetState.RECEIVED

    dispositions.decide(
        clinic.ctx,
        clinic.ig,
        line.id,
        dispositions.Decide(dispositions.Decision.DESTROY, "Nobody who may agrees"),
    )
    dispositions.confirm(clinic.ctx, clinic.ig2, line.id)
    erasure.work(clinic.ctx, "test")
    assert state_of(clinic, asset) is AssetState.ERASED
    assert clinic.objects() == set()


def test_what_was_decided_to_be_kept_is_looked_at_again(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits for ever; and the right person's yes does not go over the officer's head."""
    family, asset = _received(clinic, monkeypatch)
    _never_valid(clinic, family)
    (line,) = whole_lists.dispositions(clinic.ctx, clinic.ig)
    keep = dispositions.Decide(dispositions.Decision.KEEP, "We are asking the family")
    dispositions.decide(clinic.ctx, clinic.ig, line.id, keep)
    assert invalidation.review_received(clinic.ctx, RETENTION) == 0

    clinic.passes(days=366)

    assert invalidation.review_received(clinic.ctx, RETENTION) == 1
    assert invalidation.review_received(clinic.ctx, RETENTION) == 0
    (again,) = whole_lists.dispositions(clinic.ctx, clinic.ig)
    assert again.subject == asset
    uploads.finish_received(clinic.ctx, WORKER)
    assert state_of(clinic, asset) is AssetState.RECEIVED


def test_a_dispute_that_opens_while_a_film_is_made_refuses_it_and_keeps_it(clinic: Clinic) -> None:
    """Parents disagreeing is no reason to destroy what came in; settled, it is stored after all."""
    family, asset = begun(clinic)
    store = HappeningStore(clinic.ctx.blobs, f"{asset}.1", lambda: _father_refuses(clinic, family))

    with pytest.raises(Refused) as refused:
        send(clinic, asset, 0, sample_film(), ctx=replace(clinic.ctx, blobs=store))  # type: ignore[arg-type]

    assert refused.value.code == "access_frozen"
    assert whole_lists.orders(clinic.ctx, clinic.ig) == []
    assert state_of(clinic, asset) is AssetState.RECEIVED
    (dispute,) = disputes.standing(clinic.ctx, clinic.ig)
    disputes.resolve(clinic.ctx, clinic.ig, dispute.id, give=True, reason="Heard both")
    clinic.passes(minutes=6)
    uploads.finish_received(clinic.ctx, WORKER)
    assert clinic.watches(asset)
    assert len(clinic.objects()) == 2


def test_a_film_that_comes_whole_into_a_dispute_is_refused_and_leaves_nothing(
    clinic: Clinic,
) -> None:
    """Whoever sent it is told why, in words that fit; the way out leaves no half of it."""
    family = clinic.family()
    clinic.both_consent(family)
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)
    store = HappeningStore(clinic.ctx.blobs, ".1", lambda: _father_refuses(clinic, family))
    ctx = replace(clinic.ctx, blobs=store)  # type: ignore[arg-type]

    with pytest.raises(Refused) as refused:
        recordings.store(ctx, clinic.guider, request, [sample_film()])

    assert refused.value.code == "access_frozen"
    assert clinic.objects() == set()
    (order,) = whole_lists.orders(clinic.ctx, clinic.ig)
    assert order.completed_at is not None


def test_what_is_held_and_cannot_be_stored_is_not_made_again_and_again(clinic: Clinic) -> None:
    """Each attempt reads and writes the whole film; nothing has changed since the last one."""
    text = b"Dear diary\n" * 1000
    family, asset = begun(clinic, text)
    wanted = holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "Somebody complained.")
    hold = holds.place(clinic.ctx, clinic.ig, wanted).id
    with pytest.raises(NotAFilm):
        send(clinic, asset, 0, text)
    once = _attempts(clinic, asset)

    for _ in range(20):
        clinic.passes(minutes=6)
        uploads.finish_received(clinic.ctx, WORKER)
    assert _attempts(clinic, asset) == once

    clinic.passes(days=1)
    uploads.finish_received(clinic.ctx, WORKER)
    assert _attempts(clinic, asset) == once + 1

    holds.ask_release(clinic.ctx, clinic.ig, hold, "It was nothing.")
    holds.confirm_release(clinic.ctx, clinic.ig2, hold)
    uploads.finish_received(clinic.ctx, WORKER)
    assert state_of(clinic, asset) is AssetState.ERASED
    assert len(clinic.written_down(EventKind.RECORDING_REFUSED)) == 1


def _attempts(clinic: Clinic, asset: str) -> int:
    with clinic.ctx.read() as session:
        return session.get_one(recordings.Asset, asset).generation
