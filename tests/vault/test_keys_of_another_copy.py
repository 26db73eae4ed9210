"""A key is destroyed that this keyring lacks: the copy that has it is shut by the next rotation."""

from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, text

from consent_service.errors import IntegrityFault
from consent_service.ids import new_id
from consent_service.vault.keyring import KeyKind, Keyring, Tombstone, Zone
from tests.support.keyrings import AT, LATER, KeyringHome, WrapsOnly, make_keys

SHARD = 7
End = Callable[[Keyring, str, int | None], object]


def _execute(home: KeyringHome, *statements: str) -> None:
    """Change the keyring's tables behind its back."""
    engine = create_engine(home.url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def _ordered(keyring: Keyring, key_id: str, shard: int | None) -> object:
    return keyring.destroy([key_id], "order", AT, shard)


def _told(keyring: Keyring, key_id: str, shard: int | None) -> object:
    return keyring.purge_tombstoned(AT, [Tombstone(key_id, None, AT, "order", shard)])


def _ordered_after_it_was_sealed(keyring: Keyring, key_id: str, shard: int | None) -> object:
    keyring.seal([key_id], AT)
    return keyring.destroy([key_id], "order", AT, shard)


@pytest.mark.parametrize("shard", [SHARD, None])
@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("end", [_ordered, _told, _ordered_after_it_was_sealed])
def test_a_newer_copy_that_somebody_kept_opens_nothing_that_ended_here(
    home: KeyringHome, keyring: Keyring, end: End, sealed: bool, shard: int | None
) -> None:
    """An older keyring was put back, so the key is not here; its shard's key, of that copy, is."""
    [film, _] = make_keys(keyring, 2, KeyKind.ASSET, SHARD)
    if sealed:
        keyring.seal([film], AT)
    read = keyring.read_sealed if sealed else keyring.read
    secret = read([film])[film]
    take = f"FROM held_key WHERE key_id = '{film}'"
    _execute(home, "DROP TABLE IF EXISTS kept_copy")
    _execute(home, f"CREATE TABLE kept_copy AS SELECT * {take}", f"DELETE {take}")
    back = "INSERT INTO held_key SELECT * FROM kept_copy"

    end(keyring, film, shard)
    _execute(home, back)
    assert read([film]) == {film: secret}, "otherwise nothing is tried here"
    _execute(home, f"DELETE {take}")
    keyring.rotate(LATER)

    assert keyring.irrecoverable_since([film]) == {film: LATER}
    _execute(home, back)
    with pytest.raises(IntegrityFault):
        read([film])


def test_only_the_shard_that_it_was_in_is_replaced(home: KeyringHome, keyring: Keyring) -> None:
    """In both zones and with its pockets, since only the copy knows where it stands there."""
    make_keys(keyring, 1, shard=SHARD)
    make_keys(keyring, 1, shard=SHARD + 1)
    sealed, pocketed, elsewhere = (
        make_keys(keyring, 1, shard=place)[0] for place in (SHARD, SHARD, SHARD + 1)
    )
    keyring.seal([sealed, elsewhere], AT)
    home.open(escrow=WrapsOnly(home.escrow)).seal([pocketed], AT)
    keyring.rotate(AT)
    [pocket] = {e.shard for e in keyring.list_keys(Zone.ESCROW)} - {SHARD, SHARD + 1}

    keyring.destroy([new_id()], "order", AT, SHARD)

    mine = [(Zone.ESCROW, SHARD), (Zone.ESCROW, pocket), (Zone.LIVE, SHARD)]
    assert keyring.dirty_shards() == mine
    assert keyring.rotate(LATER).shards_rotated == len(mine)


def test_where_nobody_knows_its_shard_all_are_replaced(keyring: Keyring) -> None:
    """To promise more than is known would be a lie."""
    make_keys(keyring, 1, shard=1)
    make_keys(keyring, 1, shard=2)

    keyring.destroy([new_id()], "order", AT)

    assert keyring.dirty_shards() == [(Zone.LIVE, 1), (Zone.LIVE, 2)]


def test_what_was_destroyed_before_asks_for_nothing_more(keyring: Keyring) -> None:
    """A step that a crash had repeated must not have everything wrapped anew each time."""
    [here] = make_keys(keyring, 1, shard=SHARD)
    lacking = new_id()
    keyring.destroy([here, lacking], "order", AT, SHARD)
    keyring.rotate(AT)

    keyring.destroy([here, lacking], "order", LATER)
    keyring.purge_tombstoned(LATER, [Tombstone(lacking, None, LATER, "order")])

    assert keyring.dirty_shards() == []
    assert not keyring.awaits_rotation()


def test_a_shard_that_is_none_is_refused(keyring: Keyring) -> None:
    """A pocket's number would mark nothing, and the copy would stay open."""
    with pytest.raises(ValueError, match="shard"):
        keyring.destroy([new_id()], "order", AT, SHARD + 1024)
