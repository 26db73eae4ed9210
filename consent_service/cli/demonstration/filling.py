"""Fills a folder for looking around: families at every stage, a film, papers, logins.

Rules kept here: a folder that is filled is left as it is; a folder of real families is refused; a
filling that was interrupted begins anew. Time is played from some weeks ago until now, so that
something is due.
"""

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta

from consent_service.cli.demonstration import cast
from consent_service.cli.demonstration.clinic import Clinic, Family, open_clinic
from consent_service.clock import SystemClock, start_of_london_day
from consent_service.domain.people import MeetingKind, MeetingMode
from consent_service.domain.withdrawal import Speed
from consent_service.errors import SettingsFault
from consent_service.media.sample import PHONE_METADATA, make_sample_film
from consent_service.policy_files import default_policy_dir, read_policies
from consent_service.services import (
    audit,
    certificates,
    cutting,
    erasure,
    handovers,
    involvements,
    recordings,
    reviews,
)
from consent_service.settings import DEMO_MARK, Settings

FILLING_MARK = "DEMO-FILLING"
PLAYED_DAYS = 48
Say = Callable[[str], None]


def fill(settings: Settings, say: Say) -> None:
    """Fill the folder; it is marked as a demo from the first moment on.

    Raises SettingsFault when something else is in it.
    """
    filling = settings.under_data(FILLING_MARK)
    if filling.exists():
        _clear(settings)
    _require_empty(settings)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    filling.touch()
    _play(settings, say)
    filling.rename(settings.under_data(DEMO_MARK))


def _require_empty(settings: Settings) -> None:
    if settings.data_dir.exists() and any(settings.data_dir.iterdir()):
        raise SettingsFault(
            "This folder holds something already, and a demo never goes beside real families."
            " Name an empty folder with --data-dir."
        )


def _clear(settings: Settings) -> None:
    """Remove what an interrupted filling left; only invented people are in it."""
    for path in settings.data_dir.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _play(settings: Settings, say: Say) -> None:
    say("Setting up the demo (once, some seconds) …")
    now = SystemClock().now()
    clinic = open_clinic(settings, _beginning(settings, now))
    film = make_sample_film(8, (640, 360), metadata=PHONE_METADATA)
    say("Families, consent, film …")
    _due_family(clinic, film)
    _until(clinic, now - timedelta(days=6))
    _working_family(clinic, film)
    _new_families(clinic)
    _until(clinic, now - timedelta(days=2))
    say("A withdrawal, its certificate, a disagreement …")
    _withdrawn_family(clinic, film)
    _disputed_family(clinic, film)
    clinic.clock.at = max(now, clinic.clock.at)
    while audit.seal(clinic.ctx) is not None:
        pass
    audit.publish_checkpoint(clinic.ctx)
    clinic.close()


def _beginning(settings: Settings, now: datetime) -> datetime:
    """Return when the play begins: some weeks ago, but not before the leaflet that is given."""
    found = read_policies(settings.policy_dir or default_policy_dir())
    issued = max(v.issued_on for v in found.leaflet_versions("L1111") if v.issued_on <= now.date())
    earliest = start_of_london_day(issued) + timedelta(hours=9)
    return max(earliest, now - timedelta(days=PLAYED_DAYS))


def _until(clinic: Clinic, moment: datetime) -> None:
    clinic.clock.at = max(clinic.clock.at, moment)


def _due_family(clinic: Clinic, film: bytes) -> None:
    """A family whose film was summarised weeks ago: it is due, and somebody must decide."""
    family = clinic.ready_family(cast.HAZEL)
    recording = clinic.films(family, film, "First film at home")
    clip = _clip(clinic, recording.id, "He waits, she answers")
    _summarise(clinic, family, recording.id, clip)


def _working_family(clinic: Clinic, film: bytes) -> None:
    """A family in the middle of it: filmed, cut, goals rated, photos offered."""
    family = clinic.ready_family(cast.ROWAN, optional=frozenset({"PHOTO.KEEP", "SUP.SUPERVISOR"}))
    ctx, guider = clinic.ctx, clinic.guider
    goal = reviews.record_goal(
        ctx, guider, family.involvement, family.mother, "To enjoy bath time together"
    )
    reviews.rate_goal(ctx, guider, goal.id, clinic.today, 4)
    clinic.passes(days=1)
    meeting = involvements.MeetingDetails(
        family.involvement,
        MeetingKind.FILMING,
        MeetingMode.HOME,
        clinic.today,
        family.everyone,
        ready_today=True,
        what_matters="That Mina is not cold afterwards",
    )
    request = recordings.ReserveFilm(
        family.involvement,
        family.everyone,
        clinic.today,
        meeting=involvements.record_meeting(ctx, guider, meeting),
        title="Bath time",
    )
    recording = recordings.store(ctx, guider, request, [film])
    clip = _clip(clinic, recording.id, "She looks up and he smiles")
    _clip(clinic, recording.id, "A pause, and she starts again", start_ms=5000, end_ms=7000)
    still = cutting.still(ctx, guider, cutting.MakeStill(recording.id, 2500, "The smile"))
    clinic.passes(days=2)
    _summarise(clinic, family, recording.id, clip)
    reviews.rate_goal(ctx, guider, goal.id, clinic.today, 6)
    handovers.offer(ctx, guider, family.involvement, family.mother, (still.id,))
    handovers.record_feedback(
        ctx, guider, family.involvement, family.mother, "I saw how much she looks for me."
    )


def _new_families(clinic: Clinic) -> None:
    """One family has the leaflet and has yet to answer; one has answered and not been filmed."""
    waiting = clinic.family(cast.LINDEN)
    for parent in (waiting.mother, waiting.father):
        clinic.gives_leaflet(waiting, parent)
    clinic.ready_family(cast.MAPLE)


def _withdrawn_family(clinic: Clinic, film: bytes) -> None:
    """A mother changed her mind: everything went, and a certificate says so."""
    family = clinic.ready_family(cast.ALDER)
    recording = clinic.films(family, film, "Breakfast")
    clip = _clip(clinic, recording.id, "The spoon")
    _summarise(clinic, family, recording.id, clip)
    clinic.passes(hours=20)
    done = clinic.withdraws(clinic.withdrawal_of(family, family.mother))
    if done.erasure_order is not None:
        erasure.carry_out(clinic.ctx, done.erasure_order, "demo")
    clinic.passes(hours=1)
    clinic.ctx.keyring.rotate(clinic.clock.now())
    certificates.supplement(clinic.ctx)


def _disputed_family(clinic: Clinic, film: bytes) -> None:
    """Parents disagree about the baby; another withdrawal is still in its seven days."""
    disputed = clinic.ready_family(cast.WILLOW)
    clinic.films(disputed, film, "On the mat")
    clinic.passes(hours=2)
    clinic.withdraws(clinic.withdrawal_of(disputed, disputed.baby, disputed.mother))
    thinking = clinic.ready_family(cast.ASPEN)
    clinic.films(thinking, film, "Getting dressed")
    clinic.passes(hours=2)
    clinic.withdraws(clinic.withdrawal_of(thinking, thinking.father, speed=Speed.SEVEN_DAYS))


def _clip(
    clinic: Clinic, recording: str, title: str, start_ms: int = 1000, end_ms: int = 4000
) -> str:
    request = cutting.MakeClip(recording, start_ms, end_ms, title, "An attuned response")
    return cutting.clip(clinic.ctx, clinic.guider, request).id


def _summarise(clinic: Clinic, family: Family, recording: str, clip: str) -> None:
    ctx, guider = clinic.ctx, clinic.guider
    held = reviews.record_review(
        ctx,
        guider,
        reviews.RecordReview(family.involvement, recording, clinic.today, (clip,)),
    )
    written = reviews.write_summary(
        ctx,
        guider,
        reviews.WriteSummary(
            held.id,
            "You wait, and then you answer.\nYour voice follows the baby's.",
            "Naming what the baby does, before the next step.",
            "Film a meal next time.",
        ),
    )
    reviews.file_summary(ctx, guider, written.id)
