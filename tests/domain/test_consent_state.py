"""Consent state: every state of the table, for any pair of moments."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.domain.consent import (
    Answer,
    Asked,
    ConsentState,
    Decision,
    Ending,
    EndingKind,
    Finding,
    Story,
    state_at,
)
from consent_service.domain.missing import missing_for

T0 = datetime(2026, 11, 2, 10, tzinfo=UTC)
LATER = T0 + timedelta(days=400)
MOTHER, FATHER, BABY, GUARDIAN = "mother", "father", "baby", "guardian"
POSTER, WEBSITE = "care:poster-2026", "care:website"


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def said(
    by: str,
    hours: float,
    answer: Answer = Answer.YES,
    *,
    about: str = BABY,
    act: str = "",
    involvement: str = "i1",
    recorded: float | None = None,
    **more: object,
) -> Decision:
    act = act or f"act-{by}-{hours}-{about}"
    values: dict[str, object] = {"position": 0, "core": False, **more}
    return Decision(
        f"{act}-{values['position']}",
        act,
        involvement,
        about,
        by,
        "care",
        answer,
        event_at=at(hours),
        recorded_at=at(hours if recorded is None else recorded),
        **values,  # type: ignore[arg-type]
    )


def ended(
    kind: EndingKind, hours: float, by: str | None = None, *, about: str = BABY, **more: object
) -> Ending:
    return Ending(
        f"e-{kind}-{hours}",
        kind,
        "i1",
        about,
        "care",
        at(hours),
        at(hours),
        by,
        **more,  # type: ignore[arg-type]
    )


def state(
    *events: Decision | Ending | Asked,
    about: str = BABY,
    when: datetime = LATER,
    known: datetime | None = None,
    purpose: str = "care",
    grown: bool = False,
) -> Finding:
    story = Story(
        about,
        purpose,
        "i1",
        about == BABY and not grown,
        tuple(e for e in events if isinstance(e, Decision)),
        tuple(e for e in events if isinstance(e, Ending)),
        tuple(e for e in events if isinstance(e, Asked)),
    )
    return state_at(story, when, known or when)


def test_nothing_asked_is_not_asked_and_asked_is_not_answered() -> None:
    """Unanswered is no, but a page must say which of the two it is."""
    asked = Asked(MOTHER, "care", at(0), at(0))

    assert state(about=MOTHER).state is ConsentState.NOT_ASKED
    assert state(asked, about=MOTHER).state is ConsentState.NOT_ANSWERED
    assert state(asked, about=MOTHER, when=at(-1)).state is ConsentState.NOT_ASKED


def test_an_adult_gives_declines_withdraws_and_gives_again() -> None:
    """Each new act counts from its moment; nothing before it is lost."""
    yes = said(MOTHER, 0, about=MOTHER)
    stop = ended(EndingKind.WITHDRAWN, 5, MOTHER, about=MOTHER)
    again = said(MOTHER, 9, about=MOTHER)
    events = (yes, stop, again)

    assert state(*events, about=MOTHER, when=at(1)).state is ConsentState.GIVEN
    assert state(*events, about=MOTHER, when=at(6)).state is ConsentState.WITHDRAWN
    assert state(*events, about=MOTHER, when=at(9)).granting == (again.id,)
    no = said(MOTHER, 20, Answer.NO, about=MOTHER)
    assert state(*events, no, about=MOTHER).state is ConsentState.DECLINED


def test_what_was_recorded_later_was_not_known_before() -> None:
    """An auditor asks what we knew then: a late record must not rewrite it."""
    late = said(MOTHER, 0, about=MOTHER, recorded=48)

    assert state(late, about=MOTHER, when=at(1), known=at(47)).state is ConsentState.NOT_ASKED
    assert state(late, about=MOTHER, when=at(1), known=at(48)).state is ConsentState.GIVEN


def test_care_needs_every_line_of_the_needed_part() -> None:
    """Yes to filming and no to watching together is no consent to VIG."""
    film = said(MOTHER, 0, about=MOTHER, act="a", core=True, position=1)
    edit = said(MOTHER, 0, Answer.NO, about=MOTHER, act="a", core=True, position=2)

    assert state(film, edit, about=MOTHER).state is ConsentState.DECLINED
    assert state(film, about=MOTHER).state is ConsentState.GIVEN


def test_a_yes_expires_after_its_last_day() -> None:
    """A training yes of three years ends by itself, and says so."""
    yes = said(MOTHER, 0, about=MOTHER, valid_until=date(2026, 11, 10))

    assert state(yes, about=MOTHER, when=datetime(2026, 11, 10, 22, tzinfo=UTC)).state is (
        ConsentState.GIVEN
    )
    assert state(yes, about=MOTHER, when=datetime(2026, 11, 11, 1, tzinfo=UTC)).state is (
        ConsentState.EXPIRED
    )
    child = said(MOTHER, 0, valid_until=date(2026, 11, 10))
    assert state(child).state is ConsentState.EXPIRED


def test_a_named_use_is_covered_only_when_it_was_named() -> None:
    """A yes to one poster is no yes to a website, nor to publishing at large, and no no either."""
    yes = said(MOTHER, 0, about=MOTHER, named=("poster-2026",))
    asked = Asked(MOTHER, "care", at(0), at(0))

    assert state(yes, asked, about=MOTHER, purpose=POSTER).state is ConsentState.GIVEN
    assert state(yes, asked, about=MOTHER, purpose=WEBSITE).state is ConsentState.NOT_ANSWERED
    assert state(yes, asked, about=MOTHER).state is ConsentState.NOT_ANSWERED


def test_parents_who_name_different_uses_do_not_disagree() -> None:
    """One wrote down the website, the other the poster: neither said no to anything."""
    website, poster = said(MOTHER, 0, named=("website",)), said(FATHER, 1, named=("poster-2026",))

    assert state(website, poster, purpose=WEBSITE).granting == (website.id,)
    assert state(website, poster, purpose=POSTER).granting == (poster.id,)


def test_a_no_is_a_no_to_every_use() -> None:
    """Who does not want film published need not guess which uses somebody else has named."""
    no = said(FATHER, 1, Answer.NO)

    assert state(said(MOTHER, 0, named=("website",)), no, purpose=WEBSITE).state is (
        ConsentState.DISPUTED
    )
    own = said(FATHER, 0, named=("website",))
    assert state(own, no, purpose=WEBSITE).state is ConsentState.DECLINED


def test_a_no_to_sharing_is_a_no_to_the_uses_and_not_to_the_purpose() -> None:
    """Photos to keep, and photos for others, are asked side by side under one purpose."""
    keep = said(MOTHER, 0, about=MOTHER, act="a", position=1)
    others = said(MOTHER, 0, Answer.NO, about=MOTHER, act="a", position=2)

    assert state(keep, others, about=MOTHER).state is ConsentState.GIVEN
    assert state(keep, others, about=MOTHER, purpose="care:granny").state is ConsentState.DECLINED


def test_a_no_known_from_the_journal_alone_counts_like_one_that_was_recorded() -> None:
    """A backup from before a no must not open the film again."""
    yes, again = said(MOTHER, 0, about=MOTHER), said(MOTHER, 9, about=MOTHER)
    lost = ended(EndingKind.REFUSED, 5, MOTHER, about=MOTHER, ref="act-lost")

    assert state(yes, lost, about=MOTHER).state is ConsentState.DECLINED
    assert state(yes, lost, again, about=MOTHER).granting == (again.id,)
    assert state(said(MOTHER, 0), ended(EndingKind.REFUSED, 5, FATHER)).state is (
        ConsentState.DISPUTED
    )


def test_one_parents_yes_suffices_and_the_first_yes_holds_the_key() -> None:
    """One holder may lawfully act alone; a second yes makes no second key."""
    mother, father = said(MOTHER, 1), said(FATHER, 0)

    found = state(mother, father)

    assert found.state is ConsentState.GIVEN
    assert found.granting == (father.id, mother.id)


@pytest.mark.parametrize("against", ["no", "withdrawal"])
def test_parents_who_disagree_are_disputed(against: str) -> None:
    """Frozen: neither parent alone decides against the other in this service."""
    no = said(FATHER, 2, Answer.NO) if against == "no" else ended(EndingKind.WITHDRAWN, 2, FATHER)

    assert state(said(MOTHER, 0), no).state is ConsentState.DISPUTED


def test_a_dispute_is_settled_either_way_until_someone_speaks_again() -> None:
    """The IG officer's decision holds for what was said before it, not for what comes after."""
    events = (said(MOTHER, 0), said(FATHER, 2, Answer.NO))
    given_ = ended(EndingKind.RESOLVED_GIVEN, 3)
    declined = ended(EndingKind.RESOLVED_DECLINED, 4)
    again = ended(EndingKind.WITHDRAWN, 5, FATHER)

    assert state(*events, given_).state is ConsentState.GIVEN
    assert state(*events, given_, declined).state is ConsentState.DECLINED
    assert state(*events, given_, again).state is ConsentState.DISPUTED


def test_a_resolved_dispute_may_reopen_the_key_of_a_yes_that_was_withdrawn() -> None:
    """The sealed key of the first yes is the only one that opens the film that exists."""
    mother, father = said(MOTHER, 0), said(FATHER, 1)
    stop = ended(EndingKind.WITHDRAWN, 2, MOTHER)

    found = state(mother, father, stop, ended(EndingKind.RESOLVED_GIVEN, 3))

    assert found.granting == (father.id, mother.id)


def test_a_stop_that_was_no_dispute_is_never_reopened_by_a_later_one() -> None:
    """Whoever stopped while nobody else agreed was promised that it is over: only new film opens."""
    mother, stop = said(MOTHER, 0), ended(EndingKind.WITHDRAWN, 1, MOTHER)
    father = said(FATHER, 2)

    found = state(mother, stop, father, ended(EndingKind.RESOLVED_GIVEN, 3))

    assert found.granting == (father.id,)


def test_a_yes_after_the_organisation_ended_it_revives_nobody_elses() -> None:
    """What was ended stays shut: the new yes is for what comes after it."""
    mother, revoked, father = said(MOTHER, 0), ended(EndingKind.REVOKED, 1), said(FATHER, 2)

    found = state(mother, revoked, father)

    assert (found.state, found.granting) == (ConsentState.GIVEN, (father.id,))
    assert state(mother, revoked, said(FATHER, 2, Answer.NO)).state is ConsentState.DECLINED


def test_whoever_may_overrule_settles_it() -> None:
    """A special guardian's word stands over a parent's."""
    no = said(MOTHER, 0, Answer.NO)
    yes = said(GUARDIAN, 1, may_overrule=True)
    stop = ended(EndingKind.WITHDRAWN, 3, GUARDIAN, may_overrule=True)

    assert state(no, yes).state is ConsentState.GIVEN
    assert state(no, yes, stop).state is ConsentState.WITHDRAWN


def test_all_yeses_withdrawn_is_withdrawn_and_a_lone_no_is_declined() -> None:
    """Only a yes can be withdrawn; without one there is nothing to dispute."""
    assert state(said(MOTHER, 0), ended(EndingKind.WITHDRAWN, 1, MOTHER)).state is (
        ConsentState.WITHDRAWN
    )
    assert state(said(MOTHER, 0, Answer.NO)).state is ConsentState.DECLINED


def test_a_no_covers_other_involvements_of_the_child_and_a_yes_does_not() -> None:
    """A parent who said no elsewhere must not have to say it again here."""
    elsewhere_no = said(FATHER, 0, Answer.NO, involvement="i2")
    elsewhere_yes = said(FATHER, 0, involvement="i2")

    assert state(said(MOTHER, 1), elsewhere_no).state is ConsentState.DISPUTED
    assert state(elsewhere_yes).state is ConsentState.NOT_ASKED


def test_undoing_brings_back_and_a_second_withdrawal_ends_again() -> None:
    """The undo belongs to one withdrawal, not to all that follow."""
    yes = said(MOTHER, 0, about=MOTHER)
    first = ended(EndingKind.WITHDRAWN, 1, MOTHER, about=MOTHER, ref="w1")
    undo = ended(EndingKind.UNDONE, 2, MOTHER, about=MOTHER, ref="w1")
    second = ended(EndingKind.WITHDRAWN, 3, MOTHER, about=MOTHER, ref="w2")

    assert state(yes, first, undo, about=MOTHER).state is ConsentState.GIVEN
    assert state(yes, first, undo, second, about=MOTHER).state is ConsentState.WITHDRAWN


def test_the_organisation_revokes_and_an_invalid_act_never_counted() -> None:
    """Revoked says who ended it; invalidated says it never was."""
    yes = said(MOTHER, 0, about=MOTHER, act="bad")
    revoked = ended(EndingKind.REVOKED, 1, about=MOTHER)
    void = ended(EndingKind.INVALIDATED, 1, about=MOTHER, ref="bad")

    assert state(yes, revoked, about=MOTHER).state is ConsentState.REVOKED
    assert state(yes, void, about=MOTHER).state is ConsentState.INVALIDATED
    assert state(yes, void, about=MOTHER, known=at(0.5), when=at(0.5)).state is ConsentState.GIVEN


def test_everyone_missing_is_named() -> None:
    """A guider must know whom to ask."""
    given_, declined = Finding(ConsentState.GIVEN), Finding(ConsentState.DECLINED)

    missing = missing_for([(MOTHER, given_), (BABY, declined)], "care")

    assert [(m.person, m.state) for m in missing] == [(BABY, ConsentState.DECLINED)]


def _histories(uses: tuple[tuple[str, ...], ...]) -> st.SearchStrategy[list[Decision | Ending]]:
    """Up to eight words of two parents: yes to one of `uses`, no, or a withdrawal."""
    words = st.one_of(
        st.builds(
            lambda by, hours, named: said(by, hours, named=named),
            st.sampled_from([MOTHER, FATHER]),
            st.integers(0, 50),
            st.sampled_from(uses),
        ),
        st.builds(
            lambda by, hours: said(by, hours, Answer.NO),
            st.sampled_from([MOTHER, FATHER]),
            st.integers(0, 50),
        ),
        st.builds(
            lambda by, hours: ended(EndingKind.WITHDRAWN, hours, by),
            st.sampled_from([MOTHER, FATHER]),
            st.integers(0, 50),
        ),
    )
    return st.lists(words, max_size=8, unique_by=lambda e: (type(e), e.event_at))


events = _histories(((),))
of_uses = _histories(((), ("website",)))


@given(events, st.randoms())
def test_the_order_of_reading_never_changes_the_state(
    happened: list[Decision | Ending], random: object
) -> None:
    """Rows come back from a database in any order."""
    shuffled = list(happened)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert state(*happened) == state(*shuffled)


@given(events)
def test_given_for_a_child_means_a_standing_yes_and_no_standing_no(
    happened: list[Decision | Ending],
) -> None:
    """The permission rule rests on this alone."""
    found = state(*happened)

    if found.state is ConsentState.GIVEN:
        latest = {}
        for event in sorted(happened, key=lambda e: e.event_at):
            by = event.decided_by if isinstance(event, Decision) else event.by
            latest[by] = isinstance(event, Decision) and event.answer is Answer.YES
        assert all(latest.values())
        assert found.granting


@given(of_uses, st.integers(0, 50), st.sampled_from([MOTHER, FATHER]))
def test_naming_one_use_never_changes_what_stands_about_another(
    happened: list[Decision | Ending], hours: int, by: str
) -> None:
    """Not named is no word on it: neither a yes, nor a no, nor an end of what was said before."""
    poster = said(by, hours + 0.5, named=("poster-2026",), act="poster")

    assert state(*happened, poster, purpose=WEBSITE) == state(*happened, purpose=WEBSITE)
    assert state(*happened, poster) == state(*happened)


def test_a_dispute_that_was_settled_elsewhere_is_not_settled_here() -> None:
    """Each involvement has film of its own, and an IG officer's decision about it."""
    events = (said(MOTHER, 0), said(FATHER, 1, Answer.NO))
    elsewhere = replace(ended(EndingKind.RESOLVED_GIVEN, 3), involvement="i2")

    assert state(*events, elsewhere).state is ConsentState.DISPUTED
    here = ended(EndingKind.RESOLVED_DECLINED, 2)
    assert state(*events, here, elsewhere).state is ConsentState.DECLINED


def test_growing_up_opens_nothing_that_was_frozen() -> None:
    """On a birthday, or with a birth date put right, nobody has decided anything anew."""
    no, yes = said(FATHER, 0, Answer.NO), said(MOTHER, 1)
    declined = ended(EndingKind.RESOLVED_DECLINED, 2)
    assert state(yes, grown=True).state is ConsentState.GIVEN
    assert state(no, yes, grown=True).state is ConsentState.DISPUTED
    assert state(no, yes, declined, grown=True).state is ConsentState.DECLINED
    assert state(no, yes, said(BABY, 3), grown=True).state is ConsentState.GIVEN
