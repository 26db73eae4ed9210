"""The picture of a goal's ratings on the paper that a family takes home."""

import dataclasses
from datetime import date, timedelta
from xml.etree import ElementTree

from consent_service.documents import render_pdf
from consent_service.documents.content import GoalLine
from consent_service.documents.goal_plot import SHOWN, day_by_day, plot
from tests.documents import papers
from tests.documents.papers import IDENTIFIER, RATED
from tests.documents.test_render import alternatives, text_of


def test_a_summary_shows_how_each_goal_went_in_a_picture_and_in_words() -> None:
    """On paper the way is seen as on the page, and heard by whoever does not see it."""
    printed = render_pdf(papers.summary(), identifier=IDENTIFIER)

    shown = text_of(printed)
    assert "From 4 to 7 of 10" in shown
    assert "10 Aug" in shown, "the day under its point, as text within the picture"
    assert alternatives(printed) == [
        "Ratings from 1 to 10. 6 July 2026: 4; 10 August 2026: 6; 14 September 2026: 7"
    ]


def test_a_goal_rated_once_has_no_picture() -> None:
    """One point is no way: a plot of it would say nothing and look like a fault."""
    once = dataclasses.replace(papers.summary(), goals=papers.summary().goals[1:])

    printed = render_pdf(once, identifier=IDENTIFIER)

    assert alternatives(printed) == []
    assert "How it went" not in text_of(printed)
    assert "3 of 10" in text_of(printed)


def test_words_of_a_goal_are_never_part_of_the_picture() -> None:
    """The picture is made from numbers and days alone, so nothing in it can be markup."""
    drawn = ElementTree.fromstring(str(plot(RATED)))

    said = [text for text in ("".join(e.itertext()) for e in drawn) if text]
    assert said == ["10", "1", "4", "6 Jul", "6", "10 Aug", "7", "14 Sep"]


def test_a_long_way_is_drawn_from_its_newest_ratings_and_said_whole() -> None:
    """A picture wider than the paper would be cut; the words leave nothing out."""
    day = date(2026, 1, 5)
    ratings = tuple((day + timedelta(days=7 * n), 1 + n % 10) for n in range(30))
    paper = dataclasses.replace(
        papers.summary(), goals=(GoalLine(words="To trust myself", ratings=ratings),)
    )

    printed = render_pdf(paper, identifier=IDENTIFIER)

    assert str(plot(ratings)).count("<circle") == SHOWN
    assert alternatives(printed) == [f"Ratings from 1 to 10. {day_by_day(ratings)}"]
