"""A small picture of a goal's ratings over the cycles of the work, for a page and for paper.

No script and no style sheet: it can stand by itself. On a page it is hidden from screen readers,
and `in_words` stands beside it; on paper `day_by_day` is its alternative text.
"""

from collections.abc import Sequence
from datetime import date

from markupsafe import Markup

LEFT, TOP, HEIGHT, STEP = 44, 16, 108, 84
LOW, HIGH = 1, 10
SHOWN = 8
"""How many of the newest ratings are drawn; all are said in words."""
BLUE, GREY, BLACK = "#005eb8", "#aeb7bd", "#212b32"

Ratings = Sequence[tuple[date, int]]


def plot(ratings: Ratings) -> Markup:
    """Return ratings of 1 to 10 as an SVG, oldest left, each with its number and day.

    Nothing before there are two: one point is no way. Beyond the newest eight none is drawn.
    """
    if len(ratings) < 2:
        return Markup("")
    drawn = ratings[-SHOWN:]
    width = LEFT + STEP * len(drawn)
    places = [(LEFT + STEP * n + STEP // 2, _y(score)) for n, (_, score) in enumerate(drawn)]
    dots = Markup("").join(
        Markup(
            '<circle cx="{x}" cy="{y}" r="6" fill="{blue}"/>'
            '<text x="{x}" y="{above}" text-anchor="middle" font-weight="bold">{score}</text>'
            '<text x="{x}" y="{low}" text-anchor="middle">{day}</text>'
        ).format(
            x=x,
            y=y,
            above=y - 12,
            low=TOP + HEIGHT + 34,
            blue=BLUE,
            score=score,
            day=f"{day.day} {day:%b}",
        )
        for (x, y), (day, score) in zip(places, drawn, strict=True)
    )
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="pages-plot" viewBox="0 0 {width} {height}"'
        ' width="{width}" height="{height}" font-family="Arial, sans-serif" font-size="16"'
        ' fill="{black}" aria-hidden="true" focusable="false">{lines}<polyline points="{line}"'
        ' fill="none" stroke="{blue}" stroke-width="3"/>{dots}</svg>'
    ).format(
        width=width,
        height=TOP + HEIGHT + 44,
        lines=_lines(width),
        line=" ".join(f"{x},{y}" for x, y in places),
        blue=BLUE,
        black=BLACK,
        dots=dots,
    )


def in_words(ratings: Ratings) -> str:
    """Return how a rating moved: `From 3 to 7 of 10`; nothing before there are two."""
    if len(ratings) < 2:
        return ""
    first, last = ratings[0][1], ratings[-1][1]
    return f"Still {last} of 10" if first == last else f"From {first} to {last} of 10"


def day_by_day(ratings: Ratings) -> str:
    """Return every rating with its day: `14 September 2026: 4; 2 November 2026: 7`."""
    return "; ".join(f"{day.day} {day:%B %Y}: {score}" for day, score in ratings)


def _lines(width: int) -> Markup:
    """Return the two ends of the scale, each with its number."""
    return Markup("").join(
        Markup(
            '<path d="M{left} {y}H{right}" stroke="{grey}"/>'
            '<text x="{number}" y="{base}" text-anchor="end">{score}</text>'
        ).format(
            left=LEFT,
            right=width,
            y=_y(score),
            base=_y(score) + 6,
            number=LEFT - 8,
            grey=GREY,
            score=score,
        )
        for score in (HIGH, LOW)
    )


def _y(score: int) -> int:
    return TOP + 12 + round((HIGH - score) / (HIGH - LOW) * (HEIGHT - 12))
