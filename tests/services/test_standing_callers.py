"""What flows to or from somebody ends when they may not any more, not only at its own end."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import delete, update

from consent_service.db.models.accounts import ApiToken, TeamMember, UserRole
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.purposes import CARE
from consent_service.errors import NotFound, NotSignedIn, Refused
from consent_service.services import (
    accounts,
    cutting,
    recordings,
    sign_in,
    standing_caller,
    tokens,
    upload_parts,
    viewing,
)
from consent_service.services.access import Caller, job_caller
from consent_service.vault.blobs import BlobSource, Seen
from tests.support.api import issue_token
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.films import heavy_film
from tests.support.statements import counted
from tests.support.uploading import begun, rows_of, send, state_of

PART = 64 * 1024


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which everyone has said yes to `care`."""
    found = clinic.family()
    clinic.both_consent(found)
    return found


def signed_in(clinic: Clinic) -> Caller:
    """The guider as the pages know her: by the session that she began."""
    account = sign_in.find_account(clinic.ctx, id=clinic.guider.id)
    assert account is not None
    return replace(clinic.guider, session=account.fs_uniquifier)


def by_token(clinic: Clinic) -> Caller:
    return tokens.caller_of_token(clinic.ctx, issue_token(clinic, clinic.guider))


def _disabled(clinic: Clinic, caller: Caller) -> None:
    accounts.disable_user(clinic.ctx, clinic.admin, caller.id)


def _signed_out(clinic: Clinic, caller: Caller) -> None:
    sign_in.sign_out(clinic.ctx, caller.id)


def _role_lost(clinic: Clinic, caller: Caller) -> None:
    with clinic.ctx.begin() as uow:
        uow.session.execute(delete(UserRole).where(UserRole.user_id == caller.id))


def _team_lost(clinic: Clinic, caller: Caller) -> None:
    with clinic.ctx.begin() as uow:
        uow.session.execute(delete(TeamMember).where(TeamMember.user_id == caller.id))


def _token_revoked(clinic: Clinic, caller: Caller) -> None:
    tokens.revoke_token(clinic.ctx, clinic.admin, caller.actor.id)


def _token_out_of_date(clinic: Clinic, caller: Caller) -> None:
    with clinic.ctx.begin() as uow:
        mine = update(ApiToken).where(ApiToken.id == caller.actor.id)
        uow.session.execute(mine.values(expires_at=uow.at))


Loss = tuple[Callable[[Clinic], Caller], Callable[[Clinic, Caller], None], type[Exception]]
LOSSES = [
    pytest.param((signed_in, _disabled, NotSignedIn), id="disabled"),
    pytest.param((signed_in, _signed_out, NotSignedIn), id="signed_out"),
    pytest.param((signed_in, _role_lost, Refused), id="role_lost"),
    pytest.param((signed_in, _team_lost, NotFound), id="team_lost"),
    pytest.param((by_token, _disabled, NotSignedIn), id="owner_disabled"),
    pytest.param((by_token, _role_lost, Refused), id="owner_lost_the_role"),
    pytest.param((by_token, _token_revoked, NotSignedIn), id="token_revoked"),
    pytest.param((by_token, _token_out_of_date, NotSignedIn), id="token_out_of_date"),
]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_stream_is_cut_within_a_second_of_whoever_watches_losing_the_right(
    clinic: Clinic, family: Family, loss: Loss
) -> None:
    """An account is closed because of who sits at that screen, now: not at the end of the film."""
    who, loses, fault = loss
    film = clinic.stores_film(family, heavy_film())
    caller = who(clinic)
    with viewing.open_film(clinic.ctx, caller, film.id, CARE) as opened:
        stream = opened.iter_range(0, opened.size)
        seen = next(stream)

        loses(clinic, caller)
        clinic.passes(seconds=1)

        with pytest.raises(fault):
            next(stream)
    assert 0 < len(seen) < opened.size
    assert len(clinic.ctx.viewings) == 0, "the data key outlives nobody's right"
    if fault is NotSignedIn:
        (refusal,) = clinic.written_down(EventKind.FILM_VIEW_REFUSED)
        assert refusal.event.details["reason"] == "not_signed_in"


def test_a_range_is_not_answered_from_memory_to_who_lost_the_right(
    clinic: Clinic, family: Family
) -> None:
    """The short way asks nothing of its own: it must leave such a one to the door."""
    film = clinic.stores_film(family)
    caller = by_token(clinic)
    clinic.watches(film.id, caller=caller)
    opened = viewing.open_going_on(clinic.ctx, caller, film.id, CARE)
    assert opened is not None
    _disabled(clinic, caller)
    clinic.passes(seconds=1)

    with opened:
        assert opened.read_now(0, 10) is None


def test_a_stream_goes_on_for_who_lost_what_it_does_not_need(
    clinic: Clinic, family: Family
) -> None:
    """Somebody else's sign-out, or a second role that goes, must not tear a film."""
    film = clinic.stores_film(family, heavy_film())
    caller = replace(signed_in(clinic), roles=frozenset({"guider", "auditor"}))
    with viewing.open_film(clinic.ctx, caller, film.id, CARE) as opened:
        stream = opened.iter_range(0, opened.size)
        next(stream)
        _signed_out(clinic, clinic.ig)
        clinic.passes(seconds=1)
        next(stream)
        with counted(clinic) as statements:
            rest = b"".join(stream)

    assert len(rest) > 0
    assert not [s for s in statements if "user_account" in s], "it was asked, and noted, once"


def test_whoever_watches_is_read_once_a_second_in_one_query_for_all_their_films(
    clinic: Clinic, family: Family
) -> None:
    """There is a look before every quarter of a megabyte of every film of a clinic."""
    one, other = (clinic.stores_film(family, heavy_film()) for _ in range(2))
    caller = signed_in(clinic)
    with (
        viewing.open_film(clinic.ctx, caller, one.id, CARE) as first,
        viewing.open_film(clinic.ctx, caller, other.id, CARE) as second,
    ):
        clinic.passes(seconds=1)
        streams = [film.iter_range(0, film.size) for film in (first, second)]
        with counted(clinic) as statements:
            pieces = sum(1 for stream in streams for _ in stream)

    assert pieces > 20
    assert len([s for s in statements if "user_account" in s]) == 1


def test_a_session_that_began_this_second_is_not_taken_for_one_that_ended(
    clinic: Clinic, family: Family
) -> None:
    """Who changes a password while film plays goes on watching in the session that it began."""
    film = clinic.stores_film(family, heavy_film())
    clinic.watches(film.id, caller=signed_in(clinic))
    _signed_out(clinic, clinic.guider)

    assert clinic.watches(film.id, caller=signed_in(clinic))


def test_a_job_has_no_account_that_could_be_closed(clinic: Clinic) -> None:
    """What runs in nobody's name is ended by what it is about alone."""
    job = job_caller("finish-received")
    assert standing_caller.require_caller(clinic.ctx, job, clinic.clock.now()) is job


def test_an_account_that_is_gone_may_nothing(clinic: Clinic) -> None:
    """Fail closed: no row is no right."""
    nobody = replace(clinic.guider, user="0" * 32)
    assert standing_caller.caller_now(clinic.ctx, nobody, clinic.clock.now()) is None


def _body(clinic: Clinic, loses: Callable[[], None]) -> Iterator[bytes]:
    """A film sent in small pieces; after 128 KiB its sender loses the right, a second passes."""
    film = heavy_film()
    for start in range(0, len(film), PART // 4):
        if start == 2 * PART:
            loses()
            clinic.passes(seconds=1)
        yield film[start : start + PART // 4]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_body_is_read_no_further_once_its_sender_may_send_no_more(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, loss: Loss
) -> None:
    """What came before it stays: another of the team may go on with the family's film."""
    monkeypatch.setattr(upload_parts, "PART_BYTES", PART)
    who, loses, fault = loss
    _, asset = begun(clinic, heavy_film())
    caller = who(clinic)

    with pytest.raises(fault):
        send(clinic, asset, 0, _body(clinic, lambda: loses(clinic, caller)), caller=caller)

    assert rows_of(clinic, asset)[0] == len(clinic.objects()) == 2
    assert state_of(clinic, asset) is AssetState.RECEIVING


def test_a_film_sent_whole_is_taken_in_no_further_either(clinic: Clinic) -> None:
    """It has no parts to keep: nothing of it stays, as whenever it breaks off."""
    _, asset = begun(clinic, heavy_film())
    caller = signed_in(clinic)

    with pytest.raises(NotSignedIn):
        recordings.receive(
            clinic.ctx, caller, asset, _body(clinic, lambda: _disabled(clinic, caller))
        )

    assert clinic.objects() == set()


def test_a_film_that_came_in_is_stored_although_its_sender_left_meanwhile(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last byte is the family's: who sent it being disabled then must not cost them the film."""
    _, asset = begun(clinic)
    caller = signed_in(clinic)
    real = recordings.make_film

    def made(*about: object) -> object:
        _disabled(clinic, caller)
        clinic.passes(seconds=1)
        return real(*about)  # type: ignore[arg-type]

    monkeypatch.setattr(recordings, "make_film", made)
    view = recordings.receive(clinic.ctx, caller, asset, iter([sample_film()]))

    assert view.state is AssetState.STORED


@pytest.mark.parametrize("loses", [_disabled, _role_lost, _team_lost])
def test_a_cut_reads_its_film_no_further_for_who_may_not_cut_any_more(
    clinic: Clinic,
    family: Family,
    monkeypatch: pytest.MonkeyPatch,
    loses: Callable[[Clinic, Caller], None],
) -> None:
    """Cutting is a use like watching, and takes as long."""
    film = clinic.stores_film(family, heavy_film())
    caller = signed_in(clinic)
    real = clinic.ctx.blobs.open

    def opened(name: str, *seen: Seen) -> BlobSource:
        if name.startswith(film.id):
            loses(clinic, caller)
            clinic.passes(seconds=1)
        return real(name, *seen)

    monkeypatch.setattr(clinic.ctx.blobs, "open", opened)
    request = cutting.MakeClip(film.id, 0, 1900, "She looks up", exact=True)
    with pytest.raises((NotSignedIn, Refused, NotFound)):
        cutting.clip(clinic.ctx, caller, request)

    assert clinic.objects() == {f"{film.id}.1", f"{film.id}.json"}
