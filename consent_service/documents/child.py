"""The printing process: reads one job after another from its input, writes PDFs to its output.

It runs apart from the service because typesetting is a large program fed with what people typed:
here it has no network, no files to write, and bounded memory and time. It ends when its input
ends, so it never outlives the service.

A frame is a length (u32, big endian) and that many bytes. A job is a JSON frame and one frame for
each attached file; an answer is one byte (`P` a PDF, `F` a fault) and a frame. The very first
byte, `R`, says that everything is loaded. A fault names the class of the error only: its message
might hold what somebody typed.
"""

import gc
import io
import json
import logging
import mimetypes
import struct
import sys
from typing import Any, BinaryIO

from consent_service.documents import confine

LENGTH = struct.Struct(">I")
MAX_FRAME = 64 * 1024 * 1024
READY, PDF, FAULT = b"R", b"P", b"F"


def read_frame(stream: BinaryIO) -> bytes | None:
    """Return the next frame, or None at the end of the input; EOFError inside a frame."""
    head = stream.read(LENGTH.size)
    if not head:
        return None
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    if length > MAX_FRAME:
        raise EOFError
    frame = stream.read(length)
    if len(frame) < length:
        raise EOFError
    return frame


def write_frame(stream: BinaryIO, frame: bytes) -> None:
    """Write one frame and send it off."""
    stream.write(LENGTH.pack(len(frame)))
    stream.write(frame)
    stream.flush()


def serve(source: BinaryIO, target: BinaryIO, limits: confine.Limits) -> None:
    """Print until the input ends, or until something could not be printed."""
    confine.shut_in(limits)
    mimetypes.knownfiles.clear()  # what an attachment is called must not differ by machine
    logging.disable(logging.CRITICAL)  # WeasyPrint would log what people typed
    from consent_service.documents import typesetting

    gc.freeze()
    gc.disable()  # a tenth of the time; rubbish is collected while nobody waits
    target.write(READY)
    target.flush()
    while (frame := read_frame(source)) is not None:
        confine.allow_one_document(limits)
        try:
            kind, answer = PDF, typesetting.print_job(_job(json.loads(frame), source))
        except Exception as fault:  # noqa: BLE001 the parent is told which
            kind, answer = FAULT, type(fault).__name__.encode()
        target.write(kind)
        write_frame(target, answer)
        if kind == FAULT:
            return  # what is left in memory, and in the pipe, is nobody's business any more
        gc.collect()


def _job(fields: dict[str, Any], source: BinaryIO) -> Any:
    """Return the job of one JSON frame, with the files that follow it."""
    from consent_service.documents.typesetting import Attached, Job

    attached = []
    for file in fields.pop("attached"):
        content = read_frame(source)
        if content is None:
            raise EOFError
        attached.append(Attached(content=content, **file))
    identifier = bytes.fromhex(fields.pop("identifier"))
    return Job(identifier=identifier, attached=attached, **fields)


if __name__ == "__main__":
    serve(
        sys.stdin.buffer,
        io.BufferedWriter(io.FileIO(1, "wb", closefd=False)),
        confine.Limits(*map(int, sys.argv[-2:])),
    )
