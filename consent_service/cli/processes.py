"""Processes of an embedded installation: one web server, one worker, one parent over both.

Rules kept here: the parent holds no keys and serves nothing; if one child ends, the other is
stopped and the parent ends with a fault, so that a service manager starts all of it anew; SIGTERM
stops both, and so does whatever ends the parent, even a kill that it cannot hear. Nothing outlives
whoever started it, nor does a web process that is still loading miss that it should stop: one left
over would share the port with its successor, unnoticed, and answer with what it knew.

Children are forked from a parent that has loaded every library and opened nothing: what takes
longest at a start is done once, its memory is shared, and no connection, key or token of a
hardware module is carried across a fork. So the parent lets a child of its own do what must be
done before serving.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy.orm import configure_mappers

from consent_service.jobs.worker import Worker
from consent_service.services import startup
from consent_service.settings import PREFIX, Settings
from consent_service.wiring import build_context

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from granian.server.common import AbstractServer

STOP_SECONDS = 15
_WEB_STOP_SECONDS = 10
"""What granian gives its own processes before it kills them: less than it is given itself."""
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, linux/prctl.h
THREADS = min(8, 2 * (os.cpu_count() or 1) + 1)
"""Requests at once in one web process: as many as granian holds sensible for the machine."""
APP = "consent_service.app"


def supervise(settings: Settings, workers: int) -> int:
    """Run web server and worker until one ends or SIGTERM comes; return the exit code."""
    code = _make_ready(settings)
    if code:
        return code
    click.echo(f"Serving {settings.public_url} (stop with Ctrl-C).")
    children = [
        _forked(partial(_serve_until_stopped, settings, workers)),
        _forked(partial(work_here, settings)),
    ]
    try:
        for child in children:
            child.start()
        asked = _wait(children)
    finally:
        _stop([child for child in children if child.pid is not None])
    return 0 if asked else 1


def serve_here(settings: Settings, workers: int) -> int:
    """Be the web server until asked to stop; return the exit code."""
    code = _make_ready(settings)
    if not code:
        _serve_until_stopped(settings, workers)
    return code


def work_here(settings: Settings) -> None:
    """Run jobs until asked to stop."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ctx = build_context(settings)
    startup.require_ready(ctx)
    Worker(ctx).run(stop)


def _make_ready(settings: Settings) -> int:
    """Load what children will share, and do in one of them what must be done before serving."""
    import_module(APP)
    configure_mappers()
    first = _forked(partial(_get_ready, settings))
    first.start()
    first.join()
    return first.exitcode or 0


def _get_ready(settings: Settings) -> None:
    report = startup.require_ready(build_context(settings))
    for kind, count in sorted(report.restored.items()):
        click.echo(f"Restored from the journal: {count} x {kind}.", err=True)


def _serve_until_stopped(settings: Settings, workers: int) -> None:
    """Serve with granian: WSGI, threads for long ranges."""
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels

    take_on(settings)
    tls = bool(settings.tls_cert and settings.tls_key)
    server = Granian(
        f"{APP}:create_served_app",
        factory=True,
        interface=Interfaces.WSGI,
        # Nobody speaks HTTP/2 without TLS to us, and to look out for it costs each request a tenth.
        http=HTTPModes.auto if tls else HTTPModes.http1,
        address=settings.listen_host,
        port=settings.listen_port,
        workers=workers,
        blocking_threads=THREADS,
        log_level=LogLevels.warning,
        ssl_cert=settings.tls_cert if tls else None,
        ssl_key=settings.tls_key if tls else None,
        workers_kill_timeout=_WEB_STOP_SECONDS,
    )
    server.serve(target_loader=partial(_load_app, server, os.getpid()), wrap_loader=False)


def _load_app(server: "AbstractServer[Any]", parent: int) -> "WSGIApplication":
    """Return the application, in a process that granian forked; it ends with granian's own.

    Until all is loaded and granian listens for signals here, what listens is what its own process
    had, in a copy: SIGTERM would be noted where nobody looks, and its sender wait for ever.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    _end_with(parent, signal.SIGKILL)
    if server.interrupt_signal:
        sys.exit(0)  # it came before we listened
    app: WSGIApplication = import_module(APP).create_served_app()
    return app


def take_on(settings: Settings) -> None:
    """Spell these settings out in this process's environment, for whatever starts from it."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update(settings.as_environment())


def _forked(work: Callable[[], None]) -> ForkProcess:
    """Return a process that will do `work`; it speaks of faults and ends as a verb does."""
    return multiprocessing.get_context("fork").Process(target=_run, args=(work, os.getpid()))


def _run(work: Callable[[], None], parent: int) -> None:
    from consent_service.cli.root import exit_code

    _end_with(parent, signal.SIGTERM)
    sys.exit(exit_code(work))


def _end_with(parent: int, by: signal.Signals) -> None:
    """Have the kernel send this process `by` once its parent is gone (Linux only)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, by)
    if os.getppid() != parent:
        sys.exit(1)  # it was gone before we asked


def _wait(children: Sequence[ForkProcess]) -> bool:
    """Wait until a child ends (False) or we are asked to stop (True)."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reading in wait([reading, *(child.sentinel for child in children)])


def _stop(children: Sequence[ForkProcess]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        child.join(STOP_SECONDS)
        if child.exitcode is None:
            child.kill()
            child.join()
