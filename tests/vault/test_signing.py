"""Signing keys and signed notes: made once, used for one thing, verified with public keys alone."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from consent_service.domain.signed_note import open_note, sign_note
from consent_service.errors import IntegrityFault, SettingsFault, Unavailable
from consent_service.vault.signing import (
    PublicKey,
    SigningUse,
    load_signer,
    make_signing_keys,
    public_keys,
    retire,
    verify,
)

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
LATER = AT + timedelta(days=30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which every key has been made."""
    keys = tmp_path / "signing"
    make_signing_keys(keys, AT)
    return keys


def ec_pem() -> bytes:
    """A private key of another kind."""
    key = generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_there_is_one_key_for_each_use(folder: Path) -> None:
    """A stolen certificates key must not be able to forge the log."""
    key_ids = {load_signer(folder, use).key_id for use in SigningUse}

    assert len(key_ids) == 3
    assert {(key.use, key.created_at, key.retired_at) for key in public_keys(folder)} == {
        (use, AT, None) for use in SigningUse
    }


def test_private_keys_are_readable_by_the_service_alone(folder: Path) -> None:
    """Whoever reads a private key signs in our name."""
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.glob("*.pem")}

    assert modes == {f"{use}.pem": 0o600 for use in SigningUse}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_making_keys_again_changes_nothing(folder: Path) -> None:
    """`init` may be run at any time; a new key would orphan what the old one signed."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    make_signing_keys(folder, LATER)

    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_making_keys_finishes_what_a_crash_left(folder: Path) -> None:
    """Killed between the key and its publication: the next start publishes the same key."""
    signer = load_signer(folder, SigningUse.LOG)
    (folder / "public" / f"log-{signer.key_id}.json").unlink()

    with pytest.raises(SettingsFault, match="not published"):
        load_signer(folder, SigningUse.LOG)
    make_signing_keys(folder, LATER)

    assert load_signer(folder, SigningUse.LOG).key_id == signer.key_id


def test_a_lost_private_key_is_not_replaced_in_silence(folder: Path) -> None:
    """Losing a signing key is an incident; somebody has to say so by retiring it."""
    (folder / "log.pem").unlink()

    with pytest.raises(SettingsFault, match=r"private key of log is lost.*log\.pem"):
        make_signing_keys(folder, LATER)

    signer = retire(folder, SigningUse.LOG, LATER)
    make_signing_keys(folder, LATER)
    assert load_signer(folder, SigningUse.LOG).key_id == signer.key_id


def test_a_signature_is_verified_with_public_keys_alone(folder: Path) -> None:
    """A court or a parent checks a certificate without access to the service."""
    signer = load_signer(folder, SigningUse.CERTIFICATES)
    signature = signer.sign(b"erased")
    keys = [PublicKey.from_json(key.as_json()) for key in public_keys(folder)]

    verify(keys, SigningUse.CERTIFICATES, b"erased", signature, signer.key_id)
    with pytest.raises(IntegrityFault) as refused:
        verify(keys, SigningUse.CERTIFICATES, b"kept", signature, signer.key_id)

    assert refused.value.code == "bad_signature"


def test_a_signer_signs_notes_that_its_public_key_opens(folder: Path) -> None:
    """The log's checkpoints are signed notes; offline tools have the published key alone."""
    note = sign_note("origin\n", load_signer(folder, SigningUse.LOG), "consent.example/log")
    keys = [key.key for key in public_keys(folder) if key.use is SigningUse.LOG]

    assert open_note(note, keys, "consent.example/log") == "origin\n"


def test_a_key_signs_for_its_use_only(folder: Path) -> None:
    """Otherwise text that one part of the service signs could be passed off as another's."""
    signer = load_signer(folder, SigningUse.JOURNAL)

    with pytest.raises(IntegrityFault) as refused:
        verify(public_keys(folder), SigningUse.LOG, b"x", signer.sign(b"x"), signer.key_id)

    assert refused.value.code == "unknown_key"


def test_what_a_retired_key_signed_still_verifies(folder: Path) -> None:
    """Certificates outlive keys: twenty-five years on they must still be checkable."""
    old = load_signer(folder, SigningUse.LOG)
    signature = old.sign(b"entry")

    new = retire(folder, SigningUse.LOG, LATER)

    keys = public_keys(folder)
    verify(keys, SigningUse.LOG, b"entry", signature, old.key_id)
    verify(keys, SigningUse.LOG, b"entry", new.sign(b"entry"), new.key_id)
    assert load_signer(folder, SigningUse.LOG).key_id == new.key_id != old.key_id
    assert {key.key_id: key.retired_at for key in keys if key.use is SigningUse.LOG} == {
        old.key_id: LATER,
        new.key_id: None,
    }


def test_a_key_retired_twice_keeps_its_first_date(folder: Path) -> None:
    """When a key went out of use is a fact that later retirements must not rewrite."""
    old = load_signer(folder, SigningUse.LOG)

    retire(folder, SigningUse.LOG, LATER)
    retire(folder, SigningUse.LOG, LATER + timedelta(days=1))

    retired = {key.key_id: key.retired_at for key in public_keys(folder)}
    assert retired[old.key_id] == LATER


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (b"no key at all", 0o600, "cannot be read as a key"),
        (ec_pem(), 0o600, "is no Ed25519 key"),
        (None, 0o640, "can be read by others"),
    ],
)
def test_an_unfit_private_key_is_refused(
    folder: Path, content: bytes | None, mode: int, sentence: str
) -> None:
    """The service says which file is wrong and how, instead of failing at the first signature."""
    path = folder / "log.pem"
    path.write_bytes(content if content is not None else path.read_bytes())
    path.chmod(mode)

    with pytest.raises(SettingsFault, match=f"CONSENT_SIGNING_KEYS.*log.pem {sentence}"):
        load_signer(folder, SigningUse.LOG)


def test_a_missing_private_key_names_the_remedy(tmp_path: Path) -> None:
    """A first start without `init` must say so."""
    with pytest.raises(SettingsFault, match=r"log\.pem is missing\. Run `consent-service init`"):
        load_signer(tmp_path, SigningUse.LOG)


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    """A wrong mount shows up as one sentence, not as a traceback."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(Unavailable, match="Making the signing keys failed with ENOTDIR"):
        make_signing_keys(tmp_path / "file" / "signing", AT)


def test_a_public_record_that_holds_another_key_is_refused(folder: Path) -> None:
    """Swapping the key inside a record would let a stranger's signatures verify."""
    log, journal = (load_signer(folder, use) for use in (SigningUse.LOG, SigningUse.JOURNAL))
    path = folder / "public" / f"log-{log.key_id}.json"
    record = json.loads(path.read_text())

    for pem in (journal.public_pem(), "nonsense", p256_public_pem()):
        path.write_text(json.dumps(record | {"pem": pem}))
        with pytest.raises(IntegrityFault, match=log.key_id):
            public_keys(folder)


def p256_public_pem() -> str:
    """A public key of another kind."""
    public = generate_private_key(SECP256R1()).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"retired_at": null, "use": "lunch"}'])
def test_a_public_record_that_is_none_is_refused(folder: Path, content: str) -> None:
    """A damaged record is named as such; it is not passed over."""
    signer = load_signer(folder, SigningUse.LOG)
    (folder / "public" / f"log-{signer.key_id}.json").write_text(content)

    with pytest.raises(IntegrityFault, match="cannot be read"):
        public_keys(folder)


def test_processes_that_start_together_make_one_set_of_keys(tmp_path: Path) -> None:
    """Two nodes starting at once must not overwrite each other's keys."""
    script = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path;"
        "from consent_service.vault.signing import make_signing_keys, load_signer, SigningUse;"
        "sys.stdin.read(); f = Path(sys.argv[1]);"
        "make_signing_keys(f, datetime(2026, 11, 22, tzinfo=UTC));"
        "print([load_signer(f, use).key_id for use in SigningUse])"
    )
    reading, start = os.pipe()
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "signing")],
            stdin=reading,
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]

    os.close(reading)
    os.close(start)
    answers = {starter.communicate()[0] for starter in starters}

    assert len(answers) == 1
    assert len(public_keys(tmp_path / "signing")) == 3


def test_the_record_of_a_key_survives_the_way_to_a_file_and_back(folder: Path) -> None:
    """Exports carry these records; a retirement date must not be lost on the way."""
    key = replace(public_keys(folder)[0], retired_at=LATER)

    assert PublicKey.from_json(key.as_json()) == key
