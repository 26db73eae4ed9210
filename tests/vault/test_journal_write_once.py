"""Whether a bucket keeps every line by itself: yes, no, or these credentials may not ask."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from consent_service.errors import (
    ConsentServiceError,
    JournalBroken,
    Refused,
    Unavailable,
)
from consent_service.vault.journal_bucket import BucketJournal
from tests.support.seaweed import Seaweed
from tests.vault.journals import BucketDesk, write


def test_a_bucket_with_a_lock_for_every_object_is_write_once(
    bucket_desk: BucketDesk, object_store: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator is told whether the bucket would refuse to give up a line."""
    client = object_store.client()
    client.create_bucket(Bucket="write-once", ObjectLockEnabledForBucket=True)
    desk = BucketDesk(
        bucket_desk.path,
        bucket_desk.signer,
        bucket_desk.keys,
        bucket_desk.where.replace("s3://plain/", "s3://write-once/"),
        client,
    )
    journal = desk.open()
    assert not bucket_desk.open().is_write_once()
    assert not journal.is_write_once()

    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket="write-once",
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
    )

    assert journal.is_write_once()
    write(journal, 2)
    bucket, prefix = desk.place
    [first, _] = client.list_object_versions(Bucket=bucket, Prefix=prefix)["Versions"]
    with pytest.raises(ClientError):
        client.delete_object(Bucket=bucket, Key=first["Key"], VersionId=first["VersionId"])
    assert journal.verify().number == 2


@pytest.mark.parametrize(
    ("status", "code", "answer"),
    [
        (404, "ObjectLockConfigurationNotFoundError", None),
        (501, "NotImplemented", None),
        (403, "AccessDenied", Refused),
        (401, "Unauthorized", Refused),
        (404, "NoSuchBucket", JournalBroken),
        (503, "SlowDown", Unavailable),
    ],
)
def test_a_bucket_that_may_not_be_asked_is_not_taken_for_one_that_said_no(
    bucket_desk: BucketDesk,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str,
    answer: type[ConsentServiceError] | None,
) -> None:
    """An operator would lock a bucket that is locked, or look away from one that is not."""
    journal = bucket_desk.open()
    assert isinstance(journal, BucketJournal)

    def says(**_: Any) -> Any:
        told: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(told, "GetObjectLockConfiguration")

    monkeypatch.setattr(journal._client, "get_object_lock_configuration", says)

    if answer is None:
        assert not journal.is_write_once()
        return
    with pytest.raises(answer) as refused:
        journal.is_write_once()
    if answer is Refused:
        assert refused.value.code == "may_not_ask"
        assert "s3:GetBucketObjectLockConfiguration" in refused.value.message
