"""How often links were refused in this process within the hour: counted, not written one by one.

Rules kept here:
  * whoever has no link cannot fill the audit log: the first refusal of an hour is written down, and
    then the tenth, the hundredth and so on, each entry with how many there were;
  * each process counts for itself, as the limit on guessing does.
"""

import threading
from datetime import datetime, timedelta

WINDOW = timedelta(hours=1)


class RefusedOpenings:
    """Counts refusals within an hour; safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: datetime | None = None
        self._counted = 0

    def count(self, at: datetime) -> int | None:
        """Count one more; return how many there were when that is worth an entry, else None.

        A clock that steps back begins a new hour.
        """
        with self._lock:
            if self._since is None or not timedelta(0) <= at - self._since < WINDOW:
                self._since, self._counted = at, 0
            self._counted += 1
            return self._counted if _is_power_of_ten(self._counted) else None


def _is_power_of_ten(number: int) -> bool:
    return str(number).rstrip("0") == "1"
