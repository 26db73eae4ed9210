"""What a supervisor finds to watch: of all families, a page at a time, only what is agreed to."""

from dataclasses import replace

import pytest

from consent_service.errors import NotFound
from consent_service.services import cutting
from consent_service.services.assets import AssetView, assets
from consent_service.services.films_to_watch import films_to_watch
from tests.support.clinic import Clinic, Family
from tests.support.statements import counted


def _family_with_stills(clinic: Clinic, stills: int) -> Family:
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    for at in range(stills):
        clinic.passes(minutes=1)
        cutting.still(clinic.ctx, clinic.guider, cutting.MakeStill(film.id, 100 + at, f"No {at}"))
    return family


def test_pages_show_everything_once_and_as_each_family_sees_it(clinic: Clinic) -> None:
    """Nothing is hidden between two pages, and a page never says more than the film's own page."""
    families = [_family_with_stills(clinic, 2) for _ in range(2)]
    clinic.withdraws(families[0], families[0].mother)

    seen: list[AssetView] = []
    after = None
    while True:
        page = films_to_watch(clinic.ctx, clinic.guider, after, limit=3)
        seen += page.films
        after = page.following
        if after is None:
            break

    alone = [view for f in families for view in assets(clinic.ctx, clinic.guider, f.involvement)]
    cut = {view.id: view for view in alone if view.source is not None}
    assert [view.created_at for view in seen] == sorted(
        (view.created_at for view in seen), reverse=True
    )
    assert {view.id: view for view in seen} == cut
    assert len(seen) == len(cut) == 4
    assert {bool(view.purposes) for view in seen} == {True, False}


def test_another_teams_films_are_neither_shown_nor_a_place_to_go_on_from(clinic: Clinic) -> None:
    """The cursor is an id: it must not say whether it exists elsewhere."""
    _family_with_stills(clinic, 1)
    (film,) = films_to_watch(clinic.ctx, clinic.guider).films
    stranger = replace(clinic.guider, teams=frozenset())

    assert films_to_watch(clinic.ctx, stranger).films == ()
    with pytest.raises(NotFound):
        films_to_watch(clinic.ctx, stranger, film.id)


def test_more_families_cost_no_more_queries(clinic: Clinic) -> None:
    """A supervisor of thirty families waits no longer than one of a single family."""
    counts = []
    for _ in range(2):
        _family_with_stills(clinic, 1)
        with counted(clinic) as statements:
            films_to_watch(clinic.ctx, clinic.guider)
        counts.append(len(statements))

    assert counts[0] == counts[1]
