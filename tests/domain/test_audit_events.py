"""What may stand in the audit log, and how it reads."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from consent_service.domain.audit import (
    SENTENCES,
    Actor,
    ActorKind,
    AuditEvent,
    EventKind,
    body,
    instant_text,
    optional_fields,
    parse_body,
    required_fields,
    sentence,
)
from consent_service.errors import IntegrityFault

AT = datetime(2026, 3, 1, 9, 30, 0, 5, tzinfo=UTC)
ENTRY = "0a" * 16
FILM = "1b" * 16
GUIDER = Actor(ActorKind.USER, "2c" * 16)

codes = st.from_regex(r"[a-z][a-z0-9_.:/+-]{0,20}", fullmatch=True)
details = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True),
    st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | codes | st.lists(codes, max_size=4),
    max_size=5,
)


def film_viewed(**found: object) -> AuditEvent:
    return AuditEvent(EventKind.FILM_VIEWED, GUIDER, FILM, "3d" * 16, found)  # type: ignore[arg-type]


def test_every_kind_has_a_sentence_and_no_sentence_is_left_over():
    """An IG officer must be able to read every act; a kind without words would be hidden."""
    assert set(SENTENCES) == set(EventKind)


def test_no_two_kinds_read_alike():
    """Two acts with the same sentence could not be told apart on the page."""
    assert len(set(SENTENCES.values())) == len(EventKind)


@pytest.mark.parametrize("kind", list(EventKind))
def test_a_kind_is_named_thing_dot_act(kind):
    """The names stand in the log for ever, so they all have one form."""
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", kind.value)


@pytest.mark.parametrize("kind", list(EventKind))
def test_a_sentence_needs_only_the_actor_and_the_subject(kind):
    """A missing detail must never stop the log from being read."""
    assert required_fields(kind) <= {"actor", "subject", "involvement"}


@pytest.mark.parametrize("kind", list(EventKind))
def test_a_sentence_renders_with_and_without_its_details(kind):
    """No placeholder, bracket or doubled space reaches the reader."""
    full = dict.fromkeys(optional_fields(kind) - {"actor", "subject"}, "code")

    bare = sentence(AuditEvent(kind, GUIDER, FILM))
    whole = sentence(AuditEvent(kind, GUIDER, FILM, None, full))

    for said in (bare, whole):
        assert re.fullmatch(r"[A-Z][^{}\[\]]*[^,\s]\.", said)
        assert "  " not in said and " ," not in said and "None" not in said


def test_a_sentence_says_who_did_what_for_which_purpose():
    """The sentence is what a parent is shown when they ask who watched their film."""
    event = film_viewed(purpose="care")

    assert sentence(event) == f"User {GUIDER.id} watched film {FILM} for care."


@pytest.mark.parametrize(
    ("purposes", "said"),
    [(["care", "team"], "care, team"), ([], "none"), (7, "7"), (True, "yes"), (False, "no")],
)
def test_every_sort_of_detail_reads_as_words(purposes, said):
    """Lists, numbers and yes or no are for people too."""
    event = AuditEvent(EventKind.ASSET_WRAPS_CHANGED, GUIDER, FILM, details={"purposes": purposes})

    assert sentence(event) == f"What film {FILM} may be opened for changed: {said}."


def test_what_the_service_does_by_itself_is_said_to_be_its_own_doing():
    """No member of staff may seem to have done what a program did."""
    service = Actor(ActorKind.SYSTEM, "service")

    assert sentence(AuditEvent(EventKind.CLIP_MADE, service, FILM)).startswith("The service ")
    assert str(service) == "system:service"


def test_names_are_put_in_only_when_the_log_is_read():
    """Names come from the reader's view of the people, never from the log."""
    shown = {GUIDER.id: "Ms Example", FILM: "film 3"}

    said = sentence(film_viewed(), lambda code: shown.get(code, code))

    assert said == "User Ms Example watched film film 3."


@pytest.mark.parametrize(
    "free_text",
    ["Sarah", "Anna-Maria", "two words", "", "9990000018", "999-000-0018", "+447700900123",
     "a@b.example", "x" * 121, "naïve", "line\n", 'quote"'],
)  # fmt: skip
@pytest.mark.parametrize("place", ["subject", "involvement", "actor", "detail", "list"])
def test_what_could_be_personal_is_refused_everywhere(free_text, place):
    """The log outlives every erasure, so nothing personal may get in at any place."""
    made = {
        "subject": lambda: AuditEvent(EventKind.FILM_VIEWED, GUIDER, free_text),
        "involvement": lambda: AuditEvent(EventKind.FILM_VIEWED, GUIDER, FILM, free_text),
        "actor": lambda: Actor(ActorKind.USER, free_text),
        "detail": lambda: film_viewed(reason=free_text),
        "list": lambda: film_viewed(purposes=["care", free_text]),
    }[place]

    with pytest.raises(ValueError, match="audit") as refusal:
        made()

    assert not free_text or free_text not in str(refusal.value)


@pytest.mark.parametrize("value", [1.5, None, b"bytes", {"a": "b"}, [1], [["nested"]], 2**53])
def test_a_detail_of_another_type_is_refused(value):
    """Canonical JSON gives one form only to codes, whole numbers and yes or no."""
    with pytest.raises(ValueError, match="audit"):
        film_viewed(found=value)


def test_a_detail_with_a_name_in_its_name_is_refused():
    """A detail's own name is written down as well."""
    with pytest.raises(ValueError, match="lower-case"):
        AuditEvent(EventKind.FILM_VIEWED, GUIDER, FILM, None, {"Sarah's": "x"})


def test_an_event_without_the_subject_that_its_sentence_needs_is_refused():
    """ "Somebody watched" without saying what would prove nothing."""
    with pytest.raises(ValueError, match=r"film\.viewed needs a subject"):
        AuditEvent(EventKind.FILM_VIEWED, GUIDER)


def test_an_event_cannot_be_changed_after_it_was_made():
    """Between check and write nobody may slip something in."""
    purposes = ["care"]
    given_details = {"purposes": purposes}
    event = AuditEvent(EventKind.FILM_VIEWED, GUIDER, FILM, None, given_details)

    purposes.append("two words")
    given_details["reason"] = "two words"

    assert dict(event.details) == {"purposes": ["care"]}
    with pytest.raises(TypeError):
        event.details["reason"] = "x"  # type: ignore[index]


def test_the_body_is_canonical_json_with_every_search_column_in_it():
    """Search columns are checked against the body, so the body must hold them."""
    raw = body(film_viewed(purpose="care", seconds=3, again=False), ENTRY, AT)

    assert raw == rfc8785.dumps(json.loads(raw))
    assert json.loads(raw) == {
        "actor": {"id": GUIDER.id, "kind": "user"},
        "at": "2026-03-01T09:30:00.000005Z",
        "details": {"again": False, "purpose": "care", "seconds": 3},
        "id": ENTRY,
        "involvement": "3d" * 16,
        "kind": "film.viewed",
        "subject": FILM,
        "v": 1,
    }


@given(details)
def test_every_body_is_canonical_json_as_the_reference_library_writes_it(found):
    """Programs elsewhere rebuild the bytes with RFC 8785; one difference and no hash fits."""
    raw = body(AuditEvent(EventKind.FILM_VIEWED, GUIDER, FILM, None, found), ENTRY, AT)

    assert raw == rfc8785.dumps(json.loads(raw))


@given(details)
def test_a_body_read_back_gives_an_equal_event(found):
    """An export is read by programs years later: nothing may be lost on the way."""
    event = AuditEvent(EventKind.FILM_VIEWED, GUIDER, FILM, None, found)

    recorded = parse_body(body(event, ENTRY, AT))

    assert recorded.event == event
    assert (recorded.entry_id, recorded.at) == (ENTRY, AT)


@pytest.mark.parametrize(
    "altered",
    [
        lambda raw: raw.replace(b'"v":1', b'"v":2'),
        lambda raw: raw.replace(b'"v":1', b'"v": 1'),
        lambda raw: raw.replace(b"film.viewed", b"film.burned"),
        lambda raw: raw.replace(b'"kind":"user"', b'"kind":"cat"'),
        lambda raw: raw.replace(b"care", b"Sarah"),
        lambda raw: raw[:-1],
        lambda raw: b"[]",
        lambda raw: b"\xff",
    ],
)
def test_a_body_that_is_not_exactly_ours_is_refused(altered):
    """Two readings of one entry would let a forger choose."""
    raw = altered(body(film_viewed(purpose="care"), ENTRY, AT))

    with pytest.raises(IntegrityFault):
        parse_body(raw)


def test_the_text_of_an_instant_sorts_like_time_whatever_the_zone():
    """The log is searched by this text."""
    east = datetime(2026, 3, 1, 10, 0, tzinfo=timezone(timedelta(hours=1)))

    assert instant_text(east) == "2026-03-01T09:00:00.000000Z"
    assert instant_text(east) < instant_text(AT)
    with pytest.raises(ValueError, match="time zone"):
        instant_text(datetime(2026, 3, 1))
