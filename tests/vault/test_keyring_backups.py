"""Key backups: what a lost keyring comes back from, without bringing back what has ended."""

import base64
import io
import json

import pyrage
import pytest

from consent_service.errors import Conflict, DiskFull, IntegrityFault, SettingsFault
from consent_service.ids import new_id
from consent_service.vault.key_backups import FORMAT, LIFETIME, RestoredKeys
from consent_service.vault.keyring import KeyKind, Keyring, KeyStatus
from consent_service.vault.keyring_values import OF_UNKNOWN_AGE, KeyBackup
from tests.support.databases import Databases
from tests.support.keyrings import AT, LATER, KeyringHome, make_keys
from tests.vault.conftest import make_tables

OWNER = pyrage.x25519.Identity.generate()
RECIPIENT, IDENTITY = str(OWNER.to_public()), str(OWNER)


@pytest.fixture
def lost(databases: Databases) -> Keyring:
    """A second, empty keyring with master keys of its own: what a new machine has."""
    with databases.ready(make_tables) as url:
        home = KeyringHome(url)
        yield home.open()
        home.close()


def backup_of(keyring: Keyring) -> io.BytesIO:
    """Make a key backup in memory, ready to be read."""
    out = io.BytesIO()
    keyring.backups.make(out, RECIPIENT, AT)
    out.seek(0)
    return out


def test_a_lost_keyring_comes_back_whole(keyring: Keyring, lost: Keyring) -> None:
    """Live and sealed keys, seals without a key, and tombstones."""
    live = make_keys(keyring, 5)
    sealed, gone, fenced, never = [*make_keys(keyring, 2), new_id(), new_id()]
    before = keyring.read([*live, sealed])
    keyring.seal([sealed, fenced], AT)
    stones = keyring.destroy([gone, never], "order", AT)

    restored = lost.backups.restore(backup_of(keyring), IDENTITY, LATER)

    assert restored == RestoredKeys(restored=6, present=0, refused=0)
    assert lost.read(live) | lost.read_sealed([sealed]) == before
    assert lost.tombstones([gone, never]) == {stone.key_id: stone for stone in stones}
    assert lost.status([fenced]) == {fenced: KeyStatus.SEALED}
    assert lost.create(fenced, KeyKind.CONSENT, 7, LATER) is False


def test_keys_of_a_backup_are_of_unknown_age(keyring: Keyring, lost: Keyring) -> None:
    """Dated by their return they would look younger than film that they are the keys of."""
    live, sealed = make_keys(keyring, 2)
    keyring.seal([sealed], AT)

    lost.backups.restore(backup_of(keyring), IDENTITY, LATER)
    lost.unseal([sealed], LATER)
    lost.rotate(LATER, force=True)

    assert lost.held_since([live, sealed]) == dict.fromkeys([live, sealed], OF_UNKNOWN_AGE)
    assert OF_UNKNOWN_AGE < AT


def test_what_ended_after_the_backup_does_not_come_back(keyring: Keyring) -> None:
    """By its id, and by its fingerprint under whatever id."""
    kept, gone = make_keys(keyring, 2)
    backup = backup_of(keyring)
    keyring.destroy([gone], "order", AT)

    restored = keyring.backups.restore(backup, IDENTITY, LATER)

    assert restored == RestoredKeys(restored=0, present=1, refused=1)
    assert keyring.read([kept, gone]).keys() == {kept}


def test_a_key_is_refused_by_its_fingerprint(keyring: Keyring) -> None:
    """Somebody who holds an old key writes a backup of his own, under a new name."""
    [gone] = make_keys(keyring, 1)
    secret = keyring.read([gone])[gone]
    keyring.destroy([gone], "order", AT)
    disguised = {"key": "disguised", "kind": "consent", "zone": "live", "shard": 1}

    restored = keyring.backups.restore(
        backup_with(disguised | {"secret": base64_of(secret)}), IDENTITY, LATER
    )

    assert restored == RestoredKeys(restored=0, present=0, refused=1)
    assert keyring.status(["disguised"]) == {"disguised": KeyStatus.ABSENT}


def test_a_backup_restores_the_ends_it_knows_of(keyring: Keyring, lost: Keyring) -> None:
    """The machine that it is restored on may know a key that ended elsewhere."""
    gone = new_id()
    keyring.create(gone, KeyKind.CONSENT, 7, AT)
    lost.create(gone, KeyKind.CONSENT, 7, AT)
    keyring.destroy([gone], "order", AT)

    lost.backups.restore(backup_of(keyring), IDENTITY, LATER)

    assert lost.status([gone]) == {gone: KeyStatus.DESTROYED}


def test_what_was_sealed_while_its_key_was_lost_comes_back_sealed(
    keyring: Keyring, lost: Keyring
) -> None:
    """The service went on without its keyring, and somebody said no in that time."""
    shut, live = make_keys(keyring, 2)
    before = keyring.read([shut, live])
    backup = backup_of(keyring)
    lost.seal([shut], AT)

    assert lost.backups.restore(backup, IDENTITY, LATER) == RestoredKeys(2, 0, 0)

    assert lost.status([shut, live]) == {shut: KeyStatus.SEALED, live: KeyStatus.LIVE}
    lost.unseal([shut], LATER)
    assert lost.read([shut, live]) == before


def test_a_key_that_was_made_anew_is_not_taken_for_the_one_that_was_lost(
    keyring: Keyring, lost: Keyring
) -> None:
    """Whoever went on without the keyring would be told that all is there, and film be lost."""
    kept, anew = make_keys(keyring, 2)
    keyring.destroy(["gone"], "order", AT)
    backup = backup_of(keyring)
    lost.create(anew, KeyKind.CONSENT, 7, AT)
    before = lost.read([anew])

    with pytest.raises(Conflict, match="into an empty one"):
        lost.backups.restore(backup, IDENTITY, LATER)

    assert lost.read([kept, anew]) == before
    assert lost.tombstones(["gone"]) == {}


def test_more_keys_than_one_transaction_takes(
    keyring: Keyring, lost: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole keyrings are written and read in pieces."""
    ids = make_keys(keyring, 300)
    monkeypatch.setattr("consent_service.vault.keyring_tables.batches.__defaults__", (100,))

    restored = lost.backups.restore(backup_of(keyring), IDENTITY, LATER)

    assert restored.restored == 300
    assert lost.read(ids) == keyring.read(ids)


def test_nothing_in_a_backup_is_in_the_clear(keyring: Keyring) -> None:
    """It lies where this service cannot protect it."""
    [key_id] = make_keys(keyring, 1)
    secret = keyring.read([key_id])[key_id]
    plain = pyrage.decrypt(backup_of(keyring).getvalue(), [OWNER])
    assert base64_of(secret).encode() in plain

    content = backup_of(keyring).getvalue()

    assert content.startswith(b"age-encryption.org/v1\n-> X25519 ")
    for clear in (secret, base64_of(secret).encode(), key_id.encode()):
        assert clear not in content


# The register


def test_a_backup_is_registered_before_its_first_byte(keyring: Keyring) -> None:
    """A backup nobody knows of would make every "irrecoverable since" a lie."""
    make_keys(keyring, 1)

    class Full(io.BytesIO):
        def write(self, _content: object) -> int:
            raise DiskFull("full")

    with pytest.raises(DiskFull):
        keyring.backups.make(Full(), RECIPIENT, AT)

    [backup] = keyring.backups.registered()
    assert (backup.made_at, backup.expires_at, backup.expired_at) == (AT, AT + LIFETIME, None)


def test_a_backup_is_told_of_before_a_key_is_read_for_it(keyring: Keyring) -> None:
    """What is destroyed while the journal answers is not in it; what is told of is registered."""
    kept, gone = make_keys(keyring, 2)
    told: list[KeyBackup] = []

    def tell(backup: KeyBackup) -> None:
        told.append(backup)
        keyring.destroy([gone], "order", AT)

    made = keyring.backups.make(file := io.BytesIO(), RECIPIENT, AT, tell)

    assert told == [made] == keyring.backups.registered()
    lines = [json.loads(line) for line in pyrage.decrypt(file.getvalue(), [OWNER]).splitlines()]
    assert [line["key"] for line in lines if "key" in line] == [kept]


def test_a_backup_that_cannot_be_told_of_is_none(keyring: Keyring) -> None:
    """Neither a byte of it, nor a row that waits to be called gone."""

    def away(_backup: KeyBackup) -> None:
        raise DiskFull("full")

    with pytest.raises(DiskFull):
        keyring.backups.make(file := io.BytesIO(), RECIPIENT, AT, away)

    assert (file.getvalue(), keyring.backups.registered()) == (b"", [])


def test_a_backup_ends_after_seven_days(keyring: Keyring) -> None:
    """R32."""
    first = keyring.backups.make(io.BytesIO(), RECIPIENT, AT)
    second = keyring.backups.make(io.BytesIO(), RECIPIENT, LATER)
    due = AT + LIFETIME

    assert keyring.backups.expire(due.replace(minute=0)) == []
    [ended] = keyring.backups.expire(due)

    assert (ended.backup_id, ended.expired_at) == (first.backup_id, due)
    assert keyring.backups.expire(due) == []
    assert keyring.backups.registered() == [ended, second]


def test_a_new_keyring_learns_each_lost_backup_once(keyring: Keyring, lost: Keyring) -> None:
    """A backup that nobody remembers is never deleted; told twice, it is still one."""
    first = keyring.backups.make(io.BytesIO(), RECIPIENT, AT)
    keyring.backups.expire(AT + LIFETIME)
    second = keyring.backups.make(io.BytesIO(), RECIPIENT, AT + LIFETIME)
    known = keyring.backups.registered()

    for told in (known[:1], known, known):
        lost.backups.remember(told)

    assert lost.backups.registered() == known
    assert [one.backup_id for one in known] == [first.backup_id, second.backup_id]


def test_irrecoverable_waits_for_the_last_backup_that_held_the_key(keyring: Keyring) -> None:
    """Whoever holds that backup can still open the film."""
    [gone, later] = make_keys(keyring, 2)
    keyring.backups.make(io.BytesIO(), RECIPIENT, AT)
    keyring.destroy([gone], "order", AT)
    keyring.rotate(LATER)
    assert keyring.irrecoverable_since([gone]) == {gone: None}

    ended = AT + LIFETIME
    keyring.backups.expire(ended)
    assert keyring.irrecoverable_since([gone]) == {gone: ended}
    keyring.backups.make(io.BytesIO(), RECIPIENT, ended)

    assert keyring.irrecoverable_since([gone, later]) == {gone: ended}


def test_a_backup_made_while_keys_were_on_their_way_out_counts(keyring: Keyring) -> None:
    """Destroyed by the clock, still there for the backup: what counts is that a rotation came."""
    [gone] = make_keys(keyring, 1)
    keyring.backups.make(file := io.BytesIO(), RECIPIENT, LATER)
    keyring.destroy([gone], "order", AT)
    keyring.rotate(LATER)

    assert gone.encode() in pyrage.decrypt(file.getvalue(), [OWNER])
    assert keyring.irrecoverable_since([gone]) == {gone: None}
    keyring.backups.expire(LATER + LIFETIME)
    assert keyring.irrecoverable_since([gone]) == {gone: LATER + LIFETIME}


# What is no backup


def base64_of(content: bytes) -> str:
    """As backups write bytes."""
    return base64.b64encode(content).decode()


def encrypted(lines: list[object]) -> io.BytesIO:
    """Whatever somebody who knows the recipient can write."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return io.BytesIO(pyrage.encrypt(text.encode(), [OWNER.to_public()]))


def backup_with(*lines: object) -> io.BytesIO:
    """A whole backup with these lines."""
    return encrypted([{"format": FORMAT}, *lines, {"end": len(lines)}])


KEY = {"key": "a", "kind": "asset", "zone": "live", "shard": 1, "secret": base64_of(b"k" * 32)}
STONE = {"tombstone": "b", "fingerprint": None, "destroyed_at": AT.isoformat(), "order": "o"}


@pytest.mark.parametrize(
    "recipient",
    ["", "age1nonsense", IDENTITY, "ssh-ed25519 AAAA"],
    ids=["nothing", "nonsense", "a secret key", "another kind"],
)
def test_a_recipient_that_is_none_names_the_setting(keyring: Keyring, recipient: str) -> None:
    """And nothing is registered, because nothing was made."""
    with pytest.raises(SettingsFault, match="CONSENT_BACKUP_RECIPIENT"):
        keyring.backups.make(io.BytesIO(), recipient, AT)

    assert keyring.backups.registered() == []


@pytest.mark.parametrize(
    "identity",
    ["", RECIPIENT, str(pyrage.x25519.Identity.generate())],
    ids=["nothing", "its own recipient", "another identity"],
)
def test_another_identity_opens_nothing(keyring: Keyring, identity: str) -> None:
    """Not the recipient's, or not one at all."""
    with pytest.raises(IntegrityFault, match="does not open"):
        keyring.backups.restore(backup_of(keyring), identity, LATER)


@pytest.mark.parametrize("cut", [0, 10, 200, -1])
def test_a_cut_backup_is_refused_whole(keyring: Keyring, lost: Keyring, cut: int) -> None:
    """Half a keyring would look like consent withdrawn."""
    ids = make_keys(keyring, 3)
    content = backup_of(keyring).getvalue()

    with pytest.raises(IntegrityFault):
        lost.backups.restore(io.BytesIO(content[:cut]), IDENTITY, LATER)

    assert lost.read(ids) == {}


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["not a mapping"],
        [{"format": FORMAT}],
        [{"format": FORMAT}, KEY],
        [{"format": FORMAT}, {"end": 1}],
        [{"format": "another"}, {"end": 0}],
        [{"format": FORMAT}, KEY | {"kind": "master"}, {"end": 1}],
        [{"format": FORMAT}, KEY | {"zone": "cellar"}, {"end": 1}],
        [{"format": FORMAT}, KEY | {"shard": 1024}, {"end": 1}],
        [{"format": FORMAT}, KEY | {"shard": "1"}, {"end": 1}],
        [{"format": FORMAT}, KEY | {"key": ""}, {"end": 1}],
        [{"format": FORMAT}, KEY | {"secret": "*"}, {"end": 1}],
        [{"format": FORMAT}, STONE | {"destroyed_at": "yesterday"}, {"end": 1}],
        [{"format": FORMAT}, {"unknown": 1}, {"end": 1}],
        *(
            [{"format": FORMAT}, KEY | changed, {"end": 1}]
            for changed in (
                {"key": ["a"]},
                {"key": {"a": 1}},
                {"shard": 1.5},
                {"shard": True},
                {"secret": ""},
                {"secret": base64_of(b"k" * 16)},
                {"kind": "data"},
            )
        ),
        *(
            [{"format": FORMAT}, STONE | changed, {"end": 1}]
            for changed in (
                {"tombstone": 7},
                {"tombstone": "\ud800"},
                {"order": None},
                {"order": ["o"]},
                {"fingerprint": "abcd"},
                {"destroyed_at": "2026-05-04T09:30:00"},
                {"destroyed_at": "0001-01-01T00:00:00+14:00"},
            )
        ),
        [{"format": FORMAT}, {"fence": None}, {"end": 1}],
        [{"format": FORMAT}, {"fence": "x" * 101}, {"end": 1}],
        [{"format": FORMAT}, KEY, KEY, {"end": 2}],
        [{"format": FORMAT}, KEY, KEY | {"zone": "escrow"}, {"end": 2}],
    ],
)
def test_a_file_that_is_no_backup_changes_nothing(keyring: Keyring, lines: list[object]) -> None:
    """Anybody who knows the recipient can write one: it is read through before anything is done."""
    with pytest.raises(IntegrityFault, match="not a whole key backup"):
        keyring.backups.restore(encrypted(lines), IDENTITY, LATER)

    assert list(keyring.list_keys()) == []
    assert keyring.tombstones(["b"]) == {}


def test_a_line_that_is_nested_without_end_is_no_line(keyring: Keyring) -> None:
    """The reader follows it down, and must come back with a sentence."""
    deep = b'{"a":' * 10_000
    file = io.BytesIO(pyrage.encrypt(deep, [OWNER.to_public()]))

    with pytest.raises(IntegrityFault, match="not a whole key backup"):
        keyring.backups.restore(file, IDENTITY, LATER)
