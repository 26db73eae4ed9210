"""Check the policy files against each other: what one file names, another must have.

Rules kept here:
  * no purpose, rule, role, schedule or leaflet is named that does not exist;
  * every purpose the service's rules speak of exists, and some role may state each that is watched;
  * every class that a job may destroy has an appraisal proposed for it, and no other class has.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from consent_service.domain.forms import ConsentFormVersion, Named
from consent_service.domain.policies import QUOTED_PERIODS, Organisation, form_facts
from consent_service.domain.purposes import KNOWN_PURPOSES, NamedUse, Purpose
from consent_service.domain.retention_rules import (
    DueExpression,
    Earliest,
    FirstKnown,
    Latest,
    LongestOfRules,
    RetentionMode,
    RetentionSchedule,
)
from consent_service.domain.roles import KNOWN_ROLES, Role
from consent_service.policy_files.faults import Faults
from consent_service.policy_files.yaml_lines import Document, Location

NAMED_FOR = {
    NamedUse.GROUP: Named.PEOPLE,
    NamedUse.STUDY: Named.STUDY,
    NamedUse.USE: Named.USE,
}


def check_together(
    parts: Mapping[str, Any], documents: Mapping[str, Document], faults: Faults
) -> None:
    """Note every fault between the files; a part that could not be read is not checked."""
    check = _Check(parts, documents, faults)
    check.organisation()
    check.purposes()
    check.roles()
    check.schedule()
    check.appraisals()
    check.forms()


class _Check:
    def __init__(
        self, parts: Mapping[str, Any], documents: Mapping[str, Document], faults: Faults
    ) -> None:
        self.documents, self.faults = documents, faults
        self.own: Organisation | None = parts["organisation"]
        self.known: Mapping[str, Purpose] = parts["purposes"]
        self.role: Mapping[str, Role] = parts["roles"]
        self.plan: RetentionSchedule | None = parts["schedule"]
        self.proposals = parts["appraisals"]
        self.form: Mapping[tuple[str, int], ConsentFormVersion] = parts["forms"]
        self.leaflet = parts["leaflets"]

    def organisation(self) -> None:
        """Film lengths in order; goals in the default language; months in order."""
        if self.own is None:
            return
        if self.own.film_length.refuse_from_minutes <= self.own.film_length.ask_from_minutes:
            self._own(
                "film_length",
                "refuse_from_minutes is not above ask_from_minutes, expected it to be",
            )
        inactivity = self.own.inactivity
        if inactivity.counts_as_ended_after_months <= inactivity.ask_after_months:
            self._own("inactivity", "it ends before anybody is asked, expected more months")
        if self.own.default_language not in self.own.goal_suggestions:
            self._own("goal_suggestions", "the default language has no goals, expected some")

    def purposes(self) -> None:
        """Every purpose the rules speak of; rules that exist."""
        for code in KNOWN_PURPOSES:
            if self.known and code not in self.known:
                self._add("purposes.yaml", (), f"the purpose {code} is missing, expected it")
        for number, purpose in enumerate(self.known.values()):
            at = ("purposes", number, "retention_rules")
            for rule in self._unknown_rules(purpose.retention_rules):
                self._add("purposes.yaml", at, f"{rule} is no rule of the schedule, expected one")

    def roles(self) -> None:
        """Every role the service speaks of; purposes that exist; none that nobody may state."""
        for code in KNOWN_ROLES:
            if self.role and code not in self.role:
                self._add("roles.yaml", (), f"the role {code} is missing, expected it")
        for number, role in enumerate(self.role.values()):
            for purpose in sorted(role.may_state - set(self.known)) if self.known else ():
                at = ("roles", number, "may_state")
                self._add("roles.yaml", at, f"{purpose} is no purpose, expected one")
        stated = {purpose for role in self.role.values() for purpose in role.may_state}
        for code in sorted(set(self.known) - stated):
            if self.role:
                self._add("roles.yaml", (), f"no role may state {code}, expected one that may")

    def schedule(self) -> None:
        """Rules refer to rules; the periods that forms print are there."""
        if self.plan is None:
            return
        file = self._schedule_file()
        for rule in self.plan.rules.values():
            named = [*_rules_in(rule.due), *_rules_in(rule.gone_by)]
            for other in self._unknown_rules(named):
                sentence = f"{rule.id} refers to {other}, which is no rule, expected one"
                self._add(file, self._rule_at(file, rule.id), sentence)
        if self.own is not None:
            try:
                form_facts(self.own, self.plan, "")
            except KeyError as error:
                quoted = ", ".join(sorted({rule for rule, _ in QUOTED_PERIODS.values()}))
                self._add(file, (), f"{error.args[0]}, expected {quoted} with what forms print")

    def appraisals(self) -> None:
        """One proposal for each class a job may destroy; none for any other; dates in order."""
        if self.plan is None:
            return
        proposed: set[str] = set()
        for proposal in self.proposals.values():
            file = f"appraisals/{proposal.id}.yaml"
            for rule in proposal.rules:
                known = self.plan.rules.get(rule)
                if known is None or known.mode is not RetentionMode.AUTO:
                    self._add(file, ("rules",), f"{rule} is not automatic, expected one that is")
            if proposal.valid_until <= proposal.proposed_on:
                self._add(file, ("valid_until",), "it ends before it begins, expected a later day")
            if self.role and proposal.proposed_by_role not in self.role:
                role = proposal.proposed_by_role
                self._add(file, ("proposed_by_role",), f"{role} is no role, expected one")
            proposed.update(proposal.rules)
        for rule in self.plan.rules.values():
            if rule.mode is RetentionMode.AUTO and rule.id not in proposed:
                file = self._schedule_file()
                sentence = f"{rule.id} is automatic without an appraisal, expected a proposal"
                self._add(file, self._rule_at(file, rule.id), sentence)

    def forms(self) -> None:
        """Purposes and leaflets that exist; what a yes must name; the default language."""
        codes = {code for code, _ in self.leaflet}
        for form in self.form.values():
            file = f"consent-forms/{form.id}/v{form.version}/form.yaml"
            if codes and form.leaflet not in codes:
                self.faults.add(file, 1, f"{form.leaflet} is no leaflet, expected one")
            if self.own and form.words and self.own.default_language not in form.words:
                language = self.own.default_language
                self.faults.add(file, 1, f"the form has no words in {language}, expected them")
            for statement in form.statements:
                sentence = self._purpose_fault(statement.purpose, statement.names)
                if sentence and self.known:
                    self.faults.add(file, 1, f"{statement.code}: {sentence}")

    def _purpose_fault(self, code: str | None, names: Named | None) -> str | None:
        if code is None:
            return None
        purpose = self.known.get(code)
        if purpose is None:
            return f"{code} is no purpose, expected one of purposes.yaml"
        needed = NAMED_FOR.get(purpose.named_use)
        if needed is not None and names is not needed:
            return f"a yes to {code} must say for whom or what, expected names: {needed}"
        return None

    def _unknown_rules(self, rules: Any) -> list[str]:
        return [rule for rule in rules if self.plan is not None and rule not in self.plan.rules]

    def _schedule_file(self) -> str:
        name = self.own.retention_schedule if self.own else "england"
        return f"retention/{name}.yaml"

    def _rule_at(self, file: str, rule: str) -> Location:
        rules = self.documents[file].value["rules"]
        return ("rules", next(n for n, each in enumerate(rules) if each["id"] == rule))

    def _own(self, key: str, sentence: str) -> None:
        self._add("organisation.yaml", (key,), f"`{key}`: {sentence}")

    def _add(self, file: str, location: Location, sentence: str) -> None:
        document = self.documents.get(file)
        self.faults.add(file, document.line(location) if document else 1, sentence)


def _rules_in(expression: DueExpression | None) -> Iterator[str]:
    if isinstance(expression, LongestOfRules):
        yield from expression.rules
    elif isinstance(expression, Earliest | Latest | FirstKnown):
        for part in expression.of:
            yield from _rules_in(part)
