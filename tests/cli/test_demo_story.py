"""The story that tells whether the service does what it is for, from an empty folder to the end."""

import pytest

from consent_service.cli.demo import _print_step
from consent_service.cli.demonstration import story
from consent_service.cli.demonstration.promises import Step, promise
from consent_service.cli.demonstration.scene import Evidence, Scene
from tests.support.command_line import CommandLine


def test_every_promise_of_the_story_holds(empty: CommandLine) -> None:
    """If one of these breaks, nothing else about the service matters."""
    told = empty("demo", "--story", "--json")

    steps = told.json["steps"]
    broken = [(s["name"], s["evidence"]) for s in steps if not s["ok"]]
    assert not broken, broken
    assert told.code == 0 and told.json["ok"] is True
    assert len(steps) == 30 and all(s["seconds"] >= 0 and s["evidence"] for s in steps)
    assert list(empty.folder.iterdir()) == []


def test_evidence_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets and quotes are for programs, which have --json."""
    seen: Evidence = {
        "missing": [{"person": "p1", "purpose": "care"}, {"person": "p2", "purpose": "care"}],
        "masters": {"live": [1], "escrow": []},
        "found": [],
        "planted": True,
    }

    _print_step(Step("Refused", True, 0.5, seen))

    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert told == [
        "ok 0.50 s Refused",
        "missing: person=p1, purpose=care; person=p2, purpose=care",
        "masters: live=1, escrow=-",
        "found: -",
        "planted: yes",
    ]


def test_a_broken_promise_is_named_and_ends_the_story(empty: CommandLine) -> None:
    """A story that cannot fail proves nothing."""
    heard: list[Step] = []

    def breaks(_scene: Scene) -> Evidence:
        promise(False, "seen otherwise")
        return {}

    told = story.tell_story(heard.append, [("Breaks", breaks), ("Never told", breaks)])

    assert not told.ok
    assert [(s.name, s.ok, s.evidence) for s in heard] == [
        ("Breaks", False, {"broken": "seen otherwise"})
    ]
