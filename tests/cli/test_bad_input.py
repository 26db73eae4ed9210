"""What verbs say to bad input: an exit code, one plain sentence on stderr, never a traceback."""

from pathlib import Path

import pytest

from consent_service.cli.root import NOUNS, root
from tests.support.command_line import CommandLine

NOBODY = "0" * 32
REFUSED, WRONG_USE = 1, 2
CALLS: tuple[tuple[str, int], ...] = (
    ("policies publish consent-forms/vig/v99", REFUSED),
    ("policies publish ../../etc/v1", REFUSED),
    ("policies show consent-forms/vig/v99", REFUSED),
    ("policies diff consent-forms/none/v1", REFUSED),
    ("policies diff consent-forms/vig/v1 consent-forms/vig/v99", REFUSED),
    ("policies check --dir nowhere", WRONG_USE),
    ("consent-forms show none", REFUSED),
    ("consent-forms show vig --version 99", REFUSED),
    ("consent-forms show vig --language xx", REFUSED),
    (f"consent show {NOBODY}", REFUSED),
    ("consent show ; --at 2026-11-02", REFUSED),
    (f"consent show {NOBODY} --at tomorrow", REFUSED),
    (f"consent show {NOBODY} --at 2026-02-31", REFUSED),
    (f"consent show {NOBODY} --known-at 2026-11-02T09:30:00", REFUSED),
    ("consent show", WRONG_USE),
    (f"withdrawals preview {NOBODY}", WRONG_USE),
    (f"withdrawals preview {NOBODY} --involvement {NOBODY}", REFUSED),
    (f"withdrawals preview {NOBODY} --involvement {NOBODY} --route pigeon", REFUSED),
    (f"withdrawals record {NOBODY} --involvement {NOBODY} --yes", REFUSED),
    (f"withdrawals record {NOBODY} --involvement {NOBODY} --dry-run", REFUSED),
    (f"withdrawals preview {NOBODY} --involvement {NOBODY} --purpose a --asset b", WRONG_USE),
    (f"withdrawals preview {NOBODY} --involvement {NOBODY} --said-at now", REFUSED),
    (f"withdrawals cancel {NOBODY} --by {NOBODY}", REFUSED),
    (f"withdrawals cancel {NOBODY}", WRONG_USE),
    ("erasure show E-NONE", REFUSED),
    ("erasure run E-NONE --yes", REFUSED),
    ("certificates show E-NONE", REFUSED),
    ("certificates verify nowhere.json", WRONG_USE),
    ("certificates verify noise.bin", REFUSED),
    ("certificates verify noise.bin --keys noise.bin", REFUSED),
    ("certificates verify empty.json --keys empty.json", REFUSED),
    (f"holds place {NOBODY} --kind complaint --reason why", REFUSED),
    (f"holds place {NOBODY} --kind grudge --reason why", REFUSED),
    (f"holds place {NOBODY} --kind complaint --reason why --review-on soon", REFUSED),
    (f"holds place {NOBODY} --kind complaint --reason why --as nobody@clinic.example", REFUSED),
    (f"holds release {NOBODY} --as nobody@clinic.example --reason why", REFUSED),
    (f"holds release {NOBODY} --as administrator@clinic.example --confirm --yes", REFUSED),
    (f"holds release {NOBODY} --as administrator@clinic.example", WRONG_USE),
    (f"holds release {NOBODY} --as a@clinic.example --reason why --confirm", WRONG_USE),
    (f"subject-access create {NOBODY}", REFUSED),
    (f"subject-access create {NOBODY} --asked-on yesterday", REFUSED),
    (f"subject-access create {NOBODY} --as nobody@clinic.example", REFUSED),
    ("subject-access create", WRONG_USE),
    ("audit verify --export noise.bin", WRONG_USE),
    ("audit verify --keys noise.bin", WRONG_USE),
    ("audit verify --export noise.bin --keys noise.bin", REFUSED),
    ("audit export --out noise.bin", REFUSED),
    ("audit export", WRONG_USE),
    ("audit show --kind nonsense", REFUSED),
    ("audit show --cursor nonsense", REFUSED),
    ("audit show --limit 0", WRONG_USE),
    ("audit show --since yesterday", REFUSED),
    ("demo --codes --data-dir nowhere", REFUSED),
    ("demo --data-dir data --fill-only", REFUSED),
    ("demo --listen nonsense --fill-only", REFUSED),
    ("nonsense", WRONG_USE),
)


@pytest.fixture(scope="module")
def noisy(ready: CommandLine) -> CommandLine:
    """An installation with files of noise beside it."""
    (ready.folder / "noise.bin").write_bytes(bytes(range(256)) * 7)
    (ready.folder / "empty.json").write_text("{}")
    return ready


@pytest.mark.parametrize(("call", "code"), CALLS, ids=[call for call, _ in CALLS])
def test_bad_input_gets_a_sentence_and_an_exit_code(
    noisy: CommandLine, call: str, code: int
) -> None:
    """An operator in trouble needs a sentence; a script needs the exit code."""
    said = noisy(*call.split())

    assert said.code == code, (said.out, said.err)
    assert said.err.strip(), "nothing was said"
    assert "Traceback" not in said.out + said.err


@pytest.mark.parametrize("noun", list(NOUNS))
def test_every_verb_explains_itself_with_an_example(empty: CommandLine, noun: str) -> None:
    """Help without an example leaves people guessing."""
    for verb in _verbs_of(noun):
        said = empty(*verb, "--help")
        assert said.code == 0, said.err
        assert "Example: consent-service" in " ".join(said.out.split()), verb


STAY = {"run", "serve", "worker"}
DESTROY = {
    ("appraisals", "approve"),
    ("consent", "revoke"),
    ("dispositions", "decide"),
    ("erasure", "run"),
    ("holds", "release"),
    ("keys", "rotate"),
    ("retention", "run"),
    ("tokens", "revoke"),
    ("users", "disable"),
    ("withdrawals", "record"),
}


@pytest.mark.parametrize("noun", sorted(set(NOUNS) - STAY))
def test_every_verb_that_ends_speaks_to_programs_too(noun: str) -> None:
    """A clinic's own scripts call these verbs; a table on the screen is not for them."""
    without = [verb for verb in _verbs_of(noun) if "--json" not in _options_of(verb)]

    assert without == []


@pytest.mark.parametrize("verb", sorted(DESTROY), ids=" ".join)
def test_a_verb_that_destroys_can_be_tried_first(verb: tuple[str, str]) -> None:
    """Nobody should have to find out what goes by letting it go."""
    assert {"--dry-run", "--yes"} <= _options_of(list(verb))


def _options_of(verb: list[str]) -> set[str]:
    command = root.get_command(None, verb[0])  # type: ignore[arg-type]
    found = command.commands[verb[1]] if len(verb) > 1 else command  # type: ignore[union-attr]
    return {option for parameter in found.params for option in parameter.opts}


def test_an_uninitialised_folder_says_what_to_do(empty: CommandLine) -> None:
    """The first thing that a newcomer meets must be the way on."""
    for call in ("audit verify", "erasure list", "policies show", f"consent show {NOBODY}"):
        said = empty(*call.split())
        assert said.code == 1 and "consent-service init" in said.err, call
    assert list(Path(empty.folder).iterdir()) == []


def _verbs_of(noun: str) -> list[list[str]]:
    command = root.get_command(None, noun)  # type: ignore[arg-type]
    names = getattr(command, "commands", None)
    return [[noun, name] for name in names] if names else [[noun]]
