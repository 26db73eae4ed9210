"""A published version never changes, and anyone can check that it did not."""

import shutil
import subprocess
from pathlib import Path

import pytest

from consent_service.errors import PolicyFault
from consent_service.policy_files import (
    PUBLISHED_FILE,
    check_published,
    digest_of_files,
    digest_of_form,
    digest_of_leaflet,
    files_of,
    form_path,
    leaflet_path,
    published_digests,
    read_published,
    write_published,
)
from tests.policy_files.conftest import PolicyFolder

VIG = "consent-forms/vig/v1"
WORDS = f"{VIG}/en.md"


def refusal_of(folder: PolicyFolder, registered: dict[str, str]) -> list[str]:
    with pytest.raises(PolicyFault) as caught:
        check_published(folder.path, registered)
    faults: list[str] = caught.value.details["faults"]
    return faults


def test_the_digest_is_the_one_that_ordinary_tools_compute(folder: PolicyFolder) -> None:
    """An auditor must not need our program to check what parents signed."""
    command = "sha256sum en.md form.yaml | sha256sum"

    printed = subprocess.run(
        ["sh", "-c", command], cwd=folder.path / VIG, capture_output=True, text=True, check=True
    ).stdout

    assert digest_of_form(folder.path, "vig", 1) == printed.split()[0]
    assert digest_of_files(files_of(folder.path, VIG)) == printed.split()[0]


def test_the_digest_follows_bytes_names_and_number_of_files(folder: PolicyFolder) -> None:
    """A translation added later, or two files swapped, is another version."""
    digests = {digest_of_form(folder.path, "vig", 1)}

    (folder.path / VIG / "cy.md").write_text("Cymraeg")
    digests.add(digest_of_form(folder.path, "vig", 1))
    (folder.path / VIG / "cy.md").rename(folder.path / VIG / "ga.md")
    digests.add(digest_of_form(folder.path, "vig", 1))
    (folder.path / VIG / "ga.md").write_text("Gaeilge")
    digests.add(digest_of_form(folder.path, "vig", 1))

    assert len(digests) == 4


def test_a_backup_copy_of_an_editor_changes_nothing(folder: PolicyFolder) -> None:
    """Opening a file must not look like editing it."""
    before = digest_of_leaflet(folder.path, "L1111", 2)

    shutil.copy(folder.path / "leaflets/L1111/v2/en.md", folder.path / "leaflets/L1111/v2/en.md~")

    assert digest_of_leaflet(folder.path, "L1111", 2) == before


def test_an_edited_form_is_refused_by_name(folder: PolicyFolder) -> None:
    """Someone agreed to these exact words."""
    folder.change(WORDS, "a few minutes", "an hour")

    sentence = "this published file was edited, expected it as it was published"
    assert refusal_of(folder, {}) == [f"{WORDS}:1: {sentence}"]


def test_editing_the_digest_line_as_well_does_not_help(folder: PolicyFolder) -> None:
    """Whoever can edit the words can edit the list beside them; the database's copy wins."""
    registered = published_digests(folder.path, VIG)
    folder.change(WORDS, "a few minutes", "an hour")
    write_published(folder.path, read_published(folder.path) | published_digests(folder.path, VIG))

    faults = refusal_of(folder, registered)

    number = folder.line_of(PUBLISHED_FILE, f"  {VIG}")
    expected = f"the line of {VIG} was edited, expected {registered[VIG]} as published"
    assert f"{PUBLISHED_FILE}:{number}: {expected}" in faults
    assert f"{WORDS}:1: this published file was edited, expected it as it was published" in faults
    assert not any(fault.startswith(f"{VIG}/form.yaml") for fault in faults)


def test_the_digest_of_a_version_alone_is_enough_to_refuse(folder: PolicyFolder) -> None:
    """Without digests of its files the refusal names all of them, rather than none."""
    registered = {VIG: published_digests(folder.path, VIG)[VIG]}
    folder.change(WORDS, "a few minutes", "an hour")
    (folder.path / PUBLISHED_FILE).unlink()

    assert [fault.partition(":")[0] for fault in refusal_of(folder, registered)] == [
        WORDS,
        f"{VIG}/form.yaml",
    ]


def test_an_edited_line_alone_is_refused(folder: PolicyFolder) -> None:
    """The list is what an auditor reads first."""
    registered = published_digests(folder.path, VIG)
    folder.change(PUBLISHED_FILE, registered[VIG], "0" * 64)

    assert len(refusal_of(folder, registered)) == 1


def test_a_published_version_that_is_gone_is_refused(folder: PolicyFolder) -> None:
    """A consent would point at words that nobody can show any more."""
    registered = {VIG: published_digests(folder.path, VIG)[VIG]}
    (folder.path / PUBLISHED_FILE).unlink()
    shutil.rmtree(folder.path / VIG)

    sentence = "this published file is gone, expected it as it was published"
    assert refusal_of(folder, registered) == [f"{VIG}:1: {sentence}"]


def test_a_file_added_to_or_taken_from_a_published_version_is_refused(
    folder: PolicyFolder,
) -> None:
    """A language added later is a new version, with its own approval."""
    registered = published_digests(folder.path, VIG)
    (folder.path / WORDS).rename(folder.path / VIG / "cy.md")

    assert refusal_of(folder, registered) == [
        f"{VIG}/cy.md:1: this published file was edited, expected it as it was published",
        f"{WORDS}:1: this published file is gone, expected it as it was published",
    ]


def test_a_draft_may_change_freely(folder: PolicyFolder) -> None:
    """Only what was published is held to its words."""
    published = read_published(folder.path)
    shutil.copytree(folder.path / VIG, folder.path / "consent-forms/vig/v2")

    check_published(folder.path, published)


def test_a_line_that_is_none_is_refused_with_its_number(folder: PolicyFolder) -> None:
    """A line lost by a bad merge must not pass for a version never published."""
    (folder.path / PUBLISHED_FILE).write_text(f"{'a' * 64}  {VIG}\n<<<<<<< ours\n\n")

    with pytest.raises(PolicyFault) as caught:
        read_published(folder.path)

    assert caught.value.message == (
        f"{PUBLISHED_FILE}:2: this is no digest line, expected `<sha256>  path`"
    )


def test_a_folder_where_nothing_was_published_has_no_list(tmp_path: Path) -> None:
    """The first publication starts it."""
    assert read_published(tmp_path) == {}

    write_published(tmp_path, {"b/c/v1": "1" * 64, "a/b/v1": "2" * 64})

    assert (tmp_path / PUBLISHED_FILE).read_text() == f"{'2' * 64}  a/b/v1\n{'1' * 64}  b/c/v1\n"
    assert [path.name for path in tmp_path.iterdir()] == [PUBLISHED_FILE]


def test_a_version_that_does_not_exist_has_no_digest(folder: PolicyFolder) -> None:
    """The digest of nothing would match every empty folder."""
    with pytest.raises(FileNotFoundError):
        digest_of_form(folder.path, "vig", 9)
    assert (form_path("vig", 9), leaflet_path("L1", 2)) == (
        "consent-forms/vig/v9",
        "leaflets/L1/v2",
    )
