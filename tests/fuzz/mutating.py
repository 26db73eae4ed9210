"""Bytes that nobody would send, made from valid ones; the same each time for the same seed.

For machines without a coverage-guided fuzzer, and for the short form in every test run.
"""

import random
from collections.abc import Iterator, Sequence

_ODD = (b"\x00", b"\xff", b'"', b"\\", b"{", b"[", b"]", b"-", b"9" * 40, b"1e999", b"\xed\xa0\x80")
_LONGEST = 1 << 20


def mutated(seeds: Sequence[bytes], cases: int, seed: int = 1) -> Iterator[bytes]:
    """Yield each valid sample, then `cases` spoilt ones."""
    yield from seeds
    chance = random.Random(seed)
    for _ in range(cases):
        content = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
            _spoil(content, chance, seeds)
        yield bytes(content[:_LONGEST])


def _spoil(content: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    at = chance.randrange(len(content) + 1)
    end = min(len(content), at + chance.choice((1, 2, 8, 64, 16_400)))
    match chance.randrange(7):
        case 0 if at < len(content):
            content[at] ^= 1 << chance.randrange(8)
        case 1:
            del content[at:end]
        case 2:
            content[at:at] = content[at:end]
        case 3:
            content[at:end] = chance.choice(_ODD)
        case 4:
            del content[at:]
        case 5:
            other = chance.choice(seeds)
            start = chance.randrange(len(other) + 1)
            content[at:end] = other[start : start + end - at + 1]
        case _:
            content[at:at] = chance.randbytes(chance.choice((1, 4, 16)))
