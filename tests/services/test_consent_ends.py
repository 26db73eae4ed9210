"""Ends that the organisation makes: an act that was never valid, and a consent it takes back."""

import dataclasses

import pytest
from sqlalchemy import delete, select

from consent_service.db.models.consent import ConsentEnding
from consent_service.db.models.erasure import ErasureOrder, ErasureStep, Fence
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.consent import ConsentState
from consent_service.domain.consent_ends import InvalidBecause, RevokedBecause
from consent_service.domain.erasure import OrderCause
from consent_service.errors import (
    Conflict,
    ConsentServiceError,
    Gone,
    InvalidInput,
    NotFound,
    Refused,
)
from consent_service.services import (
    assets,
    consent,
    erasure,
    holds,
    invalidation,
    journal_replay,
    reconcile,
    retention,
    revocation,
)
from consent_service.services.access import job_caller
from consent_service.services.consent_views import ConsentActView
from consent_service.services.revocation_paper import revocation_receipt
from consent_service.vault.journal import LineKind
from consent_service.vault.keyring import KeyStatus
from tests.documents.test_render import text_of
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family

WORDS = "Somebody else signed with her name"


def _act_of(clinic: Clinic, family: Family, person: str) -> ConsentActView:
    return next(
        act
        for act in consent.acts(clinic.ctx, clinic.guider, family.involvement)
        if act.person == person
    )


def _state(clinic: Clinic, person: str, purpose: str = "care") -> ConsentState:
    views = consent.state(clinic.ctx, clinic.ig, person, None, None)
    return next(v.state for v in views if v.purpose == purpose)


def _invalidates(clinic: Clinic, act: str) -> invalidation.InvalidationView:
    return invalidation.invalidate(clinic.ctx, clinic.ig, act, InvalidBecause.WRONG_PERSON, WORDS)


def _revoke(
    clinic: Clinic, family: Family, person: str, *purposes: str
) -> revocation.RevokeConsent:
    return revocation.RevokeConsent(
        family.involvement, person, RevokedBecause.USE_ENDED, "The study closed early", purposes
    )


def _statuses(clinic: Clinic, act: ConsentActView, person: str, purpose: str) -> set[KeyStatus]:
    keys = [d.id for d in act.decisions if (d.person, d.purpose) == (person, purpose)]
    return {s for s in clinic.ctx.keyring.status(keys).values() if s is not KeyStatus.ABSENT}


def test_an_act_by_the_wrong_person_seals_keys_and_destroys_nothing(clinic: Clinic) -> None:
    """The film may still be somebody's lawful film: a person decides, no job ever does."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    clinic.passes(hours=1)
    act = _act_of(clinic, family, family.mother)

    view = _invalidates(clinic, act.id)

    assert _state(clinic, family.mother) is ConsentState.INVALIDATED
    assert _statuses(clinic, act, family.mother, "care") == {KeyStatus.SEALED}
    assert view.kept_apart == (film.id,)
    assert assets.asset(clinic.ctx, clinic.ig, film.id).state is AssetState.RESTRICTED
    with pytest.raises(Refused):
        clinic.watches(film.id)
    (line,) = whole_lists.dispositions(clinic.ctx, clinic.ig)
    assert (line.subject, line.why) == (film.id, "consent_invalid")
    clinic.passes(days=400)
    retention.run(clinic.ctx, clinic.ig)
    assert assets.asset(clinic.ctx, clinic.ig, film.id).state is AssetState.RESTRICTED
    assert whole_lists.orders(clinic.ctx, clinic.ig) == []


def test_what_was_never_valid_never_was_but_stays_known_as_it_was_known(clinic: Clinic) -> None:
    """Whoever asks what we believed on the day of a filming gets the truth of that day."""
    family = clinic.family()
    clinic.both_consent(family)
    then = clinic.clock.now()
    clinic.passes(days=2)
    _invalidates(clinic, _act_of(clinic, family, family.mother).id)

    def care(at: object, known_at: object) -> ConsentState:
        found = consent.state(clinic.ctx, clinic.ig, family.mother, at, known_at)  # type: ignore[arg-type]
        return next(v.state for v in found if v.purpose == "care")

    assert care(then, then) is ConsentState.GIVEN
    assert care(then, None) is ConsentState.INVALIDATED


def test_a_childs_film_stays_open_while_the_other_parents_yes_stands(clinic: Clinic) -> None:
    """One parent's void act takes nothing from what the other parent validly allowed."""
    family = clinic.family()
    clinic.both_consent(family)
    alone = clinic.stores_film(family, depicted=(family.baby,))
    clinic.passes(hours=1)

    view = _invalidates(clinic, _act_of(clinic, family, family.mother).id)

    assert _state(clinic, family.baby) is ConsentState.GIVEN
    assert view.kept_apart == ()
    assert clinic.watches(alone.id)
    clinic.withdraws(family, family.baby, by=family.father)
    clinic.passes(minutes=1)
    with pytest.raises(Gone):
        clinic.watches(alone.id)
    act = _act_of(clinic, family, family.mother)
    assert _statuses(clinic, act, family.baby, "care") == {KeyStatus.DESTROYED}


def test_a_valid_yes_after_the_void_one_counts(clinic: Clinic) -> None:
    """The right person can answer the same day; their yes stands on its own."""
    family = clinic.family()
    clinic.both_consent(family)
    _invalidates(clinic, _act_of(clinic, family, family.mother).id)
    clinic.passes(minutes=5)

    clinic.captures(family, family.mother, clinic.answers(family, family.mother))

    assert _state(clinic, family.mother) is ConsentState.GIVEN
    assert clinic.watches(clinic.stores_film(family).id)


def test_the_reason_in_words_is_in_the_row_and_nowhere_else(clinic: Clinic) -> None:
    """Log and journal live for ever: what was said about somebody must not."""
    family = clinic.family()
    clinic.both_consent(family)
    act = _act_of(clinic, family, family.mother).id

    _invalidates(clinic, act)

    with clinic.ctx.read() as session:
        reasons = set(session.scalars(select(ConsentEnding.reason)))
    assert reasons == {WORDS}
    (entry,) = clinic.written_down(EventKind.CONSENT_INVALIDATED)
    assert WORDS not in str(entry)
    assert entry.event.details["reason"] == "wrong_person"
    lines = [line for line in clinic.ctx.journal.lines() if line.kind is LineKind.CONSENT_ENDED]
    assert [line.body["invalidated"]["id"] for line in lines] == [act]
    assert WORDS not in str([line.body for line in lines])


def test_an_act_is_found_invalid_once_by_the_ig_officer_and_with_a_reason(clinic: Clinic) -> None:
    """No guider undoes a consent they dislike, and nobody without saying why."""
    family = clinic.family()
    clinic.both_consent(family)
    act = _act_of(clinic, family, family.mother).id
    with pytest.raises(Refused):
        invalidation.invalidate(clinic.ctx, clinic.guider, act, InvalidBecause.WRONG_PERSON, "x")
    with pytest.raises(InvalidInput) as unsaid:
        invalidation.invalidate(clinic.ctx, clinic.ig, act, InvalidBecause.WRONG_PERSON, "  ")
    with pytest.raises(NotFound):
        _invalidates(clinic, "0" * 32)
    _invalidates(clinic, act)
    with pytest.raises(Conflict) as twice:
        _invalidates(clinic, act)

    assert set(unsaid.value.faults) == {"reason"}
    assert twice.value.code == "already_invalid"


def test_a_consent_that_the_organisation_ends_goes_like_a_withdrawal(clinic: Clinic) -> None:
    """We cannot keep the promise: access is over at once, the film goes, and there is proof."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    clinic.passes(hours=1)
    act = _act_of(clinic, family, family.mother)
    request = _revoke(clinic, family, family.mother)
    foreseen = revocation.preview(clinic.ctx, clinic.ig, request)

    done = revocation.revoke(clinic.ctx, clinic.ig, request)

    assert [line.asset for line in foreseen.destroyed] == [film.id]
    assert foreseen.purposes == done.purposes
    clinic.passes(minutes=1)
    assert _state(clinic, family.mother) is ConsentState.REVOKED
    assert _statuses(clinic, act, family.mother, "care") == {KeyStatus.DESTROYED}
    with pytest.raises(Gone):
        clinic.watches(film.id)
    erasure.work(clinic.ctx, "worker")
    order = erasure.order(clinic.ctx, clinic.ig, done.erasure_order)
    assert (order.cause, order.completed_at is not None) == (OrderCause.CONSENT_REVOKED, True)
    assert assets.asset(clinic.ctx, clinic.ig, film.id).state is AssetState.ERASED
    told = whole_lists.inbox(clinic.ctx, clinic.guider)
    assert [n.kind for n in told] == ["consent_revoked"]


def test_a_preview_of_an_end_ends_nothing(clinic: Clinic) -> None:
    """Looking must be free of consequences, or nobody looks before they leap."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)

    revocation.preview(clinic.ctx, clinic.ig, _revoke(clinic, family, family.mother))

    assert clinic.watches(film.id)
    assert whole_lists.orders(clinic.ctx, clinic.ig) == []


def test_one_use_is_ended_and_care_goes_on(clinic: Clinic) -> None:
    """A study that closes early must not cost the family its film."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"SUP.SUPERVISOR"}))
    film = clinic.stores_film(family)
    clinic.passes(hours=1)

    done = revocation.revoke(
        clinic.ctx, clinic.ig, _revoke(clinic, family, family.mother, "supervision")
    )
    erasure.work(clinic.ctx, "worker")

    assert done.purposes == ("supervision",)
    assert _state(clinic, family.mother, "supervision") is ConsentState.REVOKED
    assert _state(clinic, family.mother) is ConsentState.GIVEN
    assert clinic.watches(film.id)
    with pytest.raises(Conflict) as nothing:
        revocation.revoke(
            clinic.ctx, clinic.ig, _revoke(clinic, family, family.mother, "supervision")
        )
    assert nothing.value.code == "nothing_to_end"


def test_under_a_hold_an_ended_consent_is_sealed_and_the_film_stays(clinic: Clinic) -> None:
    """A hold wins over the organisation's own act too."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    holds.place(
        clinic.ctx, clinic.ig, holds.PlaceHold(family.involvement, holds.HoldKind.COMPLAINT, "Ours")
    )
    act = _act_of(clinic, family, family.mother)
    clinic.passes(hours=1)

    revocation.revoke(clinic.ctx, clinic.ig, _revoke(clinic, family, family.mother))
    erasure.work(clinic.ctx, "worker")

    assert _statuses(clinic, act, family.mother, "care") == {KeyStatus.SEALED}
    assert assets.asset(clinic.ctx, clinic.ig, film.id).state is AssetState.RESTRICTED


def test_only_a_fresh_ig_officer_ends_a_consent(clinic: Clinic) -> None:
    """It destroys film: not by a guider, and not from a screen left open."""
    family = clinic.family()
    clinic.both_consent(family)
    request = _revoke(clinic, family, family.mother)
    with pytest.raises(Refused) as role:
        revocation.revoke(clinic.ctx, clinic.guider, request)
    stale = clinic.ig.__class__(
        clinic.ig.actor, clinic.ig.user, clinic.ig.roles, clinic.ig.teams, fresh=False
    )
    with pytest.raises(Refused) as old:
        revocation.revoke(clinic.ctx, stale, request)

    assert (role.value.code, old.value.code) == ("role", "sign_in_again")


def test_a_restored_backup_does_not_believe_in_what_was_ended(clinic: Clinic) -> None:
    """The backup is from the day before: the journal says again what was void and what was over."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.stores_film(family)
    clinic.passes(hours=1)
    act = _act_of(clinic, family, family.mother).id
    _invalidates(clinic, act)
    clinic.passes(hours=1)
    revocation.revoke(clinic.ctx, clinic.ig, _revoke(clinic, family, family.father))
    with clinic.ctx.begin() as uow:
        for table in (ErasureStep, Fence, ErasureOrder, ConsentEnding):
            uow.session.execute(delete(table))
    assert _state(clinic, family.mother) is ConsentState.GIVEN
    assert _state(clinic, family.father) is ConsentState.GIVEN

    for _ in range(2):
        report = journal_replay.ReplayReport()
        for line in clinic.ctx.journal.lines():
            journal_replay.replay_line(clinic.ctx, line, report)

    assert report.restored == {}
    assert _state(clinic, family.mother) is ConsentState.INVALIDATED
    assert _state(clinic, family.father) is ConsentState.REVOKED
    (order,) = whole_lists.orders(clinic.ctx, clinic.ig)
    assert order.cause is OrderCause.CONSENT_REVOKED


def test_an_act_is_found_invalid_only_by_somebody_freshly_signed_in(clinic: Clinic) -> None:
    """It takes a film from everybody who may watch: not from a screen that was left open."""
    family = clinic.family()
    clinic.both_consent(family)
    act = _act_of(clinic, family, family.mother).id
    stale = dataclasses.replace(clinic.ig, fresh=False)

    with pytest.raises(Refused) as refused:
        invalidation.invalidate(clinic.ctx, stale, act, InvalidBecause.WRONG_PERSON, WORDS)

    assert refused.value.code == "sign_in_again"
    assert _state(clinic, family.mother) is ConsentState.GIVEN


def test_looking_at_what_an_end_would_do_is_written_down(clinic: Clinic) -> None:
    """Who asked what would go is part of the story, also where nothing was ended in the end."""
    family = clinic.family()
    clinic.both_consent(family)

    revocation.preview(clinic.ctx, clinic.ig, _revoke(clinic, family, family.mother))

    (entry,) = clinic.written_down(EventKind.CONSENT_REVOCATION_PREVIEWED)
    assert entry.event.details == {"person": family.mother, "purposes": ["care"]}
    assert whole_lists.orders(clinic.ctx, clinic.ig) == []


def test_the_family_gets_a_paper_about_what_the_organisation_ended(clinic: Clinic) -> None:
    """They did not say stop: they must read what ended, why, and what becomes of their film."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.stores_film(family)
    clinic.passes(hours=1)
    done = revocation.revoke(clinic.ctx, clinic.ig, _revoke(clinic, family, family.mother))

    before = text_of(revocation_receipt(clinic.ctx, clinic.guider, done.erasure_order))
    clinic.passes(days=2)
    erasure.work(clinic.ctx, "test")
    after = text_of(revocation_receipt(clinic.ctx, clinic.guider, done.erasure_order))

    assert before == after
    for words in ("The study closed early", done.reference, "Film of 2 November 2026", "Rosa"):
        assert words in before
    other = clinic.withdraws(family, family.father)
    with pytest.raises(NotFound):
        revocation_receipt(clinic.ctx, clinic.guider, other.erasure_order or "")


def test_a_yes_whose_key_went_before_a_later_one_was_void_says_so(clinic: Clinic) -> None:
    """Consent stands and the film does not open: whoever settled it must know what to do."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family).id
    for no in (frozenset({"CARE.FILM.SELF"}), frozenset[str]()):
        clinic.passes(minutes=1)
        answers = clinic.answers(family, family.mother, no=no, about=frozenset({family.mother}))
        clinic.captures(family, family.mother, answers)
    clinic.passes(hours=1)
    later = consent.acts(clinic.ctx, clinic.guider, family.involvement)
    acts = sorted((a for a in later if a.person == family.mother), key=lambda a: a.event_at)[1:]

    views = [_invalidates(clinic, act.id) for act in reversed(acts)]

    assert _state(clinic, family.mother) is ConsentState.GIVEN
    assert views[-1].without_key == ((family.mother, "care"),)
    with pytest.raises(ConsentServiceError):
        clinic.watches(film)
    found = reconcile.reconcile(clinic.ctx, job_caller("reconcile")).findings
    assert [f.fault for f in found] == [reconcile.Fault.CONSENT_WITHOUT_KEY]
    clinic.passes(minutes=1)
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    assert reconcile.reconcile(clinic.ctx, job_caller("reconcile")).findings == ()
