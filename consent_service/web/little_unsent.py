"""What a kernel still holds of a stream is sent after its end; so let it hold little.

Linux puts up to 4 MiB of an answer aside for a reader who is slower than we are, and sends it on
when nobody wants it to be sent any more. Told so (`TCP_NOTSENT_LOWAT`), it takes the next piece
only once the last is on its way. A web server gives no way to say it of its sockets, so it is said
of all that this process has on a port where it listens, when the first request comes: connections
that are accepted later have it from the socket that accepts them.
"""

import contextlib
import os
import socket
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

UNSENT_BYTES = 64 * 1024
"""So much lies ready and not sent, at most; to who reads quickly it makes no difference."""
_OPEN_FILES = Path("/proc/self/fd")
_TCP = (socket.AF_INET, socket.AF_INET6)


class LittleUnsent:
    """Leads every request to the app, and has the kernel hold little from the first on."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._said = False

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request."""
        if not self._said:
            self._said = True
            hold_little()
        return self._app(environ, start_response)


def hold_little() -> None:
    """Have the kernel hold little for whoever is or gets connected to this process (Linux)."""
    with contextlib.ExitStack() as closing:
        ours = [closing.enter_context(one) for one in _tcp_sockets()]
        ports = {one.getsockname()[1] for one in ours if _listens(one)}
        for one in ours:
            # A socket that ends meanwhile says so; there is nothing to hold for it.
            with contextlib.suppress(OSError):
                if one.getsockname()[1] in ports:
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def _tcp_sockets() -> Iterator[socket.socket]:
    """Yield a second hold on every TCP socket of this process; closing it closes nothing else."""
    for name in os.listdir(_OPEN_FILES) if _OPEN_FILES.is_dir() else ():  # noqa: PTH208
        with contextlib.suppress(OSError):  # closed meanwhile, or no socket
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                found = socket.socket(fileno=os.dup(int(name)))
                if found.family in _TCP and found.type == socket.SOCK_STREAM:
                    yield found
                else:
                    found.close()


def _listens(found: socket.socket) -> bool:
    return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
