"""A leaflet on a screen: the same headings and lists as on paper, and when it may be given."""

from consent_service.web.leaflet_words import leaflet_words
from tests.support.clinic import Clinic
from tests.support.pages import Pages, words

LEAFLET = """# Good moments

## What happens?


We film **a few** minutes,
no more.

- your goals
- <b>your</b> words

L9, V1, 01/09/2026 (Archive: 01/09/2029)
"""


def test_the_leaflet_is_read_on_a_screen_and_printed_where_it_is_given(
    pages: Pages, clinic: Clinic
) -> None:
    """Version and archive date stand beside it; what is archived says for which days it was."""
    family = clinic.family()
    guider = pages.as_("guider")

    given = guider.opens(f"/leaflets/give/{family.involvement}/{family.mother}")
    assert "L1111, version 2 Archive date 1 September 2029" in words(given)
    assert "Archived on 14 September 2023. Choose it only if they got it before" in words(given)
    read = guider.opens("/leaflets/L1111/2").get_data(as_text=True)
    assert '<h2 class="nhsuk-heading-m">What is VIG?</h2>' in read
    assert "## What" not in read
    large = guider.opens("/leaflets/L1111/2/leaflet.pdf?print=large")
    assert large.data.startswith(b"%PDF-")
    assert large.data != guider.opens("/leaflets/L1111/2/leaflet.pdf").data


def test_words_stay_whole_and_never_become_marks() -> None:
    """Lines that were broken to fit a file flow again; the control line stays at the end."""
    shown = leaflet_words(LEAFLET)

    assert "<p>We film a few minutes, no more.</p>" in shown
    assert "<li>&lt;b&gt;your&lt;/b&gt; words</li>" in shown
    assert shown.endswith("<p>L9, V1, 01/09/2026 (Archive: 01/09/2029)</p>")
