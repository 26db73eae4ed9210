"""Lock a PDF with a passphrase, in memory: AES-256 as PDF 2.0 has it (ISO 32000-2, 7.6, R6).

Whatever is attached is encrypted with the pages. Any current PDF reader asks for the passphrase.
"""

import io

import pikepdf


def lock_pdf(content: bytes, passphrase: str) -> bytes:
    """Return `content` encrypted; without `passphrase` neither words nor attachments are there."""
    locked = io.BytesIO()
    lock = pikepdf.Encryption(user=passphrase, owner=passphrase, R=6, aes=True, metadata=True)
    with pikepdf.open(io.BytesIO(content)) as pdf:
        pdf.save(locked, encryption=lock)
    return locked.getvalue()
