"""Bars of how much falls due in which month: an SVG made here, each bar with its own words."""

from collections.abc import Sequence
from datetime import date

from markupsafe import Markup

WIDTH, ROW, LABEL, END = 560, 36, 150, 60


def bars(months: Sequence[tuple[date, int]]) -> Markup:
    """Return a bar for each month with its count beside it; read aloud as one sentence."""
    most = max((count for _, count in months), default=0) or 1
    room = WIDTH - LABEL - END
    lines = Markup("").join(
        Markup(
            '<text x="0" y="{text}">{month}</text>'
            '<rect x="{label}" y="{top}" width="{long}" height="20" fill="#005eb8"/>'
            '<text x="{after}" y="{text}" font-weight="bold">{count}</text>'
        ).format(
            text=place * ROW + 23,
            month=f"{first:%B %Y}",
            label=LABEL,
            top=place * ROW + 8,
            long=round(room * count / most),
            after=LABEL + round(room * count / most) + 10,
            count=count,
        )
        for place, (first, count) in enumerate(months)
    )
    said = "; ".join(f"{first:%B %Y}: {count}" for first, count in months)
    return Markup(
        '<svg class="pages-bars" viewBox="0 0 {width} {height}" role="img" aria-label="{said}">'
        "{lines}</svg>"
    ).format(width=WIDTH, height=ROW * len(months), said=said, lines=lines)
