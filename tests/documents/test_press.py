"""The printing process: bounded, replaced after a fault, one for each process that prints."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from consent_service.documents.confine import Limits
from consent_service.documents.press import Press
from consent_service.errors import TooLarge, Unavailable
from tests.documents import papers
from tests.documents.presses import ROOT, frames_of, process_of, run
from tests.support.processes import ended_within

SLOW_TEXT = "T\n" + ("x" * 499 + " ") * 490
"""Words so long that every break is tried: minutes of work within all caps."""


def test_a_document_that_takes_too_long_is_refused_in_bounded_time() -> None:
    """One parent's paper must not keep everybody else's waiting."""
    press = Press(seconds=2)
    press.warm_up()
    started = time.monotonic()

    with pytest.raises(TooLarge):
        press.print(frames_of(papers.leaflet(SLOW_TEXT)))

    assert time.monotonic() - started < 10
    assert press.print(frames_of(papers.leaflet())).startswith(b"%PDF")
    press.close()


def test_a_document_that_takes_too_much_work_is_ended_by_the_kernel() -> None:
    """The processor limit holds even where nobody watches the clock."""
    press = Press(limits=Limits(cpu_seconds=1))

    with pytest.raises(TooLarge):
        press.print(frames_of(papers.leaflet(SLOW_TEXT)))

    press.close()


def test_a_document_that_needs_too_much_memory_is_refused(press: Press) -> None:
    """Memory is bounded for the printing process, not shared with the service's."""
    tight = Press(limits=Limits(memory_bytes=256 * 1024**2))
    job = json.loads(frames_of(papers.leaflet())[0])
    file = {"name": "x", "media_type": "text/plain", "relationship": "Data", "description": "x"}
    job["attached"] = [file] * 4
    frames = [json.dumps(job).encode(), *[bytes(50 * 1024**2)] * 4]

    with pytest.raises((TooLarge, Unavailable)):
        tight.print(frames)

    assert tight.print(frames_of(papers.leaflet())).startswith(b"%PDF")
    assert press.print(frames).startswith(b"%PDF")
    tight.close()


def test_a_press_whose_process_was_killed_prints_again(press: Press) -> None:
    """An idle process that the machine took away costs a second, not a document."""
    press.print(frames_of(papers.leaflet()))
    os.kill(process_of(press), 9)

    assert press.print(frames_of(papers.leaflet())).startswith(b"%PDF")


def test_a_press_keeps_its_process_and_replaces_it_after_a_fault(press: Press) -> None:
    """Warm for the next paper; never kept in a state that nobody knows."""
    press.print(frames_of(papers.leaflet()))
    warm = process_of(press)
    press.print(frames_of(papers.summary()))
    assert process_of(press) == warm

    job = json.loads(frames_of(papers.summary())[0])
    del job["values"]["points"]
    with pytest.raises(Unavailable) as fault:
        press.print([json.dumps(job).encode()])

    assert fault.value.details == {"fault": "UndefinedError"}
    assert process_of(press) != warm


def test_threads_that_print_at_once_each_get_their_own_paper(press: Press) -> None:
    """A receipt in the wrong hands is a breach; the press is shared by all threads."""
    wanted = {
        name: frames_of(papers.handover_receipt())[0].replace(b"Rowan Testcase", name.encode())
        for name in ("Ash Testcase", "Birch Testcase", "Cedar Testcase", "Dogwood Testcase")
    }
    alone = {name: press.print([frame]) for name, frame in wanted.items()}
    together: dict[str, bytes] = {}

    def print_one(name: str) -> None:
        together[name] = press.print([wanted[name]])

    threads = [threading.Thread(target=print_one, args=(name,)) for name in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert together == alone
    assert len(set(together.values())) == len(wanted)


def test_a_forked_process_gets_a_press_of_its_own() -> None:
    """Servers fork; two processes on one pipe would read each other's papers."""
    script = """
import os, sys
from consent_service.documents.render import _PRESS, render_pdf
from tests.documents import papers
print_it = lambda: render_pdf(papers.leaflet(), identifier="x")
before = print_it()
first = _PRESS._process.pid
child = os.fork()
if child == 0:
    same = print_it() == before and _PRESS._process.pid != first
    _PRESS.close()
    os._exit(0 if same else 1)
ended = os.waitpid(child, 0)[1]
print(ended, print_it() == before, _PRESS._process.pid == first)
"""
    ended = run(script)

    assert ended.stdout.split() == ["0", "True", "True"], ended.stderr


def test_the_printing_process_ends_when_the_service_is_killed() -> None:
    """A process left behind would hold a family's paper in memory."""
    script = """
import sys
from consent_service.documents.press import Press
press = Press()
press.warm_up()
print(press._process.pid, flush=True)
sys.stdin.read()
"""
    talking = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, **talking) as service:
        assert service.stdout is not None
        printing = int(service.stdout.readline())
        assert not ended_within(printing, seconds=0)
        service.kill()

    assert ended_within(printing, seconds=20)
