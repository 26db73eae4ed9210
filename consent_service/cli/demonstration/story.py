"""The whole story, told without a browser: each step ends with what was seen, or ends the story."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from consent_service.cli.demonstration.afterwards import AFTERWARDS
from consent_service.cli.demonstration.beginning import BEGINNING
from consent_service.cli.demonstration.filming import FILMING
from consent_service.cli.demonstration.other_families import OTHER_FAMILIES
from consent_service.cli.demonstration.promises import Step, Story
from consent_service.cli.demonstration.scene import Act, Scene
from consent_service.cli.demonstration.way_out import WAY_OUT
from consent_service.services import audit

STEPS: tuple[tuple[str, Act], ...] = (
    *BEGINNING,
    *FILMING,
    *WAY_OUT,
    *OTHER_FAMILIES,
    *AFTERWARDS,
)


def tell_story(tell: Callable[[Step], None], steps: Sequence[tuple[str, Act]] = STEPS) -> Story:
    """Tell the story in a temporary folder, which is gone afterwards; stop at a broken promise."""
    story = Story(tell)
    with tempfile.TemporaryDirectory(prefix="consent-story-") as folder:
        scene = Scene(Path(folder))
        for name, act in steps:
            if not story.step(name, partial(act, scene)):
                break
            audit.seal(scene.clinic.ctx)
        if hasattr(scene, "clinic"):
            scene.clinic.close()
    return story
