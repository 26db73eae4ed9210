"""Keyring, film and journal of an installation in a folder, put back from before an erasure."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from consent_service.errors import ConsentServiceError, Gone, JournalBroken
from consent_service.services import audit, erasure, reconcile, startup, withdrawal
from consent_service.services.access import job_caller
from consent_service.vault.keyring_values import KeyKind, KeyStatus
from consent_service.wiring import build_context
from tests.faults import story as stories
from tests.support.installation import Story, close, copy_sqlite


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with one family and their film; closed."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    stories.begin(folder)
    return folder


@pytest.fixture
def told(prepared: Path, tmp_path: Path) -> Iterator[Story]:
    """A copy of it, open, and beside it in `before` the backup that an operator has."""
    shutil.copytree(prepared, tmp_path / "data")
    shutil.copytree(prepared, tmp_path / "before")
    found = stories.load(tmp_path / "data")
    startup.require_ready(found.clinic.ctx)
    yield found
    close(found.clinic)


def _erased(told: Story, *, marked: bool = True) -> str:
    """Withdraw and carry out; returns the order. `marked`: the journal's place was noted since."""
    ctx = told.clinic.ctx
    done = withdrawal.withdraw(ctx, told.clinic.guider, stories.everything(told))
    erasure.work(ctx, "worker")
    if marked:
        audit.seal(ctx)
        audit.publish_checkpoint(ctx)
        startup.replay(ctx)
    assert done.erasure_order is not None
    return done.erasure_order


def _opened_again(told: Story) -> Story:
    ctx = build_context(told.clinic.ctx.settings, told.clinic.clock)
    return replace(told, clinic=replace(told.clinic, ctx=ctx))


def _starts(told: Story) -> None:
    again = _opened_again(told)
    try:
        startup.require_ready(again.clinic.ctx)
    finally:
        close(again.clinic)


def _before(told: Story, *names: str) -> Path:
    return told.folder.parent.joinpath("before", *names)


def test_a_keyring_put_back_loses_its_keys_again(told: Story) -> None:
    """Keys live in an own backup for days; putting one back must not open what was destroyed."""
    order = _erased(told)
    keys = [line.body["keys"] for line in told.clinic.ctx.journal.lines() if "keys" in line.body]
    close(told.clinic)
    place = Path("keyring", "keyring.sqlite3")
    copy_sqlite(_before(told, str(place)), told.folder / place)
    again = _opened_again(told)
    gone = sorted({key for some in keys for key in some})
    assert KeyStatus.LIVE in again.clinic.ctx.keyring.status(gone).values()

    report = startup.require_ready(again.clinic.ctx)

    assert report.restored["key_destroyed"] > 0
    assert set(again.clinic.ctx.keyring.status(gone).values()) == {KeyStatus.DESTROYED}
    assert {s.order_id for s in again.clinic.ctx.keyring.tombstones(gone).values()} == {order}
    assert not startup.replay(again.clinic.ctx).found_restore
    close(again.clinic)


def test_a_keyring_put_back_alone_leaves_an_unknown_key_to_go_as_any_other(told: Story) -> None:
    """The database was never away: no newer one can be missed, and nobody has to be asked."""
    _erased(told)
    close(told.clinic)
    place = Path("keyring", "keyring.sqlite3")
    copy_sqlite(_before(told, str(place)), told.folder / place)
    again = _opened_again(told)
    ctx, stray = again.clinic.ctx, "cd" * 16
    ctx.keyring.create(stray, KeyKind.CONSENT, 0, again.clinic.clock.now())
    assert startup.require_ready(ctx).restored.keys() == {"key_destroyed"}

    found = []
    for _ in range(2):
        again.clinic.passes(days=1)
        found.append(reconcile.reconcile(ctx, job_caller("reconcile")))

    assert [f.fault for f in found[0].open] == [reconcile.Fault.UNKNOWN_KEY]
    assert ctx.keyring.status([stray])[stray] is KeyStatus.DESTROYED
    close(again.clinic)


def test_everything_but_journal_and_masters_put_back_brings_nothing_back(told: Story) -> None:
    """Database, keyring and film from before the withdrawal at once: the worst careful restore."""
    _erased(told)
    close(told.clinic)
    for place in (Path("consent.sqlite3"), Path("keyring", "keyring.sqlite3")):
        copy_sqlite(_before(told, str(place)), told.folder / place)
    shutil.rmtree(told.folder / "film")
    shutil.copytree(_before(told, "film"), told.folder / "film")
    again = _opened_again(told)
    ctx = again.clinic.ctx

    report = startup.require_ready(ctx)

    assert report.restored["consent_ended"] == 1
    for asset in (told.film, told.clip):
        with pytest.raises(Gone):
            again.clinic.watches(asset)
    erasure.work(ctx, "after")
    assert not list(ctx.blobs.list())
    audit.seal(ctx)
    assert audit.verify(ctx, again.clinic.ig).ok
    close(again.clinic)


def test_film_put_back_is_removed_by_reconciliation(told: Story) -> None:
    """A disk that comes back from repair holds film that was erased since."""
    _erased(told)
    shutil.rmtree(told.folder / "film")
    shutil.copytree(_before(told, "film"), told.folder / "film")
    ctx = told.clinic.ctx
    assert len(list(ctx.blobs.list())) == 4

    report = reconcile.reconcile(ctx, job_caller("reconcile"))

    assert not list(ctx.blobs.list())
    assert report.figures()["object_of_erased"] == 4


def _is_missing(journal: Path) -> None:
    journal.unlink()


def _is_cut(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))


def _is_the_old_one(journal: Path) -> None:
    shutil.copyfile(journal.parents[2] / "before" / "journal" / "journal.jsonl", journal)


def _is_changed(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes().replace(b"consent-ended", b"consent-ENDED"))


@pytest.mark.parametrize(
    ("spoil", "marked"),
    [
        (_is_missing, True),
        (_is_missing, False),
        (_is_cut, True),
        (_is_the_old_one, True),
        (_is_the_old_one, False),
        (_is_changed, False),
    ],
)
def test_a_journal_that_knows_less_than_the_database_forbids_serving(
    told: Story, spoil: object, marked: bool
) -> None:
    """Without the journal nobody can tell what a backup has forgotten: better not to serve.

    Also when the last minute's replay had not yet noted where the journal stood.
    """
    _erased(told, marked=marked)
    close(told.clinic)
    spoil(told.folder / "journal" / "journal.jsonl")  # type: ignore[operator]

    with pytest.raises(JournalBroken) as refused:
        _starts(told)

    assert "Put back the newest copy of the journal" in refused.value.message


def test_a_forked_journal_forbids_serving(told: Story) -> None:
    """An old copy that went on by itself has other lines under the numbers that we know."""
    startup.replay(told.clinic.ctx)
    fork = told.folder.parent / "fork"
    shutil.copytree(_before(told), fork)
    other = stories.load(fork)
    _erased(told)
    startup.replay(told.clinic.ctx)
    other.clinic.passes(minutes=1)
    for _ in range(2):
        _erased_in_fork(other)
    close(other.clinic)
    close(told.clinic)
    shutil.copyfile(fork / "journal" / "journal.jsonl", told.folder / "journal" / "journal.jsonl")
    again = _opened_again(told)

    with pytest.raises(JournalBroken) as refused:
        startup.require_ready(again.clinic.ctx)

    assert refused.value.code == "forked"
    close(again.clinic)


def _erased_in_fork(other: Story) -> None:
    try:
        _erased(other)
    except ConsentServiceError:
        audit.publish_checkpoint(other.clinic.ctx)
