"""The container: how every film, clip, still, scan and export lies in a store.

An object is exactly one C2SP chunked-encryption message (Cobblestone-256), nothing before it and
nothing after. Whoever holds the data key opens it with `cryptography.cobblestone` alone:

    decryptor = Cobblestone256Decryptor(data_key, film_context(kind, asset_id, generation))
    film = decryptor.update(stored) + decryptor.finalize()

In: `EncryptingWriter` (something writes to it) or `encrypt_stream` (something is read).
Out: `ContainerReader` (any part; `open_plaintext` makes it a file) or `decrypt_stream` (all).

This module is the door; behind it are `container_format` (bytes and contexts),
`container_writer` (end to end), `container_reader` and `container_file` (any part),
`container_keys` (what a message derives from its data key).
"""

from consent_service.vault.container_file import ContainerFile, open_plaintext
from consent_service.vault.container_format import (
    CHUNK_BYTES,
    DATA_KEY_BYTES,
    HEADER_BYTES,
    ObjectKind,
    film_context,
    new_data_key,
    part_context,
    plain_size_of,
    stored_size_of,
)
from consent_service.vault.container_reader import BATCH_BYTES, ContainerReader
from consent_service.vault.container_writer import (
    EncryptingWriter,
    Source,
    WrittenContainer,
    decrypt_stream,
    encrypt_stream,
)
from consent_service.vault.random_source import BytesSource, FileSource, RandomSource
from consent_service.vault.write_behind import Sink

__all__ = [
    "BATCH_BYTES",
    "CHUNK_BYTES",
    "DATA_KEY_BYTES",
    "HEADER_BYTES",
    "BytesSource",
    "ContainerFile",
    "ContainerReader",
    "EncryptingWriter",
    "FileSource",
    "ObjectKind",
    "RandomSource",
    "Sink",
    "Source",
    "WrittenContainer",
    "decrypt_stream",
    "encrypt_stream",
    "film_context",
    "new_data_key",
    "open_plaintext",
    "part_context",
    "plain_size_of",
    "stored_size_of",
]
