"""The public keys with which certificates, checkpoints and exports verify offline."""

from datetime import datetime

from consent_service.api.operations import Answer, Ask, Open, Room
from consent_service.api.shapes import Reply

room = Room("keys")


class KeyReply(Reply):
    """A public key; a retired one still verifies what it signed."""

    use: str
    key_id: str
    pem: str
    created_at: datetime
    retired_at: datetime | None


class KeysReply(Reply):
    """Every public key there ever was, oldest first."""

    keys: tuple[KeyReply, ...]


@room.get("/keys/public", Open.EVERYONE, KeysReply)
def read_public_keys(ask: Ask) -> Answer:
    """Read every public key; anybody may."""
    keys = tuple(KeyReply.model_validate(key) for key in ask.ctx.signers.published)
    return Answer(KeysReply(keys=keys))
