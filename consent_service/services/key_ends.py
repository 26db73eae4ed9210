"""The end of keys: the journal's line first, durable, and only then the keys.

Rules kept here:
  * no key goes before its line stands, so no keyring or key backup that is put back revives it;
  * whoever ends a key says in which shard it was, and the line says it: a copy of the keyring that
    has a key which this one lacks is shut by the next rotation, and nobody else's keys are wrapped
    anew for that, whoever carries the line out.
"""

from collections.abc import Iterable, Iterator, Sequence

from consent_service.services.context import Context
from consent_service.vault.journal import JournalLine, LineKind
from consent_service.vault.keyring_values import Tombstone


def destroy(ctx: Context, why: str, key_ids: Sequence[str], shard: int | None) -> None:
    """Write the journal's line and let the keys go; `why` is the order, or what stands for one.

    `shard` is that of all of them, None where nobody knows it. Raises what the journal raises, and
    no key went then; after a crash the line may stand twice.
    """
    body = {"order": why, "keys": list(key_ids), "shard": shard}
    ctx.journal.append(LineKind.KEY_DESTROYED, body, ctx.clock.now())
    # Not before the line stands, and by a clock read anew: the journal may take a while to answer.
    ctx.keyring.destroy(key_ids, why, ctx.clock.now(), shard)


def tombstones(lines: Iterable[JournalLine]) -> Iterator[Tombstone]:
    """Yield what the journal says of every key that was destroyed."""
    for line in lines:
        if line.kind is LineKind.KEY_DESTROYED:
            # A line of an earlier version does not say in which shard its keys were.
            order, shard = line.body["order"], line.body.get("shard")
            for key in line.body["keys"]:
                yield Tombstone(key, None, line.at, order, shard)
