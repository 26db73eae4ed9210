"""While the journal takes no line: what is committed is said, and its line is owed until written."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta

import pytest

from consent_service.domain.audit import EventKind
from consent_service.domain.consent import ConsentState
from consent_service.domain.consent_ends import InvalidBecause, RevokedBecause
from consent_service.domain.erasure import OrderState
from consent_service.domain.holds import HoldKind
from consent_service.domain.links import LinkKind
from consent_service.domain.withdrawal import Speed
from consent_service.errors import (
    Conflict,
    ConsentServiceError,
    Gone,
    JournalBroken,
    LinkClosed,
    NotSignedIn,
    Unavailable,
)
from consent_service.services import (
    accounts,
    checks,
    consent,
    disputes,
    erasure,
    erasure_journal,
    handovers,
    holds,
    invalidation,
    link_sessions,
    links,
    revocation,
    tokens,
    withdrawal,
)
from consent_service.vault.journal import JournalLine, LineKind
from tests.support.api import issue_token
from tests.support.clinic import Clinic, Family
from tests.support.journal_away import FULL, OUT_OF_REACH, journal_away

NO = frozenset({"CARE.FILM.SELF"})
MOTHER_BORN = date(1994, 5, 17)
AWAY = (FULL, OUT_OF_REACH)


def lines(clinic: Clinic) -> list[JournalLine]:
    return [line for line in clinic.ctx.journal.lines() if line.kind is not LineKind.CHECKPOINT]


def agreed(clinic: Clinic) -> Family:
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)
    return family


@pytest.mark.parametrize("fault", AWAY, ids=lambda fault: fault.code)
def test_a_withdrawal_is_recorded_once_and_its_keys_wait_for_its_line(
    clinic: Clinic, fault: ConsentServiceError
) -> None:
    """Told that it failed, a parent who was heard would doubt it, and say it again."""
    family = agreed(clinic)
    film = clinic.stores_film(family)
    before = len(lines(clinic))

    with journal_away(clinic.ctx.journal, fault):
        done = clinic.withdraws(family, family.mother)
        with pytest.raises(Unavailable):
            erasure.work(clinic.ctx, "test")
    clinic.passes(seconds=10)

    with pytest.raises(Gone):
        clinic.watches(film.id)
    assert len(lines(clinic)) == before
    assert f"{film.id}.1" in clinic.objects()
    assert clinic.written_down(EventKind.CONSENT_KEY_DESTROYED) == []
    assert clinic.written_down(EventKind.ERASURE_STEP_FAILED) == []
    assert len(clinic.written_down(EventKind.WITHDRAWAL_RECORDED)) == 1

    erasure.work(clinic.ctx, "test")

    ended, *keys = lines(clinic)[before:]
    assert (ended.kind, ended.body["withdrawal"]["id"]) == (LineKind.CONSENT_ENDED, done.id)
    assert {line.kind for line in keys} == {LineKind.KEY_DESTROYED}
    assert clinic.objects() == set()
    assert erasure.order(clinic.ctx, clinic.ig, done.reference or "").state is OrderState.DONE


def test_a_change_of_mind_does_not_happen_beside_an_owed_line_and_does_once_it_is_written(
    clinic: Clinic,
) -> None:
    """The line written late would order anew what was cancelled: so nothing of the undo stands."""
    family = agreed(clinic)
    with journal_away(clinic.ctx.journal):
        done = clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
        with pytest.raises(Unavailable):
            withdrawal.cancel(clinic.ctx, clinic.guider, done.id, family.mother)
        seen = withdrawal.withdrawal(clinic.ctx, clinic.guider, done.id)
        assert seen.cancelled_at is None

    view = withdrawal.cancel(clinic.ctx, clinic.guider, done.id, family.mother)

    assert view.cancelled_at is not None
    assert [line.kind for line in lines(clinic)][:2] == [LineKind.CONSENT_ENDED, LineKind.UNDO]


def test_a_change_of_mind_that_was_written_down_is_told_although_its_own_line_is_owed(
    clinic: Clinic,
) -> None:
    """Their consent stands again from the commit: a page that says no would be wrong."""
    family = agreed(clinic)
    done = clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)

    with journal_away(clinic.ctx.journal):
        view = withdrawal.cancel(clinic.ctx, clinic.guider, done.id, family.mother)

    assert view.cancelled_at is not None
    erasure.work(clinic.ctx, "test")
    assert lines(clinic)[-1].kind is LineKind.UNDO


def _state(clinic: Clinic, person: str) -> ConsentState:
    found = consent.state(clinic.ctx, clinic.ig, person, None, None)
    return next(view.state for view in found if view.purpose == "care")


def _link(clinic: Clinic, family: Family) -> tuple[str, str]:
    wanted = links.MakeLink(family.involvement, family.mother, LinkKind.PARENT)
    view, secret = links.make_link(clinic.ctx, clinic.guider, wanted)
    return view.id, secret


def _hold(clinic: Clinic, family: Family) -> str:
    wanted = holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "A complaint")
    return holds.place(clinic.ctx, clinic.ig, wanted).id


def a_hold_is_placed(clinic: Clinic, family: Family) -> Iterator[object]:
    yield
    hold = _hold(clinic, family)
    yield {"hold": hold}
    yield holds.hold(clinic.ctx, clinic.ig, hold).released_at is None


def a_hold_is_released(clinic: Clinic, family: Family) -> Iterator[object]:
    hold = _hold(clinic, family)
    holds.ask_release(clinic.ctx, clinic.ig, hold, "Settled")
    yield
    holds.confirm_release(clinic.ctx, clinic.ig2, hold)
    yield {"hold": hold}
    yield holds.hold(clinic.ctx, clinic.ig, hold).released_at is not None


def an_account_is_closed(clinic: Clinic, _family: Family) -> Iterator[object]:
    yield
    accounts.disable_user(clinic.ctx, clinic.admin, clinic.supervisor.id)
    yield {"kind": "user", "id": clinic.supervisor.id}
    found = {view.id: view for view in accounts.list_users(clinic.ctx, clinic.admin)}
    yield not found[clinic.supervisor.id].active


def a_token_is_revoked(clinic: Clinic, _family: Family) -> Iterator[object]:
    secret = issue_token(clinic, clinic.guider)
    caller = tokens.caller_of_token(clinic.ctx, secret)
    yield
    tokens.revoke_token(clinic.ctx, clinic.admin, caller.actor.id)
    yield {"kind": "token", "id": caller.actor.id}
    with pytest.raises(NotSignedIn):
        tokens.caller_of_token(clinic.ctx, secret)
    yield True


def a_link_is_ended(clinic: Clinic, family: Family) -> Iterator[object]:
    link, secret = _link(clinic, family)
    yield
    links.end_link(clinic.ctx, clinic.guider, link)
    yield {"kind": "link", "id": link}
    with pytest.raises(LinkClosed):
        link_sessions.open_link(clinic.ctx, secret, MOTHER_BORN)
    yield True


def a_link_is_replaced(clinic: Clinic, family: Family) -> Iterator[object]:
    link, _ = _link(clinic, family)
    yield
    _, secret = _link(clinic, family)
    yield {"kind": "link", "id": link}
    yield link_sessions.open_link(clinic.ctx, secret, MOTHER_BORN).mark != ""


def an_act_is_found_void(clinic: Clinic, family: Family) -> Iterator[object]:
    act = consent.acts(clinic.ctx, clinic.guider, family.involvement)[0]
    yield
    because = InvalidBecause.WRONG_PERSON
    done = invalidation.invalidate(clinic.ctx, clinic.ig, act.id, because, "It was her sister")
    yield {"invalidated": {"id": done.act, "by": clinic.ig.id, "because": because.value}}
    yield _state(clinic, act.person) is ConsentState.INVALIDATED


def a_consent_is_ended(clinic: Clinic, family: Family) -> Iterator[object]:
    yield
    because = RevokedBecause.USE_ENDED
    wanted = revocation.RevokeConsent(family.involvement, family.mother, because, "It closed")
    done = revocation.revoke(clinic.ctx, clinic.ig, wanted)
    yield {"order": done.erasure_order, "revoked": {"by": clinic.ig.id}}
    yield _state(clinic, family.mother) is ConsentState.REVOKED


def parents_come_to_disagree(clinic: Clinic, family: Family) -> Iterator[object]:
    yield
    done = clinic.withdraws(family, family.baby, by=family.father)
    yield {"order": None, "involvement": family.involvement}
    yield not done.erasure_orders and _state(clinic, family.baby) is ConsentState.DISPUTED


def a_dispute_is_settled(clinic: Clinic, family: Family) -> Iterator[object]:
    clinic.withdraws(family, family.baby, by=family.father)
    (dispute,) = disputes.standing(clinic.ctx, clinic.ig)
    yield
    disputes.resolve(clinic.ctx, clinic.ig, dispute.id, give=True, reason="Both were heard")
    yield {"order": None, "involvement": family.involvement}
    yield _state(clinic, family.baby) is ConsentState.GIVEN


def somebody_says_no_later(clinic: Clinic, family: Family) -> Iterator[object]:
    yield
    mine = frozenset({family.mother})
    answers = clinic.answers(family, family.mother, no=NO, about=mine)
    clinic.captures(family, family.mother, answers)
    yield {"order": None, "involvement": family.involvement}
    yield _state(clinic, family.mother) is ConsentState.DECLINED


def a_quote_is_taken_back(clinic: Clinic, family: Family) -> Iterator[object]:
    until = clinic.today + timedelta(days=30)
    wanted = handovers.PermitQuote(family.involvement, family.mother, "It helped.", "All", until)
    quote = handovers.permit_quote(clinic.ctx, clinic.guider, wanted)
    yield
    handovers.withdraw_quote(clinic.ctx, clinic.guider, quote)
    yield {"order": None, "quote": {"id": quote}}
    with pytest.raises(Conflict):
        handovers.withdraw_quote(clinic.ctx, clinic.guider, quote)
    yield True


@pytest.mark.parametrize(
    "story",
    [
        a_hold_is_placed,
        a_hold_is_released,
        an_account_is_closed,
        a_token_is_revoked,
        a_link_is_ended,
        a_link_is_replaced,
        an_act_is_found_void,
        a_consent_is_ended,
        parents_come_to_disagree,
        a_dispute_is_settled,
        somebody_says_no_later,
        a_quote_is_taken_back,
    ],
    ids=lambda story: story.__name__,
)
def test_what_stands_is_told_and_its_line_is_written_once_the_journal_is_back(
    clinic: Clinic, story: Callable[[Clinic, Family], Iterator[object]]
) -> None:
    """Whoever reads that it failed acts on it: and a restore must not undo what nobody wrote."""
    steps = story(clinic, agreed(clinic))
    next(steps)
    before = len(lines(clinic))
    clinic.passes(minutes=1)

    with journal_away(clinic.ctx.journal) as tried:
        said = next(steps)
        assert next(steps)

    assert tried
    assert len(lines(clinic)) == before
    assert erasure_journal.owed_since(clinic.ctx) == clinic.clock.now()
    erasure_journal.write_missing_lines(clinic.ctx)
    assert isinstance(said, dict)
    assert [said.items() <= dict(line.body).items() for line in lines(clinic)[before:]] == [True]
    assert erasure_journal.owed_since(clinic.ctx) is None


def test_beside_a_broken_journal_the_refusal_goes_on(clinic: Clinic) -> None:
    """A fork is not a full disk: whoever works beside one must stop, not go on and owe."""
    family = agreed(clinic)

    with journal_away(clinic.ctx.journal, JournalBroken("It was forked.", code="forked")):
        with pytest.raises(JournalBroken):
            clinic.withdraws(family, family.mother)
        with pytest.raises(JournalBroken):
            _hold(clinic, family)


def test_what_is_owed_is_written_in_the_order_in_which_it_happened(clinic: Clinic) -> None:
    """Replay reads from the first line on: an end must not come after what followed it."""
    family, other = agreed(clinic), agreed(clinic)
    before = len(lines(clinic))
    with journal_away(clinic.ctx.journal):
        hold = _hold(clinic, other)
        clinic.passes(minutes=1)
        ended = clinic.withdraws(family, family.mother)
        clinic.passes(minutes=1)
        link = _link(clinic, other)[0]
        links.end_link(clinic.ctx, clinic.guider, link)

    erasure.work(clinic.ctx, "test", limit=0)

    bodies = [dict(line.body) for line in lines(clinic)[before:]]
    found = [body.get("hold") or body.get("order") or body.get("id") for body in bodies]
    assert found == [hold, ended.erasure_order, link]


def test_an_operator_is_told_that_acts_wait_for_the_journal(clinic: Clinic) -> None:
    """A full disk can be read: only what is owed tells that nothing more can be written."""
    family = agreed(clinic)
    with journal_away(clinic.ctx.journal):
        clinic.withdraws(family, family.mother)
    clinic.passes(minutes=2)

    (line,) = [one for one in checks.check(clinic.ctx) if "wait in the database" in one.finding]

    assert (line.what, line.state) == ("journal", checks.WARNING)
    erasure.work(clinic.ctx, "test")
    assert not any("wait in the database" in one.finding for one in checks.check(clinic.ctx))
