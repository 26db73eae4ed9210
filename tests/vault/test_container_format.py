"""The bytes of a container are a promise to whoever must open it in twenty years."""

import pytest

from consent_service.errors import ContainerCorrupt
from consent_service.vault.container import (
    BytesSource,
    ContainerReader,
    ObjectKind,
    film_context,
    new_data_key,
    part_context,
    plain_size_of,
    stored_size_of,
)
from tests.support.containers import CHUNK, EDGES, film_of, opened_by_library, sealed_by_library

ASSET = "00112233445566778899aabbccddeeff"
KEPT_SINCE_2026 = bytes.fromhex(
    "f529061d08ef8752156fc831b7786d5c026860e5b93861a3d125ab818293146a847d48434e673da2"
    "75adb26c912ae6c890f91d909cd1e141801562b0dc7af9b9eaec4ae55bd534ed2db8bca2c59699a5"
    "1a7989"
)


def test_a_context_names_kind_asset_and_generation() -> None:
    """Every film ever stored depends on these bytes: they must never change."""
    context = film_context(ObjectKind.RECORDING, ASSET, 258)

    assert context == (
        b"consent-service/film/v1\x00\x01\x00" + bytes.fromhex(ASSET) + b"\x00\x00\x01\x02"
    )


def test_a_part_also_names_its_offset() -> None:
    """Two parts of one upload would otherwise open in each other's place."""
    context = part_context(ASSET, 1, 2**32)

    assert context == (
        b"consent-service/film/v1\x00\x04\x00"
        + bytes.fromhex(ASSET)
        + b"\x00\x00\x00\x01"
        + b"\x00\x00\x00\x01\x00\x00\x00\x00"
    )


def test_a_part_without_offset_has_no_context() -> None:
    """Forgetting the offset must fail loudly, not store parts that can be exchanged."""
    with pytest.raises(ValueError, match="part_context"):
        film_context(ObjectKind.UPLOAD_PART, ASSET, 1)


@pytest.mark.parametrize("generation", [-1, 2**32])
def test_a_generation_out_of_bounds_is_refused(generation: int) -> None:
    """A generation that wraps round would let an old object open again."""
    with pytest.raises(OverflowError):
        film_context(ObjectKind.CLIP, ASSET, generation)


@pytest.mark.parametrize("asset", ["", "ab" * 15, ASSET.upper(), "zz" * 16])
def test_what_is_no_id_makes_no_context(asset: str) -> None:
    """Two spellings of one id would be two contexts, and the film would not open."""
    with pytest.raises(ValueError, match="hexadecimal"):
        film_context(ObjectKind.CLIP, asset, 1)


def test_kinds_keep_their_numbers() -> None:
    """The number is part of the context: renumbering would lose every film."""
    numbers = {kind.name: kind.value for kind in ObjectKind}

    assert numbers == {
        "RECORDING": 1,
        "CLIP": 2,
        "STILL": 3,
        "UPLOAD_PART": 4,
        "SCAN": 5,
    }


def test_data_keys_are_fresh() -> None:
    """Two films under one key would be erased together, or not at all."""
    keys = {new_data_key() for _ in range(64)}

    assert len(keys) == 64
    assert {len(key) for key in keys} == {32}


@pytest.mark.parametrize("size", EDGES)
def test_sizes_are_known_before_encrypting(size: int) -> None:
    """Stores reserve room by this number, and readers find the end by it."""
    stored = sealed_by_library(film_of(size))

    assert stored_size_of(size) == len(stored)
    assert plain_size_of(len(stored)) == size


@pytest.mark.parametrize(
    "stored_size",
    [-1, 0, 55, 56, 71, 56 + CHUNK + 16, 56 + CHUNK + 31, 56 + 2**38 * (CHUNK + 16) + 16],
)
def test_a_size_that_no_message_has_is_refused(stored_size: int) -> None:
    """A wrong size is seen before a byte is read, or memory is reserved for it."""
    with pytest.raises(ContainerCorrupt):
        plain_size_of(stored_size)


def test_an_object_kept_from_long_ago_still_opens() -> None:
    """A change of library or of our code must not lose what was stored before it."""
    key, context = bytes(range(32)), film_context(ObjectKind.STILL, ASSET, 7)

    reader = ContainerReader(BytesSource(KEPT_SINCE_2026), key, context)

    assert reader.read(0, reader.size) == b"first smile"
    assert opened_by_library(KEPT_SINCE_2026, key, context) == b"first smile"
