"""A no while the film comes in, and a yes again: the upload goes on, under the later yes alone."""

import pytest

from consent_service.db.models.people import Involvement
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.withdrawal import Speed
from consent_service.errors import Refused, Unavailable
from consent_service.services import keys, storing, upkeep, uploads
from consent_service.services.access import job_caller
from consent_service.services.context import Context
from consent_service.services.reconcile import reconcile
from consent_service.vault.keyring_values import KeyStatus, Zone
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.uploading import begun, offset_of, send, state_of

NO = frozenset({"CARE.FILM.SELF"})
HALF = 5000


def _says(clinic: Clinic, family: Family, *, no: frozenset[str] = frozenset()) -> None:
    """The mother answers again, for herself alone."""
    clinic.passes(minutes=1)
    about = frozenset({family.mother})
    answers = clinic.answers(family, family.mother, no=no, about=about)
    clinic.captures(family, family.mother, answers)


def _sealed(clinic: Clinic) -> list[str]:
    return [entry.key_id for entry in clinic.ctx.keyring.list_keys(Zone.ESCROW)]


def test_nothing_comes_in_after_a_no_and_what_came_waits(clinic: Clinic) -> None:
    """A no is heard at once; whether they change their mind, its day will show."""
    film = sample_film()
    family, asset = begun(clinic)
    send(clinic, asset, 0, film[:HALF])

    _says(clinic, family, no=NO)

    with pytest.raises(Refused) as refused:
        send(clinic, asset, HALF, film[HALF:])
    assert refused.value.code == "consent_missing"
    assert len(_sealed(clinic)) == 1
    assert len(clinic.objects()) == 1


def test_a_film_goes_on_coming_in_after_a_no_and_a_yes(clinic: Clinic) -> None:
    """What was sent before lies under a key that her no sealed: the yes must open it again."""
    film = sample_film()
    family, asset = begun(clinic)
    send(clinic, asset, 0, film[:HALF])
    _says(clinic, family, no=NO)
    (old,) = _sealed(clinic)

    _says(clinic, family)

    assert offset_of(clinic, asset) == HALF
    view = send(clinic, asset, HALF, film[HALF:])
    assert view.state is AssetState.STORED
    assert clinic.watches(asset)
    assert len(clinic.written_down(EventKind.ASSET_WRAPS_CHANGED)) == 1
    keys.settle(clinic.ctx, family.involvement)
    assert clinic.ctx.keyring.status([old])[old] is KeyStatus.DESTROYED
    assert reconcile(clinic.ctx, job_caller("reconcile")).findings == ()


def test_a_film_that_had_come_in_whole_is_stored_after_a_no_and_a_yes(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server went down before it was stored: nobody is there to send anything again."""
    family, asset = begun(clinic)
    with monkeypatch.context() as patched:
        patched.setattr(storing, "finish", _dies)
        with pytest.raises(KeyboardInterrupt):
            send(clinic, asset, 0, sample_film())
    _says(clinic, family, no=NO)
    uploads.finish_received(clinic.ctx, job_caller("finish-uploads"))
    assert state_of(clinic, asset) is AssetState.RECEIVED

    _says(clinic, family)
    uploads.finish_received(clinic.ctx, job_caller("finish-uploads"))

    assert state_of(clinic, asset) is AssetState.STORED
    assert clinic.watches(asset)


def test_a_yes_after_a_withdrawal_opens_nothing_that_came_in_before(clinic: Clinic) -> None:
    """A stop with time to think seals too; but its order says what becomes of what was sent."""
    film = sample_film()
    family, asset = begun(clinic)
    send(clinic, asset, 0, film[:HALF])
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    epoch = _epoch(clinic, family)

    _says(clinic, family)

    assert _epoch(clinic, family) > epoch
    with pytest.raises(Refused) as refused:
        send(clinic, asset, HALF, film[HALF:])
    assert refused.value.code == "access_frozen"
    assert clinic.written_down(EventKind.ASSET_WRAPS_CHANGED) == []


def test_one_upload_whose_keys_cannot_be_had_keeps_no_other_family_waiting(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job goes family by family: the first would else keep all after it from their keys."""
    film, began = sample_film(), clinic.clock.now()
    found = {}
    for _ in range(2):
        family, asset = begun(clinic)
        send(clinic, asset, 0, film[:HALF])
        _says(clinic, family, no=NO)
        _says(clinic, family)
        found[family.involvement] = asset
    first, last = (found[involvement] for involvement in sorted(found))
    live_keys = storing.live_keys

    def away(ctx: Context, place: storing.Place) -> storing.LiveKeys:
        if place.asset == first:
            raise Unavailable("Keys for this film cannot be had at the moment.")
        return live_keys(ctx, place)

    monkeypatch.setattr(storing, "live_keys", away)

    with pytest.raises(Unavailable):
        upkeep.make_keys(clinic.ctx, began)

    changed = clinic.written_down(EventKind.ASSET_WRAPS_CHANGED)
    assert [entry.event.subject for entry in changed] == [last]


def _dies(*_: object) -> None:
    raise KeyboardInterrupt


def _epoch(clinic: Clinic, family: Family) -> int:
    with clinic.ctx.read() as session:
        return session.get_one(Involvement, family.involvement).consent_epoch
