"""How much of a film is handed out at a time, so that a stream that ends has ended for its reader.

What a web server and the kernel hold of a stream is sent on when nobody is asked any more: about
six pieces and what the kernel may put aside (`web.little_unsent`), measured. A reader gets all of
it within the five seconds only if the pieces are small for how quickly it reads; and they all fill
up at once, so the first pieces say nothing about a reader.

Rules kept here:
  * a viewing begins with small pieces, and gets large ones once more was taken in a row, each piece
    quickly enough, than can be put aside anywhere;
  * one piece that was not, and they are small again until then.
"""

AT_ONCE = 256 * 1024
AT_ONCE_SLOWLY = 32 * 1024
"""So many bytes go out between two looks; larger pieces serve a film a quarter faster."""
QUICK = 600_000
"""Bytes a second: at this speed all that is put aside of large pieces is read within 3 seconds."""
PUT_ASIDE = 768 * 1024


class Pace:
    """How one viewing's reader takes its pieces; shared by its requests."""

    def __init__(self) -> None:
        self._taken = 0

    @property
    def at_once(self) -> int:
        """Return how many bytes the next piece may have."""
        return AT_ONCE if self._taken > PUT_ASIDE else min(AT_ONCE, AT_ONCE_SLOWLY)

    def took(self, count: int, seconds: float) -> None:
        """Learn that a piece of `count` bytes was taken after so many seconds."""
        self._taken = self._taken + count if count > seconds * QUICK else 0
