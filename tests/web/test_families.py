"""Families as a guider meets them: begun, shown, given the leaflet."""

from sqlalchemy import event

from consent_service.domain.paging import PageAsk
from consent_service.services import family_list
from tests.support.clinic import Clinic
from tests.support.pages import Pages, words

NEW = {
    "parent_name": "Ada Invented",
    "parent_born__day": "17",
    "parent_born__month": "5",
    "parent_born__year": "1994",
    "parent_number": "999 123 4561",
    "baby_name": "Ben Invented",
    "baby_born__day": "1",
    "baby_born__month": "10",
    "baby_born__year": "2026",
    "basis": "birth_mother",
}


def test_the_first_page_says_what_to_do_when_there_is_no_family(pages: Pages) -> None:
    """An empty page that says nothing looks broken."""
    guider = pages.as_("guider")

    start = guider.follows(guider.opens("/"))

    assert "There is no family yet" in words(start)


def test_a_family_is_begun_with_parent_baby_and_who_may_decide(
    pages: Pages, clinic: Clinic
) -> None:
    """The whole story hangs on the right people being written down once."""
    guider = pages.as_("guider")

    done = guider.sends("/families/new", team=clinic.team, **{**NEW, "parent_number": ""})

    shown = words(guider.follows(done))
    assert "Ada Invented , Ben Invented" in shown
    assert "Ada Invented : gave birth to the child" in shown
    assert "1 October 2026" in shown
    assert "What comes next: Give Ada Invented the leaflet" in shown


def test_a_wrong_number_is_named_at_its_field_and_nothing_is_kept(
    pages: Pages, clinic: Clinic
) -> None:
    """A typing error must neither lose what was typed nor leave half a family behind."""
    guider = pages.as_("guider")

    answer = guider.sends("/families/new", team=clinic.team, **NEW)

    html = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert 'href="#parent_number"' in html
    assert 'value="Ada Invented"' in html
    assert "<title>Error: New family" in html
    assert not family_list.page_of_families(clinic.ctx, clinic.guider, PageAsk()).items


def test_an_impossible_day_is_refused_with_the_way_to_write_it(
    pages: Pages, clinic: Clinic
) -> None:
    """31 February must not silently become another day."""
    guider = pages.as_("guider")
    wrong = {**NEW, "baby_born__day": "31", "baby_born__month": "2", "parent_number": ""}

    answer = guider.sends("/families/new", team=clinic.team, **wrong)

    assert answer.status_code == 400
    assert "Enter a real day" in words(answer)


def test_names_are_escaped_and_kept_apart_from_the_words_around_them(
    pages: Pages, clinic: Clinic
) -> None:
    """A name is text, whatever it looks like and in whichever direction it is written."""
    guider = pages.as_("guider")
    odd = {**NEW, "parent_number": "", "parent_name": "<b>Eve</b> משה"}

    shown = guider.follows(guider.sends("/families/new", team=clinic.team, **odd))

    html = shown.get_data(as_text=True)
    assert "<bdi>&lt;b&gt;Eve&lt;/b&gt; משה</bdi>" in html
    assert "<b>Eve" not in html


def test_people_are_found_without_a_name_in_any_address(pages: Pages, clinic: Clinic) -> None:
    """Addresses end up in logs and histories; names and numbers must not."""
    clinic.family()
    guider = pages.as_("guider")

    found = guider.sends("/families/find", text="mina inv")

    assert "Mina Invented" in words(found)
    assert found.request.path == "/families/find"


def test_another_teams_family_looks_like_no_family(pages: Pages, clinic: Clinic) -> None:
    """Guessing an id must not even tell that there is such a family."""
    family = clinic.family()
    with clinic.ctx.begin() as uow:
        from consent_service.db.models.accounts import TeamMember

        uow.session.delete(uow.session.get_one(TeamMember, (clinic.team, clinic.guider.id)))
    stranger = pages.as_("guider")

    theirs = stranger.opens(f"/families/{family.involvement}")
    nobodys = stranger.opens(f"/families/{'0' * 32}")

    assert theirs.status_code == nobodys.status_code == 404
    assert _without_reference(words(theirs)) == _without_reference(words(nobodys))


def _without_reference(text: str) -> str:
    return text.split("If you ask for help", maxsplit=1)[0]


def test_the_archived_leaflet_is_refused_with_the_current_version(
    pages: Pages, clinic: Clinic
) -> None:
    """A family must not decide on words that were taken out of use."""
    family = clinic.family()
    guider = pages.as_("guider")
    form = {"given_on__day": "2", "given_on__month": "11", "given_on__year": "2026"}

    refused = guider.sends(
        f"/leaflets/give/{family.involvement}/{family.mother}",
        version="L1111/1",
        how="paper",
        **form,
    )
    given = guider.sends(
        f"/leaflets/give/{family.involvement}/{family.mother}",
        version="L1111/2",
        how="paper",
        **form,
    )

    assert refused.status_code == 400
    assert "archived on 14/09/2023. Give version 2." in words(refused)
    assert given.status_code == 302


def test_a_safeguarding_hold_is_one_step_from_the_family(pages: Pages, clinic: Clinic) -> None:
    """When a child may be in danger nobody has time to look for the right form."""
    family = clinic.family()
    guider = pages.as_("guider")

    done = guider.sends(f"/families/{family.involvement}/safeguarding", reason="A worry.")

    assert "The hold stands" in words(guider.follows(done))


def test_a_meeting_and_a_goal_are_written_down_in_the_parents_words(
    pages: Pages, clinic: Clinic
) -> None:
    """The work is theirs; so are its words."""
    family = clinic.family()
    guider = pages.as_("guider")

    done = guider.sends(
        f"/families/{family.involvement}/meetings/add",
        kind="first_talk",
        mode="home",
        held_on__day="2",
        held_on__month="11",
        held_on__year="2026",
        people=[family.mother, family.baby],
        what_matters="Sleep.",
        goal="I want to see what she tells me",
        goal_of=family.mother,
    )

    shown = words(guider.follows(done))
    assert "I want to see what she tells me" in shown
    assert "2 November 2026: First talk" in shown


def test_the_list_of_families_asks_the_database_as_often_for_six_as_for_one(
    pages: Pages, clinic: Clinic
) -> None:
    """A guider with many families must not wait longer for their first page."""
    clinic.family()
    one = _statements(pages, clinic)
    for _ in range(5):
        clinic.family()

    assert _statements(pages, clinic) == one


def _statements(pages: Pages, clinic: Clinic) -> int:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    guider = pages.as_("guider")
    event.listen(clinic.ctx.engine, "before_cursor_execute", note)
    assert guider.opens("/families").status_code == 200
    event.remove(clinic.ctx.engine, "before_cursor_execute", note)
    return len(seen)
