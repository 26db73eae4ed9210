"""A child process that does, under the real confinement, what a subverted one would try.

Run in place of the real child by naming this module in an `Order`; the operation says what it
tries. What it finds out it reports as output.
"""

import functools
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from consent_service.media import child, confine, wire
from consent_service.media.port import Limits


def attempt(action: Callable[[], object]) -> str:
    """Return "done" or the name of the error that stopped the action."""
    try:
        action()
    except (OSError, MemoryError) as stopped:
        return type(stopped).__name__
    return "done"


def write_a_file(line: wire.Line, target: str) -> None:
    report(line, attempt(lambda: Path(target).write_bytes(b"plaintext")))


def write_an_open_file(line: wire.Line, target: str) -> None:
    with Path(target).open("wb", buffering=0) as opened:
        report(line, attempt(lambda: opened.write(b"plaintext")))


def open_a_socket(line: wire.Line, target: str) -> None:
    confine.close_files()
    report(line, attempt(lambda: socket.create_connection(("127.0.0.1", int(target)), timeout=5)))


def connect_before_closing(line: wire.Line, target: str) -> None:
    report(line, attempt(lambda: socket.create_connection(("127.0.0.1", int(target)), timeout=5)))


def open_a_file(line: wire.Line, target: str) -> None:
    confine.close_files()
    report(line, attempt(lambda: Path(target).read_bytes()))


def take_memory(line: wire.Line, target: str) -> None:
    report(line, attempt(lambda: bytearray(int(target))))


def list_surroundings(line: wire.Line, target: str) -> None:
    files = sum(attempt(functools.partial(os.fstat, number)) == "done" for number in range(1024))
    report(line, json.dumps({"environment": sorted(os.environ), "files": files}))


def hang(line: wire.Line, target: str) -> None:
    report(line, str(os.getpid()))
    signal.pause()


def hang_while_asked(line: wire.Line, target: str) -> None:
    line.send(wire.READ, wire.pack_range(0, 1))
    signal.pause()


def spin(line: wire.Line, target: str) -> None:
    while True:
        pass


def crash(line: wire.Line, target: str) -> None:
    os.kill(os.getpid(), int(target))


def leave(line: wire.Line, target: str) -> None:
    os._exit(int(target))


def fail(line: wire.Line, target: str) -> None:
    raise LookupError(f"words of the film: {target}")


def ask_outside(line: wire.Line, target: str) -> None:
    line.send(wire.READ, wire.pack_range(int(target), 1))
    signal.pause()


def flood(line: wire.Line, target: str) -> None:
    while True:
        line.send(wire.OUTPUT, bytes(100_000))


def send_nonsense(line: wire.Line, target: str) -> None:
    line.send(wire.DONE, target.encode())
    signal.pause()


def send_unknown_kind(line: wire.Line, target: str) -> None:
    line.send(b"?", b"{}")
    signal.pause()


def send_too_long(line: wire.Line, target: str) -> None:
    line.send(wire.OUTPUT, bytes(2 * 1024 * 1024))
    signal.pause()


def refuse_in_own_words(line: wire.Line, target: str) -> None:
    line.send(wire.REFUSED, wire.pack_json({"reason": target}))
    signal.pause()


def report(line: wire.Line, text: str) -> None:
    line.send(wire.OUTPUT, text.encode())


def misbehave(line: wire.Line) -> None:
    """Confine as the real child does, then do as ordered."""
    _, payload = line.receive()
    order = wire.unpack_json(payload)
    confine.limit(Limits(**order["limits"]))
    confine.leave_network()
    globals()[order["operation"]](line, order["arguments"].get("target", ""))
    line.send(wire.DONE, b"{}")


if __name__ == "__main__":
    sys.exit(child.main(misbehave))
