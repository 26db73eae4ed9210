"""A leaflet's words on a page: the same headings, paragraphs and lists as on paper."""

from markupsafe import Markup

from consent_service.documents.leaflet_text import Block, read_leaflet

_LISTS = {
    "list": Markup('<ul class="nhsuk-list nhsuk-list--bullet">{}</ul>'),
    "steps": Markup('<ol class="nhsuk-list nhsuk-list--number">{}</ol>'),
}


def leaflet_words(text: str) -> Markup:
    """Return the words of a leaflet below its title, the control line last."""
    return Markup("\n").join(_html(block) for block in read_leaflet(text, "").blocks)


def _html(block: Block) -> Markup:
    if block.kind == "heading":
        return Markup('<h2 class="nhsuk-heading-m">{}</h2>').format(block.lines[0])
    if block.kind in _LISTS:
        items = Markup("").join(Markup("<li>{}</li>").format(line) for line in block.lines)
        return _LISTS[block.kind].format(items)
    return Markup("<p>{}</p>").format(block.lines[0])
