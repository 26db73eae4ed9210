"""A clinic in a folder, run by its services: the words in which the demonstration is told.

Rules kept here: everything is the real thing (SQLite, files, keyring, journal, PDF, film); only
the clock is moved by hand, so that weeks pass while one watches.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from consent_service.cli.demonstration.cast import STAFF, TEAM, Household
from consent_service.cli.terminal import operator
from consent_service.clock import FixedClock, london_day
from consent_service.db import schema
from consent_service.db.engine import open_engine
from consent_service.domain.answers import GivenAnswer
from consent_service.domain.consent import Answer, Capacity, ConsentState, SignatureKind
from consent_service.domain.forms import AnswerKind, Layer
from consent_service.domain.leaflets import LeafletRoute
from consent_service.domain.people import Basis, FamilyRole
from consent_service.domain.purposes import CARE
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.media.sample import PHONE_METADATA, make_sample_film
from consent_service.services import (
    accounts,
    consent,
    involvements,
    leaflets,
    people,
    policies,
    recordings,
    viewing,
    withdrawal,
)
from consent_service.services.access import Caller
from consent_service.services.context import Context
from consent_service.services.recordings import AssetView
from consent_service.settings import Settings
from consent_service.wiring import Begin, build_context, make_folders

LEAFLET = "L1111"
FORM = "vig"
LANGUAGE = "en"
WORKER = "story"
TOGETHER = frozenset({"PHOTO.KEEP", "TRAIN.LOCAL"})
"""Optional statements that the story's parents say yes to."""


@dataclass(frozen=True)
class Family:
    """Two parents and their baby in one involvement; `issues` maps a parent to their leaflet."""

    involvement: str
    mother: str
    father: str
    baby: str
    issues: dict[str, str]

    @property
    def everyone(self) -> tuple[str, str, str]:
        """All three."""
        return self.mother, self.father, self.baby


@dataclass
class Clinic:
    """One installation with its staff, and a clock that moves when told."""

    ctx: Context
    clock: FixedClock
    team: str
    staff: dict[str, Caller]

    @property
    def guider(self) -> Caller:
        """Who films and reviews."""
        return self.staff["guider"]

    @property
    def officer(self) -> Caller:
        """Who answers for information governance."""
        return self.staff["ig-officer"]

    @property
    def deputy(self) -> Caller:
        """The second person in information governance."""
        return self.staff["ig-deputy"]

    @property
    def today(self) -> date:
        """The calendar day by the clinic's clock."""
        return london_day(self.clock.now())

    def passes(self, **time: float) -> None:
        """Let time pass: `clinic.passes(days=8)`."""
        self.clock.advance(timedelta(**time))

    def close(self) -> None:
        """Let go of databases and of keys in memory."""
        self.ctx.viewings.forget_all()
        self.ctx.keyring.close()
        self.ctx.engine.dispose()

    def reopened(self) -> "Clinic":
        """Return this installation opened anew, as after a restart."""
        self.close()
        return Clinic(
            build_context(self.ctx.settings, self.clock), self.clock, self.team, self.staff
        )

    def family(self, household: Household) -> Family:
        """Register a family whose parents both decide for the baby; nothing is given yet."""
        born = self.today - household.baby_age
        details = zip(
            (household.mother, household.father, household.baby),
            (date(1994, 5, 17), date(1992, 1, 9), born),
            household.numbers,
            strict=True,
        )
        mother, father, baby = (
            people.create_person(
                self.ctx, self.guider, people.PersonDetails(self.team, name, born_on, number)
            ).id
            for name, born_on, number in details
        )
        for holder, basis in ((mother, Basis.BIRTH_MOTHER), (father, Basis.BIRTH_CERTIFICATE)):
            held = people.ResponsibilityDetails(baby, holder, basis, born)
            people.record_responsibility(self.ctx, self.guider, held)
        together = involvements.InvolvementDetails(
            self.team,
            self.guider.id,
            (
                involvements.Member(mother, FamilyRole.PARENT),
                involvements.Member(father, FamilyRole.PARENT),
                involvements.Member(baby, FamilyRole.BABY),
            ),
            self.today,
        )
        view = involvements.start_involvement(self.ctx, self.guider, together)
        self.passes(minutes=1)
        return Family(view.id, mother, father, baby, {})

    def gives_leaflet(self, family: Family, person: str, version: int | None = None) -> str:
        """Give the leaflet (the current version unless named) and return the issue's id."""
        issue = leaflets.give_leaflet(
            self.ctx,
            self.guider,
            leaflets.GiveLeaflet(
                family.involvement,
                person,
                LEAFLET,
                self.today,
                LeafletRoute.PAPER,
                LANGUAGE,
                version,
            ),
        )
        family.issues[person] = issue.id
        self.passes(minutes=2)
        return issue.id

    def consents(
        self,
        family: Family,
        person: str,
        optional: frozenset[str] = frozenset(),
        no: frozenset[str] = frozenset(),
    ) -> consent.ConsentActView:
        """Have a parent answer the form for themselves and the baby, and sign by typing."""
        asked = consent.questions(
            self.ctx, self.guider, consent.AskForm(family.involvement, person, FORM, LANGUAGE)
        ).questions
        answers = tuple(
            _answer(q, no)
            for q in asked
            if q.statement.layer is not Layer.OPTIONAL or q.statement.code in optional | no
        )
        name = people.person(self.ctx, self.guider, person).full_name
        act = consent.capture(
            self.ctx,
            self.guider,
            consent.CaptureConsent(
                involvement=family.involvement,
                person=person,
                form=FORM,
                language=LANGUAGE,
                leaflet_issue=family.issues[person],
                route=Route.IN_PERSON,
                capacity=Capacity.NO_DOUBT,
                answers=answers,
                signature=consent.Signature(SignatureKind.TYPED, {"name": name}),
                event_at=self.clock.now(),
            ),
        )
        self.passes(minutes=1)
        return act

    def ready_family(self, household: Household, *, optional: frozenset[str] = TOGETHER) -> Family:
        """Register a family, give both parents the leaflet, and have both consent."""
        family = self.family(household)
        for parent in (family.mother, family.father):
            self.gives_leaflet(family, parent)
            self.consents(family, parent, optional)
        return family

    def films(
        self, family: Family, content: bytes, title: str, depicted: Iterable[str] = ()
    ) -> AssetView:
        """Take in a film of everyone in the family, or of those named."""
        people_in_it = tuple(depicted) or family.everyone
        request = recordings.ReserveFilm(family.involvement, people_in_it, self.today, title=title)
        return recordings.store(self.ctx, self.guider, request, [content])

    def watches(self, asset: str, purpose: str = CARE) -> bytes:
        """Return every byte of an asset as its viewer gets it."""
        with viewing.open_film(self.ctx, self.guider, asset, purpose) as film:
            return b"".join(film.iter_range(0, film.size))

    def withdrawal_of(
        self,
        family: Family,
        person: str,
        by: str | None = None,
        speed: Speed = Speed.NOW,
        purposes: tuple[str, ...] = (),
    ) -> WithdrawalRequest:
        """Return what someone asks to end: everything, or the purposes named."""
        return WithdrawalRequest(
            involvement=family.involvement,
            person=person,
            by=by or person,
            scope=WithdrawalScope.PURPOSES if purposes else WithdrawalScope.EVERYTHING,
            speed=speed,
            route=Route.IN_PERSON,
            moment=self.clock.now(),
            purposes=purposes,
        )

    def withdraws(self, request: WithdrawalRequest) -> withdrawal.WithdrawalView:
        """Record a withdrawal."""
        return withdrawal.withdraw(self.ctx, self.guider, request)

    def state(self, person: str, purpose: str = CARE) -> ConsentState:
        """Return the present state of a purpose for a person."""
        views = consent.state(self.ctx, self.officer, person, None, None)
        return next(view.state for view in views if view.purpose == purpose)


def open_clinic(settings: Settings, at: datetime) -> Clinic:
    """Set up an installation in the settings' folder, with staff in every role."""
    clock = FixedClock(at)
    make_folders(settings, clock)
    engine = open_engine(settings.database_url)
    schema.upgrade(engine)
    engine.dispose()
    ctx = build_context(settings, clock, begin=Begin.ALL)
    policies.publish_all(ctx, operator())
    team = involvements.create_team(ctx, operator(), TEAM)
    return Clinic(ctx, clock, team, employ(ctx, team))


def employ(ctx: Context, team: str) -> dict[str, Caller]:
    """Make every login of the cast, or find it; returns name -> caller."""
    staff = {}
    for login in STAFF:
        details = accounts.UserDetails(login.email, login.display_name, login.roles, (team,))
        user, _ = accounts.ensure_demo_user(ctx, details, login.password, login.code_secret)
        staff[login.name] = accounts.caller_of_user(ctx, user)
    return staff


def settings_in(folder: Path, policy_dir: Path) -> Settings:
    """Return settings that keep everything in one folder, with policies of their own."""
    return Settings(data_dir=folder, policy_dir=policy_dir).filled()


@functools.cache
def small_film() -> bytes:
    """Return a film of two seconds, with what a telephone writes into it."""
    return make_sample_film(2, (320, 180), metadata=PHONE_METADATA)


def _answer(question: consent.AskedQuestion, no: frozenset[str]) -> GivenAnswer:
    statement, about = question.statement, question.about
    if statement.code in no:
        return GivenAnswer(statement.code, about, Answer.NO)
    match statement.answer:
        case AnswerKind.CONFIRM:
            return GivenAnswer(statement.code, about, Answer.CONFIRMED)
        case AnswerKind.CHOICE:
            return GivenAnswer(statement.code, about, Answer.CHOSEN, (statement.choices[0],))
        case _:
            return GivenAnswer(statement.code, about, Answer.YES)
