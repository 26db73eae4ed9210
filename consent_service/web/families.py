"""My families, and the page of one: who, what was agreed, what happened, what comes next."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from consent_service.clock import london_day
from consent_service.domain.consent import ConsentState
from consent_service.domain.holds import HoldKind
from consent_service.domain.paging import PageAsk
from consent_service.domain.people import FamilyRole
from consent_service.domain.purposes import CARE
from consent_service.domain.roles import Permission
from consent_service.errors import ConsentServiceError, InvalidInput
from consent_service.services import (
    assets,
    consent,
    disputes,
    drafts,
    family_list,
    holds,
    involvements,
    leaflets,
    people,
    progress,
    reconsents,
    reviews,
    timeline,
    withdrawal,
)
from consent_service.services.families import add_to_family
from consent_service.services.involvements import InvolvementView
from consent_service.web import here
from consent_service.web.consent_steps import USES_AFTER_FILMING
from consent_service.web.family_forms import (
    EndForm,
    FamilyForm,
    FindForm,
    HoldForm,
    MeetingForm,
    PersonForm,
    ResponsibilityForm,
)
from consent_service.web.family_story import NEWEST, show_story, story
from consent_service.web.fields import show, status, summary
from consent_service.web.here import caller, ctx
from consent_service.web.next_steps import NextStep, next_steps
from consent_service.web.one_form import form_page

UNASKED = (ConsentState.NOT_ASKED, ConsentState.NOT_ANSWERED)
ANSWERING = (FamilyRole.PARENT, FamilyRole.CARER, FamilyRole.OTHER, FamilyRole.STAFF)
MOST_FOUND = 50

families = Blueprint("families", __name__, url_prefix="/families")


@dataclass(frozen=True)
class FamilyRow:
    """One family in the list."""

    view: InvolvementView
    steps: tuple[NextStep, ...]

    @property
    def names(self) -> list[str]:
        """The names of its people, parents first."""
        return [person.full_name for _, person in in_order(self.view)]


@dataclass(frozen=True)
class FamilyMember:
    """Somebody of a family, and what they said."""

    member: involvements.Member
    person: people.PersonView
    every_state: list[consent.StateView]

    @property
    def states(self) -> list[consent.StateView]:
        """What is worth showing: care always, other uses once they were answered.

        A use that was answered by name stands for itself, not once more without the name.
        """
        named = {s.purpose.partition(":")[0] for s in self.every_state if ":" in s.purpose}
        return [
            s
            for s in self.every_state
            if s.purpose == CARE or (s.state not in UNASKED and s.purpose not in named)
        ]

    @property
    def has_answered(self) -> bool:
        """Whether there is anything to withdraw."""
        return any(s.state not in UNASKED for s in self.every_state)

    @property
    def may_ask_uses(self) -> bool:
        """Whether they agreed to be filmed, so that they can be asked what else film is for."""
        care = (s.state for s in self.every_state if s.purpose == CARE)
        return self.may_answer and ConsentState.GIVEN in care

    @property
    def uses_open(self) -> bool:
        """Whether nothing was said yet about what else the film of them may be used for."""
        said = {s.purpose.partition(":")[0] for s in self.every_state if s.state not in UNASKED}
        return self.may_ask_uses and not said & USES_AFTER_FILMING

    @property
    def may_answer(self) -> bool:
        """Whether they answer for themselves, or for a child."""
        return self.member.role in ANSWERING


def in_order(view: InvolvementView) -> list[tuple[involvements.Member, people.PersonView]]:
    """Return a family's people: parents first, then the baby, then others."""
    roles = list(FamilyRole)
    return sorted(view.people, key=lambda pair: roles.index(pair[0].role))


@families.get("")
def mine() -> str:
    """List the families in reach, each with what comes next."""
    page = family_list.page_of_families(ctx(), caller(), here.page_asked())
    return render_template(
        "families/mine.html", rows=_rows(page.items), page=page, form=FindForm(), show=show
    )


def _rows(views: Sequence[InvolvementView]) -> list[FamilyRow]:
    done = progress.progress(ctx(), caller(), views)
    ask, today = here.may(Permission.CONSENT_CAPTURE), london_day(ctx().clock.now())
    return [FamilyRow(v, next_steps(v, done[v.id], today, may_ask=ask)) for v in views]


def show_family(involvement: str) -> str:
    """Show one family on one page."""
    view = involvements.family(ctx(), caller(), involvement)
    names = {person.id: person.full_name for _, person in view.people}
    said = progress.states(ctx(), caller(), involvement)
    people_shown = [
        FamilyMember(member, person, said[person.id]) for member, person in in_order(view)
    ]
    return render_template(
        "families/show.html",
        family=view,
        names=names,
        people=people_shown,
        steps=_rows([view])[0].steps,
        purposes=ctx().policies.purposes,
        issues=leaflets.issues(ctx(), caller(), involvement),
        acts=consent.acts(ctx(), caller(), involvement),
        meetings=timeline.meetings(ctx(), caller(), involvement),
        goals=reviews.goals(ctx(), caller(), involvement) if _reads_reviews() else [],
        films=assets.assets(ctx(), caller(), involvement),
        withdrawals=_withdrawals(involvement),
        disputes=disputes.standing(ctx(), caller(), involvement),
        begun=drafts.mine(ctx(), caller(), involvement),
        ask_again=reconsents.waiting(ctx(), caller(), involvement),
        story=story(involvement, PageAsk(NEWEST)),
        today=london_day(ctx().clock.now()),
    )


families.add_url_rule("/<id:involvement>", "show", show_family)
families.add_url_rule("/<id:involvement>/story", "story", show_story)


@families.route("/new", methods=["GET", "POST"])
def begin() -> ResponseReturnValue:
    """Begin with a family: the first parent and the baby, then more people one by one."""
    form = FamilyForm()
    teams = involvements.teams(ctx(), caller())
    form.team.choices = teams
    if len(teams) == 1 and not form.is_submitted():
        form.team.data = teams[0][0]
    if form.sent:
        try:
            started = form.start(ctx(), caller())
        except InvalidInput as fault:
            form.add_faults(fault)
        except ConsentServiceError as fault:
            form.say(fault.message)
        else:
            flash("The family is on your list.", "success")
            return redirect(url_for("families.show", involvement=started.id))
    page = render_template(
        "families/begin.html", form=form, show=show, summary=summary, one_team=len(teams) == 1
    )
    return page, status(form)


@families.route("/<id:involvement>/people/add", methods=["GET", "POST"])
def add_person(involvement: str) -> ResponseReturnValue:
    """Add somebody to a family."""
    view = involvements.family(ctx(), caller(), involvement)
    form = PersonForm()
    if form.sent:
        try:
            add_to_family(ctx(), caller(), involvement, form.newcomer(view.team))
        except InvalidInput as fault:
            form.add_faults(fault)
        except ConsentServiceError as fault:
            form.say(fault.message)
        else:
            return redirect(_family(involvement))
    return form_page(form, "Add somebody to this family", _family(involvement))


@families.route("/<id:involvement>/people/<id:person>", methods=["GET", "POST"])
def change_person(involvement: str, person: str) -> ResponseReturnValue:
    """Change what is written down about somebody in a family."""
    view = involvements.family(ctx(), caller(), involvement)
    found = people.person(ctx(), caller(), person)
    form = PersonForm()
    del form.role, form.pregnant, form.age
    if not form.is_submitted():
        form.fill(found)
    if form.sent:
        try:
            version = int(form.version.data or 0)
            people.change_person(ctx(), caller(), person, form.details(view.team, found), version)
        except InvalidInput as fault:
            form.add_faults(fault)
        except ConsentServiceError as fault:
            form.say(fault.message)
        else:
            flash("The change is kept. Due dates were worked out anew.", "success")
            return redirect(_family(involvement))
    return form_page(form, "Change details", _family(involvement))


@families.route("/<id:involvement>/responsibility", methods=["GET", "POST"])
def add_responsibility(involvement: str) -> ResponseReturnValue:
    """Write down who has parental responsibility for a child of the family."""
    view = involvements.family(ctx(), caller(), involvement)
    form = ResponsibilityForm()
    form.offer(view)
    if form.sent:
        try:
            people.record_responsibility(ctx(), caller(), form.details())
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            return redirect(_family(involvement))
    words = (
        "Ask, and write down how you know. Only somebody with parental responsibility can decide"
        " about film of a child.",
    )
    return form_page(form, "Who may decide for the child?", _family(involvement), words=words)


@families.route("/<id:involvement>/responsibility/<id:responsibility>/end", methods=["GET", "POST"])
def end_responsibility(involvement: str, responsibility: str) -> ResponseReturnValue:
    """End somebody's parental responsibility from a day on."""
    involvements.family(ctx(), caller(), involvement)
    form = EndForm()
    if form.sent:
        try:
            people.end_responsibility(ctx(), caller(), responsibility, form.on.data)
        except InvalidInput as fault:
            form.say(fault.message, "on")
        else:
            flash("It ends that day. The information governance officer was told.", "success")
            return redirect(_family(involvement))
    words = ("What was decided before stays as it is.",)
    return form_page(form, "End parental responsibility", _family(involvement), words=words)


@families.route("/<id:involvement>/meetings/add", methods=["GET", "POST"])
def add_meeting(involvement: str) -> ResponseReturnValue:
    """Write down a meeting and what was said."""
    view = involvements.family(ctx(), caller(), involvement)
    form = MeetingForm()
    form.offer(view)
    if not form.is_submitted():
        form.held_on.process(None, london_day(ctx().clock.now()))
    if form.sent:
        try:
            involvements.record_meeting(ctx(), caller(), form.details(involvement))
            form.record_goal(ctx(), caller(), involvement)
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            flash("The meeting is written down.", "success")
            return redirect(_family(involvement))
    return form_page(
        form, "Write down a meeting", _family(involvement), template="families/meeting.html"
    )


@families.route("/<id:involvement>/end", methods=["GET", "POST"])
def end(involvement: str) -> ResponseReturnValue:
    """End the work with a family; dates for film are counted from that day."""
    involvements.family(ctx(), caller(), involvement)
    form = EndForm()
    if not form.is_submitted():
        form.on.process(None, london_day(ctx().clock.now()))
    if form.sent:
        try:
            involvements.end_involvement(ctx(), caller(), involvement, form.on.data)
        except InvalidInput as fault:
            form.say(fault.message, "on")
        else:
            flash("The work has ended. Dates for film were worked out anew.", "success")
            return redirect(_family(involvement))
    return form_page(form, "End our work with this family", _family(involvement))


@families.post("/<id:involvement>/reopen")
def reopen(involvement: str) -> ResponseReturnValue:
    """Open an ended involvement again."""
    involvements.reopen_involvement(ctx(), caller(), involvement)
    flash("The work is open again. Dates for film were worked out anew.", "success")
    return redirect(_family(involvement))


@families.route("/<id:involvement>/safeguarding", methods=["GET", "POST"])
def safeguard(involvement: str) -> ResponseReturnValue:
    """Place a safeguarding hold on everything of this family, in one step."""
    involvements.family(ctx(), caller(), involvement)
    form = HoldForm()
    if form.sent:
        request_ = holds.PlaceHold(involvement, HoldKind.SAFEGUARDING, form.reason.data or "")
        try:
            placed = holds.place(ctx(), caller(), request_)
        except ConsentServiceError as fault:
            form.say(fault.message)
        else:
            flash(
                "The hold stands. Nothing of this family is destroyed until two others release it."
                + (" Some of it was destroyed before." if placed.too_late else ""),
                "success",
            )
            return redirect(_family(involvement))
    words = (
        "Nothing more of this family's film is destroyed, also when somebody withdraws. Watching"
        " stays as it is. Parents do not see this hold. Two other people release it.",
    )
    return form_page(
        form, "Place a safeguarding hold", _family(involvement), words=words, save="Place the hold"
    )


@families.route("/find", methods=["GET", "POST"])
def find() -> ResponseReturnValue:
    """Find people by part of a name or a whole NHS number; what was asked is in no address."""
    form = FindForm()
    found = None
    if form.sent:
        found = people.find_people(ctx(), caller(), form.text.data or "", MOST_FOUND + 1)
    shown = (found or [])[:MOST_FOUND]
    page = render_template(
        "families/find.html",
        form=form,
        found=None if found is None else shown,
        more=found is not None and len(found) > MOST_FOUND,
        where=_families_of([person.id for person in shown]),
        show=show,
        summary=summary,
    )
    return page, status(form)


def _families_of(persons: list[str]) -> dict[str, list[FamilyRow]]:
    if not persons or not here.may(Permission.INVOLVEMENT_READ):
        return {}
    found: dict[str, list[FamilyRow]] = {person: [] for person in persons}
    for row in _rows(family_list.families_of(ctx(), caller(), persons)):
        for _, person in row.view.people:
            if person.id in found:
                found[person.id].append(row)
    return found


def _withdrawals(involvement: str) -> list[withdrawal.WithdrawalView]:
    if not here.may(Permission.WITHDRAWAL_PREVIEW):
        return []
    return withdrawal.withdrawals(ctx(), caller(), involvement)


def _reads_reviews() -> bool:
    return here.may(Permission.REVIEW_READ)


def _family(involvement: str) -> str:
    return url_for("families.show", involvement=involvement)
