"""When a link is over, and why: as a rule, without a clock or a database."""

from datetime import UTC, datetime, timedelta

import pytest

from consent_service.domain.links import (
    MOST_WRONG_ANSWERS,
    LinkEnd,
    LinkFacts,
    LinkKind,
    end_of,
)

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
A_MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("kind", LinkKind)
def test_a_link_of_which_nothing_is_known_opens(kind: LinkKind) -> None:
    """A fresh link must work, or nobody would trust the next one."""
    assert end_of(LinkFacts(kind), NOW) is None


@pytest.mark.parametrize(
    ("facts", "end"),
    [
        (LinkFacts(LinkKind.CONSENT, used_at=NOW), LinkEnd.USED),
        (LinkFacts(LinkKind.PARENT, revoked_at=NOW), LinkEnd.REVOKED),
        (LinkFacts(LinkKind.PARENT, wrong_answers=MOST_WRONG_ANSWERS), LinkEnd.LOCKED),
        (LinkFacts(LinkKind.PARENT, person_died=True), LinkEnd.DIED),
        (LinkFacts(LinkKind.CONSENT, withdrawn_since=True), LinkEnd.WITHDRAWN),
        (LinkFacts(LinkKind.CONSENT, ends_at=NOW), LinkEnd.RAN_OUT),
    ],
)
def test_each_thing_that_ends_a_link_ends_it(facts: LinkFacts, end: LinkEnd) -> None:
    """Every one of these is a promise to somebody that the link is dead."""
    assert end_of(facts, NOW) is end


@pytest.mark.parametrize(
    "facts",
    [
        LinkFacts(LinkKind.PARENT, wrong_answers=MOST_WRONG_ANSWERS - 1),
        LinkFacts(LinkKind.PARENT, withdrawn_since=True),
        LinkFacts(LinkKind.CONSENT, ends_at=NOW + A_MINUTE),
    ],
)
def test_what_does_not_end_a_link_leaves_it_open(facts: LinkFacts) -> None:
    """A parent's page outlives their withdrawal: it holds the receipt."""
    assert end_of(facts, NOW) is None
