"""What is published and what waits to be: forms and policy versions, for reading.

Rule kept here: the words shown are those of the published copy in the database, checked against
its digest (rule 2); a draft is named as a draft.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from consent_service.db.models.policies import PublishedPolicy
from consent_service.domain.form_changes import LineChange, form_changes
from consent_service.domain.forms import AskedOf, Audience, rendered_text, text_digest
from consent_service.domain.policies import form_facts
from consent_service.errors import InvalidInput, NotFound
from consent_service.policy_files import form_path, leaflet_path
from consent_service.services.context import Context
from consent_service.services.policies import published_form


@dataclass(frozen=True)
class PolicyVersionView:
    """A version of a form or leaflet by its path in the policy folder; unpublished without date."""

    path: str
    digest: str | None
    material: bool
    published_at: datetime | None


@dataclass(frozen=True)
class FormView:
    """A published form version and how many statements it asks."""

    id: str
    version: int
    title: str
    leaflet: str
    languages: tuple[str, ...]
    statements: int
    digest: str
    material: bool
    published_at: datetime


@dataclass(frozen=True)
class FormText:
    """Every word of a published form in one language, all capacities, with its digest."""

    id: str
    version: int
    language: str
    text: str
    sha256: str


def policy_versions(ctx: Context) -> list[PolicyVersionView]:
    """Return every form and leaflet version that is published or waits in the folder, by path."""
    with ctx.read() as session:
        found = {
            row.path: PolicyVersionView(row.path, row.digest, row.material, row.published_at)
            for row in session.scalars(select(PublishedPolicy))
        }
    drafts = [form_path(form, version) for form, version in ctx.policies.forms]
    drafts += [leaflet_path(code, version) for code, version in ctx.policies.leaflets]
    for path in drafts:
        found.setdefault(path, PolicyVersionView(path, None, False, None))
    return [found[path] for path in sorted(found)]


def published_files(ctx: Context, path: str) -> Mapping[str, str]:
    """Return the files of a published version as they were published: name -> text."""
    with ctx.read() as session:
        row = session.scalar(select(PublishedPolicy).where(PublishedPolicy.path == path))
        if row is None:
            raise NotFound(f"{path[:120]} is not published.", kind="policy")
        return dict(row.files)


def forms(ctx: Context) -> list[FormView]:
    """Return every published form version, by id and version."""
    with ctx.read() as session:
        published = [
            view.path.removeprefix("consent-forms/").split("/v")
            for view in policy_versions(ctx)
            if view.published_at and view.path.startswith("consent-forms/")
        ]
        views = []
        for form_id, number in published:
            row, form = published_form(ctx, session, form_id, int(number))
            words = form.words.get(ctx.policies.organisation.default_language)
            views.append(
                FormView(
                    form.id,
                    form.version,
                    (words or next(iter(form.words.values()))).title,
                    form.leaflet,
                    form.languages,
                    len(form.statements),
                    row.digest,
                    row.material,
                    row.published_at,
                )
            )
    return sorted(views, key=lambda view: (view.id, view.version))


@dataclass(frozen=True)
class FormChanges:
    """What differs between two published versions of a form, in one language."""

    form: str
    old: int
    new: int
    language: str
    material: bool
    lines: tuple[LineChange, ...]


def changes(ctx: Context, form_id: str, old: int, new: int, language: str) -> FormChanges:
    """Return what differs between two published versions, line by line (rule 10).

    Raises NotFound for a version that is not published, InvalidInput (`language`).
    """
    with ctx.read() as session:
        _, before = published_form(ctx, session, form_id, old)
        row, after = published_form(ctx, session, form_id, new)
        material = row.material
    if language not in before.words.keys() & after.words.keys():
        both = sorted(before.words.keys() & after.words.keys())
        sentence = f"Both versions have words in {', '.join(both) or 'no language'} only."
        raise InvalidInput(sentence, {"language": sentence})
    newest = ctx.policies.leaflet_versions(after.leaflet)
    line = newest[-1].control_line if newest else after.leaflet
    facts = form_facts(ctx.policies.organisation, ctx.policies.schedule, line)
    lines = form_changes(before, after, language, facts)
    return FormChanges(form_id, old, new, language, material, lines)


def form_text(ctx: Context, form_id: str, version: int | None, language: str) -> FormText:
    """Return the words of a published form as its widest audience would be shown them.

    Raises NotFound for a form or version that is not published, InvalidInput (`language`).
    """
    with ctx.read() as session:
        _, form = published_form(ctx, session, form_id, version)
    if language not in form.words:
        sentence = f"This form has words in {', '.join(form.languages)} only."
        raise InvalidInput(sentence, {"language": sentence})
    newest = ctx.policies.leaflet_versions(form.leaflet)
    line = newest[-1].control_line if newest else form.leaflet
    facts = form_facts(ctx.policies.organisation, ctx.policies.schedule, line)
    text = rendered_text(form, language, Audience(frozenset(AskedOf), pregnant=True), facts)
    return FormText(form.id, form.version, language, text, text_digest(text))
