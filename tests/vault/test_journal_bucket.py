"""The journal in a bucket: one writer for each number, holes and forks found, faults told apart."""

import multiprocessing
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from consent_service.errors import (
    SettingsFault,
    Unavailable,
)
from consent_service.vault import journal_bucket
from consent_service.vault.journal import LineKind, open_journal
from consent_service.vault.journal_bucket import BucketJournal
from consent_service.vault.journal_line import LINE_BYTES_MAX
from consent_service.vault.signing import (
    SigningUse,
    load_signer,
    make_signing_keys,
    public_keys,
)
from tests.support.seaweed import Seaweed
from tests.vault.journals import AT, BucketDesk, Desk, raw_lines, refusal, write


def opened(desk: BucketDesk) -> BucketJournal:
    """The journal, known for what it is."""
    journal = desk.open()
    assert isinstance(journal, BucketJournal)
    return journal


def answering(monkeypatch: pytest.MonkeyPatch, journal: BucketJournal, **verbs: Any) -> None:
    """Have the journal's own client do something else for these verbs."""
    for verb, act in verbs.items():
        monkeypatch.setattr(journal._client, verb, act)


def test_the_objects_one_after_the_other_are_the_file(bucket_desk: BucketDesk, desk: Desk) -> None:
    """Whoever moves a journal between a file and a bucket needs no program of ours."""
    write(bucket_desk.open(), 3)

    desk.path.parent.mkdir()
    desk.path.write_bytes(b"".join(raw_lines(bucket_desk)))

    copy = Desk(desk.path, bucket_desk.signer, bucket_desk.keys)
    assert copy.open().verify() == bucket_desk.open().verify()


def test_another_object_among_the_lines_is_refused(bucket_desk: BucketDesk) -> None:
    """A name that is no number could hide a line from whoever counts them."""
    write(bucket_desk.open(), 1)
    bucket, prefix = bucket_desk.place
    bucket_desk.client.put_object(Bucket=bucket, Key=f"{prefix}2", Body=b"{}")

    for act in (bucket_desk.open().verify, bucket_desk.open().head):
        refused = refusal(act)
        assert refused.code == "not_a_line"
        assert "object that is none" in refused.message


def test_what_lies_beside_the_lines_is_passed_over(bucket_desk: BucketDesk) -> None:
    """An operator's note in the same bucket is no line and no fault."""
    bucket, prefix = bucket_desk.place
    bucket_desk.client.put_object(Bucket=bucket, Key=f"{prefix[:-5]}readme", Body=b"Keep this.")

    assert write(bucket_desk.open(), 1)[0].number == 1


def test_lines_of_another_node_are_followed(bucket_desk: BucketDesk) -> None:
    """Web and worker both append: each must go on from the true end."""
    here, there = bucket_desk.open(), bucket_desk.open()

    numbers = [write(journal, 1)[0].number for journal in (here, there, there, here, there)]

    assert numbers == [1, 2, 3, 4, 5]
    assert here.head() == there.head() == bucket_desk.open().verify()


def append_from_a_process(url: str, keys: Path, start: Barrier) -> None:
    """What one node does: open its own journal and write from two threads at once."""
    signer = load_signer(keys, SigningUse.JOURNAL)
    journal = open_journal(url, signer, lambda: public_keys(keys))
    start.wait()
    threads = [threading.Thread(target=write, args=(journal, 5)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_nodes_keep_one_chain(object_store: Seaweed, tmp_path: Path) -> None:
    """Every line that was acknowledged is there, once, however many nodes write at one moment."""
    url, keys = object_store.store_url(versions=True), tmp_path / "signing"
    make_signing_keys(keys, datetime(2026, 11, 22, tzinfo=UTC))
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(2)
    nodes = [
        spawn.Process(target=append_from_a_process, args=(url, keys, start), daemon=True)
        for _ in range(2)
    ]
    for node in nodes:
        node.start()
    for node in nodes:
        node.join(60)

    assert [node.exitcode for node in nodes] == [0, 0]
    signer = load_signer(keys, SigningUse.JOURNAL)
    journal = open_journal(url, signer, lambda: public_keys(keys))
    assert journal.verify().number == 20
    counts = [line.body["count"] for line in journal.lines()]
    assert [counts.count(n) for n in range(5)] == [4] * 5


def test_a_line_that_a_bucket_gave_to_two_is_found_by_whoever_lost_it(
    bucket_desk: BucketDesk,
) -> None:
    """A store that lets in two at once has lost one of them: nobody may go on as if it had not."""
    here, there = bucket_desk.open(), bucket_desk.open()
    write(here, 1)
    raw = raw_lines(bucket_desk)
    [lost] = write(here, 1)
    bucket_desk.put(raw)
    kept = there.append(LineKind.UNDO, {}, AT)
    assert (lost.number, kept.number) == (2, 2)

    for act in (
        lambda: write(here, 1),
        here.head,
        lambda: bucket_desk.open().require_contains(*lost.head),
    ):
        refused = refusal(act)
        assert (refused.code, refused.details) == ("forked", {"line": 2})


def test_a_bucket_that_writes_over_what_is_there_is_refused_before_it_does(
    bucket_desk: BucketDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some servers pass over the condition: with two nodes, one line of two would be lost."""
    write(bucket_desk.open(), 2)
    before = raw_lines(bucket_desk)
    journal = opened(bucket_desk)
    put = journal._client.put_object

    def unconditionally(*, IfNoneMatch: str, **wanted: Any) -> Any:
        return put(**wanted)

    answering(monkeypatch, journal, put_object=unconditionally)

    with pytest.raises(SettingsFault, match="If-None-Match"):
        write(journal, 1)
    assert raw_lines(bucket_desk) == before


def test_a_number_that_others_keep_taking_is_given_up(
    bucket_desk: BucketDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller waits for a known time, and may try again."""
    journal = opened(bucket_desk)
    monkeypatch.setattr(journal_bucket, "_TRIES", 3)
    monkeypatch.setattr(journal, "_create", lambda *_: False)

    with pytest.raises(Unavailable, match="Try again"):
        write(journal, 1)


def test_a_line_that_lacks_before_others_is_found(bucket_desk: BucketDesk) -> None:
    """One withdrawal deleted: it is named, and its number is not written to again."""
    journal = bucket_desk.open()
    write(journal, 5)
    bucket_desk.take_out(3)

    for act in (
        bucket_desk.open().verify,
        lambda: list(bucket_desk.open().lines(2)),
        lambda: bucket_desk.open().require_contains(3, "0" * 64),
    ):
        refused = refusal(act)
        assert (refused.code, refused.details) == ("line_missing", {"line": 3})
    assert bucket_desk.open().head().number == 5
    assert write(journal, 1)[0].number == 6


@pytest.mark.parametrize("left", [1, 2, 7, 12])
def test_the_last_line_is_found_past_holes_of_any_width(bucket_desk: BucketDesk, left: int) -> None:
    """A new node looks for the end in a few questions; none of them may stop at a hole."""
    write(bucket_desk.open(), 12)
    for number in range(1, 12):
        if number != left:
            bucket_desk.take_out(number)

    assert bucket_desk.open().head().number == 12


def test_a_line_written_while_others_are_listed_is_no_hole(
    bucket_desk: BucketDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list is no picture of one moment: it may name the newer of two lines and not the older."""
    write(bucket_desk.open(), 4)
    journal = opened(bucket_desk)
    real = journal._client.list_objects_v2

    def without_the_third(**wanted: Any) -> Any:
        page = real(**wanted)
        found = page.get("Contents", [])
        return page | {"Contents": [one for one in found if not one["Key"].endswith("3")]}

    answering(monkeypatch, journal, list_objects_v2=without_the_third)

    assert journal.verify().number == 4


def test_a_journal_that_must_exist_is_not_begun(bucket_desk: BucketDesk) -> None:
    """A database that knows of lines and finds no journal must not begin a new one."""
    refused = refusal(lambda: bucket_desk.open(must_exist=True))

    assert refused.code == "missing"
    assert "Put back" in refused.message
    write(bucket_desk.open(), 1)
    assert bucket_desk.open(must_exist=True).head().number == 1


def test_a_journal_that_goes_missing_is_not_begun_anew(bucket_desk: BucketDesk) -> None:
    """Emptied while the service runs: the next act must be refused, not be line 1 again."""
    journal = bucket_desk.open()
    write(journal, 2)
    bucket_desk.put([])

    for act in (lambda: write(journal, 1), journal.head, lambda: list(journal.lines(1))):
        assert refusal(act).code == "missing"
    assert raw_lines(bucket_desk) == []


def test_a_bucket_that_is_not_there_is_a_missing_journal(
    bucket_desk: BucketDesk, object_store: Seaweed
) -> None:
    """A misspelt or deleted bucket is never made by an append."""
    bucket_desk.where = bucket_desk.where.replace("s3://plain/", "s3://no-such-bucket/")
    journal = bucket_desk.open()

    for act in (journal.head, lambda: write(journal, 1), journal.verify):
        assert refusal(act).code == "missing"
    listed = object_store.client().list_buckets()["Buckets"]
    assert "no-such-bucket" not in [one["Name"] for one in listed]


def test_an_answer_that_was_lost_makes_no_second_line(
    bucket_desk: BucketDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket took the line, the answer never came, and asking again meets our own."""
    journal = opened(bucket_desk)
    put = journal._client.put_object

    def put_twice(**wanted: Any) -> Any:
        put(**wanted)
        return put(**wanted)

    answering(monkeypatch, journal, put_object=put_twice)
    [line] = write(journal, 1)

    assert (line.number, journal.verify()) == (1, line.head)


def test_a_line_whose_fate_is_not_known_is_followed_and_not_forgotten(
    bucket_desk: BucketDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says more than was acknowledged, which replay bears; the act itself is refused."""
    journal = opened(bucket_desk)
    write(journal, 1)
    put = journal._client.put_object

    def taken_without_an_answer(**wanted: Any) -> Any:
        put(**wanted)
        raise ReadTimeoutError(endpoint_url="http://bucket.example")

    with monkeypatch.context() as broken:
        answering(broken, journal, put_object=taken_without_an_answer)
        with pytest.raises(Unavailable):
            write(journal, 1)

    assert write(journal, 1)[0].number == 3
    assert journal.verify().number == 3


@pytest.mark.parametrize("verb", ["get_object", "list_objects_v2", "put_object"])
def test_a_bucket_that_is_away_is_unavailable(
    bucket_desk: BucketDesk, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Nothing needs to be put back, and nothing is acknowledged."""
    journal = opened(bucket_desk)
    write(journal, 1)

    def never(**_: Any) -> Any:
        raise ReadTimeoutError(endpoint_url="http://bucket.example")

    with monkeypatch.context() as broken:
        answering(broken, journal, **{verb: never})
        with pytest.raises(Unavailable, match="journal"):
            write(journal, 1)

    assert journal.verify().number == 1


def test_a_line_without_end_does_not_fill_the_memory(bucket_desk: BucketDesk) -> None:
    """An object of gigabytes must be refused, not be read."""
    write(bucket_desk.open(), 1)
    bucket_desk.put_one(2, b"x" * (LINE_BYTES_MAX + 10) + b"\n")

    for act in (bucket_desk.open().verify, bucket_desk.open().head):
        assert refusal(act).details == {"line": 2}


def test_appending_asks_three_questions_however_long_the_journal_is(
    bucket_desk: BucketDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line each minute for years: a withdrawal must not wait for all of them."""
    write(bucket_desk.open(), 12)
    asked: list[str] = []
    journal = opened(bucket_desk)

    def counted(verb: str) -> Callable[..., Any]:
        real = getattr(journal._client, verb)

        def ask(**wanted: Any) -> Any:
            asked.append(verb)
            return real(**wanted)

        return ask

    verbs = ("get_object", "list_objects_v2", "put_object")
    answering(monkeypatch, journal, **{verb: counted(verb) for verb in verbs})

    journal.append(LineKind.UNDO, {}, AT)
    first, asked[:] = len(asked), []
    journal.append(LineKind.UNDO, {}, AT)

    assert first <= 8 + 2 * (12).bit_length()
    assert sorted(asked) == ["get_object", "list_objects_v2", "put_object"]
    asked.clear()
    next(journal.lines(9))
    assert asked == ["get_object", "list_objects_v2", "get_object"]
