"""An operator's safe: a disk for backups, the identity that opens them, and what is done there."""

import dataclasses
from pathlib import Path

import pyrage
from sqlalchemy import ColumnElement, func, select

from consent_service.db.base import Base
from consent_service.domain.people import FamilyRole
from consent_service.services import backups, involvements, restores
from tests.support.clinic import Clinic, Family


@dataclasses.dataclass(frozen=True)
class Safe:
    """Where an operator keeps backups, and what opens them."""

    folder: Path
    identity: Path


def open_safe(clinic: Clinic, folder: Path) -> Safe:
    """Make a disk for backups and an identity kept elsewhere; the clinic encrypts to it."""
    pair = pyrage.x25519.Identity.generate()
    encrypts_to(clinic, str(pair.to_public()))
    (folder / "disk").mkdir()
    (folder / "backup.key").write_text(f"# created by hand\n{pair}\n")
    return Safe(folder / "disk", folder / "backup.key")


def consenting_family(clinic: Clinic) -> Family:
    found = clinic.family()
    clinic.both_consent(found)
    clinic.passes(hours=1)
    return found


def consenting_mother(clinic: Clinic) -> Family:
    """A family in which the mother has said yes, for herself and for the baby."""
    found = clinic.family()
    clinic.captures(found, found.mother, clinic.answers(found, found.mother))
    return found


def agrees_elsewhere(clinic: Clinic, family: Family) -> Family:
    """The mother begins anew with the baby, without the father, and agrees there too."""
    members = (
        involvements.Member(family.mother, FamilyRole.PARENT),
        involvements.Member(family.baby, FamilyRole.BABY),
    )
    details = involvements.InvolvementDetails(clinic.team, clinic.guider.id, members, clinic.today)
    started = involvements.start_involvement(clinic.ctx, clinic.guider, details).id
    issues = {family.mother: clinic.gives_leaflet(started, family.mother)}
    other = Family(started, family.mother, family.father, family.baby, issues)
    clinic.captures(other, family.mother, clinic.answers(other, family.mother))
    return other


def film_of_mother_and_baby(clinic: Clinic, family: Family) -> str:
    """A film of mother and baby, made a minute ago."""
    asset = clinic.stores_film(family, depicted=(family.mother, family.baby)).id
    clinic.passes(minutes=1)
    return asset


def encrypts_to(clinic: Clinic, recipient: str) -> None:
    settings = clinic.ctx.settings.model_copy(update={"backup_recipient": recipient})
    clinic.ctx = dataclasses.replace(clinic.ctx, settings=settings)


def made_backup(clinic: Clinic, safe: Safe) -> backups.MadeBackup:
    made = backups.create(clinic.ctx, clinic.admin, safe.folder)
    clinic.passes(minutes=5)
    return made


def restored(
    clinic: Clinic, safe: Safe, made: backups.MadeBackup, **how: bool
) -> restores.Restored:
    wanted = restores.RestoreBackup(made.folder, safe.identity, **how)
    return restores.restore(clinic.ctx, clinic.admin, wanted)


def count(clinic: Clinic, what: type[Base], *where: ColumnElement[bool]) -> int:
    with clinic.ctx.read() as session:
        return session.scalar(select(func.count()).select_from(what).where(*where)) or 0
