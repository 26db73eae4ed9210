"""The short form of `./dev fuzz`: valid samples, and some hundred spoilt ones, for every reader."""

import time
from pathlib import Path

import pytest

from consent_service.errors import PolicyFault
from consent_service.policy_files.faults import Faults
from consent_service.policy_files.yaml_lines import read_yaml
from tests.fuzz import bounds, campaign
from tests.fuzz.mutating import mutated
from tests.fuzz.targets import DEEP, TARGETS, Feed, Target

CASES = 100


@pytest.mark.parametrize("name", TARGETS)
def test_spoilt_bytes_are_refused_as_promised_and_nothing_wrong_is_accepted(name: str) -> None:
    """Whoever can write to a disk or a bucket must not be able to crash or fool the service."""
    target = TARGETS[name]

    for content in mutated(target.seeds(), CASES):
        target.meets(content)


def test_a_reader_that_breaks_is_found_out_and_the_bytes_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A campaign that cannot find a defect proves nothing."""

    def breaking(content: bytes) -> None:
        if len(content) > 12:
            raise IndexError

    broken = Target("broken", lambda: [b"0123456789"], breaking)
    monkeypatch.setitem(campaign.TARGETS, "broken", broken)

    assert not campaign._blindly(broken, 20, tmp_path)
    [kept] = tmp_path.iterdir()
    with pytest.raises(IndexError):
        campaign.main(["--target", "broken", "--again", str(kept)])


def _takes_its_time(_content: bytes) -> None:
    """Keep the processor for twice as long as is allowed, however fast it is."""
    until = time.process_time() + 2 * bounds.SECONDS
    while time.process_time() < until:
        continue


@pytest.mark.parametrize(
    ("feed", "limit", "told"),
    [
        (
            lambda content: content * (10**5 * round(bounds.peak_mib() + 64)),
            ("MIB", 16),
            "it took [0-9]+ MiB",
        ),
        (_takes_its_time, ("SECONDS", 0.05), "it took [0-9]+ s"),
    ],
    ids=["memory", "time"],
)
def test_a_reader_that_takes_more_than_it_may_is_found_out(
    feed: Feed, limit: tuple[str, float], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten bytes that fill the memory or a night end a service as surely as a fault does."""
    monkeypatch.setattr(bounds, *limit)

    with pytest.raises(AssertionError, match=told):
        Target("greedy", lambda: [], feed).meets(b"0123456789")


@pytest.mark.parametrize("text", [b"a: " + b"[" * 50_000, b"a:\n" + b"- " * 50_000, DEEP])
def test_yaml_nested_without_end_is_a_fault_with_its_line(tmp_path: Path, text: bytes) -> None:
    """The loader follows it down on the stack of C, where too deep ends the process."""
    (tmp_path / "deep.yaml").write_bytes(text)
    faults = Faults()

    assert read_yaml(tmp_path, "deep.yaml", faults) is None
    with pytest.raises(PolicyFault, match=r"deep\.yaml:\d: this is nested too deeply"):
        faults.raise_if_any()
