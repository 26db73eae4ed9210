"""Forms about film: is the family ready, who is in it, which moments to keep."""

from datetime import date

from wtforms import BooleanField, Field, StringField
from wtforms.validators import InputRequired, Length, ValidationError

from consent_service.domain.attunement import Principle
from consent_service.domain.people import FamilyRole, MeetingKind, MeetingMode
from consent_service.services.access import Caller
from consent_service.services.assets import AssetView
from consent_service.services.context import Context
from consent_service.services.cutting import MakeClip, MakeStill
from consent_service.services.involvements import InvolvementView, MeetingDetails, record_meeting
from consent_service.services.kept_moments import DescribeCut
from consent_service.services.recordings import ReserveFilm
from consent_service.services.timeline import MeetingView
from consent_service.web.fields import PageForm, choice, day, line, several, text
from consent_service.web.film_times import read_moment
from consent_service.web.words import said

READY = "ready"
NOT_TODAY = "not_today"
EARLIER = "earlier"
MODES = [(mode.value, said(mode)) for mode in MeetingMode]
PRINCIPLES = [(principle.value, said(principle)) for principle in Principle]
TIME_HINT = "Minutes and seconds, such as 1:05"
NOT_A_MOMENT = "Enter minutes and seconds, such as 1:05."


class ReadyForm(PageForm):
    """Asked before every filming; no reason is asked."""

    ready = choice(
        "Ready to be filmed today?",
        [
            (READY, "Ready today"),
            (NOT_TODAY, "Not today"),
            (EARLIER, "The film was taken on another day"),
        ],
        "Choose “Ready today” or “Not today”.",
        description="Ask the family. They need not say why.",
    )
    mode = choice("Where are you?", MODES, sentence="")

    def validate(self, extra_validators: object = None) -> bool:
        """A day on which the family was asked has a place."""
        good = bool(super().validate(extra_validators))
        if self.ready.data in (READY, NOT_TODAY) and not self.mode.data:
            self.say("Say where you are.", "mode")
            good = False
        return good

    def not_today(self, involvement: str, today: date) -> MeetingDetails:
        """Return the meeting at which the family did not want to be filmed."""
        mode = MeetingMode(self.mode.data)
        return MeetingDetails(involvement, MeetingKind.FILMING, mode, today, ready_today=False)


class FilmForm(PageForm):
    """What to know of a film before it comes in."""

    depicted = several(
        "Who can be seen or heard in it?",
        description="The baby too. If somebody is missing here, add them to the family first.",
    )
    present = several("Who was behind the camera?", description="Staff only.")
    filmed_on = day("On which day was it filmed?")
    mode = choice("Where?", MODES, "Say where it was filmed.")
    title = line("A name for the film", description="For example: bath time. No names of people.")
    reason_for_length = text("Why is it a long film?")

    def offer(self, family: InvolvementView) -> None:
        """Offer the people of a family."""
        shown = [(p.id, p.full_name) for m, p in family.people if m.role is not FamilyRole.STAFF]
        self.depicted.choices = shown
        self.present.choices = [
            (p.id, p.full_name) for m, p in family.people if m.role is FamilyRole.STAFF
        ]
        if not self.is_submitted():
            self.depicted.data = [person for person, _ in shown]

    def validate(self, extra_validators: object = None) -> bool:
        """Somebody is in every film."""
        good = bool(super().validate(extra_validators))
        if not self.depicted.data:
            self.say("Choose everyone who can be seen or heard.", "depicted")
            good = False
        return good

    def meeting(
        self, ctx: Context, caller: Caller, involvement: str, known: list[MeetingView]
    ) -> str:
        """Return the filming that this film belongs to; it is written down when it is not yet."""
        for meeting in known:
            same_day = meeting.held_on == self.filmed_on.data
            if meeting.kind is MeetingKind.FILMING and same_day and meeting.ready_today:
                return meeting.id
        people = tuple(sorted({*(self.depicted.data or ()), *(self.present.data or ())}))
        details = MeetingDetails(
            involvement,
            MeetingKind.FILMING,
            MeetingMode(self.mode.data),
            self.filmed_on.data,
            people,
            ready_today=True,
        )
        return record_meeting(ctx, caller, details)

    def request(self, involvement: str, meeting: str) -> ReserveFilm:
        """Return what was written."""
        return ReserveFilm(
            involvement,
            tuple(self.depicted.data or ()),
            self.filmed_on.data,
            meeting,
            tuple(self.present.data or ()),
            self.reason_for_length.data or None,
            title=self.title.data or None,
        )


def _a_moment(_form: PageForm, field: Field) -> None:
    if field.data and read_moment(field.data) is None:
        raise ValidationError(NOT_A_MOMENT)


def moment_field(label: str, sentence: str) -> StringField:
    """Return a moment within a film, typed."""
    checks = [InputRequired(sentence), Length(max=12, message=NOT_A_MOMENT), _a_moment]
    return StringField(label, checks, description=TIME_HINT, render_kw={"autocomplete": "off"})


class ClipForm(PageForm):
    """A part of a film worth keeping."""

    start_ms = moment_field("Start of the clip", "Say where the clip starts.")
    end_ms = moment_field("End of the clip", "Say where the clip ends.")
    title = line("A name for the clip", "Give the clip a name.", description="No names of people.")
    noticed = text("What did you notice?")
    principles = several("Which principles of attuned interaction?", PRINCIPLES)
    exact = BooleanField("Cut exactly here; otherwise a clip may begin a little earlier")

    def request(self, source: str) -> MakeClip:
        """Return what was written."""
        return MakeClip(
            source,
            read_moment(self.start_ms.data or "") or 0,
            read_moment(self.end_ms.data or "") or 0,
            self.title.data or "",
            self.noticed.data or None,
            bool(self.exact.data),
            tuple(Principle(code) for code in self.principles.data or ()),
        )


class StillForm(PageForm):
    """One picture of a film."""

    at_ms = moment_field("Moment of the photo", "Say at which moment to take the photo.")
    still_title = line("A name for the photo", description="You may leave this empty.")

    def request(self, source: str) -> MakeStill:
        """Return what was written."""
        moment = read_moment(self.at_ms.data or "") or 0
        return MakeStill(source, moment, self.still_title.data or None)


class NameForm(PageForm):
    """What a clip or photo is called, and what was noticed in it."""

    title = line("Its name", description="No names of people.")
    noticed = text("What did you notice?")
    principles = several("Which principles of attuned interaction?", PRINCIPLES)

    def show_as_kept(self, film: AssetView) -> None:
        """Fill the form with what is known."""
        self.title.data, self.noticed.data = film.title, film.noticed
        self.principles.data = [principle.value for principle in film.principles]

    def request(self, asset: str) -> DescribeCut:
        """Return what was written."""
        tags = tuple(Principle(code) for code in self.principles.data or ())
        return DescribeCut(asset, self.title.data or "", self.noticed.data or None, tags)


class RemoveForm(PageForm):
    """Nothing to enter: the button says it."""


class SeenForm(PageForm):
    """Somebody else who was noticed in a film."""

    person = choice("Who else is in it?", sentence="Choose the person.")

    def offer(self, family: InvolvementView, film: AssetView) -> None:
        """Offer the people of the family who are not recorded as in the film."""
        self.person.choices = [
            (p.id, p.full_name) for _, p in family.people if p.id not in film.depicted
        ]


class NotSeenForm(PageForm):
    """Why somebody recorded as in a film is not in it."""

    reason = text(
        "How do you know?",
        "Say how you know that they are not in it.",
        description="For example: watched all of it, nobody else is seen or heard.",
    )
