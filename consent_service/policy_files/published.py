"""Digests of published versions: a published form or leaflet never changes (rules 2 and 20).

The digest of a version is the SHA-256 of the list of its files as `sha256sum` prints it, in the
order of their names, so anyone can compute it again without this program:

    cd policies/consent-forms/vig/v1 && sha256sum en.md form.yaml | sha256sum

`PUBLISHED.sha256` holds for every published version one line for the version and one for each of
its files, by paths inside the policy folder. The database holds the same digests; they win.

Rules kept here:
  * a published version that was edited, cut or removed is refused, naming the file;
  * editing the line in `PUBLISHED.sha256` as well does not help: the registered digests stand.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from consent_service.policy_files.faults import Faults

PUBLISHED_FILE = "PUBLISHED.sha256"
LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9._/-]+)")


def form_path(form_id: str, version: int) -> str:
    """Return where a form version stands inside the policy folder."""
    return f"consent-forms/{form_id}/v{version}"


def leaflet_path(code: str, version: int) -> str:
    """Return where a leaflet version stands inside the policy folder."""
    return f"leaflets/{code}/v{version}"


def files_of(folder: Path, path: str) -> dict[str, bytes]:
    """Return the files of a version by name, in order; empty when there is no such version.

    Only what the service reads counts, so an editor's backup copy does not break a digest.
    """
    files = sorted(file for file in (folder / path).glob("*") if file.suffix in (".yaml", ".md"))
    return {file.name: file.read_bytes() for file in files if file.is_file()}


def digest_of_files(files: Mapping[str, bytes]) -> str:
    """Return the digest of a version with these files; see the module for how it is made."""
    listing = "".join(f"{_sha256(raw)}  {name}\n" for name, raw in sorted(files.items()))
    return _sha256(listing.encode("utf-8"))


def digest_of_form(folder: Path, form_id: str, version: int) -> str:
    """Return the digest of a form version; FileNotFoundError when there is none."""
    return _digest_of(folder, form_path(form_id, version))


def digest_of_leaflet(folder: Path, code: str, version: int) -> str:
    """Return the digest of a leaflet version; FileNotFoundError when there is none."""
    return _digest_of(folder, leaflet_path(code, version))


def published_digests(folder: Path, path: str) -> dict[str, str]:
    """Return what is to be registered when the version at `path` is published: path -> digest.

    One entry for the version and one for each of its files, so that a later fault can name the
    file. FileNotFoundError when there is no such version.
    """
    digests = {path: _digest_of(folder, path)}
    files = files_of(folder, path)
    return digests | {f"{path}/{name}": _sha256(raw) for name, raw in files.items()}


def read_published(folder: Path) -> dict[str, str]:
    """Return path -> digest as `PUBLISHED.sha256` has it; empty without the file.

    PolicyFault, with the line, for a line that is none.
    """
    file = folder / PUBLISHED_FILE
    if not file.exists():
        return {}
    faults, published = Faults(), {}
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        match = LINE.fullmatch(line)
        if match:
            published[match[2]] = match[1]
        elif line:
            faults.add(PUBLISHED_FILE, number, "this is no digest line, expected `<sha256>  path`")
    faults.raise_if_any()
    return published


def write_published(folder: Path, published: Mapping[str, str]) -> None:
    """Write `PUBLISHED.sha256` anew, sorted by path, whole or not at all."""
    text = "".join(f"{digest}  {path}\n" for path, digest in sorted(published.items()))
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as new:
        new.write(text)
        new.flush()
        os.fsync(new.fileno())
    Path(new.name).chmod(0o644)
    Path(new.name).replace(folder / PUBLISHED_FILE)


def check_published(folder: Path, registered: Mapping[str, str]) -> None:
    """Refuse published versions that are not what was published, naming each file.

    `registered` is path -> digest from the database, versions and, where known, their files. What
    only `PUBLISHED.sha256` lists is held to its line there. Raises PolicyFault with every fault.
    """
    faults = Faults()
    listed = read_published(folder)
    for path, digest in sorted(registered.items()):
        if path in listed and listed[path] != digest:
            sentence = f"the line of {path} was edited, expected {digest} as published"
            faults.add(PUBLISHED_FILE, _line_of(folder, path), sentence)
    wanted = listed | dict(registered)
    for path in sorted(_versions(wanted)):
        _check_version(folder, path, wanted, faults)
    faults.raise_if_any()


def _check_version(folder: Path, path: str, wanted: Mapping[str, str], faults: Faults) -> None:
    files = files_of(folder, path)
    if digest_of_files(files) == wanted.get(path) and not _odd_files(path, files, wanted):
        return
    names = _odd_files(path, files, wanted) or sorted(files) or [""]
    for name in names:
        file = f"{path}/{name}".rstrip("/")
        what = "was edited" if name in files else "is gone"
        faults.add(file, 1, f"this published file {what}, expected it as it was published")


def _odd_files(path: str, files: Mapping[str, bytes], wanted: Mapping[str, str]) -> list[str]:
    """Return the files that differ, are gone, or were added; empty when no file is registered."""
    known = {p.rpartition("/")[2]: d for p, d in wanted.items() if p.rpartition("/")[0] == path}
    if not known:
        return []
    names = sorted(set(known) | set(files))
    return [name for name in names if name not in files or _sha256(files[name]) != known.get(name)]


def _versions(wanted: Mapping[str, str]) -> Iterator[str]:
    """Return the version paths among `wanted`, which names files too."""
    for path in wanted:
        parts = path.split("/")
        if len(parts) == 3:
            yield path


def _digest_of(folder: Path, path: str) -> str:
    files = files_of(folder, path)
    if not files:
        raise FileNotFoundError(path)
    return digest_of_files(files)


def _line_of(folder: Path, path: str) -> int:
    lines = (folder / PUBLISHED_FILE).read_text(encoding="utf-8").split("\n")
    return next(n for n, line in enumerate(lines, start=1) if line.endswith(f"  {path}"))


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
