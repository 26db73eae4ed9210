"""The folder store beyond the contract: crashes, full disks, permissions, foreign files."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consent_service.errors import Conflict, DiskFull, NotFound, SettingsFault, Unavailable
from consent_service.vault.blobs import open_store
from consent_service.vault.blobs.folder import FolderStore
from consent_service.vault.blobs.memory import MemoryStore
from tests.support.faulty_store import FaultyStore

NAME = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the store will be made."""
    return tmp_path / "deep" / "store"


@pytest.fixture
def store(root: Path) -> FolderStore:
    """An empty store."""
    return FolderStore(root)


def put(store: FolderStore, name: str = NAME, content: bytes = b"film", **how: bool) -> None:
    """Store an object in one piece."""
    with store.put(name, **how) as sink:
        sink.write(content)


def failing(code: int) -> Callable[..., None]:
    """A system call that fails with `code`."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def files(root: Path) -> list[str]:
    """Every file below the store, by relative path."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_objects_fan_out_by_their_first_two_characters(store: FolderStore, root: Path) -> None:
    """A folder with a million files is slow to list and to back up."""
    put(store)

    assert files(root) == [f"01/{NAME}"]


def test_only_the_service_can_read_the_store(store: FolderStore, root: Path) -> None:
    """Whatever the umask is: ciphertext and sidecars are nobody else's."""
    mask = os.umask(0)
    try:
        FolderStore(root.parent / "open")
        put(store)
    finally:
        os.umask(mask)

    folders = [root, root / "01", root / ".unfinished", root.parent / "open"]
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}
    assert (root / "01" / NAME).stat().st_mode & 0o777 == 0o600


def test_bytes_are_durable_before_the_name_and_the_name_before_success(
    store: FolderStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may come between any two calls: the order is what makes `put` a promise."""
    put(store, "01", b"")
    calls: list[str] = []

    def recorded(call: str, real: Callable[..., None]) -> Callable[..., None]:
        def record(*args: int | str) -> None:
            target = args[-1]
            open_file = Path(f"/proc/self/fd/{target}")
            path = open_file.readlink() if isinstance(target, int) else Path(target)
            calls.append(f"{call} {path.relative_to(root)}".partition("~")[0])
            real(*args)

        return record

    for call in ("fdatasync", "fsync", "rename", "unlink"):
        monkeypatch.setattr(os, call, recorded(call, getattr(os, call)))
    put(store)
    store.delete(NAME)
    store.discard_unfinished(NAME)

    assert calls == [
        f"fdatasync .unfinished/{NAME}",
        f"rename 01/{NAME}",
        "fsync 01",
        "fsync .unfinished",
        f"unlink 01/{NAME}",
        "fsync 01",
        "fsync .unfinished",
    ]


def test_a_repeated_deletion_is_made_durable(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between unlink and sync: the second try has to do what the first did not."""
    put(store)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", failing(errno.EIO))
        with pytest.raises(Unavailable, match=f"Deleting object {NAME} failed with EIO"):
            store.delete(NAME)
        with pytest.raises(Unavailable):
            store.delete(NAME)

    assert store.delete(NAME) is False


def test_a_killed_writer_leaves_an_unfinished_object_and_nothing_else(
    store: FolderStore, root: Path
) -> None:
    """The sweep must find what a crash left, and what it left must not look like a film."""
    script = (
        "import sys, time; from pathlib import Path;"
        "from consent_service.vault.blobs.folder import FolderStore;"
        "put = FolderStore(Path(sys.argv[1])).put(sys.argv[2], expected_size=99);"
        "put.__enter__().write(b'film'); print('written', flush=True); sys.stdin.read()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(root), NAME],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"written\n"
    before = datetime.now(UTC)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()

    (left,) = store.list_unfinished()
    assert list(store.list()) == []
    assert left.name == NAME
    assert left.started_at <= before

    store.discard_unfinished(NAME)
    assert files(root) == []


def test_a_full_disk_is_known_before_the_first_byte(
    store: FolderStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an upload of 2 GB is not wasted when its size was declared."""
    monkeypatch.setattr(os, "posix_fallocate", failing(errno.ENOSPC))

    with pytest.raises(DiskFull, match=NAME), store.put(NAME, expected_size=1 << 40):
        pytest.fail("the block must not run")

    assert files(root) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_leaves_nothing(
    store: FolderStore, root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """What does not fit is taken away again, or the disk would stay full."""
    with pytest.raises(DiskFull) as refused, store.put(NAME) as sink:
        sink.write(b"fits")
        monkeypatch.setattr(os, "write", failing(code))
        sink.write(b"does not")

    assert refused.value.details == {"system_code": errno.errorcode[code]}
    assert isinstance(refused.value.__cause__, OSError)
    assert files(root) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("fdatasync", f"Writing object {NAME} failed with EIO"),
        ("rename", f"Finishing object {NAME} failed with EIO"),
        ("fsync", f"Finishing object {NAME} failed with EIO"),
    ],
)
def test_an_object_that_is_not_durable_is_not_there(
    store: FolderStore, root: Path, monkeypatch: pytest.MonkeyPatch, call: str, message: str
) -> None:
    """A put that failed must not leave an object that a later crash could take away."""
    put(store, "01", b"")
    with monkeypatch.context() as broken:
        broken.setattr(os, call, failing(errno.EIO))
        with pytest.raises(Unavailable, match=message):
            put(store)

    assert files(root) == ["01/01"]


def test_an_unknown_fault_of_the_system_is_told_as_such(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code the system has no name for must not become a second fault."""
    monkeypatch.setattr(os, "fdatasync", failing(99_999))

    with pytest.raises(Unavailable, match="failed with unknown"):
        put(store)


def test_faults_name_the_object_and_never_a_path(
    store: FolderStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder may be named after a person; messages reach logs and screens."""
    put(store)
    monkeypatch.setattr(os, "open", failing(errno.EACCES))

    for act in (lambda: store.open(NAME), lambda: put(store, "new"), lambda: store.delete(NAME)):
        with pytest.raises(Unavailable) as refused:
            act()
        assert str(root) not in refused.value.message


def test_writers_do_not_follow_links_out_of_the_store(
    store: FolderStore, root: Path, tmp_path: Path
) -> None:
    """A planted link must neither be read as a film nor be replaced in place."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    put(store, "01")
    (root / "01" / NAME).symlink_to(outside)

    with pytest.raises(Unavailable, match="ELOOP"):
        store.open(NAME)
    with pytest.raises(Conflict):
        put(store)
    store.delete(NAME)

    assert outside.read_bytes() == b"secret"


def test_short_reads_are_read_on(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may give less than asked; a film must not be cut for that."""
    put(store, content=b"abcdefgh")
    real = os.preadv

    def three_at_most(fd: int, buffers: list[memoryview], offset: int) -> int:
        return real(fd, [buffers[0][:3]], offset)

    monkeypatch.setattr(os, "preadv", three_at_most)

    assert store.read_range(NAME, 1, 100) == b"bcdefgh"


def test_short_writes_are_written_on(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take less than offered; a film must not be cut for that."""
    real = os.write
    with monkeypatch.context() as slow:
        slow.setattr(os, "write", lambda fd, content: real(fd, content[:3]))
        put(store, content=b"abcdefgh")

    assert store.read_range(NAME, 0, 100) == b"abcdefgh"


def test_foreign_files_are_passed_over(store: FolderStore, root: Path) -> None:
    """A file system keeps things of its own in the folder; they are not films."""
    put(store)
    (root / "lost+found").mkdir()
    (root / "lost+found" / "lost").write_bytes(b"")
    (root / "01" / ".nfs0001").write_bytes(b"")
    (root / "01" / "02").write_bytes(b"")
    (root / ".unfinished" / "stray").write_bytes(b"")

    assert list(store.list()) == [NAME]
    assert list(store.list_unfinished()) == []


def test_a_store_whose_folder_is_gone_is_unavailable(store: FolderStore, root: Path) -> None:
    """A disk that is not mounted is not an empty store."""
    (root / ".unfinished").rmdir()
    root.rmdir()

    for act in (
        lambda: list(store.list()),
        lambda: list(store.list_unfinished()),
        lambda: put(store),
        store.check,
    ):
        with pytest.raises(Unavailable, match="ENOENT"):
            act()


def test_a_store_that_gives_back_other_bytes_fails_its_check(
    store: FolderStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Better known at the start than at the first film."""
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset: len(buffers[0]))

    with pytest.raises(Unavailable, match="does not give back"):
        store.check()

    assert files(root) == []


def test_an_address_opens_its_store(tmp_path: Path) -> None:
    """Operators write an address, with escapes where a path needs them."""
    store = open_store(f"file://{tmp_path}/two%20words")

    put_through = store.put("a1")
    with put_through as sink:
        sink.write(b"film")

    assert files(tmp_path) == ["two words/a1/a1"]
    assert isinstance(open_store("memory://"), MemoryStore)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/var/films",
        "file://host/films",
        "file:films",
        "file:///films?mode=fast",
        "file:///films#part",
    ],
)
def test_an_address_that_means_nothing_names_the_setting(url: str) -> None:
    """A misspelt address must stop the start, not make a folder somewhere."""
    with pytest.raises(SettingsFault, match="CONSENT_BLOB_URL"):
        open_store(url)


@pytest.mark.parametrize("lost_reply", [False, True])
def test_a_use_case_can_be_broken_at_every_operation(lost_reply: bool) -> None:
    """The support class itself: each point fails once, and nothing unfinished stays."""
    sound = FaultyStore(MemoryStore())
    sound.check()

    for point in range(1, len(sound.operations) + 1):
        broken = FaultyStore(MemoryStore(), point, lost_reply=lost_reply)
        with pytest.raises(Unavailable, match="told to"):
            broken.check()
        assert list(broken.inner.list_unfinished()) == []

    assert [operation.partition(" ")[0] for operation in sound.operations] == [
        "begin",
        "write",
        "finish",
        "read",
        "delete",
    ]


def test_a_lost_reply_leaves_the_object(store: FolderStore) -> None:
    """The support class itself: `lost_reply` is what a retry has to cope with."""
    broken = FaultyStore(store, 3, lost_reply=True)

    with pytest.raises(Unavailable), broken.put(NAME) as sink:
        sink.write(b"film")

    assert list(store.list()) == [NAME]
    with pytest.raises(NotFound):
        broken.open("other")


def test_the_disk_begins_with_a_long_object_while_more_of_it_comes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sends a film waits at its end for what the disk has not begun with."""
    told: list[tuple[int, int]] = []
    tells = os.posix_fadvise

    def tell(fd: int, start: int, length: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_DONTNEED
        assert os.fstat(fd).st_size >= start + length, "only what is written can be begun with"
        told.append((start, length))
        tells(fd, start, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", tell)
    half = 512 * 1024
    store = FolderStore(tmp_path)
    with store.put("aa.1") as sink:
        for _ in range(5):
            sink.write(bytes(half))

    assert told == [(0, 2 * half), (2 * half, 2 * half)]
    assert store.read_range("aa.1", 0, 6 * half) == bytes(5 * half)
