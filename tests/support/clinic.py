"""A whole clinic in memory: real services, keys, store and journal, with words for a story.

Tests say `clinic.family()` and `clinic.gives_consent(...)`; nothing of ours is replaced but the
places where bytes are kept and the clock, which moves only when told.
"""

import functools
import io
import secrets
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from PIL import Image
from sqlalchemy import select

from consent_service.clock import FixedClock, london_day
from consent_service.db import schema
from consent_service.db.engine import open_engine
from consent_service.db.models.accounts import Role, TeamMember, UserAccount
from consent_service.db.models.audit import AuditEntry
from consent_service.db.models.people import Team
from consent_service.domain.answers import GivenAnswer
from consent_service.domain.audit import Actor, ActorKind, EventKind, RecordedEvent, parse_body
from consent_service.domain.consent import Answer, Capacity, SignatureKind
from consent_service.domain.forms import AnswerKind, Layer
from consent_service.domain.leaflets import LeafletRoute
from consent_service.domain.people import Basis, FamilyRole
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.ids import new_id
from consent_service.media.sample import make_sample_film
from consent_service.services import (
    consent,
    consent_papers,
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
from consent_service.settings import Settings
from consent_service.wiring import Begin, build_context, make_folders

START = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
"""A Monday morning on which leaflet L1111 V2 is current."""


def build_schema(url: str) -> None:
    """Bring an empty database to the newest version of the schema."""
    engine = open_engine(url)
    schema.upgrade(engine)
    engine.dispose()


@dataclass(frozen=True)
class Family:
    """A mother, a father and their baby in one involvement, everyone holding a leaflet."""

    involvement: str
    mother: str
    father: str
    baby: str
    issues: dict[str, str]

    @property
    def everyone(self) -> tuple[str, str, str]:
        return self.mother, self.father, self.baby


@dataclass
class Clinic:
    """What a story needs. `ctx` is real but for memory stores and the clock."""

    ctx: Context
    clock: FixedClock
    team: str = ""
    guider: Caller = field(default_factory=lambda: _caller("guider", ""))
    ig: Caller = field(default_factory=lambda: _caller("ig_officer", ""))
    ig2: Caller = field(default_factory=lambda: _caller("ig_officer", ""))
    supervisor: Caller = field(default_factory=lambda: _caller("supervisor", ""))
    admin: Caller = field(default_factory=lambda: _caller("administrator", ""))

    def passes(self, **time: float) -> None:
        """Let time pass: `clinic.passes(days=8)`."""
        self.clock.advance(timedelta(**time))

    @property
    def today(self) -> date:
        return london_day(self.clock.now())

    def family(self, *, team: str | None = None) -> Family:
        """Two parents with parental responsibility and a baby of five weeks."""
        ctx, where = self.ctx, team or self.team
        born = date(2026, 9, 28)
        mother, father, baby = (
            people.create_person(
                ctx,
                self.guider,
                people.PersonDetails(where, name, born_on),
            ).id
            for name, born_on in (
                ("Rosa Invented", date(1994, 5, 17)),
                ("Jonas Invented", date(1992, 1, 9)),
                ("Mina Invented", born),
            )
        )
        for holder, basis in ((mother, Basis.BIRTH_MOTHER), (father, Basis.BIRTH_CERTIFICATE)):
            people.record_responsibility(
                ctx, self.guider, people.ResponsibilityDetails(baby, holder, basis, born)
            )
        view = involvements.start_involvement(
            ctx,
            self.guider,
            involvements.InvolvementDetails(
                where,
                self.guider.id,
                (
                    involvements.Member(mother, FamilyRole.PARENT),
                    involvements.Member(father, FamilyRole.PARENT),
                    involvements.Member(baby, FamilyRole.BABY),
                ),
                self.today,
            ),
        )
        issues = {p: self.gives_leaflet(view.id, p) for p in (mother, father)}
        return Family(view.id, mother, father, baby, issues)

    def gives_leaflet(self, involvement: str, person: str) -> str:
        request = leaflets.GiveLeaflet(
            involvement, person, "L1111", self.today, LeafletRoute.PAPER, "en"
        )
        return leaflets.give_leaflet(self.ctx, self.guider, request).id

    def answers(
        self,
        family: Family,
        person: str,
        *,
        no: frozenset[str] = frozenset(),
        optional: frozenset[str] = frozenset(),
        about: frozenset[str] | None = None,
    ) -> tuple[GivenAnswer, ...]:
        """Yes to all that VIG needs, no to codes in `no`, yes to optional codes in `optional`."""
        asked = consent.questions(
            self.ctx, self.guider, consent.AskForm(family.involvement, person, "vig", "en")
        ).questions
        return tuple(
            _answer(q, no)
            for q in asked
            if (about is None or q.about in about)
            and (q.statement.layer is not Layer.OPTIONAL or q.statement.code in optional | no)
        )

    def captures(
        self, family: Family, person: str, answers: tuple[GivenAnswer, ...]
    ) -> consent.ConsentActView:
        """Record an act of consent now, signed with a typed name."""
        return consent.capture(
            self.ctx,
            self.guider,
            consent.CaptureConsent(
                involvement=family.involvement,
                person=person,
                form="vig",
                language="en",
                leaflet_issue=family.issues[person],
                route=Route.IN_PERSON,
                capacity=Capacity.NO_DOUBT,
                answers=answers,
                signature=consent.Signature(SignatureKind.TYPED, {"name": "Invented Person"}),
                event_at=self.clock.now(),
            ),
        )

    def both_consent(self, family: Family, *, optional: frozenset[str] = frozenset()) -> None:
        """Mother (for herself and the baby) and father (likewise) say yes to VIG."""
        for person in (family.mother, family.father):
            self.captures(family, person, self.answers(family, person, optional=optional))
            self.passes(minutes=1)

    def attaches_scan(self, act: str) -> consent_papers.PaperView:
        """Keep a scan of the paper with an act that was written down from it."""
        return consent_papers.attach(self.ctx, self.guider, act, [sample_scan()])

    def stores_film(
        self, family: Family, film: bytes | None = None, *, depicted: tuple[str, ...] = ()
    ) -> recordings.AssetView:
        """Film everyone in the family (or those named) and take the film in."""
        request = recordings.ReserveFilm(
            family.involvement, depicted or family.everyone, self.today, title="Bath time"
        )
        return recordings.store(self.ctx, self.guider, request, [film or sample_film()])

    def watches(self, asset: str, purpose: str = "care", *, caller: Caller | None = None) -> bytes:
        """Every byte of an asset, as its viewer gets it."""
        with viewing.open_film(self.ctx, caller or self.guider, asset, purpose) as film:
            return b"".join(film.iter_range(0, film.size))

    def withdraws(
        self,
        family: Family,
        person: str,
        *,
        by: str | None = None,
        scope: WithdrawalScope = WithdrawalScope.EVERYTHING,
        speed: Speed = Speed.NOW,
        purposes: tuple[str, ...] = (),
        assets: tuple[str, ...] = (),
    ) -> withdrawal.WithdrawalView:
        """Take back what was agreed for `person`, said by themselves or by `by`."""
        request = WithdrawalRequest(
            involvement=family.involvement,
            person=person,
            by=by or person,
            scope=scope,
            speed=speed,
            route=Route.IN_PERSON,
            moment=self.clock.now(),
            purposes=purposes,
            assets=assets,
        )
        return withdrawal.withdraw(self.ctx, self.guider, request)

    def written_down(self, kind: EventKind) -> list[RecordedEvent]:
        """What the audit log holds of a kind, oldest first."""
        with self.ctx.read() as session:
            rows = session.scalars(
                select(AuditEntry.body)
                .where(AuditEntry.kind == kind.value)
                .order_by(AuditEntry.at, AuditEntry.id)
            )
            return [parse_body(body) for body in rows]

    def objects(self) -> set[str]:
        """The names of everything in the store."""
        return set(self.ctx.blobs.list())


@functools.cache
def sample_scan(colour: str = "white") -> bytes:
    """A picture of an empty sheet."""
    held = io.BytesIO()
    Image.new("RGB", (320, 200), colour).save(held, "PNG")
    return held.getvalue()


@functools.cache
def sample_film(seconds: float = 2.0) -> bytes:
    """A small film of nobody, made once."""
    return make_sample_film(seconds)


def _answer(question: consent.AskedQuestion, no: frozenset[str]) -> GivenAnswer:
    statement, about = question.statement, question.about
    if statement.code in no:
        return GivenAnswer(statement.code, about, Answer.NO)
    match statement.answer:
        case AnswerKind.CONFIRM:
            return GivenAnswer(statement.code, about, Answer.CONFIRMED)
        case AnswerKind.CHOICE:
            return GivenAnswer(statement.code, about, Answer.CHOSEN, (statement.choices[0],))
        case AnswerKind.YES_NO_NAMED:
            return GivenAnswer(statement.code, about, Answer.YES, ("poster-2026",))
        case AnswerKind.TEXT:
            return GivenAnswer(statement.code, about, Answer.YES, words="It helped us.")
        case _:
            return GivenAnswer(statement.code, about, Answer.YES)


def _caller(role: str, team: str) -> Caller:
    identifier = new_id()
    teams = frozenset({team}) if team else frozenset()
    return Caller(
        Actor(ActorKind.USER, identifier), identifier, frozenset({role}), teams, fresh=True
    )


def open_clinic(
    database_url: str, folder: Path, *, at: datetime = START, settings: Settings | None = None
) -> Clinic:
    """Return a clinic with one team, staff in every role, and the packaged policies published.

    `database_url` is a database with the schema; everything else lives in memory or `folder`,
    unless `settings` say where.
    """
    clock = FixedClock(at)
    settings = (
        settings
        or Settings(
            data_dir=folder,
            database_url=database_url,
            keyring_url=f"sqlite:///{folder / 'keyring.sqlite3'}",
            blob_url="memory://",
            journal_url="memory://",
            key_provider="memory://",
            escrow_provider="memory://",
            signing_keys=folder / "signing",
        ).filled()
    )
    return furnish_clinic(settings, clock)


def furnish_clinic(settings: Settings, clock: FixedClock) -> Clinic:
    """Return a clinic with staff and published policies, kept where `settings` say."""
    make_folders(settings, clock)
    clinic = Clinic(build_context(settings, clock, begin=Begin.ALL), clock)
    _employ(clinic)
    policies.publish_all(clinic.ctx, clinic.ig)
    return clinic


def _employ(clinic: Clinic) -> None:
    with clinic.ctx.begin() as uow:
        clinic.team = new_id()
        uow.session.add(Team(id=clinic.team, name="Lantern team", created_at=uow.at))
        uow.session.flush()
        roles: dict[str, Role] = {}
        for name in ("guider", "ig", "ig2", "supervisor", "admin"):
            role = {"ig": "ig_officer", "ig2": "ig_officer", "admin": "administrator"}.get(
                name, name
            )
            caller = _caller(role, clinic.team)
            setattr(clinic, name, caller)
            uow.session.add(
                UserAccount(
                    id=caller.id,
                    email=f"{name}@clinic.example",
                    display_name=f"Test {name}",
                    fs_uniquifier=secrets.token_hex(16),
                    created_at=uow.at,
                    roles=[roles.setdefault(role, Role(id=new_id(), name=role))],
                )
            )
            uow.session.flush()
            uow.session.add(TeamMember(team_id=clinic.team, user_id=caller.id))
