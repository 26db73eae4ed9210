"""A small picture of a goal's ratings: no script, no style; the words beside it say all."""

from collections.abc import Sequence
from datetime import date

from markupsafe import Markup

WIDTH, HEIGHT, MARGIN = 280, 88, 12


def plot(ratings: Sequence[tuple[date, int]]) -> Markup:
    """Return ratings of 1 to 10 as an SVG line, oldest left; nothing before there are two.

    The picture is hidden from screen readers: whoever shows it writes the numbers down as well.
    """
    if len(ratings) < 2:
        return Markup("")
    places = [(_x(ratings, day), _y(score)) for day, score in ratings]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = Markup("").join(
        Markup('<circle cx="{:.1f}" cy="{:.1f}" r="5" fill="#005eb8"/>').format(x, y)
        for x, y in places
    )
    return Markup(
        '<svg class="pages-plot" viewBox="0 0 {w} {h}" width="{w}" height="{h}" aria-hidden="true"'
        ' focusable="false">'
        '<path d="M{m} {low}H{right}M{m} {high}H{right}" stroke="#aeb7bd" fill="none"/>'
        '<polyline points="{line}" fill="none" stroke="#005eb8" stroke-width="3"/>{dots}</svg>'
    ).format(
        w=WIDTH,
        h=HEIGHT,
        m=MARGIN,
        right=WIDTH - MARGIN,
        low=_y(1),
        high=_y(10),
        line=line,
        dots=dots,
    )


def _x(ratings: Sequence[tuple[date, int]], day: date) -> float:
    first, last = ratings[0][0], ratings[-1][0]
    days = (last - first).days
    part = (day - first).days / days if days else 0.5
    return MARGIN + part * (WIDTH - 2 * MARGIN)


def _y(score: int) -> float:
    return MARGIN + (10 - score) / 9 * (HEIGHT - 2 * MARGIN)
