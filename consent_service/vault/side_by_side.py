"""The same for many things, a few of them at once: for what waits on disks and networks.

Rules kept here:
- so many are under way at most, whatever there is to do: memory is bounded by that;
- the first fault is the caller's: nothing is begun after it, and what is under way has ended, well
  or not, before it is raised.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

AT_ONCE = 8
"""A disk syncs eight files in little more than the time of two; each may hold a few MiB."""

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(act: Callable[[T], R], items: Iterable[T], at_once: int = AT_ONCE) -> Iterator[R]:
    """Yield what `act` makes of each item, as it becomes ready, in no order.

    `act` is called from several threads. What is left is not begun when the caller stops asking.
    """
    under_way: set[Future[R]] = set()
    with ThreadPoolExecutor(at_once, thread_name_prefix="side-by-side") as pool:
        for item in items:
            if len(under_way) == at_once:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in done)
            under_way.add(pool.submit(act, item))
        while under_way:
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            yield from (one.result() for one in done)
