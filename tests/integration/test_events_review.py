"""Events under administration: the review queue, edits, merges, who said what, and what was before (contract 9, 12, 13)."""
import concurrent.futures
import secrets

import pytest
from pyld import jsonld

from api import PASSWORD, Api
from polling import poll

EVENTS, ADMIN = "/api/v1/events", "/api/v1/admin"
QUEUE = ADMIN + "/review-queue"


@pytest.fixture(scope="module")
def admin(stack):
    name = "a" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return Api(stack.url).login(name).json()["access_token"]


def new_key(api, admin):
    answer = api.post(ADMIN + "/api-keys", {"name": "robot " + secrets.token_hex(3), "role": "agent"}, admin)
    assert answer.status_code == 201, answer.text
    return answer.json()["api_key"]


@pytest.fixture(scope="module")
def agent(stack, admin):
    return new_key(Api(stack.url), admin)


@pytest.fixture
def unique():
    return "W" + secrets.token_hex(5)


def event(unique, **members):
    return {"name": f"Jazz {unique}", "description": "All night long.", "startDate": "2026-12-20T19:00:00-05:00",
            "location": {"name": f"Hall {unique}", "addressLocality": "Toronto"}, **members}


# The end is before the start: it is moved by a day, and waits.
ODD = {"startDate": "2026-12-20T22:00:00-05:00", "endDate": "2026-12-20T02:00:00-05:00"}


def hand_in(api, key, body, status=201):
    answer = api.post(EVENTS, body, key)
    assert answer.status_code == status, answer.text
    return answer.json()["@id"].rsplit("/", 1)[1] if "@id" in answer.json() else answer.json()


def entry_of(api, admin, ulid, status="pending"):
    """The newest entry of an event."""
    cursor, found = "", None
    while True:
        part = api.get(QUEUE, admin, params={"status": status, "limit": 100, "cursor": cursor}).json()
        found = next((i for i in reversed(part["items"]) if i["eventId"] == ulid), found)
        cursor = part["next_cursor"]
        if not cursor:
            return found


def waiting(api, admin, agent, unique, **members):
    ulid = hand_in(api, agent, event(unique, **{**ODD, **members}), 202)
    return ulid, entry_of(api, admin, ulid)["id"]


def problem(answer, status, slug):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json()["type"] == "https://sel.events/problems/" + slug
    return answer.json()


# ---------------------------------------------------------------------------------------------------- the queue
def test_what_waits_is_shown_and_approved_once(api, admin, agent, unique):
    ulid, entry = waiting(api, admin, agent, unique)
    one = api.get(f"{QUEUE}/{entry}", admin).json()
    assert one["eventId"] == ulid and one["status"] == "pending" and one["eventName"] == f"Jazz {unique}"
    assert one["warnings"][0]["code"] == "reversed_dates_timezone_likely" and one["occurrenceCount"] == 1
    assert one["original"]["endDate"] == ODD["endDate"] and one["occurrences"][0]["timezone"]
    assert api.get(f"{EVENTS}/{ulid}").status_code == 404
    answer = api.post(f"{QUEUE}/{entry}/approve", {"notes": "fine"}, admin)
    assert answer.status_code == 200 and answer.json()["eventId"] == ulid, answer.text
    assert answer.json()["status"] == "approved" and answer.json()["reviewNotes"] == "fine"
    assert api.get(f"{EVENTS}/{ulid}").status_code == 200
    for action, body in (("approve", {}), ("reject", {"reason": "x"}), ("fix", {"corrections": {"name": "x"}})):
        problem(api.post(f"{QUEUE}/{entry}/{action}", body, admin), 409, "conflict")


def test_what_waits_shows_no_place_of_strangers(api, admin, agent, unique):
    _, entry = waiting(api, admin, agent, unique)
    names = lambda: [p["name"] for p in api.get("/api/v1/places", params={"q": f"Hall {unique}"}).json()["items"]]
    assert names() == []
    assert api.post(f"{QUEUE}/{entry}/approve", {}, admin).status_code == 200
    assert names() == [f"Hall {unique}"]


def test_the_queue_refuses_nonsense(api, admin):
    problem(api.get(QUEUE, admin, params={"status": "nonsense"}), 400, "validation-error")
    problem(api.get(QUEUE, admin, params={"cursor": "x"}), 400, "validation-error")
    assert api.get(QUEUE, admin, params={"limit": 1000}).status_code == 200
    problem(api.get(QUEUE + "/999999999", admin), 404, "not-found")
    problem(api.get(QUEUE), 401, "unauthorized")


def test_of_two_decisions_one_wins(api, admin, agent, unique):
    _, entry = waiting(api, admin, agent, unique)
    calls = [("approve", {}), ("reject", {"reason": "no"})] * 2
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda c: api.post(f"{QUEUE}/{entry}/{c[0]}", c[1], admin).status_code, calls))
    assert sorted(codes) == [200, 409, 409, 409]


def test_what_was_rejected_is_known_again(api, admin, agent, unique):
    source = {"source": {"url": "https://agent.test/list", "eventId": unique}}
    ulid, entry = waiting(api, admin, agent, unique, **source)
    problem(api.post(f"{QUEUE}/{entry}/reject", {}, admin), 400, "validation-error")
    assert api.post(f"{QUEUE}/{entry}/reject", {"reason": "made up"}, admin).json()["rejectionReason"] == "made up"
    gone = api.get(f"{EVENTS}/{ulid}")
    assert gone.status_code == 410 and gone.json()["sel:deletionReason"] == "made up"
    again = problem(api.post(EVENTS, event(unique, **ODD, **source), agent), 400, "previously-rejected")
    assert again["reason"] == "made up" and again["reviewed_by"] and again["reviewed_at"]
    assert hand_in(api, agent, event(unique, **source)) != ulid  # without the fault it is another


def test_a_fix_corrects_and_publishes(api, admin, agent, unique):
    ulid, entry = waiting(api, admin, agent, unique)
    for corrections in ({}, {"startDate": "tomorrow"}, {"location": "nowhere"}):
        problem(api.post(f"{QUEUE}/{entry}/fix", {"corrections": corrections}, admin), 400, "validation-error")
    both = problem(api.post(f"{QUEUE}/{entry}/fix", {"corrections": {"startDate": "2027-01-05T20:00:00Z"}}, admin), 400,
                   "validation-error")
    assert both["errors"][0]["pointer"] == "/corrections/endDate"
    answer = api.post(f"{QUEUE}/{entry}/fix", {"corrections": {
        "startDate": "2026-12-21T20:00:00Z", "endDate": "2026-12-21T23:00:00Z", "name": f"Fixed {unique}"}}, admin)
    assert answer.status_code == 200, answer.text
    full = api.get(f"{EVENTS}/{ulid}").json()
    assert (full["name"], full["startDate"], full["endDate"]) == \
        (f"Fixed {unique}", "2026-12-21T20:00:00Z", "2026-12-21T23:00:00Z")


# ---------------------------------------------------------------------------------------------------- events
def test_events_are_edited_by_version(api, admin, agent, unique):
    ulid = hand_in(api, agent, event(unique))
    path = f"{ADMIN}/events/{ulid}"
    answer = api.call("PUT", path, admin, json={"name": f"Edited {unique}", "keywords": ["B", "a", "b"], "unknown": 1})
    assert answer.status_code == 200, answer.text
    assert answer.json()["lifecycle_state"] == "published" and answer.json()["sel:version"] == 2
    stale = api.call("PUT", path, admin, json={"name": "x"}, headers={"If-Match": '"1-json"'})
    problem(stale, 412, "precondition-failed")
    fresh = api.call("PUT", path, admin, json={"event_domain": "music"}, headers={"If-Match": answer.headers["ETag"]})
    assert fresh.status_code == 200, fresh.text
    faults = problem(api.call("PUT", path, admin, json={"name": "", "lifecycle_state": "x", "image_url": "ftp://x"}), 400,
                     "validation-error")
    assert {e["pointer"] for e in faults["errors"]} == {"/name", "/lifecycle_state", "/image_url"}
    assert api.get(f"{EVENTS}/{ulid}").json()["keywords"] == ["a", "b"]
    # What its source sends afterwards does not undo the edit.
    assert api.post(EVENTS, event(unique), agent).status_code == 409
    assert api.get(f"{EVENTS}/{ulid}").json()["name"] == f"Edited {unique}"


def test_deleted_is_deleted_once(api, admin, agent, unique):
    ulid = hand_in(api, agent, event(unique))
    path = f"{ADMIN}/events/{ulid}"
    assert api.call("DELETE", path, admin, json={"reason": "spam"}).status_code == 204
    assert api.call("DELETE", path, admin).status_code == 204
    assert api.get(f"{EVENTS}/{ulid}").json()["sel:deletionReason"] == "spam"
    problem(api.call("PUT", path, admin, json={"name": "x"}), 410, "event-deleted")
    problem(api.post(path + "/publish", None, admin), 410, "event-deleted")
    problem(api.call("DELETE", ADMIN + "/events/nonsense", admin), 400, "validation-error")


def test_the_entry_of_a_deleted_event_is_gone(api, admin, agent, unique):
    ulid, entry = waiting(api, admin, agent, unique)
    assert api.call("DELETE", f"{ADMIN}/events/{ulid}", admin).status_code == 204
    assert entry_of(api, admin, ulid) is None
    problem(api.post(f"{QUEUE}/{entry}/approve", {}, admin), 410, "event-deleted")


def test_publishing_and_taking_down(api, admin, agent, unique):
    ulid = hand_in(api, agent, event(unique))
    path = f"{ADMIN}/events/{ulid}"
    assert api.post(path + "/unpublish", None, admin).json()["lifecycle_state"] == "draft"
    assert api.get(f"{EVENTS}/{ulid}").status_code == 404
    assert api.post(path + "/publish", None, admin).json()["lifecycle_state"] == "published"
    assert api.post(path + "/takedown", {"reason": "rights"}, admin).status_code == 200
    assert api.get(f"{EVENTS}/{ulid}").status_code == 451
    assert not api.get(EVENTS, params={"q": unique, "startDate": "2026-12-01"}).json()["items"]
    assert api.call("DELETE", path + "/takedown", admin).status_code == 200
    assert api.get(f"{EVENTS}/{ulid}").status_code == 200
    listed = api.get(ADMIN + "/events", admin, params={"q": unique}).json()
    assert [i["@id"].rsplit("/", 1)[1] for i in listed["items"]] == [ulid] and listed["next_cursor"] == ""
    assert api.get(ADMIN + "/stats", admin).json().keys() >= {"pending_count", "published_count", "total_count"}


def test_versions_are_kept_and_come_back(api, admin, agent, unique):
    ulid = hand_in(api, agent, event(unique))
    assert api.call("PUT", f"{ADMIN}/events/{ulid}", admin, json={"name": f"New {unique}"}).status_code == 200
    history = api.get(f"{EVENTS}/{ulid}/history").json()["items"]
    assert [i["version"] for i in history] == [2, 1] and "/name" in history[0]["changed_pointers"]
    assert not any("actor_name" in i for i in history)  # of the agent's owner, either
    known = api.get(f"{EVENTS}/{ulid}", params={"include_provenance": "true"}).json()["sources"]
    assert "agent" in [i["name"] for i in known]  # it said no name and no address
    assert api.get(f"{EVENTS}/{ulid}/history", admin).json()["items"][0]["actor_name"]
    old = api.get(f"{EVENTS}/{ulid}", params={"version": "1"}).json()
    assert old["name"] == f"Jazz {unique}" and old["sel:version"] == 1 and old["startDate"] == "2026-12-21T00:00:00Z"
    assert api.get(f"{EVENTS}/{ulid}", params={"version": "9"}).status_code == 404
    assert api.get(f"{EVENTS}/{ulid}", params={"version": "x"}).status_code == 400
    back = api.post(f"{ADMIN}/events/{ulid}/revert", {"version": 1}, admin)
    assert back.status_code == 200 and back.json()["sel:version"] == 3, back.text
    assert api.get(f"{EVENTS}/{ulid}").json()["name"] == f"Jazz {unique}"
    audit = api.get(ADMIN + "/audit/events", admin, params={"target_id": ulid}).json()["items"]
    assert [i["action"] for i in audit] == ["event.reverted", "event.updated"] and audit[0]["before_hash"]


# ---------------------------------------------------------------------------------------------------- who said what
def test_two_sources_disagree_and_trust_decides(api, admin, agent, unique):
    other = new_key(api, admin)
    ours, theirs = ({"source": {"url": f"https://{host}.test/", "eventId": unique, "name": host + unique}} for host in "ab")
    keeps = hand_in(api, agent, event(unique, **ours))
    goes = hand_in(api, other, event(unique, startDate="2026-12-20T20:00:00-05:00", url="https://b.test/e", **theirs), 202)
    answer = api.post(ADMIN + "/events/consolidate", {"event_ulid": keeps, "retire": [goes]}, admin)
    assert answer.status_code == 200 and answer.json()["retired"] == [goes], answer.text
    assert answer.json()["review_entries_dismissed"]
    gone = api.get(f"{EVENTS}/{goes}")
    assert gone.status_code == 410 and gone.json()["sel:supersededBy"].endswith(keeps)
    told = api.get(f"{EVENTS}/{keeps}", params={"include_provenance": "true", "provenance_fields": "/startDate"}).json()
    assert len(told["sources"]) == 2 and list(told["_provenance"]) == ["/startDate"]
    records = told["_provenance"]["/startDate"]
    assert [r["valuePreview"] for r in records] == ["2026-12-21T00:00:00Z", "2026-12-21T01:00:00Z"]
    assert all(r["sel:conflict"] and r["source"]["trustLevel"] == 5 for r in records)
    assert told["startDate"] == "2026-12-21T00:00:00Z"
    problem(api.get(f"{EVENTS}/{keeps}", params={"include_provenance": "true", "provenance_fields": "/a b"}), 400,
            "validation-error")
    # What the retired one's source sends is the canonical event's.
    known = api.post(EVENTS, event(unique, startDate="2026-12-20T20:00:00-05:00", **theirs), other)
    assert known.status_code == 409 and known.json()["@id"].endswith(keeps), known.text
    name, source, after = records[1]["source"]["name"], None, ""
    while not source:
        part = api.get(ADMIN + "/sources", admin, params={"limit": 200, "after": after}).json()
        source, after = next((i for i in part["items"] if i["name"] == name), None), part["next_cursor"]
    assert api.call("PUT", f"{ADMIN}/sources/{source['id']}", admin, json={"trust_level": 9}).status_code == 200
    poll(lambda: api.get(f"{EVENTS}/{keeps}").json()["startDate"] == "2026-12-21T01:00:00Z")


# ---------------------------------------------------------------------------------------------------- places
def place_of(api, ulid):
    return api.get(f"{EVENTS}/{ulid}").json()["location"]["@id"].rsplit("/", 1)[1]


def test_places_are_changed_merged_and_deleted(api, admin, agent, unique):
    first = hand_in(api, agent, event(unique))
    second = hand_in(api, agent, event(unique, name=f"Chess {unique}", startDate="2026-12-28T10:00:00-05:00",
                                       location={"name": f"Quite another room {unique}", "addressLocality": "Toronto"}))
    keeps, goes = place_of(api, first), place_of(api, second)
    changed = api.call("PUT", f"{ADMIN}/places/{keeps}", admin, json={"street_address": "1 Main St"})
    assert changed.status_code == 200 and changed.json()["address"]["streetAddress"] == "1 Main St", changed.text
    assert api.get(f"{ADMIN}/places/{keeps}", admin).json()["street_address"] == "1 Main St"
    problem(api.call("PUT", f"{ADMIN}/places/{keeps}", admin, json={"name": ""}), 400, "validation-error")
    problem(api.call("DELETE", f"{ADMIN}/places/{keeps}", admin), 409, "conflict")
    pair = {"primary_id": keeps, "duplicate_id": goes}
    merged = api.post(ADMIN + "/places/merge", pair, admin)
    assert merged.status_code == 200 and merged.json()["canonical_ulid"] == keeps, merged.text
    assert api.post(ADMIN + "/places/merge", pair, admin).json()["already_merged"] is True
    problem(api.post(ADMIN + "/places/merge", {"primary_id": keeps, "duplicate_id": keeps}, admin), 400, "validation-error")
    assert place_of(api, second) == keeps
    gone = api.get(f"/api/v1/places/{goes}")
    assert gone.status_code == 410 and gone.json()["sel:supersededBy"].endswith(keeps) and gone.json()["name"]
    assert api.get(f"{ADMIN}/places/{keeps}/similar", admin).status_code == 200
    assert api.call("DELETE", f"{ADMIN}/places/{keeps}?force=true", admin, json={"reason": "closed"}).status_code == 204
    assert api.get(f"/api/v1/places/{keeps}").json()["sel:deletionReason"] == "closed"


def test_suspected_pairs_are_listed(api, admin, agent, unique):
    hand_in(api, agent, event(unique))
    twin = hand_in(api, agent, event(unique, name=f"Jazz {unique}!!", startDate="2026-12-20T21:00:00-05:00"), 202)
    pairs = api.get(ADMIN + "/duplicates", admin, params={"limit": 200}).json()["items"]
    assert [p for p in pairs if twin in (p["left"]["ulid"], p["right"]["ulid"]) and "same_place" in p["reasons"]]
    entry = entry_of(api, admin, twin)
    assert api.post(f"{QUEUE}/{entry['id']}/approve", {"record_not_duplicates": True}, admin).status_code == 200
    pairs = api.get(ADMIN + "/duplicates", admin, params={"limit": 200}).json()["items"]
    assert not [p for p in pairs if twin in (p["left"]["ulid"], p["right"]["ulid"])]


def test_where_it_comes_from_is_linked_data(api, agent, unique):
    ulid = hand_in(api, agent, event(unique, source={"url": "https://a.test/list", "eventId": unique}))
    told = api.get(f"{EVENTS}/{ulid}", params={"include_provenance": "true"}).json()
    quads = jsonld.to_rdf(told, {"format": "application/n-quads"})
    assert "<http://www.w3.org/ns/prov#wasDerivedFrom> <https://a.test/list>" in quads
    assert "https://schema.togather.foundation/ns#sourceEventId" in quads
