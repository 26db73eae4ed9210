"""What a printing process cannot do, whatever it is given to print."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from consent_service.documents import caps, render
from consent_service.documents.caps import check_caps
from consent_service.documents.confine import Limits
from consent_service.documents.content import Paper, PdfAttachment
from consent_service.documents.press import Press
from consent_service.documents.typesetting import FetchRefused, Job, print_html
from consent_service.errors import InvalidInput, TooLarge, Unavailable
from tests.documents import papers

ROOT = Path(__file__).parents[2]
SLOW_TEXT = "T\n" + ("x" * 499 + " ") * 490
"""Words so long that every break is tried: minutes of work within all caps."""


def frames_of(paper: Paper) -> list[bytes]:
    """Return a paper without attachments as the job that is sent to the process."""
    job = {
        "template": paper.kind.value,
        "values": json.loads(json.dumps(render._values(paper), default=render._as_text)),
        "language": "en",
        "large_print": False,
        "identifier": "00" * 16,
        "pictures": dict(render._pictures(paper)),
        "attached": [],
    }
    return [json.dumps(job).encode()]


@pytest.fixture
def press() -> Iterator[Press]:
    """A press of the test's own."""
    press = Press()
    yield press
    press.close()


def process_of(press: Press) -> int:
    """Return the process id behind a press."""
    press.warm_up()
    assert press._process is not None
    return press._process.pid


class Listener:
    """A loopback web server that notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A server on loopback that nothing should ever reach."""
    listener = Listener()
    yield listener
    listener.close()


def test_addresses_in_content_are_never_fetched(listener: Listener) -> None:
    """Somebody who can type a name must not be able to make the server call an address."""
    attack = (
        f'<img src="{listener.address}/name">"><link rel=stylesheet href={listener.address}/css>'
        f"<style>@import url({listener.address}/import)</style>"
        "<img src=file:///etc/passwd><a rel=attachment href=file:///etc/passwd>x</a>"
    )
    copy = papers.consent_copy(given_by=attack, route=attack)

    pdf = render.render_pdf(copy, identifier="x")

    assert listener.asked == []
    assert b"root:" not in pdf


@pytest.mark.parametrize(
    "html",
    [
        '<img src="{}/img">',
        '<link rel="stylesheet" href="{}/css">',
        "<style>@import url({}/import);</style>",
        '<p style="background: url({}/background)">x</p>',
        "<style>@font-face {{ font-family: x; src: url({}/font) }} p {{ font-family: x }}</style><p>x",
        '<link rel="attachment" href="{}/attached">',
        '<a rel="attachment" href="{}/attached">x</a>',
        '<object data="{}/object"></object>',
        '<img src="file:///etc/passwd">',
        '<a rel="attachment" href="file:///etc/passwd">x</a>',
        "<img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>\">",
    ],
)
def test_even_markup_of_our_own_can_fetch_nothing(html: str, listener: Listener) -> None:
    """If escaping ever failed, the fetcher is the second door, and it is shut."""
    job = Job("x", {"made_at": "2026-09-14T14:05:00+00:00"}, "en", False, b"x", {})

    with pytest.raises(FetchRefused):
        print_html(html.format(listener.address), job)

    assert listener.asked == []


@pytest.mark.parametrize(
    "drawing",
    [
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="{}"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>',
        "<script>x()</script>",
        "x",
    ],
)
def test_a_drawing_that_is_not_made_of_our_lines_is_refused(
    drawing: str, listener: Listener
) -> None:
    """SVG can refer to pictures and hold programs; a signature is lines."""
    copy = papers.consent_copy()
    signed = replace(copy.signed, drawing=drawing.format(listener.address))

    with pytest.raises(InvalidInput):
        render.render_pdf(replace(copy, signed=signed), identifier="x")

    assert listener.asked == []


ATTEMPTS = {
    "connect": "import socket; socket.create_connection(('127.0.0.1', {port}), 2)",
    "read a foreign file": "open('/etc/passwd').read()",
    "read it by descriptor": "import os; os.open('/etc/passwd', os.O_RDONLY)",
    "climb out of our folder": "open({package!r} + '/../../../../../../../etc/passwd').read()",
    "write a file": "open({folder!r} + '/film', 'w').write('x')",
    "write below our package": "open({package!r} + '/x', 'w').write('x')",
    "start a program": "import subprocess; subprocess.run(['true'])",
    "start a shell": "import os; os.system('true')",
    "fork": "import os; os._exit(0) if os.fork() == 0 else None",
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_the_printing_process_cannot(name: str, listener: Listener, tmp_path: Path) -> None:
    """A fault in a large library must not become a way into the machine."""
    port = int(listener.address.rsplit(":", 1)[1])
    package = str(ROOT / "consent_service")
    attempt = ATTEMPTS[name].format(port=port, folder=str(tmp_path), package=package)
    script = "from consent_service.documents import confine\n{}\n{}\nprint('managed it')"

    shut_in = run(script.format("confine.shut_in(confine.Limits())", attempt))
    free = run(script.format("pass", attempt)) if "package" not in name else None

    assert "managed it" not in shut_in.stdout
    assert "Shut" in shut_in.stderr
    assert free is None or "managed it" in free.stdout


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a Python that can import the project."""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_the_printing_process_has_left_the_machine_s_network(press: Press) -> None:
    """Wherever the kernel allows it, there is no interface to send anything through."""
    allowed = run(
        "import ctypes, sys; libc = ctypes.CDLL(None)\n"
        "sys.exit(0 if any(libc.unshare(f) == 0 for f in (0x50000000, 0x40000000)) else 1)"
    )
    process = process_of(press)
    press.print(frames_of(papers.leaflet()))

    ours = Path("/proc/self/ns/net").readlink()
    theirs = namespace_of(process)

    assert (theirs != ours) is (allowed.returncode == 0)


def namespace_of(process: int) -> Path:
    """Return the network namespace of a process as the kernel names it."""
    return Path(f"/proc/{process}/ns/net").readlink()


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
import sys, time
from consent_service.documents.press import Press
press = Press()
press.warm_up()
print(press._process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as service:
        assert service.stdout is not None
        printing = int(service.stdout.readline())
        assert is_running(printing)
        service.kill()

    assert ends_within(printing, seconds=20)


def is_running(process: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


def ends_within(process: int, *, seconds: float) -> bool:
    """Wait for a process that is not ours to end."""
    until = time.monotonic() + seconds
    while is_running(process) and time.monotonic() < until:
        time.sleep(0.05)
    return not is_running(process)


def test_nothing_that_was_printed_reaches_a_disk(press: Press) -> None:
    """A paper with a family's name on a disk would outlive every promise to destroy it."""
    marker = "Zzyzx Testcase Rowan"
    process = process_of(press)
    copy = papers.consent_copy(given_by=marker)
    frames = frames_of(copy)

    press.print(frames)

    limits = Path(f"/proc/{process}/limits").read_text().splitlines()
    written = next(line.split() for line in limits if line.startswith("Max file size"))
    assert written[3:5] == ["0", "0"]
    open_files = {
        os.path.realpath(link)
        for link in Path(f"/proc/{process}/fd").iterdir()
        if link.is_symlink()
    }
    assert not [name for name in open_files if name.startswith(("/tmp", "/var/tmp", "/home"))]


def test_caps_refuse_more_than_two_thousand_rows() -> None:
    """What nobody could read is refused before it costs anything."""
    with pytest.raises(TooLarge, match="2000 rows"):
        check_caps(papers.certificate(caps.MAX_ROWS + 1), [])
    check_caps(papers.certificate(1_500), [])


def test_caps_refuse_too_much_text_and_endless_words_and_depth() -> None:
    """Each is a way to keep the machine busy."""
    with pytest.raises(TooLarge, match="KB of text"):
        check_caps(papers.leaflet("word " * 60_000), [])
    with pytest.raises(TooLarge, match="A word has"):
        check_caps(papers.leaflet("x" * 501), [])
    nested: object = "deep"
    for _ in range(10_000):
        nested = (nested,)
    with pytest.raises(TooLarge, match="nested"):
        check_caps(papers.withdrawal_receipt(ended=nested), [])
    check_caps(papers.leaflet("漢" * 10_000), [])


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "\ud800", "\uffff"])
def test_caps_refuse_characters_that_cannot_be_printed(text: str) -> None:
    """A null cuts a name short in some programs and not in others."""
    with pytest.raises(InvalidInput) as refused:
        check_caps(papers.consent_copy(given_by=text), [])
    assert set(refused.value.faults) == {"given_by"}


def test_caps_refuse_more_files_than_fit() -> None:
    """An attached film would be plaintext in a document."""
    large = PdfAttachment("x.bin", "application/octet-stream", bytes(17 * 1024 * 1024))
    with pytest.raises(TooLarge):
        check_caps(papers.leaflet(), [large])
