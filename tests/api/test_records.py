"""Lists in pages, the audit log, public keys, holds and retention, as programs read them."""

import base64
import json
from pathlib import Path

import pytest

from consent_service.domain.checkpoint import open_checkpoint
from consent_service.services import audit
from consent_service.vault.signing import PublicKey, SigningUse
from tests.support.api import Api
from tests.support.api_story import family, person


def test_a_list_comes_in_pages_that_neither_repeat_nor_lose_anything(api: Api) -> None:
    """Also when something is added between two pages."""
    wanted = {person(api, f"Ida Invented {n}", "1990-01-01") for n in range(5)}
    first = api.post("/people/search", {"text": "ida", "limit": 2}).get_json()
    more = {person(api, "Ida Invented late", "1990-01-01")}
    found = [row["id"] for row in first["items"]]
    cursor = first["next"]
    while cursor:
        body = {"text": "ida", "limit": 2, "cursor": cursor}
        page = api.post("/people/search", body).get_json()
        found += [row["id"] for row in page["items"]]
        cursor = page["next"]

    assert len(found) == len(set(found))
    assert wanted <= set(found) <= wanted | more
    stray = api.post("/people/search", {"text": "ida", "cursor": "AAAA"})
    assert stray.status_code == 404


@pytest.mark.parametrize(
    ("path", "by"),
    [
        ("/involvements", "guider"),
        ("/holds", "ig"),
        ("/erasure-orders", "ig"),
        ("/certificates", "ig"),
        ("/dispositions", "ig"),
        ("/retention/due", "ig"),
        ("/subject-access", "ig"),
        ("/audit/entries", "ig"),
    ],
)
def test_a_cursor_of_no_list_is_no_page(api: Api, path: str, by: str) -> None:
    """Refused as not there, and by every list alike."""
    listed = api.get(path, by=by)
    stray = api.get(f"{path}?cursor=AAAA", by=by)

    assert listed.status_code == 200, listed.get_json()
    assert stray.status_code == 404
    assert "no such page of this list" in stray.get_json()["detail"]


def test_involvements_and_holds_are_listed_page_by_page(api: Api) -> None:
    """A program sees all of them, each once, also while another is begun."""
    homes = [family(api).involvement for _ in range(3)]
    for home in homes:
        body = {"involvement": home, "kind": "complaint", "reason": "A complaint came in."}
        assert api.post("/holds", body, by="ig").status_code == 201

    first = api.get("/involvements?limit=2").get_json()
    late = family(api).involvement
    rest = api.get(f"/involvements?limit=2&cursor={first['next']}").get_json()
    held = api.get("/holds?limit=2", by="ig").get_json()
    held_then = api.get(f"/holds?limit=2&cursor={held['next']}", by="ig").get_json()

    seen = [row["id"] for row in first["items"] + rest["items"]]
    assert len(seen) == len(set(seen))
    assert set(homes) <= set(seen) <= {*homes, late}
    assert {row["involvement"] for row in held["items"] + held_then["items"]} == set(homes)
    assert held_then["next"] is None


def test_the_audit_log_is_searched_proved_and_exported(api: Api, tmp_path: Path) -> None:
    """With the published keys alone, the export and the head verify."""
    home = family(api)
    audit.seal(api.clinic.ctx)
    where = f"/audit/entries?involvement={home.involvement}&limit=2"
    page = api.get(where, by="ig").get_json()
    assert len(page["items"]) == 2 and page["next"]
    entry = page["items"][0]
    assert entry["involvement"] == home.involvement
    following = api.get(f"{where}&cursor={page['next']}", by="ig").get_json()
    assert entry["id"] not in {row["id"] for row in following["items"]}

    audit.seal(api.clinic.ctx)
    proof = api.get(f"/audit/proof/{entry['id']}", by="ig").get_json()
    assert json.loads(base64.b64decode(proof["body"]))["id"] == entry["id"]
    keys = [PublicKey.from_json(k) for k in api.get("/keys/public", by=None).get_json()["keys"]]
    log_keys = [key.key for key in keys if key.use is SigningUse.LOG]
    head = api.get("/audit/checkpoint").get_json()
    assert open_checkpoint(head["note"], log_keys, head["origin"]).size == head["size"]

    exported = api.get("/audit/export", by="ig")
    assert exported.status_code == 200
    assert int(exported.headers["Content-Length"]) == len(exported.data)
    (tmp_path / "audit.ndjson").write_bytes(exported.data)
    pem = "".join(key.pem for key in keys).encode()
    assert audit.verify_file(tmp_path / "audit.ndjson", pem).ok


def test_a_hold_is_released_by_two_people(api: Api) -> None:
    """Who asks cannot confirm."""
    home = family(api)
    body = {"involvement": home.involvement, "kind": "complaint", "reason": "A complaint came."}
    assert api.post("/holds", body, by="guider").status_code == 403
    hold = api.post("/holds", body, by="ig")
    assert hold.status_code == 201
    where = f"/holds/{hold.get_json()['id']}/release"
    assert api.post(where, {"reason": "It is settled."}, by="ig").status_code == 200
    alone = api.post(f"{where}/confirm", by="ig")
    assert (alone.status_code, alone.get_json()["code"]) == (403, "second_person")
    together = api.post(f"{where}/confirm", by="ig2")
    assert together.status_code == 200
    assert together.get_json()["released_at"]


def test_what_governs_is_read_as_published(api: Api) -> None:
    """Leaflets, forms and what is due: empty lists say so as lists."""
    leaflets = api.get("/leaflets").get_json()["items"]
    assert {(row["code"], row["version"]): row["status"] for row in leaflets} == {
        ("L1111", 1): "archived",
        ("L1111", 2): "current",
    }
    words = api.get("/leaflets/L1111/versions/2").get_json()
    assert words["control_line"] in words["text"]
    forms = api.get("/consent-forms").get_json()["items"]
    assert {row["id"] for row in forms} == {"vig", "vig-other-person"}
    form = api.get("/consent-forms/vig/versions/1").get_json()
    assert "CARE.FILM.CHILD" in {s["code"] for s in form["statements"]}
    assert api.get("/retention/due").get_json() == {"items": [], "next": None}
    assert api.get("/dispositions", by="ig").get_json() == {"items": [], "next": None}
