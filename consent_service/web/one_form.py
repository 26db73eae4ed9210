"""A page that asks one thing: heading, a few words, the form, one button."""

from flask import render_template
from flask.typing import ResponseReturnValue

from consent_service.web.fields import PageForm, show, status, summary


def form_page(
    form: PageForm,
    title: str,
    back_to: str,
    *,
    template: str = "form.html",
    **more: object,
) -> ResponseReturnValue:
    """Return the page and its status.

    `more` goes to the template; it may name `words` above the form, a `caption` over the heading,
    the button's text `save` and its variant `kind` (`warning`, `secondary`).
    """
    usual = {"words": (), "save": "Save", "kind": "", "caption": "", "upload": False}
    page = render_template(
        template,
        **{**usual, **more},
        form=form,
        title=title,
        back_to=back_to,
        show=show,
        summary=summary,
    )
    return page, status(form)
