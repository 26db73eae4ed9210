"""What the campaign interrupts: a flow is prepared once, acted, looked at, gone on with, ended.

Rules kept here:
  * `act` does what web server and worker do and says each thing that somebody was told is done;
  * `look` comes first after the fault, before anything is mended: what was said must hold;
  * `go_on` is what the next process, and whoever got no answer, would do; `end` must always be the
    same, whatever happened on the way.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import func, select

from consent_service.db.models.consent import ConsentAct, ConsentDecision
from consent_service.db.models.recordings import Asset
from consent_service.domain.assets import AssetState
from consent_service.domain.consent import ConsentState
from consent_service.services import (
    audit,
    consent,
    erasure,
    keys,
    reconcile,
    recordings,
    startup,
    upkeep,
    uploads,
)
from consent_service.services.access import job_caller
from tests.faults import story as stories
from tests.faults.calls import Act
from tests.faults.sweep import promise
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.installation import Story, close, found_installation
from tests.support.uploading import offset_of, reserved, send

Say = Callable[[Any], None]


@dataclass(frozen=True)
class Home:
    """Where an installation is: its folder, and its database when that is not in the folder."""

    folder: Path
    database_url: str = ""

    @contextmanager
    def opened(self, later: float = 0) -> Iterator[Story]:
        """Open it, `later` seconds after it was written down."""
        told = stories.load(self.folder, database_url=self.database_url)
        told.clinic.passes(seconds=later)
        with closing(_Closing(told.clinic)):
            yield told


class _Closing:
    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic

    def close(self) -> None:
        close(self._clinic)


class Flow(Protocol):
    """A critical flow."""

    name: str

    def prepare(self, home: Home) -> None:
        """Make the installation in an empty folder and database."""
        ...

    def ready(self, home: Home) -> Act:
        """Open it; return the act."""
        ...

    def look(self, home: Home, words: list[Any]) -> None:
        """Raise Broken unless what was said holds and nothing is done by half."""
        ...

    def go_on(self, home: Home) -> None:
        """Start again and bring it to its end."""
        ...

    def end(self, home: Home) -> Any:
        """Raise Broken unless the end is right; return what must always be the same."""
        ...


class StoryFlow:
    """A flow of one family in an installation; the parts that differ are given a `Story`."""

    name = ""
    waits = 70.0
    """Seconds by which a dead worker's claim is over."""
    replays_first = True
    """Whether the journal is replayed before it begins, as before anything is served."""

    def ready(self, home: Home) -> Act:
        told = stories.load(home.folder, database_url=home.database_url)
        if self.replays_first:
            startup.require_ready(told.clinic.ctx)
        return lambda say: self.act(told, say)

    def look(self, home: Home, words: list[Any]) -> None:
        with home.opened(self.waits) as told:
            startup.require_ready(told.clinic.ctx)
            self.holds(told, words)

    def go_on(self, home: Home) -> None:
        with home.opened(self.waits) as told:
            startup.require_ready(told.clinic.ctx)
            erasure.void_leases(told.clinic.ctx)
            self.resume(told)

    def end(self, home: Home) -> Any:
        with home.opened(self.waits + 1) as told:
            startup.require_ready(told.clinic.ctx)
            audit.seal(told.clinic.ctx)
            told.clinic.ctx.journal.verify()
            report = audit.verify(told.clinic.ctx, told.clinic.ig)
            promise(report.ok, f"the audit log does not verify: {report.first_bad}")
            return self.ended(told)

    def act(self, told: Story, say: Say) -> None:
        raise NotImplementedError

    def holds(self, told: Story, words: list[Any]) -> None:
        raise NotImplementedError

    def resume(self, told: Story) -> None:
        raise NotImplementedError

    def ended(self, told: Story) -> Any:
        raise NotImplementedError


def keep(home: Home, clinic: Clinic, family: Family, film: str = "") -> None:
    """Seal the log, write the story down and close everything."""
    audit.seal(clinic.ctx)
    audit.publish_checkpoint(clinic.ctx)
    stories.save(Story(clinic, family, film, ""), home.folder)
    close(clinic)


class Consenting(StoryFlow):
    """Mother and father each agree, for themselves and the baby."""

    name = "consent"

    def prepare(self, home: Home) -> None:
        clinic = found_installation(home.folder, database_url=home.database_url)
        keep(home, clinic, clinic.family())

    def act(self, told: Story, say: Say) -> None:
        for person in (told.family.mother, told.family.father):
            self._agrees(told, person)
            say(person)

    def holds(self, told: Story, words: list[Any]) -> None:
        for person in (told.family.mother, told.family.father):
            acts, answers, complete = self._acts(told, person)
            promise(acts <= 1, f"one act of consent became {acts}")
            promise(not acts or answers == complete, f"{answers} answers of {complete} were kept")
            promise(acts == 1 or person not in words, "a consent that was acknowledged is lost")

    def resume(self, told: Story) -> None:
        for person in (told.family.mother, told.family.father):
            if not self._acts(told, person)[0]:
                self._agrees(told, person)
        upkeep.make_keys(told.clinic.ctx, stories_began(told))

    def ended(self, told: Story) -> Any:
        ctx, now = told.clinic.ctx, told.clinic.clock.now()
        found = {}
        for person in told.family.everyone:
            views = consent.state(ctx, told.clinic.ig, person, now, now)
            found[person] = next(v.state for v in views if v.purpose == "care")
        promise(set(found.values()) == {ConsentState.GIVEN}, f"consent ended as {found}")
        made = keys.ensure_consent_keys(ctx, told.family.involvement)
        promise(made == keys.KeyChanges(), f"keys were missing or left: {made}")
        return {who: state.value for who, state in found.items()}

    def _agrees(self, told: Story, person: str) -> None:
        answers = told.clinic.answers(told.family, person)
        told.clinic.captures(told.family, person, answers)

    def _acts(self, told: Story, person: str) -> tuple[int, int, int]:
        asked = len(told.clinic.answers(told.family, person))
        with told.clinic.ctx.read() as session:
            acts = session.scalars(select(ConsentAct.id).where(ConsentAct.person_id == person))
            ids = list(acts)
            answers = session.scalar(
                select(func.count())
                .select_from(ConsentDecision)
                .where(ConsentDecision.act_id.in_(ids))
            )
        return len(ids), answers or 0, asked * len(ids)


def stories_began(told: Story) -> Any:
    """A moment before everything in the story."""
    return told.clinic.clock.now().replace(year=2026, month=1, day=1)


class Uploading(StoryFlow):
    """A film comes in by two pieces and is stored."""

    name = "upload"
    waits = 7200.0

    def prepare(self, home: Home) -> None:
        clinic = found_installation(home.folder, database_url=home.database_url)
        family = clinic.family()
        clinic.both_consent(family)
        keep(home, clinic, family)

    def act(self, told: Story, say: Say) -> None:
        film = sample_film()
        asset = reserved(told.clinic, told.family, len(film))
        say([asset, 0, "receiving"])
        half = len(film) // 2
        say([asset, send(told.clinic, asset, 0, film[:half]).offset, "receiving"])
        send(told.clinic, asset, half, film[half:])
        say([asset, len(film), "stored"])

    def holds(self, told: Story, words: list[Any]) -> None:
        states = self._states(told)
        for asset in (a for a, state in states.items() if state is AssetState.STORED):
            promise(bool(told.clinic.watches(asset)), "a film that is stored is empty")
        if not words:
            return
        asset, offset, state = words[-1]
        promise(asset in states, "a recording that was reserved is lost")
        if state == "stored":
            promise(states[asset] is AssetState.STORED, f"a stored film is {states[asset]}")
        elif states[asset] is AssetState.RECEIVING:
            kept = offset_of(told.clinic, asset)
            promise(kept >= offset, f"{offset} bytes were acknowledged and {kept} are kept")

    def resume(self, told: Story) -> None:
        ctx, film = told.clinic.ctx, sample_film()
        uploads.finish_received(ctx, job_caller("finish-uploads"))
        states = self._states(told)
        if AssetState.STORED not in states.values():
            waiting = [a for a, state in states.items() if state is AssetState.RECEIVING]
            asset = waiting[0] if waiting else reserved(told.clinic, told.family, len(film))
            offset = offset_of(told.clinic, asset)
            send(told.clinic, asset, offset, film[offset:])
        told.clinic.passes(days=2)
        recordings.abandon_stale(ctx, job_caller("abandon-uploads"))
        erasure.work(ctx, "after")

    def ended(self, told: Story) -> Any:
        clinic = told.clinic
        states = self._states(told)
        stored = [a for a, state in states.items() if state is AssetState.STORED]
        promise(len(stored) == 1, f"films ended as {list(states.values())}")
        others = {state for a, state in states.items() if a not in stored}
        promise(others <= {AssetState.ERASED}, f"leftovers ended as {others}")
        reconcile.reconcile(clinic.ctx, job_caller("reconcile"))
        again = reconcile.reconcile(clinic.ctx, job_caller("reconcile"))
        promise(not again.findings, f"after mending, still: {again.figures()}")
        names = {name.split(".")[0] for name in clinic.objects()}
        promise(names == set(stored), "objects of other films are left")
        return {"bytes": len(clinic.watches(stored[0]))}

    def _states(self, told: Story) -> dict[str, AssetState]:
        with told.clinic.ctx.read() as session:
            rows = session.execute(select(Asset.id, Asset.state).order_by(Asset.id)).all()
        return {row[0]: row[1] for row in rows}
