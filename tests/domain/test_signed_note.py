"""Signed notes: what other tools can read, and nothing that they could not."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from consent_service.domain.signed_note import note_key_hash, open_note, parse_note, sign_note
from consent_service.errors import IntegrityFault

NAME = "consent.example/log"
NEUMANN_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
NEUMANN_KEY = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


class Signer:
    """A key in memory that signs notes."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()

    def sign(self, message: bytes) -> bytes:
        """Sign with the key."""
        return self.key.sign(message)

    def public_raw(self) -> bytes:
        """The key that everybody knows, in bytes."""
        return public(self).public_bytes_raw()

    def note_key_hash(self, name: str) -> bytes:
        """What stands for the key in a note."""
        return note_key_hash(name, self.public_raw())


def public(signer: Signer) -> Ed25519PublicKey:
    """The key that everybody knows."""
    return signer.key.public_key()


@pytest.fixture
def signer() -> Signer:
    """A new key."""
    return Signer()


def test_a_note_made_by_the_reference_implementation_verifies() -> None:
    """Other people's tools and ours must agree on every byte of the format."""
    raw = base64.b64decode(NEUMANN_KEY)[1:]
    parsed = parse_note(NEUMANN_NOTE)
    (line,) = parsed.signatures

    Ed25519PublicKey.from_public_bytes(raw).verify(line.signature, parsed.text.encode())

    assert line.key_hash == note_key_hash("PeterNeumann", raw) == bytes.fromhex("c74f20a3")


def test_a_signed_note_gives_its_text_back(signer: Signer) -> None:
    """A checkpoint has to survive the way to the journal and back."""
    text = "consent.example/log\n12\n\nÄ root\n"

    note = sign_note(text, signer, NAME)

    assert open_note(note, [public(signer)], NAME) == text


def test_a_note_with_one_changed_byte_is_refused(signer: Signer) -> None:
    """The point of signing: no byte of a checkpoint can be changed unseen."""
    note = sign_note("origin\n12\nroot\n", signer, NAME)
    keys = [public(signer)]

    for place in range(len(note)):
        changed = note[:place] + chr(ord(note[place]) ^ 1) + note[place + 1 :]
        with pytest.raises(IntegrityFault):
            open_note(changed, keys, NAME)


def test_unknown_signatures_beside_ours_are_passed_over(signer: Signer) -> None:
    """A witness may co-sign our checkpoint; that must not make it invalid."""
    note = sign_note("origin\n", signer, NAME)
    witness = "— witness.example/w " + base64.b64encode(b"keyhsignature").decode() + "\n"
    namesake = f"— {NAME} " + base64.b64encode(b"keyhsignature").decode() + "\n"

    text = open_note(note + witness + namesake, [public(signer)], NAME)

    assert text == "origin\n"


def test_a_note_signed_by_another_key_or_under_another_name_is_refused(signer: Signer) -> None:
    """A note counts only when it was signed by the key and the name that we trust for it."""
    note = sign_note("origin\n", signer, NAME)

    for key, name in ((public(Signer()), NAME), (public(signer), "other.example")):
        with pytest.raises(IntegrityFault) as refused:
            open_note(note, [key], name)
        assert refused.value.code == "unknown_key"


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "\n\n— a c2lnbmF0dXJl\n",
        "text\n\n— a c2lnbmF0dXJl",
        "text\n\n",
        "te\txt\n\n— a c2lnbmF0dXJl\n",
        "text\n\n- a c2lnbmF0dXJl\n",
        "text\n\n— a+b c2lnbmF0dXJl\n",
        "text\n\n—  c2lnbmF0dXJl\n",
        "text\n\n— a c2ln!mF0dXJl\n",
        "text\n\n— a ä\n",
        "text\n\n— a a2V5aA==\n",
        "text\n\n— a a2V5aHNpZ25=\n",
        "text\n\n" + "— a c2lnbmF0dXJl\n" * 101,
    ],
)
def test_what_is_no_signed_note_is_refused(note: str) -> None:
    """A parser that guesses is a parser that can be fooled."""
    with pytest.raises(IntegrityFault) as refused:
        parse_note(note)

    assert refused.value.code == "no_note"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("no newline", NAME),
        ("ta\tb\n", NAME),
        ("text\n", ""),
        ("text\n", "a b"),
        ("text\n", "a\u00a0b"),
        ("text\n", "a+b"),
    ],
)
def test_a_note_that_nobody_could_parse_is_not_signed(signer: Signer, text: str, name: str) -> None:
    """What cannot be read back must not be published."""
    with pytest.raises(ValueError, match=r"a note's text|a key name"):
        sign_note(text, signer, name)


def test_a_forged_signature_of_a_known_key_refuses_the_note(signer: Signer) -> None:
    """The specification: one bad signature by a known key condemns the whole note."""
    good = sign_note("origin\n", signer, NAME)
    forged = base64.b64encode(signer.note_key_hash(NAME) + bytes(64)).decode()

    with pytest.raises(IntegrityFault) as refused:
        open_note(f"{good}— {NAME} {forged}\n", [public(signer)], NAME)

    assert refused.value.code == "bad_signature"
