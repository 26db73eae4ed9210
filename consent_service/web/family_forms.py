"""Forms about people, who may decide for them, and meetings."""

from wtforms import BooleanField, HiddenField

from consent_service.clock import london_day
from consent_service.domain import information_needs
from consent_service.domain.information_needs import Need
from consent_service.domain.people import AgeSaid, Basis, FamilyRole, MeetingKind, MeetingMode
from consent_service.errors import InvalidInput
from consent_service.services import reviews
from consent_service.services.access import Caller
from consent_service.services.context import Context
from consent_service.services.families import NewFamily, NewPerson, NewResponsibility, begin_family
from consent_service.services.involvements import (
    InvolvementView,
    MeetingDetails,
)
from consent_service.services.people import PersonDetails, PersonView, ResponsibilityDetails
from consent_service.web.fields import PageForm, choice, day, line, maybe_day, several, text
from consent_service.web.words import said

NUMBER_HINT = "Ten digits, such as 999 123 4560. Leave it empty if you do not have it."
ASKED_ROLES = [(role.value, said(role)) for role in FamilyRole]
OWN_FIELDS = {
    "0.full_name": "parent_name",
    "0.born_on": "parent_born",
    "0.nhs_number": "parent_number",
    "1.full_name": "baby_name",
    "1.born_on": "baby_born",
    "1.nhs_number": "baby_number",
}
NEEDS = [(need.value, said(need)) for need in Need]
BASES = [(basis.value, said(basis)) for basis in Basis]


class PersonForm(PageForm):
    """Somebody who is filmed or decides."""

    full_name = line("Full name", "Enter a name.", render_kw={"autocomplete": "off"})
    role = choice("What they are in this family", ASKED_ROLES)
    born_on = maybe_day("Date of birth", description="Leave it empty before birth.")
    age = choice(
        "If you do not know the date of birth of a child, a sister or a brother",
        [
            (AgeSaid.CHILD.value, "Under 18, or not born yet: others decide"),
            (AgeSaid.ADULT.value, "18 or older: they decide themselves"),
        ],
        sentence="",
    )
    nhs_number = line("NHS number", description=NUMBER_HINT)
    pregnant = BooleanField("They are pregnant and the bump is filmed")
    safe_contact = line(
        "How and when it is safe to reach them",
        description="For example: mornings only, no messages on the answering machine.",
    )
    needs = several("What helps them understand", NEEDS)
    language = line("Language they prefer", description="Leave it empty if it is English.")
    needs_note = line("What else helps them understand")
    version = HiddenField()

    def details(self, team: str, known: PersonView | None = None) -> PersonDetails:
        """Return what was written, for a team; what the form does not ask stays as it was."""
        needs = information_needs.put_together(
            known.information_needs if known else {},
            frozenset(Need(code) for code in self.needs.data or ()),
            self.language.data or "",
            self.needs_note.data or "",
        )
        return PersonDetails(
            team,
            self.full_name.data or "",
            self.born_on.data,
            self.nhs_number.data or None,
            needs,
            self.safe_contact.data or None,
            known.died_on if known else None,
            known.decides_for_self if known else False,
            known.decides_basis if known else None,
        )

    def newcomer(self, team: str) -> NewPerson:
        """Return who is to be added to a family of this team."""
        age = AgeSaid(self.age.data) if self.age.data else None
        role = FamilyRole(self.role.data)
        return NewPerson(self.details(team), role, bool(self.pregnant.data), age)

    def fill(self, person: PersonView) -> None:
        """Show what is written down."""
        self.full_name.data = person.full_name
        self.born_on.process(None, person.born_on)
        self.nhs_number.data = person.nhs_number
        self.safe_contact.data = person.safe_contact
        needs = person.information_needs
        self.needs.data = [need.value for need in Need if need in needs]
        self.language.data = needs.get(information_needs.LANGUAGE, "")
        self.needs_note.data = needs.get(information_needs.NOTE, "")
        self.version.data = str(person.version)


class FamilyForm(PageForm):
    """The first parent and the baby, with who may decide. More people are added one by one."""

    team = choice("Team", sentence="Choose the team.")
    parent_name = line("Parent's full name", "Enter the parent's name.")
    parent_born = maybe_day("Parent's date of birth")
    parent_number = line("Parent's NHS number", description=NUMBER_HINT)
    pregnant = BooleanField("The parent is pregnant; the baby is not born yet")
    baby_name = line("Baby's full name", description="Leave it empty before birth.")
    baby_born = maybe_day("Baby's date of birth")
    baby_number = line("Baby's NHS number", description=NUMBER_HINT)
    basis = choice(
        "Why this parent may decide for the baby",
        BASES,
        sentence="",
        description="Leave it open if you do not know yet.",
    )

    def validate(self, extra_validators: object = None) -> bool:
        """A born baby has a name and a day; an unborn one has neither."""
        good = bool(super().validate(extra_validators))
        if not self.pregnant.data and not self.baby_name.data:
            self.say("Enter the baby's name, or say that the parent is pregnant.", "baby_name")
            good = False
        if self.baby_name.data and not self.baby_born.data and not self.pregnant.data:
            self.say("Enter the baby's date of birth.", "baby_born")
            good = False
        return good

    def start(self, ctx: Context, caller: Caller) -> InvolvementView:
        """Write down the people, who may decide, and the beginning of our work: all or nothing."""
        team = str(self.team.data)
        parent = PersonDetails(
            team, self.parent_name.data or "", self.parent_born.data, self.parent_number.data
        )
        members = [NewPerson(parent, FamilyRole.PARENT, bool(self.pregnant.data))]
        links = []
        if self.baby_name.data:
            baby = PersonDetails(
                team, self.baby_name.data, self.baby_born.data, self.baby_number.data
            )
            unborn = None if self.baby_born.data else AgeSaid.CHILD
            members.append(NewPerson(baby, FamilyRole.BABY, age=unborn))
            if self.basis.data:
                born = self.baby_born.data or london_day(ctx.clock.now())
                links.append(NewResponsibility(1, 0, Basis(self.basis.data), born))
        family = NewFamily(team, caller.id, tuple(members), tuple(links))
        try:
            return begin_family(ctx, caller, family)
        except InvalidInput as fault:
            named = {OWN_FIELDS.get(n, n): said for n, said in fault.faults.items()}
            raise InvalidInput(fault.message, named) from fault


class ResponsibilityForm(PageForm):
    """Who may decide for which child, and how we know."""

    child = choice("Which child?", sentence="Choose the child.")
    holder = choice("Who may decide?", sentence="Choose the person.")
    basis = choice("Why?", BASES, sentence="Choose the reason.")
    from_on = day("From which day?", description="Often the child's day of birth.")
    evidence = line("How do we know?", description="For example: birth certificate seen.")
    court_limits = line("Limits set by a court", description="Leave it empty if there are none.")

    def offer(self, family: InvolvementView) -> None:
        """Offer the people of a family."""
        children = {FamilyRole.BABY, FamilyRole.SIBLING}
        self.child.choices = [(p.id, p.full_name) for m, p in family.people if m.role in children]
        adults = [(p.id, p.full_name) for m, p in family.people if m.role not in children]
        self.holder.choices = adults
        if self.is_submitted():
            return
        self.child.data = self.child.choices[0][0] if self.child.choices else None
        born = next((p.born_on for m, p in family.people if m.role is FamilyRole.BABY), None)
        self.from_on.process(None, born)

    def details(self) -> ResponsibilityDetails:
        """Return what was written."""
        return ResponsibilityDetails(
            self.child.data,
            self.holder.data,
            Basis(self.basis.data),
            self.from_on.data,
            evidence=self.evidence.data or None,
            court_limits=self.court_limits.data or None,
        )


class MeetingForm(PageForm):
    """A meeting, what matters to the parent, and a goal in their own words."""

    kind = choice("Which meeting?", [(k.value, said(k)) for k in MeetingKind])
    mode = choice("Where?", [(m.value, said(m)) for m in MeetingMode])
    held_on = day("On which day?")
    people = several("Who was there?")
    ready_today = choice(
        "Ready to be filmed today?",
        [("yes", "Ready today"), ("no", "Not today")],
        sentence="",
        description="No reason is asked.",
    )
    what_matters = text("What matters to the parent")
    questions = text("Questions they asked, and what was answered")
    worries = text("Worries about being filmed, and how you talked them through")
    goal = text("A goal, in the parent's own words")
    goal_of = choice("Whose goal?", sentence="")

    def offer(self, family: InvolvementView) -> None:
        """Offer the people of a family."""
        names = [(p.id, p.full_name) for _, p in family.people]
        self.people.choices = names
        grown = [
            (p.id, p.full_name)
            for m, p in family.people
            if m.role in (FamilyRole.PARENT, FamilyRole.CARER)
        ]
        self.goal_of.choices = grown
        if not self.is_submitted() and grown:
            self.goal_of.data = grown[0][0]

    def details(self, involvement: str) -> MeetingDetails:
        """Return what was written."""
        ready = {"yes": True, "no": False}.get(self.ready_today.data or "")
        return MeetingDetails(
            involvement,
            MeetingKind(self.kind.data),
            MeetingMode(self.mode.data),
            self.held_on.data,
            tuple(self.people.data or ()),
            ready,
            self.what_matters.data or None,
            self.questions.data or None,
            self.worries.data or None,
        )

    def record_goal(self, ctx: Context, caller: Caller, involvement: str) -> None:
        """Write down the goal, when there is one."""
        if self.goal.data and self.goal_of.data:
            reviews.record_goal(ctx, caller, involvement, self.goal_of.data, self.goal.data)


class EndForm(PageForm):
    """The day on which something ends."""

    on = day("On which day?")


class HoldForm(PageForm):
    """Why something is held."""

    reason = text("What is the reason?", "Give the reason for the hold.")


class FindForm(PageForm):
    """Part of a name, or a whole NHS number."""

    text = line("Name or NHS number", "Enter part of a name, or a whole NHS number.")
