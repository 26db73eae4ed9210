"""What waits on a device and cannot simply be sent: said plainly, and brought to an end."""

import base64
import hashlib

import pytest
from playwright.sync_api import Page, Route, expect

from consent_service.domain.assets import AssetState
from consent_service.services import assets
from consent_service.services.recordings import ReserveFilm, reserve
from tests.journeys.conftest import SignedIn
from tests.journeys.test_filming import KEPT_HERE
from tests.support.browser import WIDTHS, faults_of_access, runs_over
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.films import recorder_film
from tests.support.served import Served
from tests.support.uploading import send

pytestmark = pytest.mark.browser

KEEPS = """async ({asset, involvement, content}) => {
  const { KeptFilm } = await import("/static/js/kept-film.js");
  const film = await KeptFilm.begin({ asset, involvement });
  const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
  for (let at = 0; at < bytes.length; at += 20000) await film.add(bytes.slice(at, at + 20000));
}"""
BREAKS = """async (asset) => {
  const { listBoxes, openBox } = await import("/static/js/kept.js");
  const database = await new Promise((done) => {
    const asked = indexedDB.open("kept");
    asked.onsuccess = () => done(asked.result);
  });
  for (const name of await listBoxes("film-")) {
    const about = await (await openBox(name)).get("about");
    if (about.asset !== asset) continue;
    const change = database.transaction("things", "readwrite");
    const things = change.objectStore("things");
    const all = await new Promise((done) => {
      const asked = things.getAll();
      asked.onsuccess = () => done(asked.result);
    });
    const last = all.filter((row) => row.box === name && row.name !== "about").at(-1);
    new Uint8Array(last.sealed)[5] ^= 1;
    things.put(last);
    await new Promise((done) => { change.oncomplete = done; });
  }
  database.close();
}"""

AGES = """async (asset) => {
  const { listBoxes, openBox } = await import("/static/js/kept.js");
  for (const name of await listBoxes("film-")) {
    const box = await openBox(name);
    const about = await box.get("about");
    if (about.asset === asset) await box.put("about", { ...about, began: about.began - 86400000 });
  }
}"""


@pytest.fixture(scope="module")
def clinic(service: Served) -> Clinic:
    """Words for arranging what a journey starts from."""
    clinic = Clinic(service.ctx, service.ctx.clock, service.team)  # type: ignore[arg-type]
    clinic.guider, clinic.ig = service.caller("guider"), service.caller("ig")
    return clinic


@pytest.fixture(scope="module")
def agreed(clinic: Clinic) -> Family:
    """A family in which everybody said yes."""
    family = clinic.family()
    for person in (family.mother, family.father):
        clinic.captures(family, person, clinic.answers(family, person))
    return family


@pytest.fixture
def page(service: Served, signed_in: SignedIn) -> Page:
    """The guider's tablet, on a page that keeps nothing itself."""
    opened = signed_in("guider", WIDTHS["tablet"])
    opened.goto(f"{service.url}/account")
    return opened


def _film(clinic: Clinic, family: Family) -> str:
    wanted = ReserveFilm(family.involvement, family.everyone, clinic.today, title="Bath time")
    return reserve(clinic.ctx, clinic.guider, wanted).id


def _keeps(page: Page, family: Family, film: str, content: bytes) -> None:
    """Have a recording wait on the device, by the means that record it."""
    told = {"asset": film, "involvement": family.involvement}
    page.evaluate(KEEPS, told | {"content": base64.b64encode(content).decode()})


def test_a_recording_that_cannot_be_read_keeps_none_of_the_others(
    service: Served, clinic: Clinic, agreed: Family, page: Page
) -> None:
    """A fault of the disk in one film must not be the loss of the next ones."""
    broken, good = _film(clinic, agreed), _film(clinic, agreed)
    for film in (broken, good):
        _keeps(page, agreed, film, recorder_film())
    page.evaluate(BREAKS, broken)

    page.goto(f"{service.url}/families/{agreed.involvement}/films")

    page.get_by_text("A recording was sent.").wait_for()
    assert assets.asset(clinic.ctx, clinic.guider, good).state is AssetState.STORED
    told = page.locator("#waiting")
    expect(told.get_by_role("heading")).to_have_text("1 recording cannot be sent")
    today = page.evaluate("new Date().toLocaleDateString('en-GB', {dateStyle: 'long'})")
    expect(told.locator("li")).to_contain_text(f"Recording of {today}")
    expect(told.locator("li")).to_contain_text("cannot be read any more")
    assert faults_of_access(page) == []
    told.get_by_role("button", name="Delete it from this device").press("Enter")
    told.get_by_role("button", name="Delete it for good").press("Enter")
    expect(told.locator("li")).to_have_count(0)
    expect(told.get_by_role("heading")).to_be_focused()
    expect(told.get_by_role("status")).to_have_text("The recording is deleted from this device.")
    assert page.evaluate(KEPT_HERE) == 0


def test_a_recording_that_is_broken_and_late_can_only_be_deleted_and_not_by_a_double_click(
    service: Served, clinic: Clinic, agreed: Family, page: Page
) -> None:
    """Its place has lapsed, so there is nothing to open; and what is deleted is asked for twice."""
    film = _film(clinic, agreed)
    _keeps(page, agreed, film, recorder_film())
    page.evaluate(BREAKS, film)
    page.evaluate(AGES, film)

    page.goto(f"{service.url}/families/{agreed.involvement}/films")

    line = page.locator("#waiting li")
    expect(line).to_contain_text("cannot be read any more. Delete it here.")
    expect(line.get_by_role("link")).to_have_count(0)
    line.get_by_role("button", name="Delete it from this device").dblclick()
    expect(line.get_by_role("button", name="Delete it for good")).to_be_visible()
    assert page.evaluate(KEPT_HERE) > 0
    line.get_by_role("button", name="Delete it for good").click()
    expect(line).to_have_count(0)
    assert page.evaluate(KEPT_HERE) == 0


def test_while_the_service_cannot_be_asked_nothing_of_a_broken_recording_is_offered(
    service: Served, clinic: Clinic, agreed: Family, page: Page
) -> None:
    """Not to know what came is not to know that nothing came: that much may be all there is."""
    film, content = _film(clinic, agreed), recorder_film()
    send(clinic, film, 0, content[:9000])
    _keeps(page, agreed, film, content)
    page.evaluate(BREAKS, film)
    rest = page.locator("#film-rest")

    def unavailable(route: Route) -> None:
        expect(rest.get_by_role("status")).to_contain_text("is being asked")
        route.fulfill(status=503)

    page.route("**/uploads/*", unavailable)
    page.goto(f"{service.url}/films/{film}/upload?how=record")

    expect(rest.get_by_role("status")).to_contain_text("cannot be asked at the moment")
    expect(rest.get_by_role("button")).to_have_count(0)
    assert faults_of_access(page) == []
    page.unroute("**/uploads/*")
    page.get_by_role("button", name="Load this page again").press("Enter")

    expect(rest.get_by_role("status")).to_contain_text("of it came to the service")
    expect(rest.get_by_role("button", name="Keep what has come")).to_be_visible()
    assert assets.asset(clinic.ctx, clinic.guider, film).state is AssetState.RECEIVING


def test_what_came_before_the_browser_cleared_its_copy_can_be_kept(
    service: Served, clinic: Clinic, agreed: Family, page: Page
) -> None:
    """The service has more than the device: to send on from the device would end in a lie."""
    film, content = _film(clinic, agreed), recorder_film()
    came = content[: len(content) * 3 // 4]
    send(clinic, film, 0, came)
    _keeps(page, agreed, film, content[: len(content) // 4])
    page.goto(f"{service.url}/families/{agreed.involvement}/films")
    expect(page.locator("#waiting li")).to_contain_text("less of it than the service")

    page.goto(f"{service.url}/films/{film}/upload?how=record")
    expect(page.locator("#film-rest-words")).to_contain_text("the browser has cleared the rest")
    assert faults_of_access(page) == []
    assert runs_over(page) == 0
    page.get_by_role("button", name="Keep what has come").press("Enter")

    page.get_by_role("heading", name="The film is stored").wait_for()
    expect(page.locator("#film-said")).to_contain_text("ends where it broke off")
    stored = assets.asset(clinic.ctx, clinic.guider, film)
    assert stored.received_sha256 == hashlib.sha256(came).hexdigest()
    assert page.evaluate(KEPT_HERE) == 0


@pytest.mark.parametrize("how", ["record", "file"])
def test_what_came_from_elsewhere_can_be_thrown_away(
    service: Served, clinic: Clinic, agreed: Family, page: Page, how: str
) -> None:
    """Half a film that nobody can finish must not wait for a day: whoever began it ends it."""
    film = _film(clinic, agreed)
    send(clinic, film, 0, recorder_film()[:9000])

    page.goto(f"{service.url}/films/{film}/upload?how={how}")
    if how == "file":
        page.get_by_role("button", name="Throw away what came").press("Enter")
        expect(page.locator("#film-rest-words")).to_contain_text("gone for good")
    else:
        expect(page.locator("#film-rest-words")).to_contain_text("came from another device")
        expect(page.get_by_text("Not recording")).to_be_hidden()
    page.get_by_role("button", name="Throw it away", exact=True).press("Enter")
    page.get_by_role("button", name="Throw it away for good").press("Enter")

    expect(page.locator("#film-said")).to_contain_text("It is thrown away")
    expect(page.get_by_role("button", name="Begin again")).to_be_focused()
    assert assets.asset(clinic.ctx, clinic.guider, film).state is AssetState.ERASED


def test_a_file_that_arrived_as_another_is_said_to_be_stored(
    service: Served, clinic: Clinic, agreed: Family, page: Page
) -> None:
    """Who is told “not stored” sends it again: two films, one of them unknown to everybody."""
    film = _film(clinic, agreed)

    def altered(route: Route) -> None:
        answer = route.fetch()
        headers = {**answer.headers}
        if "repr-digest" in headers:
            headers["repr-digest"] = f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"
        route.fulfill(response=answer, headers=headers)

    page.route("**/uploads/*", altered)
    page.goto(f"{service.url}/films/{film}/upload?how=file")
    page.get_by_label("Film from this device").set_input_files(
        {"name": "film.mp4", "mimeType": "video/mp4", "buffer": sample_film()}
    )
    page.get_by_role("button", name="Send the film").press("Enter")

    page.get_by_role("heading", name="Stored, but not the same").wait_for()
    expect(page.locator("#film-said")).to_contain_text("The service holds a whole film")
    expect(page.get_by_role("button", name="Watch the film")).to_be_visible()
    assert assets.asset(clinic.ctx, clinic.guider, film).state is AssetState.STORED
    assert "film-file" not in page.evaluate("JSON.stringify(localStorage)")
