"""The Merkle tree of RFC 6962 section 2: hashes, roots, proofs and their verification.

Pure. A leaf is SHA-256(0x00 ‖ body), a node SHA-256(0x01 ‖ left ‖ right). The tree over `n` leaves
splits at the largest power of two below `n`, so it is made of *perfect* subtrees, one for each bit
of `n`; proofs need nothing else. Where those come from (tiles, a list) is the caller's matter.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from operator import add
from typing import Protocol

HASH_BYTES = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT

PerfectNode = Callable[[int, int], bytes]
"""(height, index) -> root of the perfect subtree over leaves index·2^height up to the next one."""


class _Hash(Protocol):
    """As much of a hashlib object as is used here."""

    def update(self, message: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


_LEAF: Callable[[], _Hash] = sha256(b"\x00").copy
_NODE: Callable[[], _Hash] = sha256(b"\x01").copy


def leaf_hash(body: bytes) -> bytes:
    """Return SHA-256(0x00 ‖ body)."""
    return sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def leaf_hashes(bodies: Iterable[bytes]) -> list[bytes]:
    """Return the leaf hash of each body."""
    return _hashes(_LEAF, bodies)


def first_difference(ours: Sequence[object], theirs: Sequence[object]) -> int:
    """Return the place of the first pair that differs, or of the end of the shorter one."""
    if tuple(ours) == tuple(theirs):
        return len(ours)
    pairs = zip(ours, theirs, strict=False)
    shorter = min(len(ours), len(theirs))
    return next((place for place, (left, right) in enumerate(pairs) if left != right), shorter)


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over 2^k hashes of one height."""
    if not hashes or len(hashes) & (len(hashes) - 1):
        raise ValueError("a perfect subtree has a power of two of leaves")
    while len(hashes) > 1:
        hashes = _hashes(_NODE, map(add, hashes[::2], hashes[1::2]))
    return hashes[0]


def _hashes(prefix: Callable[[], "_Hash"], messages: Iterable[bytes]) -> list[bytes]:
    """Hash many short messages; a copied state costs less than a new one."""
    hashes = []
    for message in messages:
        state = prefix()
        state.update(message)
        hashes.append(state.digest())
    return hashes


class Frontier:
    """A growing tree of which only the perfect subtrees on its right edge are kept.

    Memory: one hash for each bit of the size. `extend` costs one hash per leaf.
    """

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    @classmethod
    def of(cls, nodes: PerfectNode, size: int) -> "Frontier":
        """Return the frontier of the first `size` leaves of a stored tree."""
        frontier = cls()
        frontier._edge = [nodes(height, index) for height, index in _decompose(0, size)]
        frontier.size = size
        return frontier

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Append leaf hashes."""
        done = 0
        while done < len(leaves):
            aligned = not self.size % TILE_WIDTH and len(leaves) - done >= TILE_WIDTH
            height = TILE_HEIGHT if aligned else 0
            self.add_perfect(height, perfect_root(leaves[done : done + (1 << height)]))
            done += 1 << height

    def add_perfect(self, height: int, root: bytes) -> None:
        """Append a whole perfect subtree of 2^height leaves; the size must be a multiple of it."""
        if self.size & ((1 << height) - 1):
            raise ValueError("a subtree can only be added where it would stand")
        bit = 1 << height
        while self.size & bit:
            root = node_hash(self._edge.pop(), root)
            bit <<= 1
        self._edge.append(root)
        self.size += 1 << height

    def root(self) -> bytes:
        """Return the root over all leaves so far; of none it is SHA-256 of nothing."""
        return _fold(self._edge)


def root_at(nodes: PerfectNode, size: int) -> bytes:
    """Return the root over the first `size` leaves."""
    return Frontier.of(nodes, size).root()


def inclusion_path(nodes: PerfectNode, index: int, size: int) -> list[bytes]:
    """Return the audit path of leaf `index` in the tree of `size` leaves (RFC 6962, 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError("that leaf is not in a tree of this size")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_subtree(nodes, middle, high))
            high = middle
        else:
            path.append(_subtree(nodes, low, middle))
            low = middle
    return path[::-1]


def consistency_path(nodes: PerfectNode, old: int, new: int) -> list[bytes]:
    """Return the proof that the tree of `new` leaves extends the one of `old` (2.1.2)."""
    if not 0 < old <= new:
        raise ValueError("the older tree has at least one leaf and is not larger than the newer")
    path: list[bytes] = []
    low, high, whole = 0, new, True
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(_subtree(nodes, middle, high))
            high = middle
        else:
            path.append(_subtree(nodes, low, middle))
            low, whole = middle, False
    if not whole:
        path.append(_subtree(nodes, low, high))
    return path[::-1]


def verify_inclusion(leaf: tuple[int, bytes], size: int, root: bytes, path: list[bytes]) -> bool:
    """Tell whether `path` proves that leaf (index, hash) is in the tree (RFC 9162, 2.1.3.2)."""
    index, found = leaf
    if not 0 <= index < size:
        return False
    last = size - 1
    for step in path:
        if last == 0:
            return False
        if index & 1 or index == last:
            found = node_hash(step, found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = node_hash(found, step)
        index, last = index >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(old: tuple[int, bytes], new: tuple[int, bytes], path: list[bytes]) -> bool:
    """Tell whether `path` proves that (size, root) `new` extends `old` (RFC 9162, 2.1.4.2)."""
    (old_size, old_root), (new_size, new_root) = old, new
    if not 0 < old_size <= new_size:
        return False
    if old_size == new_size:
        return not path and old_root == new_root
    steps = iter(path if old_size & (old_size - 1) else [old_root, *path])
    index, last = old_size - 1, new_size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    return _roots_along(steps, index, last) == (old_root, new_root)


def _roots_along(steps: Iterator[bytes], index: int, last: int) -> tuple[bytes, bytes] | None:
    """Return the two roots that a consistency proof leads to; nothing when its length is wrong."""
    start = next(steps, None)
    if start is None:
        return None
    older = newer = start
    for step in steps:
        if last == 0:
            return None
        if index & 1 or index == last:
            older, newer = node_hash(step, older), node_hash(step, newer)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            newer = node_hash(newer, step)
        index, last = index >> 1, last >> 1
    return (older, newer) if last == 0 else None


def _split(count: int) -> int:
    """Return the largest power of two that is smaller than `count` (at least 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def _subtree(nodes: PerfectNode, low: int, high: int) -> bytes:
    """Return the hash over leaves low..high-1, where low is where such a subtree can start."""
    return _fold([nodes(height, index) for height, index in _decompose(low, high)])


def _fold(edge: Iterable[bytes]) -> bytes:
    """Join perfect subtrees, left to right and larger first, into one root."""
    parts = list(edge)
    if not parts:
        return sha256().digest()
    root = parts.pop()
    while parts:
        root = node_hash(parts.pop(), root)
    return root


def _decompose(low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield (height, index) of the perfect subtrees that make up leaves low..high-1."""
    while low < high:
        height = (high - low).bit_length() - 1
        yield height, low >> height
        low += 1 << height
