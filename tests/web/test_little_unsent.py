"""What the kernel may hold of an answer."""

import socket

from consent_service.web.little_unsent import UNSENT_BYTES, LittleUnsent


def _held(one: socket.socket) -> int:
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)


def test_whoever_connects_to_us_is_held_little_for_and_nobody_else() -> None:
    """Those connected before the first request as well as those who come later."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        where = listening.getsockname()
        with socket.create_connection(where) as early, listening.accept()[0] as early_here:
            app = LittleUnsent(lambda _environ, _start: [b"answered"])
            assert app({}, lambda *_: lambda _: None) == [b"answered"]  # type: ignore[arg-type]
            with socket.create_connection(where) as late, listening.accept()[0] as late_here:
                held = [_held(one) for one in (listening, early_here, late_here)]
                others = [_held(one) for one in (early, late)]

    assert held == [UNSENT_BYTES] * 3
    assert UNSENT_BYTES not in others
