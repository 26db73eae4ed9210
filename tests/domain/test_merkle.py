"""The Merkle tree, against RFC 6962's own recursive definition and published vectors."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.domain import merkle

# Leaves and roots of the reference implementation of Certificate Transparency.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(str(number).encode()) for number in range(count)]


def defined_root(hashes: list[bytes]) -> bytes:
    """The definition in RFC 6962, 2.1, word for word."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return merkle.node_hash(defined_root(hashes[:split]), defined_root(hashes[split:]))


def nodes_of(hashes: list[bytes]) -> merkle.PerfectNode:
    def node(height: int, index: int) -> bytes:
        part = hashes[index << height : (index + 1) << height]
        assert len(part) == 1 << height
        return defined_root(part)

    return node


def test_the_empty_tree_and_one_leaf_are_as_published():
    """Anybody's verifier must agree on the two simplest trees."""
    assert merkle.Frontier().root().hex() == sha256(b"").hexdigest()
    assert merkle.leaf_hash(b"").hex() == CT_ROOTS[0]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_certificate_transparency_reference(size):
    """A log that only we can verify proves nothing."""
    frontier = merkle.Frontier()

    frontier.extend(merkle.leaf_hashes(CT_LEAVES[:size]))

    assert frontier.root().hex() == CT_ROOTS[size - 1]


def test_a_leaf_can_never_pass_for_a_node():
    """Without the two prefixes a forger could pass off an inner node as an entry."""
    left, right = leaves(2)

    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513, 1000])
def test_a_frontier_gives_the_defined_root_however_it_was_fed(size):
    """The sealer adds as many entries as there are; the root may not depend on the portions."""
    hashes = leaves(size)
    at_once, in_portions = merkle.Frontier(), merkle.Frontier()

    at_once.extend(hashes)
    for start in range(0, size, 100):
        in_portions.extend(hashes[start : start + 100])

    assert at_once.root() == in_portions.root() == defined_root(hashes)
    assert at_once.size == in_portions.size == size


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_frontier_goes_on_from_a_stored_tree(before, more):
    """Each seal starts from what is in the database."""
    hashes = leaves(before + more)
    frontier = merkle.Frontier.of(nodes_of(hashes), before)

    frontier.extend(hashes[before:])

    assert frontier.root() == defined_root(hashes)
    assert merkle.root_at(nodes_of(hashes), before) == defined_root(hashes[:before])


def test_a_subtree_is_refused_where_it_cannot_stand():
    """A tile added in the wrong place would give a root of some other log."""
    frontier = merkle.Frontier()
    frontier.extend(leaves(3))

    with pytest.raises(ValueError, match="would stand"):
        frontier.add_perfect(8, leaves(1)[0])


@pytest.mark.parametrize("count", [0, 3, 255])
def test_a_perfect_subtree_has_a_power_of_two_of_leaves(count):
    """Anything else has no root of its own in RFC 6962."""
    with pytest.raises(ValueError, match="power of two"):
        merkle.perfect_root(leaves(count))


@pytest.mark.parametrize("size", range(1, 35))
def test_every_inclusion_proof_holds_and_holds_for_nothing_else(size):
    """A parent's entry is proved to be in the log; no other entry may pass for it."""
    hashes = leaves(size)
    root = defined_root(hashes)

    for index in range(size):
        path = merkle.inclusion_path(nodes_of(hashes), index, size)

        assert merkle.verify_inclusion((index, hashes[index]), size, root, path)
        assert not merkle.verify_inclusion((index, b"\0" * 32), size, root, path)
        assert not merkle.verify_inclusion((index, hashes[index]), size, b"\0" * 32, path)
        assert not merkle.verify_inclusion((index, hashes[index]), size, root, [*path, root])
        assert not path or not merkle.verify_inclusion(
            (index, hashes[index]), size, root, path[:-1]
        )
        for other in set(range(size)) - {index}:
            assert not merkle.verify_inclusion((other, hashes[index]), size, root, path)


@pytest.mark.parametrize("new", range(1, 35))
def test_every_consistency_proof_holds_and_no_altered_history_passes(new):
    """The proof says: nothing that was in the log has been changed since."""
    hashes = leaves(new)
    root = defined_root(hashes)

    for old in range(1, new + 1):
        old_root = defined_root(hashes[:old])
        path = merkle.consistency_path(nodes_of(hashes), old, new)

        assert merkle.verify_consistency((old, old_root), (new, root), path)
        assert not merkle.verify_consistency((old, b"\0" * 32), (new, root), path)
        assert not merkle.verify_consistency((old, old_root), (new, b"\0" * 32), path)
        assert not merkle.verify_consistency((old, old_root), (new, root), [*path, root])
        assert not path or not merkle.verify_consistency((old, old_root), (new, root), path[:-1])


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0)])
def test_a_leaf_outside_the_tree_has_no_proof(index, size):
    """Asked for what is not there, there must be an error and no proof of something else."""
    with pytest.raises(ValueError, match="not in a tree"):
        merkle.inclusion_path(nodes_of(leaves(4)), index, size)
    assert not merkle.verify_inclusion((index, leaves(1)[0]), size, leaves(1)[0], [])


@pytest.mark.parametrize(("old", "new"), [(0, 4), (5, 4)])
def test_a_tree_cannot_extend_a_larger_or_an_empty_one(old, new):
    """RFC 6962 defines no such proof."""
    hashes = leaves(5)

    with pytest.raises(ValueError, match="older tree"):
        merkle.consistency_path(nodes_of(hashes), old, new)
    assert not merkle.verify_consistency((old, hashes[0]), (new, hashes[0]), [])


def test_an_empty_proof_proves_only_that_nothing_was_added():
    """A missing proof must not count as one."""
    root = defined_root(leaves(3))

    assert merkle.verify_consistency((3, root), (3, root), [])
    assert not merkle.verify_consistency((3, root), (4, root), [])
    assert not merkle.verify_consistency((2, root), (4, root), [])
