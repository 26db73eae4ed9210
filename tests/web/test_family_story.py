"""The family page: what comes next in words, and what happened in one order."""

import re

from sqlalchemy import event, func, select, update

from consent_service.db.models.consent import ConsentDecision
from consent_service.db.models.recordings import Asset
from consent_service.domain.assets import AssetState
from consent_service.domain.paging import PageAsk
from consent_service.domain.withdrawal import WithdrawalScope
from consent_service.ids import new_id
from consent_service.services import cutting, family_list, progress, reviews, timeline
from tests.support.clinic import Clinic, Family
from tests.support.pages import Pages, words


def _more_films(clinic: Clinic, film: str, many: int) -> None:
    """Rows of films like this one: what a page costs the database does not hang on their bytes."""
    with clinic.ctx.begin() as uow:
        first = uow.session.get_one(Asset, film)
        values = {c.name: getattr(first, c.name) for c in Asset.__table__.columns}
        for _ in range(many):
            new = {"id": new_id(), "asset_key_id": new_id(), "blob": None}
            uow.session.add(Asset(**values | new))


def _asked(pages: Pages, clinic: Clinic, path: str) -> tuple[int, int]:
    """How long the page is, and how many statements it took."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    visitor = pages.as_("guider")
    event.listen(clinic.ctx.engine, "before_cursor_execute", note)
    answer = visitor.opens(path)
    event.remove(clinic.ctx.engine, "before_cursor_execute", note)
    assert answer.status_code == 200
    return len(answer.get_data()), len(seen)


def test_the_story_is_told_in_one_order_with_links_and_numbers(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Leaflet, answers, films, clips and withdrawals: a locum reads what happened, in words."""
    films = []
    for _ in range(2):
        clinic.passes(minutes=5)
        films.append(clinic.stores_film(family).id)
    clinic.passes(minutes=5)
    clip = cutting.clip(clinic.ctx, clinic.guider, cutting.MakeClip(films[1], 0, 1000, "A smile"))
    clinic.passes(minutes=5)
    clinic.withdraws(
        family, family.mother, scope=WithdrawalScope.PURPOSES, purposes=("supervision",)
    )

    shown = pages.as_("guider").opens(f"/families/{family.involvement}")

    said = words(shown)
    told = [
        "Consent for film of Rosa Invented was withdrawn: some uses of film",
        "A clip of film 2 was made",
        "Film 2 was stored, encrypted",
        "Film 1 was stored, encrypted",
        "answered consent form vig, version 1",
    ]
    story = said[said.index("What happened") :]
    places = [story.index(sentence) for sentence in told]
    assert places == sorted(places)
    html = shown.get_data(as_text=True)
    assert f'<a href="/films/{clip.id}">A clip of film 2' in html


def test_a_long_story_goes_on_on_pages_of_its_own(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Nothing that happened is out of reach, and the page of the family stays short."""
    for _ in range(30):
        clinic.passes(minutes=1)
        reviews.record_goal(
            clinic.ctx, clinic.guider, family.involvement, family.mother, "Calmer evenings"
        )
    guider = pages.as_("guider")
    front = words(guider.opens(f"/families/{family.involvement}"))
    assert front.count("A goal was written down") == 10
    assert "Everything that happened" in front

    first = guider.opens(f"/families/{family.involvement}/story")
    found = re.search(r'href="([^"]+)" rel="next"', first.get_data(as_text=True))
    assert found is not None
    last = guider.opens(found[1])

    both = words(first) + words(last)
    assert both.count("A goal was written down") == 30
    assert "Our work together began" in words(last)


def test_an_erased_film_keeps_its_number_and_leads_nowhere(
    clinic: Clinic, pages: Pages, family: Family
) -> None:
    """“Film 2” must never come to mean another film, and a link to nothing helps nobody."""
    first = clinic.stores_film(family).id
    clinic.passes(minutes=5)
    second = clinic.stores_film(family).id
    with clinic.ctx.begin() as uow:
        uow.session.execute(update(Asset).where(Asset.id == first).values(state=AssetState.ERASED))

    page = timeline.page_of_story(clinic.ctx, clinic.guider, family.involvement, PageAsk())

    stored = {e.said.partition(" was")[0]: e.subject for e in page.items if "stored" in e.said}
    assert stored == {"Film 1": None, "Film 2": second}
    (view,) = family_list.page_of_families(clinic.ctx, clinic.guider, PageAsk()).items
    done = progress.progress(clinic.ctx, clinic.guider, [view])[view.id]
    assert [(film.asset, film.number) for film in done.films] == [(second, 2)]


def test_the_page_of_a_family_asks_as_often_for_fifty_films_as_for_five(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A family of two years must open as fast as one of two weeks."""
    film = clinic.stores_film(family).id
    path = f"/families/{family.involvement}"
    _more_films(clinic, film, 4)
    _asked(pages, clinic, path)
    five = _asked(pages, clinic, path)
    _more_films(clinic, film, 45)

    fifty = _asked(pages, clinic, path)

    assert fifty[0] > five[0], "the page did not grow"
    assert fifty[1] == five[1]


def test_each_film_is_ready_to_watch_then_to_review(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """What comes next names the film, also the second one, until each was watched together."""
    guider = pages.as_("guider")

    def said() -> str:
        return words(guider.opens("/families"))

    assert "Film together" in said()
    for number in (1, 2):
        clinic.passes(minutes=5)
        film = clinic.stores_film(family).id
        assert f"Film {number} is ready to watch: choose clips" in said()
        cutting.clip(clinic.ctx, clinic.guider, cutting.MakeClip(film, 0, 1000, "A smile"))
        assert f"Film {number} is ready to review together" in said()
        wanted = reviews.RecordReview(family.involvement, film, clinic.today)
        review = reviews.record_review(clinic.ctx, clinic.guider, wanted)
        summary = reviews.WriteSummary(review.id, "She looked up.", "Wait longer.")
        written = reviews.write_summary(clinic.ctx, clinic.guider, summary)
        assert "Sign and file the summary" in said()
        reviews.file_summary(clinic.ctx, clinic.guider, written.id, "R-1")
    assert "Film again, or end our work" in said()


def test_a_film_that_waits_for_somebodys_consent_is_not_called_ready(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A link to a film that nobody may watch yet is a dead end."""
    film = clinic.stores_film(family).id
    with clinic.ctx.begin() as uow:
        uow.session.execute(
            update(Asset).where(Asset.id == film).values(state=AssetState.AWAITING_CONSENT)
        )

    said = words(pages.as_("guider").opens("/families"))

    assert "Film 1 waits for the consent of everybody in it" in said
    assert "ready" not in said


def test_a_consent_that_soon_runs_out_is_said_with_the_days_left(
    pages: Pages, clinic: Clinic
) -> None:
    """Asking again takes a meeting: on the last day it is too late to arrange one."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"SUP.SUPERVISOR"}))
    with clinic.ctx.read() as session:
        last = session.scalar(
            select(func.min(ConsentDecision.valid_until)).where(
                ConsentDecision.purpose == "supervision"
            )
        )
    assert last is not None
    clinic.passes(days=(last - clinic.today).days - 15)
    assert "expires" not in words(pages.as_("guider").opens("/families"))

    said = {}
    for left in (14, 6, 1, 0):
        clinic.passes(days=(last - clinic.today).days - left)
        said[left] = words(pages.as_("guider").opens(f"/families/{family.involvement}"))

    assert "Invented for “" in said[6]
    assert "expires in 14 days" in said[14]
    assert "expires in 6 days" in said[6]
    assert "expires tomorrow" in said[1]
    assert "expires today" in said[0]
    for person in (family.mother, family.father, family.baby):
        clinic.withdraws(
            family,
            person,
            by=family.mother if person == family.baby else person,
            scope=WithdrawalScope.PURPOSES,
            purposes=("supervision",),
        )
    assert "expires" not in words(pages.as_("guider").opens("/families"))
