"""Publishing: a draft becomes what governs, by an act with an approver (rule 20).

Rules kept here:
  * publishing copies the text into the database and writes its digest there, into
    `PUBLISHED.sha256` and into the audit log; consents refer to that copy;
  * a published version never changes: an edited file is refused even if its digest line was edited;
  * what is published already is left as it is.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import start_of_london_day
from consent_service.db.models.policies import (
    Leaflet,
    LeafletQuote,
    LeafletVersion,
    LeafletWords,
    PublishedPolicy,
)
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain import leaflets as leaflet_words
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.forms import ConsentFormVersion, text_digest
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, NotFound, PolicyFault
from consent_service.ids import new_id
from consent_service.policy_files import (
    check_published,
    default_policy_dir,
    digest_of_files,
    files_of,
    form_path,
    form_published_since,
    leaflet_path,
    published_digests,
    read_published,
    write_published,
)
from consent_service.services import printed_quotes
from consent_service.services.access import Caller, require
from consent_service.services.context import Context
from consent_service.services.reconsents import ask_again


def policy_folder(ctx: Context) -> Path:
    """Return the folder that policies are read from."""
    return ctx.settings.policy_dir or default_policy_dir()


def registered_digests(session: Session) -> dict[str, str]:
    """Return path -> digest of every published version and of each of its files."""
    found: dict[str, str] = {}
    for path, digest, files in session.execute(
        select(PublishedPolicy.path, PublishedPolicy.digest, PublishedPolicy.files)
    ):
        found[path] = digest
        found |= {f"{path}/{name}": text_digest(text) for name, text in files.items()}
    return found


def require_unedited(ctx: Context) -> None:
    """Raise PolicyFault naming every published file that is not what was published."""
    with ctx.read() as session:
        registered = registered_digests(session)
    check_published(policy_folder(ctx), registered)


def publish_all(ctx: Context, caller: Caller) -> list[str]:
    """Publish every form and leaflet version that is not published yet; returns their paths."""
    drafts = [form_path(form, version) for form, version in sorted(ctx.policies.forms)]
    drafts += [leaflet_path(code, version) for code, version in sorted(ctx.policies.leaflets)]
    with ctx.read() as session:
        known = registered_digests(session)
    waiting = [path for path in drafts if path not in known]
    for path in waiting:
        publish(ctx, caller, path)
    return waiting


def publish(ctx: Context, caller: Caller, path: str, *, material: bool = False) -> str:
    """Publish one version by its path in the policy folder; returns its digest.

    A material change of a form puts everybody on older versions on the list of whom to ask again
    (rule 10). Raises Conflict `already_published`, NotFound, and PolicyFault when a published
    version that exists already was edited.
    """
    require(ctx, caller, Permission.POLICIES_PUBLISH)
    folder = policy_folder(ctx)
    files = files_of(folder, path)
    if not files:
        raise NotFound(f"There is no {path} in the policy folder.", kind="policy")
    digest = digest_of_files(files)
    require_unedited(ctx)
    with ctx.begin() as uow:
        if uow.session.scalar(select(PublishedPolicy.id).where(PublishedPolicy.path == path)):
            raise Conflict(
                f"{path} is published. Put the change into a new version.",
                code="already_published",
            )
        row = PublishedPolicy(
            id=new_id(),
            path=path,
            digest=digest,
            files={name: raw.decode("utf-8") for name, raw in files.items()},
            material=material,
            published_at=uow.at,
            published_by=caller.id,
        )
        uow.session.add(row)
        _register(ctx, uow, caller, path, row)
    _write_digests(folder, path)
    return digest


def published_form(
    ctx: Context, session: Session, form: str, version: int | None
) -> tuple[PublishedPolicy, ConsentFormVersion]:
    """Return a published form version (the newest without `version`) and its published copy.

    Raises NotFound when there is none, PolicyFault when the words in use are not the published.
    """
    rows = session.scalars(
        select(PublishedPolicy).where(
            PublishedPolicy.path.startswith(f"consent-forms/{form}/v", autoescape=True)
        )
    )
    found = {int(row.path.rpartition("/v")[2]): row for row in rows}
    if not found or (version is not None and version not in found):
        raise NotFound("There is no such published form.", kind="consent_form")
    number = version if version is not None else max(found)
    row = found[number]
    words = ctx.policies.forms.get((form, number)) or form_published_since(
        policy_folder(ctx), form, number, row.digest
    )
    copy = {name: text.encode("utf-8") for name, text in row.files.items()}
    if digest_of_files(copy) != row.digest:
        raise PolicyFault(f"{row.path}: this published form is not what was published.")
    return row, words


def versions_on(session: Session, form: str, day: date) -> tuple[int, ...]:
    """Return the versions of a form that were current at any time on a London day, oldest first.

    Before the first was published here that first one counts: paper may be older than the service.
    """
    rows = session.execute(
        select(PublishedPolicy.path, PublishedPolicy.published_at).where(
            PublishedPolicy.path.startswith(f"consent-forms/{form}/v", autoescape=True)
        )
    )
    published = sorted((int(path.rpartition("/v")[2]), at) for path, at in rows)
    begins, ends = start_of_london_day(day), start_of_london_day(day + timedelta(days=1))
    before = [version for version, at in published if at < begins]
    that_day = [version for version, at in published if begins <= at < ends]
    return (*before[-1:], *that_day) or tuple(version for version, _ in published[:1])


def _register(
    ctx: Context, uow: UnitOfWork, caller: Caller, path: str, row: PublishedPolicy
) -> None:
    kind, identifier, number = path.split("/")
    version = int(number.removeprefix("v"))
    if kind == "leaflets":
        register_leaflet(
            uow, caller, ctx.policies.leaflets[identifier, version], _raw_words(row.files)
        )
    event = EventKind.LEAFLET_PUBLISHED if kind == "leaflets" else EventKind.FORM_PUBLISHED
    uow.record(
        AuditEvent(
            event,
            caller.actor,
            f"{identifier}/{version}",
            details={"digest": row.digest, "material": row.material},
        )
    )
    if kind == "consent-forms" and row.material:
        ask_again(uow, caller, identifier)


def register_leaflet(
    uow: UnitOfWork,
    caller: Caller,
    leaflet: leaflet_words.LeafletVersion,
    words: Mapping[str, tuple[bytes, tuple[str, ...]]],
) -> LeafletVersion:
    """Write a leaflet version and its words, by language: (bytes, notes)."""
    if uow.session.get(Leaflet, leaflet.code) is None:
        uow.session.add(Leaflet(code=leaflet.code, created_at=uow.at))
        uow.session.flush()
    row = LeafletVersion(
        id=new_id(),
        code=leaflet.code,
        version=leaflet.version,
        title=leaflet.title,
        owner=leaflet.owner,
        issued_on=leaflet.issued_on,
        archive_on=leaflet.archive_on,
        control_line=leaflet.control_line,
        sources=[source.reference for source in leaflet.sources],
        published_at=uow.at,
        published_by=caller.id,
    )
    uow.session.add(row)
    uow.session.flush()
    attach_words(uow, row, words)
    attach_quotes(uow, row, leaflet.quotes)
    return row


def attach_words(
    uow: UnitOfWork, row: LeafletVersion, words: Mapping[str, tuple[bytes, tuple[str, ...]]]
) -> None:
    """Attach the words of a leaflet version, byte for byte."""
    for language, (raw, notes) in words.items():
        digest = text_digest(raw.decode("utf-8"))
        uow.session.add(
            LeafletWords(
                leaflet_version_id=row.id,
                language=language,
                raw=raw,
                sha256=digest,
                notes=list(notes),
            )
        )


def attach_quotes(uow: UnitOfWork, row: LeafletVersion, quotes: tuple[str, ...]) -> None:
    """Keep the quotes a version prints, each with the permission it stands on, if any (rule 18)."""
    uow.session.add_all(
        LeafletQuote(
            id=new_id(),
            leaflet_version_id=row.id,
            words=words,
            permission=printed_quotes.PERMITTED if quote else printed_quotes.UNKNOWN,
            quote_id=quote,
        )
        for words, quote in printed_quotes.permission_for(uow, quotes).items()
    )


def _raw_words(files: Mapping[str, str]) -> dict[str, tuple[bytes, tuple[str, ...]]]:
    return {
        name.removesuffix(".md"): (text.encode("utf-8"), ())
        for name, text in files.items()
        if name.endswith(".md")
    }


def _write_digests(folder: Path, path: str) -> None:
    """Add the version to `PUBLISHED.sha256`, unless it stands there already."""
    listed = read_published(folder)
    wanted = published_digests(folder, path)
    if any(listed.get(name) != digest for name, digest in wanted.items()):
        write_published(folder, listed | wanted)
