"""The programs that our container is measured against, whole process, file to new file."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

Argv = Sequence[str]
_PASSPHRASE = "a passphrase for benchmarks only"


@dataclass(frozen=True)
class Peer:
    """How a program encrypts FROM to TO, and back; it may add a suffix to the name of TO.

    `fits` is the largest film that it is given, in MiB.
    """

    name: str
    version: str
    encrypt: Callable[[Path, Path], Argv]
    decrypt: Callable[[Path, Path], Argv]
    fits: int = 1 << 20


def module(name: str, verb: str, source: Path, target: Path, *more: str) -> Argv:
    """Return the command for one of the programs beside this file."""
    script = Path(__file__).with_name(f"{name}.py")
    return (sys.executable, str(script), verb, str(source), str(target), *more)


def copy(source: Path, target: Path) -> Argv:
    """Return the plain copy that everything is measured against."""
    return ("dd", f"if={source}", f"of={target}", "bs=1M", "status=none")


def said_by(*argv: str) -> str:
    """Return the first line that a program prints."""
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def peers_here(folder: Path) -> tuple[list[Peer], list[str]]:
    """Return the peers that are installed, each with its keys in `folder`, and who is missing."""
    found = {
        "age": _age(folder),
        "pyrage": _pyrage(folder),
        "tink": _tink(folder),
        "fernet": _fernet(),
        "openssl": _openssl(folder),
        "gpg": _gpg(folder),
        "rclone_crypt": _rclone(folder),
    }
    here = [peer for peer in found.values() if peer is not None]
    return here, [name for name, peer in found.items() if peer is None]


def stop_agents(folder: Path) -> None:
    """Stop the key agent that gpg started for its home in `folder`."""
    if shutil.which("gpgconf"):
        argv = ("gpgconf", "--homedir", str(folder / "gpg"), "--kill", "gpg-agent")
        subprocess.run(argv, check=False, capture_output=True)


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _age_identity(folder: Path) -> Path:
    path = folder / "age-identity"
    if not path.exists():
        subprocess.run(("age-keygen", "-o", str(path)), check=True, capture_output=True)
    return path


def _age(folder: Path) -> Peer | None:
    if not shutil.which("age"):
        return None
    identity = str(_age_identity(folder))
    recipient = said_by("age-keygen", "-y", identity)
    return Peer(
        "age",
        said_by("age", "--version"),
        lambda source, target: ("age", "-r", recipient, "-o", str(target), str(source)),
        lambda source, target: ("age", "-d", "-i", identity, "-o", str(target), str(source)),
    )


def _pyrage(folder: Path) -> Peer | None:
    if (number := _package("pyrage")) is None or not shutil.which("age-keygen"):
        return None
    identity = str(_age_identity(folder))
    return Peer(
        "pyrage",
        number,
        lambda source, target: module("pyrage_file", "encrypt", source, target, identity),
        lambda source, target: module("pyrage_file", "decrypt", source, target, identity),
    )


def _tink(folder: Path) -> Peer | None:
    if (number := _package("tink")) is None:
        return None
    keyset = str(folder / "tink-keyset")
    argv = (sys.executable, str(Path(__file__).with_name("tink_file.py")), "keyset", keyset)
    subprocess.run(argv, check=True, capture_output=True)
    return Peer(
        "tink",
        number,
        lambda source, target: module("tink_file", "encrypt", source, target, keyset),
        lambda source, target: module("tink_file", "decrypt", source, target, keyset),
    )


def _fernet() -> Peer:
    return Peer(
        "fernet",
        version("cryptography"),
        lambda source, target: module("fernet_file", "encrypt", source, target),
        lambda source, target: module("fernet_file", "decrypt", source, target),
        fits=256,
    )


def _passphrase_file(folder: Path) -> str:
    path = folder / "passphrase"
    path.write_text(_PASSPHRASE)
    return str(path)


def _openssl(folder: Path) -> Peer | None:
    if not shutil.which("openssl"):
        return None
    secret = f"file:{_passphrase_file(folder)}"
    base = ("openssl", "enc", "-aes-256-ctr", "-pbkdf2", "-iter", "1", "-pass", secret)
    return Peer(
        "openssl",
        said_by("openssl", "version"),
        lambda source, target: (*base, "-in", str(source), "-out", str(target)),
        lambda source, target: (*base, "-d", "-in", str(source), "-out", str(target)),
    )


def _gpg(folder: Path) -> Peer | None:
    if not shutil.which("gpg"):
        return None
    home = folder / "gpg"
    home.mkdir(mode=0o700)
    base = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
    base += ["--passphrase-file", _passphrase_file(folder), "--compress-algo", "none"]
    base += ["--cipher-algo", "AES256", "--output"]
    return Peer(
        "gpg",
        said_by("gpg", "--version"),
        lambda source, target: (*base, str(target), "--symmetric", str(source)),
        lambda source, target: (*base, str(target), "--decrypt", str(source)),
    )


def _rclone(folder: Path) -> Peer | None:
    if not shutil.which("rclone"):
        return None
    config = folder / "rclone.conf"
    hidden = said_by("rclone", "obscure", _PASSPHRASE)
    config.write_text(
        f"[sealed]\ntype = crypt\nremote = {folder}\npassword = {hidden}\n"
        "filename_encryption = off\ndirectory_name_encryption = false\n"
    )
    base = ("rclone", "--config", str(config), "copyto")
    return Peer(
        "rclone_crypt",
        said_by("rclone", "version"),
        lambda source, target: (*base, str(source), f"sealed:{target.name}"),
        lambda source, target: (*base, f"sealed:{source.name}", str(target)),
    )
