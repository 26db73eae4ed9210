"""Filming in a browser: with its own camera or a file, through whatever happens to net and server."""

import hashlib
import io
import math
import os
import random
import re
from array import array
from pathlib import Path

import av
import pytest
from PIL import ImageChops
from playwright.sync_api import CDPSession, Page, Route, expect

from consent_service.domain.assets import AssetState
from consent_service.services import assets
from consent_service.services.recordings import ReserveFilm, reserve
from tests.journeys.conftest import SignedIn
from tests.support.browser import WIDTHS, faults_of_access, looks, runs_over
from tests.support.clinic import Clinic, Family
from tests.support.films import heavy_film
from tests.support.served import Served

KEPT_HERE = """async () => {
  const database = await new Promise((done) => {
    const asked = indexedDB.open("kept");
    asked.onsuccess = () => done(asked.result);
  });
  const counts = [...database.objectStoreNames].map((name) => new Promise((done) => {
    const asked = database.transaction(name).objectStore(name).count();
    asked.onsuccess = () => done(asked.result);
  }));
  database.close();
  return (await Promise.all(counts)).reduce((sum, one) => sum + one, 0);
}"""
CACHED = """async () => {
  const kept = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
  return kept.flat().map((request) => new URL(request.url).pathname);
}"""
ASKS_BEFORE_LEAVING = "!window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"
REFUSED = """navigator.mediaDevices.getUserMedia =
  () => Promise.reject(new DOMException("", "NotAllowedError"));"""
expect.set_options(timeout=20_000)
CAN_BE_READ_HERE = """async (said) => {
  const database = await new Promise((done) => {
    const asked = indexedDB.open("kept");
    asked.onsuccess = () => done(asked.result);
  });
  const rows = (name) => new Promise((done) => {
    const asked = database.transaction(name).objectStore(name).getAll();
    asked.onsuccess = () => done(asked.result);
  });
  const [boxes, things] = [await rows("boxes"), await rows("things")];
  database.close();
  const plain = (thing) => new TextDecoder("latin1").decode(thing.sealed);
  return boxes.some((box) => box.key.extractable)
    || things.some((thing) => said.some((words) => plain(thing).includes(words)));
}"""
SLOWLY = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 3_000_000}


@pytest.fixture(scope="module")
def clinic(service: Served) -> Clinic:
    """Words for arranging what a journey starts from."""
    clinic = Clinic(service.ctx, service.ctx.clock, service.team)  # type: ignore[arg-type]
    clinic.guider, clinic.ig = service.caller("guider"), service.caller("ig")
    return clinic


@pytest.fixture(scope="module")
def agreed(clinic: Clinic) -> Family:
    """A family in which everybody said yes."""
    return _agreed(clinic)


@pytest.fixture
def film(clinic: Clinic, agreed: Family) -> str:
    """A film that waits to come in."""
    wanted = ReserveFilm(agreed.involvement, agreed.everyone, clinic.today, title="Bath time")
    return reserve(clinic.ctx, clinic.guider, wanted).id


@pytest.fixture(scope="module")
def pictures() -> Path | None:
    """A folder for pictures of the pages, when somebody wants to look: PICTURES=folder."""
    folder = os.environ.get("PICTURES")
    return Path(folder) if folder else None


def test_a_film_is_recorded_sent_meanwhile_and_proven(
    service: Served, signed_in: SignedIn, clinic: Clinic, film: str, pictures: Path | None
) -> None:
    """What the camera saw and heard is stored, for as long as it was filmed; nothing stays here."""
    page = _opens_camera(service, signed_in, film)
    expect(page.locator("#film-state")).to_contain_text("Not recording")
    for name, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 900})
        looks(page, f"film-now-{name}", pictures)
        assert runs_over(page) == 0
        assert faults_of_access(page) == []

    assert not page.evaluate(ASKS_BEFORE_LEAVING)
    _records(page, "0:05")
    assert page.evaluate(ASKS_BEFORE_LEAVING)
    looks(page, "recording", pictures)
    assert faults_of_access(page) == []
    _stops(page)
    clock = page.locator("#film-clock").inner_text()
    page.get_by_role("heading", name="The film is stored").wait_for()
    looks(page, "stored", pictures)

    assert page.evaluate(KEPT_HERE) == 0
    assert not page.evaluate(ASKS_BEFORE_LEAVING)
    seconds, changes, loudness = _seen_and_heard(clinic.watches(film))
    filmed = int(clock.rpartition(":")[2])
    assert filmed - 1 < seconds < filmed + 2
    assert changes
    assert loudness > 0.001
    page.get_by_role("button", name="Watch the film").click()
    page.get_by_role("heading", name="Bath time").wait_for()


def test_a_recording_outlives_the_network_and_its_page(
    service: Served, signed_in: SignedIn, clinic: Clinic, film: str, pictures: Path | None
) -> None:
    """In a home without network the film waits on the device, encrypted, and goes from any page."""
    page = _opens_camera(service, signed_in, film)
    _records(page, "0:01")
    page.context.set_offline(True)
    expect(page.locator("#film-clock")).to_have_text("0:03")
    _stops(page)
    expect(page.get_by_text("There is no connection to the service.")).to_be_visible()
    assert page.evaluate(KEPT_HERE) > 2
    assert not page.evaluate(CAN_BE_READ_HERE, ["webm", "Chrome", film])
    page.close()

    page = page.context.new_page()
    page.context.set_offline(False)
    page.goto(f"{service.url}/families/{_involvement(clinic, film)}/films")
    looks(page, "waiting", pictures)
    page.get_by_text("A recording was sent.").wait_for()
    assert faults_of_access(page) == []

    assert page.evaluate(KEPT_HERE) == 0
    assert _seen_and_heard(clinic.watches(film))[0] > 2


def test_a_recording_ends_with_consent(
    service: Served, signed_in: SignedIn, clinic: Clinic
) -> None:
    """Whoever says stop while the camera runs is heard: it stops, and nothing is kept anywhere."""
    family = _agreed(clinic)
    wanted = ReserveFilm(family.involvement, family.everyone, clinic.today)
    film = reserve(clinic.ctx, clinic.guider, wanted).id
    page = _opens_camera(service, signed_in, film)
    _records(page, "0:01")

    clinic.withdraws(family, family.mother)

    page.get_by_role("heading", name="The film was not stored").wait_for()
    expect(page.locator("#film-state")).to_contain_text("Not recording")
    expect(page.locator("#film-said")).to_contain_text("The copy on this device is deleted.")
    assert page.evaluate(KEPT_HERE) == 0


def test_what_something_before_the_service_refuses_stays_on_the_device(
    service: Served, signed_in: SignedIn, film: str
) -> None:
    """A proxy with a small limit knows nothing of consent: it must not end the only copy."""

    def refuses(route: Route) -> None:
        if route.request.method == "PATCH":
            route.fulfill(status=413, body="<h1>Request Entity Too Large</h1>")
        else:
            route.continue_()

    page = _opens_camera(service, signed_in, film)
    page.route("**/uploads/*", refuses)
    _records(page, "0:01")

    page.get_by_role("heading", name="The film was not stored").wait_for()
    expect(page.locator("#film-said")).to_contain_text("stays on this device, encrypted")
    assert page.evaluate(KEPT_HERE) > 2


def test_a_file_goes_on_after_a_lost_network_a_closed_page_and_a_killed_server(
    service: Served, signed_in: SignedIn, clinic: Clinic, film: str, tmp_path: Path
) -> None:
    """An upload of an hour must not begin again because of a moment; the digests are equal."""
    content = _padded(heavy_film())
    chosen, other = tmp_path / "bath.mp4", tmp_path / "other.mp4"
    chosen.write_bytes(content)
    other.write_bytes(content[:-1])
    page = signed_in("guider", WIDTHS["tablet"])
    network = _sends_slowly(page, service, film, chosen)
    network.send("Network.emulateNetworkConditions", {**SLOWLY, "offline": True})
    expect(page.get_by_text("There is no connection to the service.")).to_be_visible()
    network.send("Network.emulateNetworkConditions", SLOWLY)
    _is_under_way(page)
    page.close()

    page = page.context.new_page()
    page.goto(f"{service.url}/films/{film}/upload?how=file")
    expect(page.get_by_text("of this film came in already")).to_be_visible()
    page.get_by_label("Film from this device").set_input_files(other)
    page.get_by_role("button", name="Send the film").click()
    expect(page.get_by_text("This is not the file that was begun.")).to_be_visible()
    _sends_slowly(page, service, film, chosen)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#film-said")).to_contain_text("Paused.")
    page.get_by_role("button", name="Go on sending").click()
    _is_under_way(page)
    with service.is_killed():
        expect(page.get_by_text("There is no connection to the service.")).to_be_visible()

    page.get_by_role("heading", name="The film is stored").wait_for()
    stored = assets.asset(clinic.ctx, clinic.guider, film)
    assert stored.state is AssetState.STORED
    assert stored.received_sha256 == hashlib.sha256(content).hexdigest()


def test_who_does_nothing_is_warned_before_the_screen_is_cleared(
    service: Served, signed_in: SignedIn, pictures: Path | None
) -> None:
    """A family's names must not stand on a screen that nobody watches; but no film is cut."""
    page = signed_in("guider", WIDTHS["tablet"])
    page.clock.install()
    page.goto(f"{service.url}/families")
    warning = page.get_by_role("dialog", name="You will be signed out soon")
    page.clock.fast_forward("18:02")
    expect(warning).to_be_visible()
    looks(page, "idle", pictures)
    assert faults_of_access(page) == []
    page.get_by_role("button", name="Stay signed in").press("Enter")
    expect(warning).to_be_hidden()

    page.evaluate("document.documentElement.dataset.busy = 'yes'")
    page.clock.fast_forward("25:00")
    expect(warning).to_be_hidden()
    page.evaluate("delete document.documentElement.dataset.busy")
    with page.expect_navigation():
        page.clock.fast_forward("25:00")


def test_without_network_a_page_says_so_and_names_nobody(
    service: Served, signed_in: SignedIn, pictures: Path | None
) -> None:
    """Only what is the same for everybody is kept; the rest comes back with the network."""
    page = signed_in("guider", WIDTHS["phone"])
    page.goto(f"{service.url}/families")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.reload()
    with service.is_killed():
        page.reload()
        expect(page.get_by_role("heading", name="There is no connection")).to_be_visible()
        looks(page, "offline", pictures)
        assert "Mira" not in page.content()
        kept = page.evaluate(CACHED)
    assert kept
    assert [path for path in kept if not path.startswith(("/static/", "/offline"))] == []

    expect(page.get_by_role("heading", name="My families")).to_be_visible()


def test_without_a_camera_the_way_on_is_told(
    service: Served, signed_in: SignedIn, film: str, pictures: Path | None
) -> None:
    """Refused, absent or not safe: each says what to do, and a file can still be sent."""
    page = signed_in("guider", WIDTHS["phone"])
    page.add_init_script(REFUSED)
    page.goto(f"{service.url}/films/{film}/upload")
    page.get_by_role("button", name="Turn on the camera").press("Enter")
    expect(page.get_by_text("The browser was told not to use the camera")).to_be_visible()
    looks(page, "refused", pictures)
    assert faults_of_access(page) == []
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false})")
    page.reload()
    expect(page.get_by_text("over a secure connection")).to_be_visible()
    page.get_by_role("link", name="Send a file").press("Enter")
    expect(page.get_by_label("Film from this device")).to_be_visible()
    assert faults_of_access(page) == []
    assert runs_over(page) == 0


def _padded(film: bytes) -> bytes:
    """The same film with twelve megabytes that players pass over, so that it takes a while."""
    size = 12_000_000
    return film + (size + 8).to_bytes(4, "big") + b"free" + random.Random(4).randbytes(size)


def _agreed(clinic: Clinic) -> Family:
    family = clinic.family()
    for person in (family.mother, family.father):
        clinic.captures(family, person, clinic.answers(family, person))
    return family


def _involvement(clinic: Clinic, film: str) -> str:
    return assets.asset(clinic.ctx, clinic.guider, film).involvement


def _opens_camera(service: Served, signed_in: SignedIn, film: str) -> Page:
    page = signed_in("guider", WIDTHS["tablet"])
    page.goto(f"{service.url}/films/{film}/upload")
    page.get_by_role("button", name="Turn on the camera").click()
    expect(page.get_by_text("sound is heard", exact=True)).to_be_visible()
    return page


def _records(page: Page, until: str) -> None:
    page.get_by_role("button", name="Start recording").click()
    expect(page.locator("#film-state")).to_contain_text(re.compile("^Recording"))
    expect(page.locator("#film-clock")).to_have_text(until)


def _stops(page: Page) -> None:
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator("#film-state")).to_contain_text("Not recording")


def _sends_slowly(page: Page, service: Served, film: str, chosen: Path) -> CDPSession:
    page.goto(f"{service.url}/films/{film}/upload?how=file")
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", SLOWLY)
    page.get_by_label("Film from this device").set_input_files(chosen)
    page.get_by_role("button", name="Send the film").click()
    _is_under_way(page)
    return network


def _is_under_way(page: Page) -> None:
    before = page.locator("#film-progress").evaluate("(bar) => bar.value")
    expect(page.locator("#film-going")).to_be_visible()
    page.wait_for_function(
        "(before) => document.getElementById('film-progress').value > before + 2", arg=before
    )


def _seen_and_heard(content: bytes) -> tuple[float, bool, float]:
    """Length in seconds, whether pictures change, and the loudness of the sound."""
    with av.open(io.BytesIO(content)) as film:
        pictures = [frame.to_image().convert("L") for frame in film.decode(video=0)]
    plain, sound = av.AudioResampler(format="s16", layout="mono"), array("h")
    with av.open(io.BytesIO(content)) as film:
        for frame in film.decode(audio=0):
            for part in plain.resample(frame):
                sound.frombytes(bytes(part.planes[0])[: part.samples * sound.itemsize])
        assert film.duration is not None
        seconds = film.duration / 1_000_000
    _, most = ImageChops.difference(pictures[0], pictures[-1]).getextrema()
    loudness = math.sqrt(sum(one * one for one in sound) / len(sound)) / 32768
    return seconds, most > 16, loudness
