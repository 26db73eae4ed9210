"""Encrypt or decrypt a file to a new file with our container: `encrypt|decrypt FROM TO`.

`--hashed` also takes the SHA-256 of the film, as storing an upload does; `--durable` waits for
the disk; `--memory` prints the
largest memory of the process in KiB. `idle` only imports. Lean, as any command-line tool would
be: importing is part of what is timed.
"""

import os
import sys

from consent_service.vault.container_writer import decrypt_stream, encrypt_stream

KEY = bytes(range(32))
CONTEXT = b"benchmark"


def main(verb: str, source: str, target: str, *options: str) -> None:
    """Do it, unbuffered on both sides: the container has its own buffers."""
    if verb != "idle":
        with open(source, "rb", buffering=0) as film, open(target, "xb", buffering=0) as sink:  # noqa: PTH123
            if verb == "encrypt":
                encrypt_stream(film, sink, KEY, CONTEXT, hashed="--hashed" in options)
            else:
                decrypt_stream(film, sink, KEY, CONTEXT)
            if "--durable" in options:
                os.fdatasync(sink.fileno())
    if "--memory" in options:
        print_largest_memory()


def print_largest_memory() -> None:
    """Print what the kernel says of this program alone (`getrusage` counts its parent's, too)."""
    with open("/proc/self/status") as status:  # noqa: PTH123
        print(next(line.split()[1] for line in status if line.startswith("VmHWM")))


if __name__ == "__main__":
    main(*sys.argv[1:])
