"""What an information governance officer sees and decides: exceptions, holds, due things, the log."""

import json
import re
from datetime import timedelta

from consent_service.db.models.jobs import ClockPause
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Speed, WithdrawalScope
from consent_service.ids import new_id
from consent_service.services import audit, disputes, holds, involvements, overview, retention
from consent_service.services.holds import PlaceHold
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family
from tests.support.pages import Pages, Visitor, kinds_recorded, words


def _follows(visitor: Visitor) -> str:
    assert visitor.last is not None
    return words(visitor.follows(visitor.last))


def test_the_overview_says_when_nothing_needs_anybody(pages: Pages, clinic: Clinic) -> None:
    """An empty list that looks like a fault would be ignored on the day it is one."""
    page = pages.as_("ig").opens("/governance")

    text = words(page)
    assert page.status_code == 200
    assert "Nothing needs you at the moment" in text
    assert "Films kept 0" in text


def test_a_disagreement_is_seen_first_and_settled_with_a_reason(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Film stays frozen until somebody decides: so it must not be overlooked."""
    film = clinic.stores_film(family)
    clinic.withdraws(
        family, family.baby, by=family.father, scope=WithdrawalScope.PURPOSES, purposes=("care",)
    )
    (dispute,) = disputes.standing(clinic.ctx, clinic.ig)
    ig = pages.as_("ig")

    assert "Disagreements between parents" in words(ig.opens("/governance"))
    listed = words(ig.opens("/governance/disputes"))
    assert "Mina Invented" in listed
    silent = ig.sends(f"/governance/disputes/{dispute.id}", decision="give")
    assert silent.status_code == 400
    assert 'href="#reason"' in silent.get_data(as_text=True)
    ig.sends(f"/governance/disputes/{dispute.id}", decision="give", reason="Both were heard.")

    assert "settled" in _follows(ig)
    assert disputes.standing(clinic.ctx, clinic.ig) == []
    assert clinic.watches(film.id)


def test_a_hold_needs_two_people_to_let_go(pages: Pages, clinic: Clinic, family: Family) -> None:
    """One person under pressure must not be able to make evidence disappear."""
    first, second = pages.as_("ig"), pages.as_("ig2")
    clinic.stores_film(family)
    first.sends(
        f"/holds/place/{family.involvement}",
        kind="litigation",
        asset="everything",
        reason="A court asked for it.",
    )
    assert "The hold stands" in _follows(first)
    hold = holds.holds(clinic.ctx, clinic.ig)[0]

    first.sends(f"/holds/{hold.id}/release", reason="The case is closed.")
    assert "Another person confirms" in _follows(first)
    alone = first.sends(f"/holds/{hold.id}/release/confirm")
    assert alone.status_code == 400
    second.sends(f"/holds/{hold.id}/release/confirm")

    assert "released" in _follows(second)
    assert holds.holds(clinic.ctx, clinic.ig) == []


def test_releasing_a_hold_asks_for_the_password_again(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A tablet left open must not be enough."""
    placed = holds.place(
        clinic.ctx, clinic.ig, PlaceHold(family.involvement, HoldKind.COMPLAINT, "A complaint.")
    )
    ig2 = pages.as_("ig2")
    clinic.passes(minutes=11)

    answer = ig2.opens(f"/holds/{placed.id}/release")

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/sign-in/again")


def test_appraisals_are_approved_by_two_and_taken_back_by_one(pages: Pages, clinic: Clinic) -> None:
    """Rule 8: no job destroys a class that two people have not looked at."""
    first, second = pages.as_("ig"), pages.as_("ig2")
    first.opens("/retention/appraisals")
    first.posts("/retention/appraisals/recordings/approve")
    assert "second person" in _follows(first)
    first.posts("/retention/appraisals/recordings/approve")
    assert "A second person approves it" in _follows(first)
    second.opens("/retention/appraisals")
    second.posts("/retention/appraisals/recordings/approve")
    assert "in force" in _follows(second)

    second.sends("/retention/appraisals/recordings/revoke", reason="We look again.")

    assert "taken back" in _follows(second)
    states = {a.code: a.state for a in retention.appraisals(clinic.ctx, clinic.ig)}
    assert states["recordings"] == "revoked"


def test_what_is_due_is_decided_by_one_and_confirmed_by_another(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """What no appraisal covers is destroyed by two people, never by one."""
    film = clinic.stores_film(family)
    involvements.end_involvement(clinic.ctx, clinic.guider, family.involvement, clinic.today)
    clinic.passes(days=70)
    retention.run(clinic.ctx, clinic.ig)
    (line,) = whole_lists.dispositions(clinic.ctx, clinic.ig)
    first, second = pages.as_("ig"), pages.as_("ig2")

    assert "Recording held as working material" in words(first.opens("/retention/due"))
    no_reason = first.sends(f"/retention/due/{line.id}", decision="destroy")
    assert no_reason.status_code == 400
    first.sends(f"/retention/due/{line.id}", decision="destroy", reason="Summary is filed.")
    assert "second person" in _follows(first)
    second.sends(f"/retention/due/{line.id}/confirm", agree="yes")

    assert "It is being destroyed" in _follows(second)
    page = pages.as_("guider").opens(f"/films/{film.id}")
    assert "/content" not in page.get_data(as_text=True)


def test_why_a_film_is_here_names_rule_facts_and_source(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A parent asks why; the answer must be more than a date."""
    film = clinic.stores_film(family)

    for who in ("guider", "ig"):
        page = pages.as_(who).opens(f"/retention/why/{film.id}")
        text = words(page)
        assert page.status_code == 200
        assert "R01" in text
        assert "NHS Records Management Code" in text
        assert "has not happened yet" in text


def test_the_schedule_can_be_read(pages: Pages, clinic: Clinic) -> None:
    """Whoever works here can look up how long what is kept."""
    text = words(pages.as_("guider").opens("/retention/schedule"))

    for rule in clinic.ctx.policies.schedule.rules:
        assert rule in text


def test_the_log_is_searched_verified_and_exported(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """What happened can be found, proved whole, and checked by somebody else."""
    audit.seal(clinic.ctx)
    audit.publish_checkpoint(clinic.ctx)
    ig = pages.as_("ig")

    found = ig.opens("/audit?kind=consent.captured")
    text = words(found)
    assert text.count("Entry ") >= 2
    for name in ("Rosa", "Jonas", "Mina"):
        assert name not in text
    proof = re.search(r"/audit/entries/[0-9a-f]{32}/proof.json", found.get_data(as_text=True))
    assert proof is not None
    assert json.loads(ig.opens(proof[0]).data)["path"]
    ig.sends("/audit/verify")
    assert "The log is whole" in _follows(ig)
    exported = ig.posts("/audit/export")

    lines = exported.data.splitlines()
    assert exported.status_code == 200
    assert json.loads(lines[0])["epochs"]
    assert EventKind.AUDIT_EXPORTED in kinds_recorded(clinic)


def test_the_log_says_codes_in_words(pages: Pages, clinic: Clinic, family: Family) -> None:
    """Whoever reads the log for a complaint does not know the codes of this program."""
    clinic.stores_film(family)
    clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)

    text = words(pages.as_("ig").opens("/audit?kind=withdrawal.recorded"))

    assert "scope everything, purposes “Film, edit and watch it together”" in text
    assert "in seven days, unless they change their mind" in text
    assert "seven_days" not in text


def test_a_search_for_nonsense_says_what_is_wrong(pages: Pages) -> None:
    """Every fault beside its field, none of them a trace."""
    page = pages.as_("ig").opens("/audit?kind=nothing&about=Rosa&since=31.2.2026&until=soon")

    assert page.status_code == 400
    for field in ("kind", "about", "since", "until"):
        assert f'href="#{field}"' in page.get_data(as_text=True)


def test_after_a_jump_of_the_clock_a_person_confirms(pages: Pages, clinic: Clinic) -> None:
    """Nothing is destroyed on a wrong date because nobody looked."""
    with clinic.ctx.begin() as uow:
        before = uow.at - timedelta(days=3650)
        uow.session.add(ClockPause(id=new_id(), found_at=uow.at, last_beat_at=before))
    ig = pages.as_("ig")
    assert "clock jumped" in words(ig.opens("/governance"))

    ig.posts("/retention/clock/confirm")

    assert "clock jumped" not in _follows(ig)
    assert overview.overview(clinic.ctx, clinic.ig).exceptions["clock_paused"] == 0


def test_a_journal_that_a_worker_found_broken_is_the_first_exception(
    pages: Pages, clinic: Clinic
) -> None:
    """Nothing is destroyed meanwhile, and whoever promised families that it would be must know."""
    assert "journal of endings" not in words(pages.as_("ig").opens("/governance"))
    found = Actor(ActorKind.JOB, "journal-watch")
    with clinic.ctx.begin() as uow:
        uow.record(AuditEvent(EventKind.JOURNAL_BROKEN, found, "journal", details={"line": 2}))

    assert "The journal of endings is missing" in words(pages.as_("ig").opens("/governance"))


def test_messages_are_read_once(pages: Pages, clinic: Clinic, family: Family) -> None:
    """What the service tells an officer stays until they have read it."""
    holds.place(
        clinic.ctx, clinic.ig, PlaceHold(family.involvement, HoldKind.COMPLAINT, "A complaint.")
    )
    ig = pages.as_("ig")
    page = ig.opens("/governance/messages").get_data(as_text=True)
    found = re.search(r"/governance/messages/[0-9a-f]{32}/seen", page)
    assert found is not None

    ig.posts(found[0])

    assert "I have read this" not in _follows(ig)
    assert pages.as_("guider").posts(found[0]).status_code in (400, 404)


def test_governance_is_closed_to_guiders_and_administrators(pages: Pages) -> None:
    """Holds, disputes and the log are for whoever answers for them."""
    for who in ("guider", "supervisor", "admin"):
        visitor = pages.as_(who)
        for path in ("/governance", "/governance/disputes", "/audit"):
            assert visitor.opens(path).status_code == 403, (who, path)


def test_erasures_show_how_far_they_are(pages: Pages, clinic: Clinic, family: Family) -> None:
    """An erasure that was reported must be one that can be looked at."""
    clinic.stores_film(family)
    view = clinic.withdraws(family, family.mother)

    text = words(pages.as_("ig").opens("/governance/erasures"))

    assert view.reference is not None
    assert view.reference in text
