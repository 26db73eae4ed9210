"""People ask what is held about them: in time, all of it, theirs only, and never left lying about."""

import io
import json
from datetime import date, timedelta
from typing import Any

import pikepdf
import pytest

from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.people import MeetingKind, MeetingMode
from consent_service.domain.subject_access import RequestState
from consent_service.errors import Conflict, InvalidInput, NotFound, Refused
from consent_service.services import involvements, overview, retention, reviews, subject_access
from consent_service.services.access import Caller, job_caller
from consent_service.services.dispositions import Decide, Decision
from consent_service.services.held_about import OF_UNKNOWN_MEETINGS
from consent_service.services.subject_access import OpenRequest
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family
from tests.support.kept_film import Kept, file_summary, keep_film

PASSPHRASE = "seven quiet otters 42"


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which everybody said yes."""
    family = clinic.family()
    clinic.both_consent(family)
    return family


def _asks(clinic: Clinic, person: str, **more: Any) -> str:
    wanted = OpenRequest(person, more.pop("asked_on", clinic.today), **more)
    return subject_access.open_request(clinic.ctx, clinic.ig, wanted).id


def _file(clinic: Clinic, person: str) -> bytes:
    return subject_access.file(clinic.ctx, clinic.ig, _asks(clinic, person), PASSPHRASE)


def _records(content: bytes) -> dict[str, Any]:
    with pikepdf.open(io.BytesIO(content), password=PASSPHRASE) as pdf:
        found: dict[str, Any] = json.loads(pdf.attachments["records.json"].get_file().read_bytes())
    return found


@pytest.mark.parametrize(
    ("asked", "due"),
    [(date(2026, 10, 2), date(2026, 11, 2)), (date(2026, 8, 31), date(2026, 9, 30))],
)
def test_an_answer_is_due_within_one_calendar_month(
    clinic: Clinic, family: Family, asked: date, due: date
) -> None:
    """The law counts a month; a day late is a breach."""
    made = subject_access.open_request(clinic.ctx, clinic.ig, OpenRequest(family.mother, asked))

    assert (made.due_on, made.state, made.asked_by_id) == (due, RequestState.OPEN, family.mother)
    assert whole_lists.requests(clinic.ctx, clinic.ig, open_only=True) == [made]
    opened = clinic.written_down(EventKind.SUBJECT_ACCESS_OPENED)[-1].event
    assert opened.details == {"due": due.isoformat(), "person": family.mother}


def test_whoever_asks_for_somebody_else_says_on_what_authority(
    clinic: Clinic, family: Family
) -> None:
    """Otherwise an estranged relative would get everything by writing a letter."""
    with pytest.raises(InvalidInput) as refused:
        _asks(clinic, family.mother, asked_by="A solicitor")
    assert set(refused.value.faults) == {"authority"}
    with pytest.raises(InvalidInput):
        _asks(clinic, family.mother, asked_by_id=family.father)
    with pytest.raises(InvalidInput) as tomorrow:
        _asks(clinic, family.mother, asked_on=clinic.today + timedelta(days=1))
    assert set(tomorrow.value.faults) == {"asked_on"}

    asked = _asks(clinic, family.mother, asked_by="A solicitor", authority="Signed mandate")

    found = subject_access.request(clinic.ctx, clinic.ig, asked)
    assert (found.asked_by, found.asked_by_id) == ("A solicitor", None)


def test_only_the_ig_officer_answers_and_only_freshly_signed_in(
    clinic: Clinic, family: Family
) -> None:
    """This file is the whole of a person: no role that meets them daily may take it away."""
    asked = _asks(clinic, family.mother)
    stale = Caller(clinic.ig.actor, clinic.ig.user, clinic.ig.roles, clinic.ig.teams, fresh=False)

    for caller in (clinic.guider, clinic.supervisor, clinic.admin):
        with pytest.raises(Refused):
            whole_lists.requests(clinic.ctx, caller)
        with pytest.raises(Refused):
            subject_access.file(clinic.ctx, caller, asked, PASSPHRASE)
    with pytest.raises(Refused) as again:
        subject_access.file(clinic.ctx, stale, asked, PASSPHRASE)

    assert again.value.code == "sign_in_again"
    assert clinic.written_down(EventKind.SUBJECT_ACCESS_PREPARED) == []


@pytest.mark.parametrize("weak", ["short", "aaaaaaaaaaaaaaaa", "naïve passphrase", "a\tb" * 6])
def test_a_passphrase_that_protects_nothing_is_refused(
    clinic: Clinic, family: Family, weak: str
) -> None:
    """The file travels by e-mail; the passphrase is all that stands before it."""
    with pytest.raises(InvalidInput) as refused:
        subject_access.file(clinic.ctx, clinic.ig, _asks(clinic, family.mother), weak)

    assert set(refused.value.faults) == {"passphrase"}


def test_the_file_holds_everything_of_one_person_and_opens_with_the_passphrase_only(
    clinic: Clinic, family: Family
) -> None:
    """What is asked for is all of it; what is sent must be worth nothing to whoever finds it."""
    film = clinic.stores_film(family)
    clinic.watches(film.id)
    reviews.record_goal(clinic.ctx, clinic.guider, family.involvement, family.mother, "To sleep")
    clinic.withdraws(family, family.mother)

    content = _file(clinic, family.mother)

    assert b"Rosa Invented" not in content
    with pytest.raises(pikepdf.PasswordError):
        pikepdf.open(io.BytesIO(content))
    held = _records(content)["held"]
    assert held["details"][0]["full_name"] == "Rosa Invented"
    (act,) = held["consent_forms_answered"]
    assert len(act["words_shown"]) > 100
    answers = [(one.get("purpose"), one["answer"], one["about"]) for one in act["answers"]]
    assert ("care", "yes", "the person themselves") in answers
    assert held["goals"][0]["words"] == "To sleep"
    (withdrawal,) = held["withdrawals"]
    assert withdrawal["said_by"] == "the person themselves"
    (filmed,) = held["films_clips_and_photos"]
    assert (filmed["id"], filmed["can_be_watched_together"]) == (film.id, False)
    (watched,) = held["who_watched"]
    assert (watched["watched"], watched["purpose"]) == (film.id, "care")
    assert clinic.guider.id not in json.dumps(held)


def test_names_and_words_of_others_are_left_out(clinic: Clinic, family: Family) -> None:
    """One parent's request must not become the other parent's disclosure."""
    reviews.record_goal(clinic.ctx, clinic.guider, family.involvement, family.mother, "Hers alone")
    people_there = (family.mother,)
    _meets(clinic, family, people_there, "Between the two of us")

    for_father = json.dumps(_records(_file(clinic, family.father)))
    for_baby = json.dumps(_records(_file(clinic, family.baby)))
    for_mother = json.dumps(_records(_file(clinic, family.mother)))

    for secret in ("Hers alone", "Between the two of us"):
        assert secret not in for_father
        assert secret not in for_baby
        assert secret in for_mother
    assert "Rosa" not in for_father.replace(_shown(for_father), "")
    assert "another person" in for_baby


def test_nothing_of_the_file_stays_and_each_making_is_written_down(
    clinic: Clinic, family: Family
) -> None:
    """A copy that lay in the store would outlive a withdrawal."""
    before = clinic.objects()
    asked = _asks(clinic, family.mother)

    for _ in range(2):
        subject_access.file(clinic.ctx, clinic.ig, asked, PASSPHRASE)

    assert clinic.objects() == before
    made = clinic.written_down(EventKind.SUBJECT_ACCESS_PREPARED)
    assert [entry.event.subject for entry in made] == [asked, asked]
    assert PASSPHRASE not in repr(made)


def test_a_request_goes_its_way_and_no_other(clinic: Clinic, family: Family) -> None:
    """What was given, when, and whether they were content is what a regulator asks for."""
    ctx, ig = clinic.ctx, clinic.ig
    asked = _asks(clinic, family.mother)
    with pytest.raises(Conflict):
        subject_access.appeal(ctx, ig, asked)
    with pytest.raises(InvalidInput):
        subject_access.answer(ctx, ig, asked, " ")

    answered = subject_access.answer(ctx, ig, asked, "The file, by post")
    appealed = subject_access.appeal(ctx, ig, asked)
    closed = subject_access.close(ctx, ig, asked)

    assert (answered.given, answered.answered_on) == ("The file, by post", clinic.today)
    assert (appealed.state, closed.closed_on) == (RequestState.APPEALED, clinic.today)
    with pytest.raises(Conflict) as over:
        subject_access.file(ctx, ig, asked, PASSPHRASE)
    assert over.value.code == "request_state"
    with pytest.raises(NotFound):
        subject_access.request(ctx, ig, "0" * 32)


def test_what_is_due_soon_stands_among_the_exceptions(clinic: Clinic, family: Family) -> None:
    """Nobody looks at a list of requests every day; everybody opens the overview."""
    asked = _asks(clinic, family.mother)
    assert overview.overview(clinic.ctx, clinic.ig).exceptions["requests_due"] == 0

    clinic.passes(days=24)
    assert overview.overview(clinic.ctx, clinic.ig).exceptions["requests_due"] == 1

    subject_access.answer(clinic.ctx, clinic.ig, asked, "The file")
    assert overview.overview(clinic.ctx, clinic.ig).exceptions["requests_due"] == 0


@pytest.mark.parametrize(("appealed", "years"), [(False, 3), (True, 6)])
def test_the_request_is_kept_three_years_and_six_after_an_appeal(
    clinic: Clinic, family: Family, appealed: bool, years: int
) -> None:
    """R23: long enough to answer for it, and no longer."""
    ctx, ig = clinic.ctx, clinic.ig
    asked = _asks(clinic, family.mother)
    subject_access.answer(ctx, ig, asked, "The file")
    if appealed:
        subject_access.appeal(ctx, ig, asked)
    subject_access.close(ctx, ig, asked)
    due_on = clinic.today.replace(year=clinic.today.year + years)

    early = _lines(clinic, due_on - timedelta(days=1), asked)
    (line,) = _lines(clinic, due_on, asked)

    assert early == []
    assert (line.rule, line.due_on, line.fate.value) == ("R23", due_on, "review")


def test_two_people_let_an_old_request_go(clinic: Clinic, family: Family) -> None:
    """R23 is a rule of review: nothing of it goes by itself, and it does go in the end."""
    ctx, ig = clinic.ctx, clinic.ig
    asked = _asks(clinic, family.mother)
    subject_access.close(ctx, ig, asked)
    clinic.passes(days=3 * 366)
    retention.run(ctx, job_caller("retention"))
    (line,) = (one for one in whole_lists.dispositions(ctx, ig) if one.subject == asked)

    retention.decide(ctx, ig, line.id, Decide(Decision.DESTROY, "Nobody asked again."))
    assert subject_access.request(ctx, ig, asked).closed_on
    retention.confirm(ctx, clinic.ig2, line.id)

    with pytest.raises(NotFound):
        subject_access.request(ctx, ig, asked)


def _lines(clinic: Clinic, on: date, subject: str) -> list[Any]:
    plan = retention.plan(clinic.ctx, clinic.ig, on)
    return [line for line in plan.lines if line.subject == subject]


def _meets(clinic: Clinic, family: Family, present: tuple[str, ...], worries: str) -> None:
    involvements.record_meeting(
        clinic.ctx,
        clinic.guider,
        involvements.MeetingDetails(
            family.involvement,
            MeetingKind.FIRST_TALK,
            MeetingMode.HOME,
            clinic.today,
            present,
            worries=worries,
        ),
    )


def _shown(file: str) -> str:
    """The words of the forms that this person was shown, as they stand in the file."""
    (act,) = json.loads(file)["held"]["consent_forms_answered"]
    return json.dumps(act["words_shown"])


def test_a_summary_of_which_nobody_wrote_down_who_was_there_goes_to_nobody(
    clinic: Clinic, family: Family
) -> None:
    """It may hold what one parent said alone; that it is left out is said."""
    film = clinic.stores_film(family).id
    file_summary(clinic, family, film)

    held = [_records(_file(clinic, person)) for person in family.everyone]

    assert [one["held"]["summaries"] for one in held] == [[], [], []]
    assert all(OF_UNKNOWN_MEETINGS in one["left_out"] for one in held)


def test_that_film_is_kept_apart_is_not_told(clinic: Clinic, family: Family) -> None:
    """A hold may be there to protect a child from whoever reads this."""
    before = keep_film(clinic, family)
    after = keep_film(clinic, family, Kept(state=AssetState.RESTRICTED))

    records = _records(_file(clinic, family.mother))["held"]["films_clips_and_photos"]

    told = {one["id"]: {k: v for k, v in one.items() if k != "id"} for one in records}
    assert told[before]["state"] == told[after]["state"] == "kept"
