"""Links for families: who makes them, what opens them, what ends them, and what stays of them."""

from datetime import date

import pytest
from sqlalchemy import func, select

from consent_service.db.models.jobs import Notice
from consent_service.db.models.links import OwnLink
from consent_service.domain.audit import EventKind
from consent_service.domain.consent import Capacity
from consent_service.domain.links import LinkEnd, LinkKind
from consent_service.errors import Conflict, InvalidInput, LinkClosed, NotFound, Refused
from consent_service.services import (
    involvements,
    journal_replay,
    link_drafts,
    link_sessions,
    links,
    people,
    retention,
    upkeep,
)
from consent_service.services.access import Caller, job_caller
from consent_service.services.link_sessions import LinkSession
from tests.support.clinic import Clinic, Family

MOTHER_BORN = date(1994, 5, 17)
ANOTHER_DAY = date(1994, 5, 18)


def make(
    clinic: Clinic,
    family: Family,
    kind: LinkKind = LinkKind.CONSENT,
    *,
    person: str = "",
    caller: Caller | None = None,
) -> tuple[links.LinkView, str]:
    """Make a link as the guider does."""
    wanted = links.MakeLink(
        family.involvement, person or family.mother, kind, capacity=Capacity.NO_DOUBT
    )
    return links.make_link(clinic.ctx, caller or clinic.guider, wanted)


def hold(clinic: Clinic, secret: str, born_on: date = MOTHER_BORN) -> LinkSession:
    """Open a link and go on with it."""
    opened = link_sessions.open_link(clinic.ctx, secret, born_on)
    return link_sessions.session_of(clinic.ctx, opened.link, opened.mark)


def listed(clinic: Clinic, family: Family) -> list[links.LinkView]:
    return links.list_links(clinic.ctx, clinic.guider, family.involvement, family.mother)


def test_the_right_date_of_birth_opens_a_link_for_its_person(clinic: Clinic) -> None:
    """Whoever is asked by link must be the one who was meant."""
    family = clinic.family()
    _, secret = make(clinic, family)

    holder = hold(clinic, secret)

    assert holder.own.person == family.mother
    assert holder.caller.roles == {"parent"}
    assert clinic.written_down(EventKind.LINK_USED)


def test_only_a_digest_of_the_secret_is_kept(clinic: Clinic) -> None:
    """A stolen database must open nobody's page."""
    family = clinic.family()
    _, secret = make(clinic, family)

    with clinic.ctx.read() as session:
        row = session.scalars(select(OwnLink)).one()

    kept = " ".join(str(value) for value in vars(row).values())
    assert secret not in kept
    assert len(secret) >= 43


def test_five_wrong_dates_close_a_link_and_the_guider_is_told(clinic: Clinic) -> None:
    """Dates of birth can be guessed, so a link does not let anybody guess for long."""
    family = clinic.family()
    _, secret = make(clinic, family)
    for _ in range(5):
        with pytest.raises(LinkClosed):
            hold(clinic, secret, ANOTHER_DAY)

    with pytest.raises(LinkClosed):
        hold(clinic, secret)

    assert listed(clinic, family)[0].end is LinkEnd.LOCKED
    with clinic.ctx.read() as session:
        told = session.scalars(select(Notice.kind).where(Notice.to_user_id == clinic.guider.id))
        assert "link_locked" in set(told)


def test_four_wrong_dates_leave_a_link_open(clinic: Clinic) -> None:
    """A tired parent mistypes a year; that alone must not cost them their link."""
    family = clinic.family()
    _, secret = make(clinic, family)
    for _ in range(4):
        with pytest.raises(LinkClosed):
            hold(clinic, secret, ANOTHER_DAY)

    assert hold(clinic, secret).own.person == family.mother


def test_every_way_of_failing_says_the_same(clinic: Clinic) -> None:
    """What a refusal says must not tell whether a link was ever real."""
    family = clinic.family()
    view, ended = make(clinic, family, LinkKind.PARENT)
    links.end_link(clinic.ctx, clinic.guider, view.id)
    _, late = make(clinic, family)
    clinic.passes(days=7)
    _, live = make(clinic, family, LinkKind.PARENT)
    said = set()

    for secret, day in ((ended, MOTHER_BORN), (late, MOTHER_BORN), (live, ANOTHER_DAY)):
        with pytest.raises(LinkClosed) as refused:
            hold(clinic, secret, day)
        said.add((refused.value.message, refused.value.code))
    with pytest.raises(LinkClosed) as refused:
        hold(clinic, "never made", MOTHER_BORN)

    assert said == {(refused.value.message, refused.value.code)}
    counted = [e.event.details for e in clinic.written_down(EventKind.LINK_REFUSED)]
    assert counted == [{"counted": 1}]


def test_a_consent_link_runs_out_after_seven_days_and_not_before(clinic: Clinic) -> None:
    """The promise of seven days is kept to the minute, both ways."""
    family = clinic.family()
    _, secret = make(clinic, family)
    approve_links(clinic)

    clinic.passes(days=7, minutes=-1)
    retention.run(clinic.ctx, job_caller("retention"))
    assert hold(clinic, secret)
    clinic.passes(minutes=1)
    with pytest.raises(LinkClosed):
        hold(clinic, secret)


def test_a_parents_own_link_lasts_until_a_year_after_the_end(clinic: Clinic) -> None:
    """Stopping film must stay as easy as it was for as long as there may be film (R29)."""
    family = clinic.family()
    _, secret = make(clinic, family, LinkKind.PARENT)
    clinic.passes(days=30)
    involvements.end_involvement(clinic.ctx, clinic.guider, family.involvement, clinic.today)

    clinic.passes(days=364)
    assert hold(clinic, secret)
    clinic.passes(days=1)
    with pytest.raises(LinkClosed):
        hold(clinic, secret)


def test_a_new_link_ends_the_one_before(clinic: Clinic) -> None:
    """A link that was lost on a bus must not live on beside its replacement."""
    family = clinic.family()
    _, first = make(clinic, family)
    _, second = make(clinic, family)

    assert hold(clinic, second)
    with pytest.raises(LinkClosed):
        hold(clinic, first)


def test_an_ended_link_closes_what_it_had_open(clinic: Clinic) -> None:
    """The guider ends a link because it is in the wrong hands now, not later."""
    family = clinic.family()
    view, secret = make(clinic, family)
    opened = link_sessions.open_link(clinic.ctx, secret, MOTHER_BORN)

    links.end_link(clinic.ctx, clinic.guider, view.id)

    with pytest.raises(LinkClosed):
        link_sessions.session_of(clinic.ctx, opened.link, opened.mark)


def test_a_second_browser_ends_the_first_and_sees_nothing_of_its_answers(clinic: Clinic) -> None:
    """Answers that were not sent yet belong to whoever is typing them."""
    family = clinic.family()
    _, secret = make(clinic, family)
    first = link_sessions.open_link(clinic.ctx, secret, MOTHER_BORN)
    holder = link_sessions.session_of(clinic.ctx, first.link, first.mark)
    link_drafts.save(clinic.ctx, holder, {"answers": {"x": "yes"}})

    second = hold(clinic, secret)

    assert link_drafts.draft(clinic.ctx, second) is None
    with pytest.raises(LinkClosed):
        link_sessions.session_of(clinic.ctx, first.link, first.mark)


def test_a_consent_link_ends_when_its_person_withdraws_and_their_own_page_stays(
    clinic: Clinic,
) -> None:
    """Who said stop is asked anew by a person; the page with the receipt is what they need now."""
    family = clinic.family()
    clinic.both_consent(family)
    _, consent = make(clinic, family)
    _, page = make(clinic, family, LinkKind.PARENT)
    clinic.passes(minutes=1)

    clinic.withdraws(family, family.mother)

    assert hold(clinic, page)
    with pytest.raises(LinkClosed):
        hold(clinic, consent)


def test_a_fathers_withdrawal_leaves_the_mothers_link_as_it_was(clinic: Clinic) -> None:
    """A link that suddenly died would tell one parent what the other did."""
    family = clinic.family()
    clinic.both_consent(family)
    _, secret = make(clinic, family)

    clinic.withdraws(family, family.baby, by=family.father)

    assert hold(clinic, secret)


def test_links_are_for_people_who_can_be_asked(clinic: Clinic) -> None:
    """No link for a baby, for somebody without date of birth, or for who cannot decide now."""
    family = clinic.family()
    nameless = people.create_person(
        clinic.ctx, clinic.guider, people.PersonDetails(clinic.team, "Ida Invented")
    ).id
    member = involvements.Member(nameless, involvements.FamilyRole.OTHER)
    involvements.add_member(clinic.ctx, clinic.guider, family.involvement, member)
    lacking = links.MakeLink(
        family.involvement, family.mother, LinkKind.CONSENT, capacity=Capacity.LACKS_NOW
    )

    with pytest.raises(InvalidInput):
        make(clinic, family, LinkKind.PARENT, person=family.baby)
    with pytest.raises(Conflict):
        make(clinic, family, person=nameless)
    with pytest.raises(InvalidInput) as refused:
        links.make_link(clinic.ctx, clinic.guider, lacking)
    assert "capacity" in refused.value.faults


def test_links_are_made_and_ended_by_those_who_ask_for_consent_in_their_own_team(
    clinic: Clinic,
) -> None:
    """A link is a key to somebody's page: it is not handed out by anybody else."""
    family = clinic.family()
    view, _ = make(clinic, family)
    other = Caller(clinic.guider.actor, clinic.guider.user, frozenset({"guider"}), frozenset("x"))

    with pytest.raises(Refused):
        make(clinic, family, caller=clinic.admin)
    with pytest.raises(NotFound):
        make(clinic, family, caller=other)
    with pytest.raises(NotFound):
        links.end_link(clinic.ctx, other, view.id)


def test_a_restored_backup_does_not_open_an_ended_link_again(clinic: Clinic) -> None:
    """Ending a link must outlive the database that it was ended in."""
    family = clinic.family()
    view, secret = make(clinic, family, LinkKind.PARENT)
    links.end_link(clinic.ctx, clinic.guider, view.id)
    with clinic.ctx.begin() as uow:
        uow.session.get_one(OwnLink, view.id).revoked_at = None
    assert hold(clinic, secret)

    report = journal_replay.ReplayReport()
    for line in clinic.ctx.journal.lines():
        journal_replay.replay_line(clinic.ctx, line, report)

    with pytest.raises(LinkClosed):
        hold(clinic, secret)


def test_links_go_when_their_time_is_over_and_an_appraisal_says_so(clinic: Clinic) -> None:
    """What only adds risk is not kept: used, ended and old links are destroyed (R29)."""
    family = clinic.family()
    make(clinic, family)
    _, page = make(clinic, family, LinkKind.PARENT)
    approve_links(clinic)
    clinic.passes(days=8)

    retention.run(clinic.ctx, job_caller("retention"))

    with clinic.ctx.read() as session:
        assert session.scalar(select(func.count()).select_from(OwnLink)) == 1
    assert hold(clinic, page)
    assert clinic.written_down(EventKind.LINK_EXPIRED)


def test_answers_that_nobody_sent_are_forgotten_by_the_next_day(clinic: Clinic) -> None:
    """Half an answer in somebody's database for a month is nobody's wish."""
    family = clinic.family()
    _, secret = make(clinic, family)
    holder = hold(clinic, secret)
    link_drafts.save(clinic.ctx, holder, {"answers": {}})
    clinic.passes(days=1, minutes=1)

    assert upkeep.clean_up(clinic.ctx)["link_drafts"] == 1
    assert link_drafts.draft(clinic.ctx, holder) is None


def approve_links(clinic: Clinic) -> None:
    """Approve the appraisal of links, by two people."""
    for officer in (clinic.ig, clinic.ig2):
        retention.approve_appraisal(clinic.ctx, officer, "links")
