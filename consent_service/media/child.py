"""The child process of one film job: `python -m consent_service.media.child FD`.

It gets plaintext only: blocks of the film over the socket `FD`, and gives back finished blocks,
a result, or the code of a refusal. Rules kept: limits stand before any byte of film is seen; no
key, path or setting of the service ever reaches this process; nothing that the film says leaves
it except numbers and names.
"""

import errno
import re
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from consent_service.media import confine, wire
from consent_service.media.port import Limits
from consent_service.media.refusal import FilmRefused

_OUR_ERRNOS = {errno.EAGAIN, errno.EMFILE, errno.ENFILE}
"""Errors of the machine: a film must not be refused, and erased, for them."""


def serve(line: wire.Line) -> None:
    """Do one job and report how it ended."""
    kind, payload = line.receive()
    if kind != wire.JOB:
        raise wire.Violation("expected a job")
    order = wire.unpack_json(payload)
    confine.limit(Limits(**order["limits"]))
    # The libraries load under the limits too; a failure here is ours, not the film's.
    import av

    from consent_service.media import operations

    operations.load_the_rest(order["operation"])
    in_namespace = confine.leave_network()
    confine.close_files()
    if order["operation"] == "confinement":
        line.send(wire.DONE, wire.pack_json(operations.measure_confinement(in_namespace)))
        return
    try:
        result = _perform(line, order)
    except FilmRefused as refused:
        line.send(wire.REFUSED, wire.pack_json({"reason": refused.reason}))
    except (MemoryError, av.MemoryError):
        line.send(wire.REFUSED, wire.pack_json({"reason": "too_costly"}))
    except av.FFmpegError as failed:
        if failed.errno in _OUR_ERRNOS:
            raise
        line.send(wire.REFUSED, wire.pack_json({"reason": "unreadable"}))
    else:
        line.send(wire.DONE, wire.pack_json(result))


def _perform(line: wire.Line, order: dict[str, Any]) -> dict[str, Any]:
    from consent_service.media import operations, reading

    film = reading.RemoteFilm(order["size"], lambda start, length: _fetch(line, start, length))
    job = operations.Job(film, order["arguments"], lambda block: line.send(wire.OUTPUT, block))
    return operations.perform(order["operation"], job)


def _fetch(line: wire.Line, start: int, length: int) -> bytes:
    line.send(wire.READ, wire.pack_range(start, length))
    kind, block = line.receive()
    if kind != wire.BLOCK or len(block) != length:
        raise wire.Violation("expected the block asked for")
    return bytes(block)


def fault_place(error: BaseException) -> str:
    """Say where our own code failed, without the error's text, which may quote the film."""
    places = [
        f"{PurePath(frame.f_code.co_filename).name}:{number}"
        for frame, number in traceback.walk_tb(error.__traceback__)
    ]
    return re.sub(r"[^\w.: ]", "", f"{type(error).__name__} {places[-1]}")


def main(work: Callable[[wire.Line], None] = serve) -> int:
    """Entry point; the exit status is 0 when the parent was told how it ended."""
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        line = wire.Line(sock)
        try:
            work(line)
        except wire.Closed:
            return 1
        except Exception as error:  # noqa: BLE001 - reported to the parent, which decides
            line.send(wire.FAULT, wire.pack_json({"place": fault_place(error)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
