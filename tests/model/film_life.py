"""A film's whole life, lived in any order over the real services: a stateful Hypothesis machine.

A family agrees, refuses, takes back and changes its mind; film comes in, is cut and watched; holds
come and go; the organisation ends consents; steps of erasure run one at a time; keys rotate; an
older database is put back. Beside it goes a record of who said what, kept by other rules than the
service's own (`said`), and after every step the two are held against each other.

What must hold then stands in `life`.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from consent_service.domain.consent_ends import InvalidBecause, RevokedBecause
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.errors import Conflict, ConsentServiceError, InvalidInput
from consent_service.services import (
    depicted_keys,
    disputes,
    erasure,
    erasure_lease,
    holds,
    invalidation,
    reconcile,
    recordings,
    retention,
    revocation,
    startup,
    upkeep,
    withdrawal,
)
from consent_service.services.access import job_caller
from tests.model import looking
from tests.model.life import Kept, Life
from tests.model.looking import Film
from tests.model.said import CARE, PURPOSES, TRAINING, Word
from tests.model.stage import cut, take_in
from tests.support.backups import DatabaseBackup
from tests.support.installation import close, reopened

MOST_FILMS = 4
LONGEST = timedelta(days=700)
"""Shorter than what people agree to lasts, so that nothing ends by the calendar alone."""

ADULT = st.sampled_from(("mother", "father"))
ANYBODY = st.sampled_from(("mother", "father", "baby"))
ONE_OF = st.integers(0, 11)
NO_TO_CARE = frozenset({"CARE.FILM.SELF", "CARE.FILM.CHILD"})
NO_TO_TRAINING = frozenset({"TRAIN.LOCAL"})


class FilmLife(Life):
    """Every rule by which a film's life may go on."""

    # People

    @initialize(training=st.booleans(), filmed=st.booleans())
    def begins(self, *, training: bool, filmed: bool) -> None:
        """Most families agree, and are filmed."""
        for who in ("mother", "father"):
            self.agrees(who, training=training)
        if filmed:
            self.films_family(("mother", "father", "baby"))

    @rule(who=ADULT, training=st.booleans())
    def agrees(self, who: str, *, training: bool) -> None:
        """Somebody says yes, for themselves and the child."""
        self._answers(who, frozenset(), NO_TO_TRAINING if training else frozenset())

    @rule(who=ADULT, no=st.sampled_from((NO_TO_CARE, NO_TO_TRAINING, NO_TO_CARE | NO_TO_TRAINING)))
    def refuses(self, who: str, no: frozenset[str]) -> None:
        """Somebody answers anew, and says no to some of it."""
        self._answers(who, no, frozenset())

    def _answers(self, who: str, no: frozenset[str], optional: frozenset[str]) -> None:
        self.passes(minutes=1)
        person = self.id_of(who)
        answers = self.clinic.answers(self.family, person, no=no, optional=optional)
        act = self.clinic.captures(self.family, person, answers).id
        self.acts.append(act)
        self.promised.clear()
        for about in (person, self.family.baby):
            care = Word.NO if no & NO_TO_CARE else Word.YES
            self.record.says(person, about, CARE, care, act)
            if (no | optional) & NO_TO_TRAINING:
                word = Word.NO if no & NO_TO_TRAINING else Word.YES
                self.record.says(person, about, TRAINING, word, act)

    @rule(
        who=ADULT,
        for_child=st.booleans(),
        speed=st.sampled_from(Speed),
        what=st.sampled_from(("all", "all", "keeping", "training", "film")),
        one=ONE_OF,
    )
    def withdraws(self, who: str, *, for_child: bool, speed: Speed, what: str, one: int) -> None:
        """Somebody takes back some or all of it, now or in seven days."""
        self.passes(minutes=1)
        person = self.family.baby if for_child else self.id_of(who)
        request = self._request(person, self.id_of(who), speed, what, one)
        try:
            would = withdrawal.preview(self.clinic.ctx, self.clinic.guider, request)
        except InvalidInput:
            return
        wanted = {TRAINING} if what == "training" else {CARE, TRAINING} - set(request.keep_purposes)
        if not request.assets:
            standing = {p for p in wanted if self.record.given(person, p)}
            assert standing <= set(would.purposes), "a withdrawal leaves out what stands"
        done = withdrawal.withdraw(self.clinic.ctx, self.clinic.guider, request)
        self.withdrawals.append((done.id, request.by))
        for purpose in () if request.assets else done.purposes:
            self.record.says(request.by, person, purpose, Word.STOP, done.id)
        if done.erasure_order is None:
            return
        over = PURPOSES if request.assets else set(done.purposes) - set(would.disputed)
        for film in self.films:
            film.fenced |= {done.id} if request.assets else set()
        self.ended(done.id, done.erasure_order, looking.previewed(would.lines), over, person)

    def _request(
        self, person: str, by: str, speed: Speed, what: str, one: int
    ) -> WithdrawalRequest:
        scopes = {"training": WithdrawalScope.PURPOSES, "film": WithdrawalScope.ASSETS}
        named = (self.films[one % len(self.films)].id,) if self.films else ()
        return WithdrawalRequest(
            involvement=self.family.involvement,
            person=person,
            by=by,
            scope=scopes.get(what, WithdrawalScope.EVERYTHING),
            speed=speed,
            route=Route.IN_PERSON,
            moment=self.clinic.clock.now(),
            purposes=(TRAINING,) if what == "training" else (),
            assets=named if what == "film" else (),
            keep_purposes=(TRAINING,) if what == "keeping" else (),
        )

    @precondition(lambda self: self.withdrawals)
    @rule(one=ONE_OF)
    def changes_their_mind(self, one: int) -> None:
        """Whoever withdrew takes it back, if there is still time."""
        self.passes(minutes=1)
        act, by = self.withdrawals[one % len(self.withdrawals)]
        try:
            withdrawal.cancel(self.clinic.ctx, self.clinic.guider, act, by)
        except ConsentServiceError:
            return
        self.record.never_was(act)
        self.promised.clear()
        for film in self.films:
            film.taken_back(act)

    # Film

    @precondition(lambda self: len(self.films) < MOST_FILMS)
    @rule(who=st.sampled_from((("baby",), ("mother", "baby"), ("mother", "father", "baby"))))
    def films_family(self, who: Sequence[str]) -> None:
        """The guider films some of them."""
        self.passes(minutes=1)
        people = tuple(self.id_of(one) for one in who)
        request = recordings.ReserveFilm(self.family.involvement, people, self.clinic.today)
        self._makes(
            frozenset(people),
            self.record.permits(people, CARE),
            lambda content: take_in(self.clinic, request, content),
        )

    @precondition(lambda self: self.films and len(self.films) < MOST_FILMS)
    @rule(one=ONE_OF, still=st.booleans())
    def cuts(self, one: int, *, still: bool) -> None:
        """The guider cuts a clip or takes a photo out of a film."""
        self.passes(minutes=1)
        source = self.films[one % len(self.films)]
        if source.photo:
            return
        may = source.may_open(CARE) and self.record.permits(source.depicted, CARE)
        made = self._makes(
            source.depicted, may, lambda content: cut(self.clinic, source.id, content, still=still)
        )
        if made is not None:
            made.source, made.photo = source.id, still

    def _makes(
        self, people: frozenset[str], may: bool, make: Callable[[bytes], str]
    ) -> Film | None:
        content = f"film {len(self.films)} of {sorted(people)} ".encode() * 64
        try:
            identifier = make(content)
        except ConsentServiceError as refusal:
            note(f"refused: {refusal.code}")
            return None
        assert may, "film was taken in without everyone's live consent"
        film = Film(identifier, people, content)
        film.key = looking.key_of(self.clinic, identifier)
        self.films.append(film)
        self.promised.clear()
        return film

    @precondition(lambda self: self.films)
    @rule(one=ONE_OF, purpose=st.sampled_from(PURPOSES))
    def plays(self, one: int, purpose: str) -> None:
        """Somebody watches, and sees what was filmed or nothing."""
        film = self.films[one % len(self.films)]
        seen = looking.opens(self.clinic, film, purpose)
        assert seen in (None, film.content), "what is served is not what was filmed"
        if seen is None and not self.disturbed and not self.holds and self.may(film, purpose):
            raise AssertionError("everyone agrees, and yet it cannot be watched")

    # Staff and the organisation

    @rule(one=ONE_OF, all_of_it=st.booleans())
    def holds_back(self, one: int, *, all_of_it: bool) -> None:
        """A guider worries, and everything or one film is held."""
        self.passes(minutes=1)
        named = None if all_of_it or not self.films else self.films[one % len(self.films)].id
        request = holds.PlaceHold(self.family.involvement, HoldKind.SAFEGUARDING, "A worry", named)
        try:
            self.holds.append(holds.place(self.clinic.ctx, self.clinic.guider, request).id)
        except ConsentServiceError:
            return
        self.promised.clear()

    @precondition(lambda self: self.holds)
    @rule(one=ONE_OF)
    def releases(self, one: int) -> None:
        """Two others let go of a hold."""
        self.passes(minutes=1)
        hold = self.holds.pop(one % len(self.holds))
        holds.ask_release(self.clinic.ctx, self.clinic.ig, hold, "It is over")
        holds.confirm_release(self.clinic.ctx, self.clinic.ig2, hold)
        self.disturbed = True
        self.promised.clear()

    @precondition(lambda self: self.acts)
    @rule(one=ONE_OF)
    def finds_invalid(self, one: int) -> None:
        """An act of consent turns out never to have been valid."""
        self.passes(minutes=1)
        act = self.acts[one % len(self.acts)]
        because = InvalidBecause.WRONG_PERSON
        try:
            invalidation.invalidate(self.clinic.ctx, self.clinic.ig, act, because, "It was not her")
        except Conflict:
            return
        self.record.never_was(act)
        self.disturbed = True
        self.promised.clear()

    @rule(who=ANYBODY, only_training=st.booleans())
    def revokes(self, who: str, *, only_training: bool) -> None:
        """The organisation ends somebody's consent."""
        self.passes(minutes=1)
        person = self.id_of(who)
        request = revocation.RevokeConsent(
            self.family.involvement,
            person,
            RevokedBecause.USE_ENDED,
            "The use is over",
            (TRAINING,) if only_training else (),
        )
        try:
            would = revocation.preview(self.clinic.ctx, self.clinic.ig, request)
        except Conflict:
            return
        done = revocation.revoke(self.clinic.ctx, self.clinic.ig, request)
        for purpose in done.purposes:
            self.record.says("", person, purpose, Word.REVOKED, done.erasure_order)
        lines = looking.previewed(would.lines)
        self.ended(done.erasure_order, done.erasure_order, lines, set(done.purposes), person)

    @rule(one=ONE_OF, give=st.booleans())
    def settles(self, one: int, *, give: bool) -> None:
        """The IG officer settles a disagreement about the child."""
        self.passes(minutes=1)
        waiting = disputes.standing(self.clinic.ctx, self.clinic.ig)
        if not waiting:
            return
        dispute = waiting[one % len(waiting)]
        disputes.resolve(
            self.clinic.ctx, self.clinic.ig, dispute.id, give=give, reason="Heard both"
        )
        word = Word.SETTLED_FOR if give else Word.SETTLED_AGAINST
        self.record.says("", dispute.person, dispute.purpose, word, dispute.id)
        self.disturbed = True
        self.promised.clear()

    # What goes on by itself

    @rule()
    def does_one_step(self) -> None:
        """A worker does one step of an erasure, and dies."""
        claimed = erasure_lease.claim(self.clinic.ctx, "one-step", None)
        if claimed is not None:
            erasure.perform(self.clinic.ctx, claimed)
        self.read_certificates()

    @rule()
    def carries_out(self) -> None:
        """A worker does all that is due."""
        self.work()

    @rule()
    def rotates(self) -> None:
        """Keys are rotated in the night."""
        self.rotate()

    @rule()
    def lets_jobs_run(self) -> None:
        """What the timetable asks for: keys follow consent, and what waited comes to its end."""
        upkeep.make_keys(self.clinic.ctx, self.started)
        depicted_keys.settle_awaiting(self.clinic.ctx)

    @rule()
    def runs_retention(self) -> None:
        """What is due goes, or is put to people."""
        self.passes(minutes=1)
        ran = retention.run(self.clinic.ctx, self.clinic.ig, accept_large=True)
        if ran.orders:
            self.promised.clear()
            self.disturbed = True

    @rule(days=st.sampled_from((0, 0, 8, 40)))
    def time_passes(self, days: int) -> None:
        """Hours, a week, more."""
        if self.clinic.clock.now() + timedelta(days=days) < self.started + LONGEST:
            self.passes(days=days, hours=1)

    # Restores

    @rule()
    def backs_up(self) -> None:
        """An operator copies the database."""
        self.publish()
        startup.replay(self.clinic.ctx)
        backup = DatabaseBackup.take(self.clinic.ctx.engine, self.clinic.ctx.settings.data_dir)
        films = frozenset(film.id for film in self.films)
        self.kept = Kept(backup, self.record.number, films, frozenset(self.acts))
        self.passes(minutes=5)

    @precondition(lambda self: self.kept)
    @rule()
    def restores(self) -> None:
        """The older copy of the database is put back, and a new process starts on it."""
        assert self.kept is not None
        self.publish()
        self.passes(minutes=5)
        close(self.clinic)
        self.kept.backup.put_back()
        self.clinic = reopened(self.clinic)
        startup.require_ready(self.clinic.ctx)
        self.record.forgets_yeses_after(self.kept.number)
        self.acts = [act for act in self.acts if act in self.kept.acts]
        self.lost |= {film.id for film in self.films if film.id not in self.kept.films}
        self.films = [film for film in self.films if film.id in self.kept.films]
        self.disturbed = True
        self.promised.clear()
        self.certified.clear()

    @precondition(lambda self: self.lost and not self.holds)
    @rule()
    def compares_everything(self) -> None:
        """Somebody confirms, three nights on, that what nobody knows any more may go."""
        for _ in range(3):
            self.passes(hours=25)
            reconcile.reconcile(self.clinic.ctx, job_caller("reconcile"))
        reconcile.reconcile(self.clinic.ctx, self.clinic.ig, confirm_unknown=True)
        self.lost.clear()
        assert looking.keys_without_owner(self.clinic) == []
