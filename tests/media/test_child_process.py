"""The child that parses strangers' bytes is shut in, and the parent survives whatever it does."""

import json
import os
import resource
import signal
import socket
import subprocess
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consent_service import media
from consent_service.errors import ContainerCorrupt, DiskFull, NotAFilm, Unavailable
from consent_service.media.port import Limits
from consent_service.media.process import Order, run
from tests.support import films
from tests.support.films import MemoryFilm, Sink

AMPLE = Limits(cpu_s=20, memory_bytes=2 << 30, output_bytes=1 << 20, patience_s=60.0)
HASTY = Limits(cpu_s=20, memory_bytes=2 << 30, output_bytes=1 << 20, patience_s=1.0)


def order(operation: str, target: object = "", limits: Limits = AMPLE) -> Order:
    module = "tests.support.misbehaving_child"
    return Order(operation, limits, {"target": str(target)}, module)


def told(operation: str, target: object = "", limits: Limits = AMPLE) -> str:
    """Run a misbehaviour and return what it reported."""
    sink = Sink()
    run(order(operation, target, limits), MemoryFilm(b"film"), sink.write)
    return sink.content.decode()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_child_can_write_no_file(tmp_path: Path) -> None:
    """Plaintext on disk would outlive the key: not a byte of it may get there."""
    target = tmp_path / "plaintext"
    assert told("write_a_file", target) == "OSError"
    assert target.read_bytes() == b""
    target.chmod(0o600)
    assert told("write_an_open_file", target) == "OSError"
    assert target.read_bytes() == b""


def test_the_child_can_open_no_file_once_it_works(tmp_path: Path) -> None:
    """It runs as the same user as the key file: it must not be able to read that."""
    secret = tmp_path / "master-key"
    secret.write_text("secret")
    assert told("open_a_file", secret) == "OSError"


def test_the_child_reaches_no_network() -> None:
    """A subverted parser must have nowhere to send a film to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert told("open_a_socket", server.getsockname()[1]) == "OSError"
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_the_child_has_left_the_machines_network_where_the_kernel_lets_it() -> None:
    """Even before files are closed; `confinement` says truly whether it is so here."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        outcome = told("connect_before_closing", server.getsockname()[1])
    allowed = any(
        subprocess.run(["unshare", option, "true"], capture_output=True, check=False).returncode
        == 0
        for option in ("-Un", "-n")
    )
    assert (outcome != "done") == media.confinement().network_namespace == allowed


def test_the_confinement_is_measured() -> None:
    """`check` shows operators what holds on their machine."""
    found = media.confinement()
    assert found.files_closed
    assert found.core_dumps_off


def test_the_child_cannot_take_all_memory() -> None:
    """A bomb that unpacks to gigabytes must not take the service down."""
    assert told("take_memory", 1 << 20) == "done"
    assert told("take_memory", 3 << 30) == "MemoryError"


def test_the_child_gets_no_environment_and_no_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings and keys may stand in the service's environment; none of it is inherited."""
    monkeypatch.setenv("CONSENT_SECRET", "not for the child")
    with Path(__file__).open() as inherited:
        os.set_inheritable(inherited.fileno(), True)
        seen = json.loads(told("list_surroundings"))
    assert set(seen["environment"]) <= {"PYTHONPATH", "LC_CTYPE"}
    assert seen["files"] == 4


def test_a_child_that_hangs_is_killed() -> None:
    """A worker that waits for ever would block the queue behind it."""
    sink = Sink()
    with pytest.raises(Unavailable):
        run(order("hang", limits=HASTY), MemoryFilm(b"film"), sink.write)
    assert is_gone(int(sink.content))


def test_a_child_that_stops_reading_is_killed() -> None:
    """A parent that is sending must not wait for ever either."""
    limits = Limits(20, 2 << 30, 1 << 20, 1.0)
    with pytest.raises(Unavailable):
        run(order("hang_while_asked", limits=limits), MemoryFilm(b"film"), Sink().write)


def test_a_child_that_computes_for_ever_ends_and_the_film_is_refused() -> None:
    """Only a film made to do so keeps a reader busy that long."""
    limits = Limits(1, 2 << 30, 1 << 20, 60.0)
    with pytest.raises(NotAFilm) as refused:
        run(order("spin", limits=limits), MemoryFilm(b"film"), Sink().write)
    assert refused.value.details["reason"] == "too_costly"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_film_that_crashes_its_reader_is_refused(number: int) -> None:
    """The crash stays in the child; trying the same film again would crash again."""
    with pytest.raises(NotAFilm):
        run(order("crash", int(number)), MemoryFilm(b"film"), Sink().write)


@pytest.mark.parametrize(("operation", "target"), [("leave", 0), ("leave", 3), ("crash", 9)])
def test_a_child_that_is_ended_by_the_machine_does_not_cost_the_film(
    operation: str, target: int
) -> None:
    """A refused film is erased: a machine short of memory must not be a reason for that."""
    with pytest.raises(Unavailable):
        run(order(operation, target), MemoryFilm(b"film"), Sink().write)


def test_a_defect_of_ours_names_the_place_and_quotes_nothing() -> None:
    """Operators need the line; what the film said must not reach a log."""
    with pytest.raises(Unavailable) as failed:
        run(order("fail", "Mother and baby"), MemoryFilm(b"film"), Sink().write)
    assert "LookupError misbehaving_child.py" in str(failed.value)
    assert "Mother" not in str(failed.value) + repr(failed.value.details)


@pytest.mark.parametrize(
    ("operation", "target"),
    [
        ("ask_outside", 4),
        ("ask_outside", 2**63),
        ("flood", ""),
        ("send_nonsense", "[]"),
        ("send_nonsense", "[" * 100_000),
        ("send_nonsense", "{"),
        ("send_unknown_kind", ""),
        ("send_too_long", ""),
        ("refuse_in_own_words", "Mother and baby"),
    ],
)
def test_a_subverted_child_gets_the_film_refused(operation: str, target: object) -> None:
    """Whoever breaks the protocol is no longer ours; none of its words are repeated."""
    with pytest.raises(NotAFilm) as refused:
        run(order(operation, target), MemoryFilm(b"film"), lambda block: None)
    assert refused.value.details == {"reason": "hostile"}


def test_an_error_of_the_store_reaches_the_caller_unchanged() -> None:
    """An altered object must be reported as that, not as a film that cannot be read."""
    altered = ContainerCorrupt("The stored object was altered.")

    class Altered(MemoryFilm):
        def read_at(self, offset: int, length: int) -> bytes:
            raise altered

    with pytest.raises(ContainerCorrupt) as raised:
        media.probe(Altered(films.phone_film()))
    assert raised.value is altered


def test_an_error_of_the_sink_reaches_the_caller_unchanged() -> None:
    """A full disk is not the film's fault."""
    full = DiskFull("No room.")

    def write(block: memoryview) -> None:
        raise full

    with pytest.raises(DiskFull) as raised:
        media.remux(MemoryFilm(films.phone_film()), write)
    assert raised.value is full


def test_a_timeout_of_the_store_is_not_taken_for_the_childs() -> None:
    """A slow object store raises TimeoutError too; its caller knows what to do with it."""

    class Slow(MemoryFilm):
        def read_at(self, offset: int, length: int) -> bytes:
            raise TimeoutError("the store")

    with pytest.raises(TimeoutError, match="the store"):
        media.probe(Slow(films.phone_film()))


def test_a_store_that_returns_too_little_is_our_fault() -> None:
    """A film must not be refused, and erased, because a store cut an answer short."""

    class Short(MemoryFilm):
        def read_at(self, offset: int, length: int) -> bytes:
            return super().read_at(offset, length)[:-1]

    with pytest.raises(Unavailable):
        media.probe(Short(films.phone_film()))


def test_no_child_and_no_file_descriptor_is_left_behind() -> None:
    """A service that runs for months cannot lose one at each film."""
    media.probe(MemoryFilm(films.phone_film()))
    before = len(list(Path("/proc/self/fd").iterdir()))
    children = _children()
    for content in (films.phone_film(), b"text" * 100):
        try:
            media.probe(MemoryFilm(content))
        except NotAFilm:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert _children() <= children


def _children() -> set[str]:
    """Every child of this process, dead and not yet taken leave of ones too."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {child for task in tasks for child in task.read_text().split()}


@contextmanager
def no_file_may_grow() -> Iterator[None]:
    """Let the kernel refuse every byte that this process would write to any file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_remux_writes_to_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No spool, no temporary file, in parent or child: the kernel would have refused it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    sink = Sink()
    with no_file_may_grow():
        with pytest.raises(OSError, match="File too large"):
            (tmp_path / "planted").write_bytes(b"marker")
        media.remux(MemoryFilm(films.heavy_film()), sink.write)
        media.clip(MemoryFilm(films.phone_film()), 0.5, 1.5, sink.write, exact=True)
        media.still(MemoryFilm(films.phone_film()), 1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["planted"]


def test_the_parents_memory_does_not_grow_with_the_film() -> None:
    """Several films are handled at once beside the serving of others."""
    source = MemoryFilm(films.heavy_film())
    tracemalloc.start()
    try:
        media.remux(source, lambda block: None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3.5 * media.MAX_BLOCK < source.size
