"""What a watch of the journal forbids besides requests: streams, erasures; and whom it tells."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from consent_service.db.models.jobs import Notice
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.purposes import CARE
from consent_service.errors import ConsentServiceError, JournalBroken, Unavailable
from consent_service.services import (
    audit,
    depicted,
    depicted_keys,
    erasure,
    overview,
    startup,
    viewing,
)
from consent_service.services.context import Standing
from consent_service.services.journal_watch import JournalWatch
from consent_service.services.viewing_keys import ViewingKeys
from consent_service.vault.journal import JournalLine, LineKind, MemoryJournal
from consent_service.vault.keyring import KeyStatus
from tests.support.backups import DatabaseBackup
from tests.support.clinic import Clinic, Family
from tests.support.films import heavy_film
from tests.support.kept_film import asset_row


class Says:
    """A watch that says what a test tells it to."""

    def __init__(self) -> None:
        self.fault: ConsentServiceError | None = None
        self.looks = 0

    def require_whole(self) -> None:
        """Refuse while there is a fault."""
        if self.fault is not None:
            raise self.fault

    def require_newest(self) -> None:
        """Count a look, then the same."""
        self.looks += 1
        self.require_whole()


class Asked(MemoryJournal):
    """The clinic's own journal; remembers from where lines were asked for, and calls `heard`."""

    def __init__(self, real: MemoryJournal) -> None:
        super().__init__(real._signer, real._public_keys)
        self._lines = real._lines
        self.after: list[int] = []
        self.heard: Callable[[], None] = lambda: None

    def lines(self, after: int = 0) -> Iterator[JournalLine]:
        """Call `heard`, once."""
        self.after.append(after)
        heard, self.heard = self.heard, lambda: None
        heard()
        return super().lines(after)


def lines_of(clinic: Clinic) -> MemoryJournal:
    """The clinic's own journal, whose lines a test may cut."""
    journal = clinic.ctx.journal
    assert isinstance(journal, MemoryJournal)
    return journal


def published(clinic: Clinic) -> None:
    """Do what the worker does each minute."""
    audit.seal(clinic.ctx)
    audit.publish_checkpoint(clinic.ctx)
    startup.replay(clinic.ctx)


@pytest.mark.parametrize(
    "fault", [JournalBroken("It was cut."), Unavailable("It is older.", code="restoring")]
)
def test_a_film_that_is_being_watched_stops_where_a_request_would_be_refused(
    clinic: Clinic, family: Family, fault: ConsentServiceError
) -> None:
    """Who opened it a moment before must not see the rest: it may have ended."""
    film = clinic.stores_film(family, heavy_film())
    says = Says()
    clinic.ctx.standing.follow(says)
    with viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE) as opened:
        stream = opened.iter_range(0, opened.size)
        next(stream)
        says.fault = fault

        with pytest.raises(type(fault)):
            next(stream)


def test_a_film_that_plays_while_an_older_database_is_put_in_place_stops(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """The older rows permit what a parent took back: nothing may be asked of them alone."""
    film = clinic.stores_film(family, heavy_film())
    published(clinic)
    backup = DatabaseBackup.take(clinic.ctx.engine, tmp_path)
    journal = Asked(lines_of(clinic))
    node = dataclasses.replace(
        clinic.ctx, journal=journal, viewings=ViewingKeys(), standing=Standing()
    )
    with viewing.open_film(node, clinic.guider, film.id, CARE) as opened:
        stream = opened.iter_range(0, opened.size)
        next(stream)
        clinic.withdraws(family, family.mother)
        published(clinic)
        watch = JournalWatch(node)
        node.standing.follow(watch)
        backup.put_back()
        met: list[str] = []

        def play_on() -> None:
            try:
                next(stream, None)
            except ConsentServiceError as fault:
                met.append(fault.code)

        journal.heard = play_on
        assert watch.look()

        assert met == ["restoring"]


def test_nothing_is_destroyed_unless_the_look_before_it_was_a_good_one(
    clinic: Clinic, family: Family
) -> None:
    """A hold that only the journal knows would be broken for good; a withdrawal can wait."""
    film = clinic.stores_film(family).id
    key = asset_row(clinic, film).asset_key_id
    says = Says()
    says.fault = JournalBroken("It was cut.")
    clinic.ctx.standing.follow(says)

    done = clinic.withdraws(family, family.mother)
    with pytest.raises(JournalBroken):
        erasure.work(clinic.ctx, "worker")

    assert done.erasure_order is not None
    order = erasure.order(clinic.ctx, clinic.ig, done.erasure_order)
    assert {step.attempts for step in order.steps} == {0}
    assert clinic.ctx.keyring.status([key])[key] is KeyStatus.LIVE
    says.fault, says.looks = None, 0
    erasure.work(clinic.ctx, "worker")
    assert asset_row(clinic, film).state is AssetState.ERASED
    assert says.looks > len(order.steps), "a look before each step"


def test_no_key_is_replaced_unless_the_look_before_it_was_a_good_one(clinic: Clinic) -> None:
    """Which key opens a film is read from the database: one of before would have the wrong ended."""
    family = clinic.family()
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    film = clinic.stores_film(family, depicted=(family.mother, family.baby)).id
    key = asset_row(clinic, film).asset_key_id
    says = Says()
    says.fault = JournalBroken("It was cut.")
    clinic.ctx.standing.follow(says)

    depicted.add_depicted(clinic.ctx, clinic.guider, film, family.father)
    with pytest.raises(JournalBroken):
        depicted_keys.settle_awaiting(clinic.ctx)

    assert clinic.ctx.keyring.status([key])[key] is KeyStatus.LIVE
    assert asset_row(clinic, film).state is AssetState.AWAITING_CONSENT
    says.fault = None
    depicted_keys.settle_awaiting(clinic.ctx)
    assert clinic.ctx.keyring.status([key])[key] is KeyStatus.DESTROYED


def test_where_nothing_is_to_be_destroyed_the_journal_is_not_asked(
    clinic: Clinic, family: Family
) -> None:
    """A worker asks every two seconds, for years, and a bucket counts each question."""
    says = Says()
    clinic.ctx.standing.follow(says)

    for _ in range(3):
        erasure.work(clinic.ctx, "worker")

    assert says.looks == 0


def test_a_broken_journal_is_told_once_and_so_is_its_mending(
    clinic: Clinic, family: Family
) -> None:
    """Whoever answers for it must learn of it, and later see when it was and for how long."""
    clinic.withdraws(family, family.mother)
    published(clinic)
    watches = [JournalWatch(clinic.ctx) for _ in range(2)]
    journal = lines_of(clinic)
    whole, journal._lines = journal._lines, journal._lines[:1]

    def count() -> int:
        return overview.overview(clinic.ctx, clinic.ig).exceptions["journal_broken"]

    for _ in range(3):
        clinic.passes(seconds=3)
        assert not any(watch.look() for watch in watches)
        assert count() == 1
    journal._lines = whole
    clinic.passes(seconds=3)
    assert all(watch.look() for watch in watches)

    assert count() == 0
    (found,) = clinic.written_down(EventKind.JOURNAL_BROKEN)
    assert (found.event.details["reason"], found.event.details["line"]) == ("cut_short", 2)
    assert len(clinic.written_down(EventKind.JOURNAL_WHOLE)) == 1
    with clinic.ctx.read() as session:
        told = session.scalars(select(Notice.to_role).where(Notice.kind == "journal_broken"))
        assert sorted(filter(None, told)) == ["administrator", "ig_officer"]


def test_a_process_that_starts_beside_a_mended_journal_says_so(
    clinic: Clinic, family: Family
) -> None:
    """Who found it broken may have been stopped before it was put right."""
    clinic.withdraws(family, family.mother)
    published(clinic)
    watch, journal = JournalWatch(clinic.ctx), lines_of(clinic)
    whole, journal._lines = journal._lines, journal._lines[:1]
    watch.look()
    journal._lines = whole
    clinic.passes(minutes=5)

    startup.require_ready(clinic.ctx)
    JournalWatch(clinic.ctx)

    assert overview.overview(clinic.ctx, clinic.ig).exceptions["journal_broken"] == 0


def test_a_key_whose_line_alone_was_written_goes_without_reading_the_journal_again(
    clinic: Clinic, family: Family
) -> None:
    """Everybody waits for a replay: a crash between line and key must not cost all the years."""
    other = clinic.family()
    clinic.both_consent(other)
    films = [clinic.stores_film(one).id for one in (family, other)]
    clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "worker")
    published(clinic)
    key = asset_row(clinic, films[1]).asset_key_id
    body = {"order": "a" * 32, "keys": [key]}
    line: JournalLine = clinic.ctx.journal.append(LineKind.KEY_DESTROYED, body, clinic.clock.now())
    journal = Asked(lines_of(clinic))

    report = startup.replay(dataclasses.replace(clinic.ctx, journal=journal))

    assert clinic.ctx.keyring.status([key])[key] is KeyStatus.DESTROYED
    assert not report.found_restore
    assert journal.after
    assert min(journal.after) > 1
    assert line.number - min(journal.after) < 5
