"""Read the whole of `policies/` into one frozen value, or say everything that is wrong with it.

Rules kept here:
  * one reading names every fault it can find, each as `file:line: what, expected`;
  * a folder with a fault gives no policies at all: half a policy is no policy.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, cast

from consent_service.domain.forms import ConsentFormVersion
from consent_service.domain.leaflets import LeafletVersion
from consent_service.domain.policies import (
    Contact,
    FilmLength,
    Footage,
    Inactivity,
    Organisation,
    Policies,
    SignOff,
)
from consent_service.domain.purposes import LawfulBasis, Purpose
from consent_service.domain.retention_rules import (
    AppraisalProposal,
    RetentionRule,
    RetentionSchedule,
    schedule_of,
)
from consent_service.domain.roles import Role
from consent_service.policy_files.checking import checked
from consent_service.policy_files.cross_checks import check_together
from consent_service.policy_files.faults import Faults
from consent_service.policy_files.form_files import read_form
from consent_service.policy_files.leaflet_files import read_leaflet
from consent_service.policy_files.published import digest_of_files, files_of, form_path
from consent_service.policy_files.shapes import (
    AppraisalShape,
    OrganisationShape,
    PurposeShape,
    PurposesShape,
    RolesShape,
    RuleShape,
    ScheduleShape,
    SignOffShape,
)
from consent_service.policy_files.values import AS_DUE
from consent_service.policy_files.yaml_lines import Document, read_yaml

ORGANISATION_FILE = "organisation.yaml"
PURPOSES_FILE = "purposes.yaml"
ROLES_FILE = "roles.yaml"

Item = TypeVar("Item")


def default_policy_dir() -> Path:
    """Return the policies shipped with the package, or those of the checkout it runs from."""
    packaged = Path(str(files("consent_service"))) / "policies"
    return packaged if packaged.is_dir() else packaged.parent.parent / "policies"


def read_policies(folder: Path) -> Policies:
    """Return what the files in `folder` say; PolicyFault with every fault otherwise."""
    faults = Faults()
    if not folder.is_dir():
        faults.add(folder.name, 1, "there is no such folder, expected the policy files in it")
        faults.raise_if_any()
    reader = _Reader(folder, faults)
    parts = reader.read()
    check_together(parts, reader.documents, faults)
    faults.raise_if_any()
    return Policies(**parts)


@lru_cache(maxsize=32)
def form_published_since(folder: Path, form: str, version: int, digest: str) -> ConsentFormVersion:
    """Return a form that was published after the policies were read, for a process that serves on.

    Raises PolicyFault when the folder's files are not the published ones of this digest.
    """
    path, faults = form_path(form, version), Faults()
    if digest_of_files(files_of(folder, path)) != digest:
        faults.add(path, 1, "its files are not the published ones, expected them as published")
    found = read_form(folder, path, faults)
    faults.raise_if_any()
    return cast(ConsentFormVersion, found)


class _Reader:
    """Reads file after file; keeps the documents, so that later checks can name lines."""

    def __init__(self, folder: Path, faults: Faults) -> None:
        self.folder, self.faults = folder, faults
        self.documents: dict[str, Document] = {}

    def read(self) -> dict[str, Any]:
        """Return the parts of Policies by name; a part that could not be read is None or empty."""
        organisation = self._organisation()
        name = organisation.retention_schedule if organisation else "england"
        return {
            "organisation": organisation,
            "purposes": self._purposes(),
            "roles": self._roles(),
            "schedule": self._schedule(f"retention/{name}.yaml"),
            "appraisals": {a.id: a for a in self._appraisals()},
            "forms": {
                (form.id, form.version): form
                for path in self._versions("consent-forms")
                if (form := read_form(self.folder, path, self.faults))
            },
            "leaflets": {(leaflet.code, leaflet.version): leaflet for leaflet in self._leaflets()},
        }

    def _document(self, file: str) -> Document | None:
        document = read_yaml(self.folder, file, self.faults)
        if document is not None:
            self.documents[file] = document
        return document

    def _organisation(self) -> Organisation | None:
        shape = checked(self._document(ORGANISATION_FILE), OrganisationShape, self.faults)
        return None if shape is None else _organisation(shape)

    def _purposes(self) -> dict[str, Purpose]:
        shape = checked(self._document(PURPOSES_FILE), PurposesShape, self.faults)
        purposes = [] if shape is None else [_purpose(purpose) for purpose in shape.purposes]
        codes = [purpose.code for purpose in purposes]
        return dict(zip(codes, self._once(PURPOSES_FILE, "purposes", codes, purposes), strict=True))

    def _roles(self) -> dict[str, Role]:
        shape = checked(self._document(ROLES_FILE), RolesShape, self.faults)
        roles = [
            Role(
                code=role.code,
                label=role.label,
                description=role.description,
                scope=role.scope,
                permissions=frozenset(role.permissions),
                may_state=frozenset(role.may_state),
                needs_second_factor=role.needs_second_factor,
            )
            for role in (shape.roles if shape else ())
        ]
        codes = [role.code for role in roles]
        return dict(zip(codes, self._once(ROLES_FILE, "roles", codes, roles), strict=True))

    def _schedule(self, file: str) -> RetentionSchedule | None:
        shape = checked(self._document(file), ScheduleShape, self.faults)
        if shape is None:
            return None
        ids = [rule.id for rule in shape.rules]
        rules = self._once(file, "rules", ids, [_rule(rule) for rule in shape.rules])
        return RetentionSchedule(
            id=shape.id,
            title=shape.title,
            version=shape.version,
            in_force_from=shape.in_force_from,
            rules=schedule_of(dict(zip(ids, rules, strict=True))),
        )

    def _appraisals(self) -> Iterator[AppraisalProposal]:
        for path in sorted((self.folder / "appraisals").glob("*.yaml")):
            file = f"appraisals/{path.name}"
            document = self._document(file)
            shape = checked(document, AppraisalShape, self.faults)
            if document is None or shape is None:
                continue
            if shape.id != path.stem:
                self.faults.add(
                    file,
                    document.line(("id",)),
                    f"the id {shape.id} is not the file's name, expected {path.stem}",
                )
            yield AppraisalProposal(**shape.model_dump())

    def _leaflets(self) -> Iterator[LeafletVersion]:
        for path in self._versions("leaflets"):
            leaflet = read_leaflet(self.folder, path, self.faults)
            if leaflet:
                yield leaflet

    def _versions(self, kind: str) -> Iterator[str]:
        """Return `kind/<id>/v<n>` for every version folder, in order."""
        for path in sorted((self.folder / kind).glob("*/v*")):
            if path.is_dir():
                yield path.relative_to(self.folder).as_posix()

    def _once(
        self, file: str, key: str, codes: Sequence[str], items: Sequence[Item]
    ) -> Sequence[Item]:
        for number, code in enumerate(codes):
            if code in codes[:number]:
                line = self.documents[file].line((key, number))
                self.faults.add(file, line, f"{code} stands twice, expected it once")
        return items


def _organisation(shape: OrganisationShape) -> Organisation:
    plain = shape.model_dump()
    return Organisation(
        **plain
        | {
            "contact": Contact(**plain["contact"]),
            "footage": Footage(
                shape.footage.record_class,
                _sign_off(shape.footage.information_governance),
                _sign_off(shape.footage.caldicott_guardian),
            ),
            "film_length": FilmLength(**plain["film_length"]),
            "inactivity": Inactivity(**plain["inactivity"]),
            "page_languages": {
                code: SignOff(sign_off.by, sign_off.on)
                for code, sign_off in shape.page_languages.items()
            },
        }
    )


def _sign_off(shape: SignOffShape | None) -> SignOff | None:
    return None if shape is None else SignOff(shape.by, shape.on)


def _purpose(shape: PurposeShape) -> Purpose:
    plain = shape.model_dump()
    basis = LawfulBasis(**plain["lawful_basis"])
    return Purpose(**plain | {"lawful_basis": basis, "sustains": frozenset(shape.sustains)})


def _rule(shape: RuleShape) -> RetentionRule:
    return RetentionRule(
        id=shape.id,
        title=shape.title,
        record_class=shape.record_class,
        due=shape.due,
        gone_by=shape.due if shape.gone_by == AS_DUE else shape.gone_by,
        action=shape.action,
        mode=shape.mode,
        legal_basis=shape.legal_basis,
        source=shape.source,
        confidence=shape.confidence,
        note=shape.note or "",
    )
