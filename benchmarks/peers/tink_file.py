"""Encrypt or decrypt a file with Tink (AES256-GCM-HKDF, 1 MiB): `encrypt|decrypt FROM TO KEYSET`.

`keyset FILE` makes the key.
"""

import shutil
import sys
from pathlib import Path

import tink  # type: ignore[import-untyped]
from tink import secret_key_access, streaming_aead

BLOCK = 1024 * 1024


def make_keyset(path: str) -> None:
    """Write a fresh keyset as JSON."""
    template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
    keyset = tink.new_keyset_handle(template)
    Path(path).write_text(tink.json_proto_keyset_format.serialize(keyset, secret_key_access.TOKEN))


def main(verb: str, source: str, target: str, keyset_file: str) -> None:
    """Do it in blocks of 1 MiB, its own segment size."""
    keyset = tink.json_proto_keyset_format.parse(
        Path(keyset_file).read_text(), secret_key_access.TOKEN
    )
    cipher = keyset.primitive(streaming_aead.StreamingAead)
    with Path(source).open("rb") as plain, Path(target).open("xb") as sink:
        if verb == "encrypt":
            with cipher.new_encrypting_stream(sink, b"benchmark") as sealed:
                shutil.copyfileobj(plain, sealed, BLOCK)
        else:
            with cipher.new_decrypting_stream(plain, b"benchmark") as opened:
                shutil.copyfileobj(opened, sink, BLOCK)


if __name__ == "__main__":
    streaming_aead.register()
    if sys.argv[1] == "keyset":
        make_keyset(sys.argv[2])
    else:
        main(*sys.argv[1:])
