"""Words of parents that a leaflet prints: on a permission, or flagged when it has ended."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from consent_service.db.models.handovers import Quote
from consent_service.db.models.policies import LeafletQuote, LeafletVersion
from consent_service.domain.audit import EventKind
from consent_service.services import (
    handovers,
    leaflet_dates,
    leaflets,
    overview,
    policies,
    printed_quotes,
    startup,
)
from consent_service.services.handovers import PermitQuote
from tests.support.clinic import Clinic, Family
from tests.support.putting_back import database_backup, put_back

WORDS = "It helped us to see how much she watches us."


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family."""
    return clinic.family()


def _permits(clinic: Clinic, family: Family, until: date, text: str = WORDS) -> str:
    wanted = PermitQuote(family.involvement, family.mother, text, "readers of the leaflet", until)
    return handovers.permit_quote(clinic.ctx, clinic.guider, wanted)


def _prints(clinic: Clinic, text: str = f"“{WORDS}”") -> LeafletVersion:
    """The newest leaflet version prints these words."""
    with clinic.ctx.begin() as uow:
        row = uow.session.scalars(
            select(LeafletVersion)
            .where(LeafletVersion.archived_at.is_(None))
            .order_by(LeafletVersion.version.desc())
        ).first()
        assert row is not None
        policies.attach_quotes(uow, row, (text,))
        return row


def _flagged(clinic: Clinic) -> list[int]:
    return [v.version for v in leaflets.list_leaflets(clinic.ctx) if v.reissue_since]


def _permission(clinic: Clinic) -> list[tuple[str, str | None]]:
    with clinic.ctx.read() as session:
        rows = session.execute(select(LeafletQuote.permission, LeafletQuote.quote_id))
        return [(permission, quote) for permission, quote in rows]


def test_a_leaflet_that_prints_a_withdrawn_quote_is_flagged_for_re_issue(
    clinic: Clinic, family: Family
) -> None:
    """Rule 18: the words are the parent's, also on ten thousand sheets."""
    quote = _permits(clinic, family, clinic.today + timedelta(days=300))
    version = _prints(clinic)
    assert _permission(clinic) == [("permitted", quote)]
    assert _flagged(clinic) == []

    assert handovers.withdraw_quote(clinic.ctx, clinic.guider, quote) == 1

    assert _flagged(clinic) == [version.version]
    assert overview.overview(clinic.ctx, clinic.ig).exceptions["reissue"] == 1
    assert len(clinic.written_down(EventKind.LEAFLET_REISSUE_NEEDED)) == 1


def test_a_leaflet_whose_permission_ran_out_is_flagged_once_by_the_day(
    clinic: Clinic, family: Family
) -> None:
    """Leave to print until a day ends on that day, without anybody doing anything."""
    _permits(clinic, family, clinic.today + timedelta(days=3))
    version = _prints(clinic)
    clinic.passes(days=3)
    assert leaflet_dates.watch_dates(clinic.ctx, clinic.ig)["reissue"] == 0

    clinic.passes(days=1)
    figures = [leaflet_dates.watch_dates(clinic.ctx, clinic.ig)["reissue"] for _ in range(2)]

    assert figures == [1, 0]
    assert _flagged(clinic) == [version.version]


def test_words_printed_before_anybody_asked_stand_on_a_permission_given_later(
    clinic: Clinic, family: Family
) -> None:
    """A permission is for exact words: those words, wherever they are printed."""
    _prints(clinic)
    _permits(clinic, family, clinic.today + timedelta(days=300), "Other words.")
    assert _permission(clinic) == [("unknown", None)]

    quote = _permits(clinic, family, clinic.today + timedelta(days=300))

    assert _permission(clinic) == [("permitted", quote)]


def test_words_that_were_taken_back_stay_so_through_a_restore(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """A backup that believes in the permission would have them printed again."""
    quote = _permits(clinic, family, clinic.today + timedelta(days=300))
    version = _prints(clinic)
    backup = database_backup(clinic, tmp_path)
    handovers.withdraw_quote(clinic.ctx, clinic.guider, quote)
    ended_at = clinic.clock.now()

    report = put_back(clinic, backup)

    assert report.restored == {"consent_ended": 1}
    assert _flagged(clinic) == [version.version]
    with clinic.ctx.begin() as uow:
        assert uow.session.get_one(Quote, quote).withdrawn_at == ended_at
        assert printed_quotes.permission_for(uow, [WORDS]) == {WORDS: None}
    assert not startup.replay(clinic.ctx).found_restore


def test_words_that_came_after_the_backup_are_counted_and_forbid_nothing(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """The words are lost with the rest of that day: there is nothing left to print."""
    backup = database_backup(clinic, tmp_path)
    quote = _permits(clinic, family, clinic.today + timedelta(days=300))
    handovers.withdraw_quote(clinic.ctx, clinic.guider, quote)

    assert put_back(clinic, backup).restored == {"unknown_here": 1}
