"""The story that the fault sweep interrupts: a family, their film, and a withdrawal.

Everything is done with the service's own use cases on real files; the place of an installation is
written beside it, so that another process can go on with it.
"""

import dataclasses
import json
from datetime import datetime
from pathlib import Path

from consent_service.clock import FixedClock
from consent_service.domain.audit import Actor, ActorKind
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.services import audit, cutting
from consent_service.services.access import Caller
from consent_service.wiring import build_context
from tests.support.clinic import Clinic, Family
from tests.support.installation import Story, close, found_installation, settings_for

PLACE = "story.json"
STAFF = ("guider", "ig", "ig2", "supervisor", "admin")


def begin(folder: Path, **more: object) -> Story:
    """Set up a clinic, let a family agree, film them, cut a clip; then close everything."""
    clinic = found_installation(folder, **more)
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"TRAIN.LOCAL"}))
    film = clinic.stores_film(family).id
    clip = cutting.clip(clinic.ctx, clinic.guider, cutting.MakeClip(film, 0, 1000, "A smile")).id
    clinic.passes(hours=1)
    audit.seal(clinic.ctx)
    audit.publish_checkpoint(clinic.ctx)
    story = Story(clinic, family, film, clip)
    save(story, folder)
    close(clinic)
    return story


def save(story: Story, folder: Path) -> None:
    """Write down ids and the time, so that `load` can go on in another process."""
    staff = {name: [c.id, *c.roles] for name in STAFF for c in [getattr(story.clinic, name)]}
    written = {
        "now": story.clinic.clock.now().isoformat(),
        "team": story.clinic.team,
        "staff": staff,
        "family": dataclasses.asdict(story.family),
        "film": story.film,
        "clip": story.clip,
    }
    (folder / PLACE).write_text(json.dumps(written), encoding="utf-8")


def load(folder: Path, **more: object) -> Story:
    """Open the installation in `folder` as a process does that has just been started.

    `more` are settings that are not told by the folder, such as another database.
    """
    read = json.loads((folder / PLACE).read_text(encoding="utf-8"))
    clock = FixedClock(datetime.fromisoformat(read["now"]))
    staff = {
        name: Caller(
            Actor(ActorKind.USER, who[0]),
            who[0],
            frozenset(who[1:]),
            frozenset({read["team"]}),
            fresh=True,
        )
        for name, who in read["staff"].items()
    }
    ctx = build_context(settings_for(folder, **more), clock)
    clinic = Clinic(ctx, clock, read["team"], **staff)
    return Story(clinic, Family(**read["family"]), read["film"], read["clip"])


def everything(story: Story, speed: Speed = Speed.NOW) -> WithdrawalRequest:
    """The mother takes back all that she agreed to."""
    return WithdrawalRequest(
        involvement=story.family.involvement,
        person=story.family.mother,
        by=story.family.mother,
        scope=WithdrawalScope.EVERYTHING,
        speed=speed,
        route=Route.IN_PERSON,
        moment=story.clinic.clock.now(),
    )
