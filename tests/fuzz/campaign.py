"""`./dev fuzz`: feed every reader of foreign bytes what nobody would send, for a while each.

With atheris (coverage-guided, `pip install atheris`) each target runs in a process of its own, as
libFuzzer wants it; without, it says so and spoils valid samples at random. Either way a reading may
take so much time and memory and no more (`tests.fuzz.bounds`). What is found is kept as a file in
`--findings`, and running with `--again FILE` feeds it once more.
"""

import argparse
import hashlib
import importlib.util
import os
import secrets
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FunctionType

from tests.fuzz.bounds import SECONDS
from tests.fuzz.mutating import mutated
from tests.fuzz.targets import TARGETS, Target

_BATCH = 1000
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this; repeatable")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--findings", type=Path, default=Path("data/fuzz"))
    parser.add_argument("--again", type=Path, help="feed this file to the target and stop")
    parser.add_argument("--guided", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.guided:
        return _guided(TARGETS[chosen.guided], chosen.seconds, chosen.findings)
    if chosen.again:
        for name in chosen.target or TARGETS:
            TARGETS[name].meets(chosen.again.read_bytes())
        return 0
    chosen.findings.mkdir(parents=True, exist_ok=True)
    has_atheris = importlib.util.find_spec("atheris") is not None
    if not has_atheris:
        print("atheris is not installed: samples are spoilt at random, blindly.", file=sys.stderr)
    run = _in_process if has_atheris else _blindly
    found = [
        name
        for name in chosen.target or TARGETS
        if not run(TARGETS[name], chosen.seconds, chosen.findings)
    ]
    print(f"findings in: {', '.join(found)}" if found else "nothing found")
    return 1 if found else 0


def _in_process(target: Target, seconds: int, findings: Path) -> bool:
    command = [sys.executable, "-m", "tests.fuzz.campaign", "--guided", target.name]
    command += ["--seconds", str(seconds), "--findings", str(findings)]
    # libFuzzer ends its process at once: what that leaves behind is cleared away here.
    with tempfile.TemporaryDirectory(prefix="consent-fuzz-", dir=MEMORY) as room:
        done = subprocess.run(
            command,
            env=os.environ | {"TMPDIR": room},
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
    lines = done.stderr.splitlines()
    closing = next((line for line in reversed(lines) if line.startswith("Done ")), "")
    print(f"{target.name}: {closing or 'ended early'}", flush=True)
    if done.returncode:
        print("\n".join(lines[-40:]))
    return done.returncode == 0


def _guided(target: Target, seconds: int, findings: Path) -> int:
    """Become libFuzzer; never returns."""
    import atheris

    with tempfile.TemporaryDirectory(prefix="consent-fuzz-") as corpus:
        for number, seed in enumerate(target.seeds()):
            Path(corpus, str(number)).write_bytes(seed)
            target.feed(seed)
        _instrument(atheris.instrument_func)
        options = [f"-max_total_time={seconds}", f"-artifact_prefix={findings}/{target.name}-"]
        options += ["-max_len=65536", "-rss_limit_mb=1024", f"-timeout={SECONDS:.0f}"]
        options += ["-verbosity=1"]
        atheris.Setup([sys.argv[0], *options, corpus], target.feed)
        atheris.Fuzz()
    return 0


def _instrument(measured: Callable[[FunctionType], object]) -> None:
    """Measure coverage of our own functions; what the libraries do is not what is tried."""
    for place, module in list(sys.modules.items()):
        if place.startswith("consent_service."):
            for thing in list(vars(module).values()):
                owner = thing if isinstance(thing, type) else module
                for name, act in list(vars(owner).items()):
                    if isinstance(act, FunctionType) and act.__module__ == place:
                        setattr(owner, name, measured(act))


def _blindly(target: Target, seconds: int, findings: Path) -> bool:
    began, cases, good = time.monotonic(), 0, True
    while good and time.monotonic() - began < seconds:
        for content in mutated(target.seeds(), _BATCH, secrets.randbits(32)):
            cases += 1
            try:
                target.meets(content)
            except Exception:  # noqa: BLE001  (whatever it is, it was not promised)
                name = hashlib.sha256(content).hexdigest()[:16]
                (findings / f"{target.name}-{name}").write_bytes(content)
                print(traceback.format_exc())
                good = False
                break
    print(f"{target.name}: {cases} cases", flush=True)
    return good


if __name__ == "__main__":
    sys.exit(main())
