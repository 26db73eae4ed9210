"""What a printing process cannot do, whatever it is given to print."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from consent_service.documents import render
from consent_service.documents.press import Press
from consent_service.documents.typesetting import FetchRefused, Job, print_html
from consent_service.errors import InvalidInput
from tests.documents import papers
from tests.documents.presses import ROOT, frames_of, process_of, run

"""Words so long that every break is tried: minutes of work within all caps."""


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


def test_the_printing_process_has_left_the_machine_s_network() -> None:
    """Wherever the kernel allows it, there is no interface to send anything through.

    It is asked of the process itself: nobody else but root may look at one that cannot be dumped.
    """
    allowed = run(
        "import ctypes, sys; libc = ctypes.CDLL(None)\n"
        "sys.exit(0 if any(libc.unshare(f) == 0 for f in (0x50000000, 0x40000000)) else 1)"
    )

    found = run(
        "import os\nfrom consent_service.documents import confine\n"
        "before = os.readlink('/proc/self/ns/net')\n"
        "confine.shut_in(confine.Limits())\n"
        "print('elsewhere' if os.readlink('/proc/self/ns/net') != before else 'at home')"
    )

    expected = "elsewhere" if allowed.returncode == 0 else "at home"
    assert found.stdout.strip() == expected, found.stderr


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
