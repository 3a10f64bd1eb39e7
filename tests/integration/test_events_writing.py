"""Events as agents hand them in: what is taken, refused, known already, and worked off in batches (events contract 7, 8)."""
import concurrent.futures
import datetime
import secrets

import pytest

from api import PASSWORD
from polling import poll

EVENTS, BATCH = "/api/v1/events", "/api/v1/events:batch"


@pytest.fixture(scope="module")
def admin(stack):
    from api import Api
    name = "a" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return Api(stack.url).login(name).json()["access_token"]


def new_key(api, admin, role="agent"):
    answer = api.post("/api/v1/admin/api-keys", {"name": "robot", "role": role}, admin)
    assert answer.status_code == 201, answer.text
    return answer.json()["api_key"]


@pytest.fixture
def agent(api, admin):
    return new_key(api, admin)


@pytest.fixture
def unique():
    """A word that no other test's events have."""
    return "W" + secrets.token_hex(5)


def event(unique, **members):
    return {"name": f"Jazz {unique}", "description": "All night long.", "startDate": "2026-12-20T19:00:00-05:00",
            "location": {"name": f"Hall {unique}", "addressLocality": "Toronto"}, **members}


def hand_in(api, key, body, **options):
    return api.post(options.pop("path", EVENTS), body, key, **options)


def detail(api, answer, key=None):
    found = api.get(EVENTS + "/" + answer.json()["@id"].rsplit("/", 1)[1], key)
    assert found.status_code == 200, found.text
    return found.json()


def codes(answer):
    return [w["code"] for w in answer.json().get("warnings", [])]


# ---------------------------------------------------------------------------------------------------- one at a time
def test_an_event_is_stored_as_it_is_shown(api, agent, unique):
    answer = hand_in(api, agent, event(
        unique, name=f"&lt;b&gt;Jazz {unique}&lt;/b&gt; &amp; Blues", **{"@type": "MusicEvent"},
        description="one\n\ntwo <script>x</script>", keywords="Jazz, live, JAZZ", url="rex.test/jazz?id=7&utm_source=x",
        offers={"price": "$25.50", "priceCurrency": "cad", "availability": "InStock"}, organizer={"name": f"Ann {unique}"},
        performer=["Bob"], doorTime="2026-12-20T18:00:00-05:00", sameAs="https://a.test/1", endDate="2026-12-20T22:00:00-05:00",
        inLanguage="EN", isAccessibleForFree=False))
    assert answer.status_code == 201, answer.text
    short = answer.json()
    assert short["name"] == f"Jazz {unique} & Blues" and short["location"]["name"] == f"Hall {unique}"
    assert answer.headers["Location"] == short["@id"] and answer.headers["ETag"]
    full = detail(api, answer)
    assert full["description"] == "one\n\ntwo" and full["keywords"] == ["jazz", "live"]
    assert full["url"] == "https://rex.test/jazz?id=7" and full["sameAs"] == ["https://a.test/1"]
    assert full["startDate"] == "2026-12-21T00:00:00Z" and full["doorTime"] == "2026-12-20T23:00:00Z"
    assert full["additionalType"] == "https://schema.org/MusicEvent" and full["@type"] == "Event"
    offer = full["offers"][0]
    assert (offer["price"], offer["priceCurrency"], offer["availability"]) == (25.5, "CAD", "https://schema.org/InStock")
    assert full["organizer"]["name"] == f"Ann {unique}" and full["performer"][0]["name"] == "Bob"
    assert full["inLanguage"] == ["en"] and full["isAccessibleForFree"] is False


def test_all_faults_are_told_at_once(api, agent):
    answer = hand_in(api, agent, {"startDate": "tomorrow", "url": "ftp://x", "license": "CC-BY"})
    assert answer.status_code == 400 and answer.json()["type"].endswith("/validation-error")
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert {e["pointer"] for e in answer.json()["errors"]} == {"/name", "/startDate", "/url", "/license", "/location"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"name":"\xff"}', b'{"name":"a","name":"b"}', b"[" * 5000,
                                  b'{"x":' + b"[" * 70 + b"]" * 70 + b"}", b'{"x":1e999}', b'{"name":"\\u0000"}'])
def test_what_is_no_json_is_a_problem(api, agent, body):
    answer = api.call("POST", EVENTS, agent, data=body, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 400 and answer.json()["errors"], answer.text


def test_who_may_hand_in(api, agent, user, unique):
    assert hand_in(api, None, event(unique)).status_code == 401
    assert hand_in(api, "sel_nobody", event(unique)).status_code == 401
    assert hand_in(api, agent, event(unique, description="x" * 300000)).status_code == 413


def test_what_is_odd_waits(api, agent, unique):
    answer = hand_in(api, agent, event(unique, startDate="2026-12-20T22:00:00-05:00", endDate="2026-12-20T02:00:00-05:00"))
    assert answer.status_code == 202 and answer.json()["lifecycle_state"] == "pending_review"
    assert codes(answer) == ["reversed_dates_timezone_likely"]
    assert api.get(EVENTS + "/" + answer.json()["@id"].rsplit("/", 1)[1]).status_code == 404
    assert detail(api, answer, agent)["endDate"] == "2026-12-21T07:00:00Z"
    hinted = hand_in(api, agent, event(unique, name=f"Other {unique}", startDate="2027-02-20T22:00:00-05:00",
                                       lifecycle_state="review"))
    assert hinted.status_code == 202 and "warnings" not in hinted.json()


def test_dry_runs_store_nothing(api, agent, unique):
    answer = hand_in(api, agent, event(unique), path=EVENTS + "?dry_run=true")
    assert answer.status_code == 200 and answer.json()["sel:status"] == 201, answer.text
    assert hand_in(api, agent, event(unique)).status_code == 201
    again = hand_in(api, agent, event(unique), path=EVENTS + "?dry_run=true").json()
    assert again["sel:status"] == 409 and again["sel:duplicate"]["layer"] == 1


def test_reports_without_storing(api, agent, unique):
    good = hand_in(api, agent, event(unique), path="/api/v1/validate")
    assert good.status_code == 200 and good.json()["conforms"] is True
    assert good.headers["Content-Type"].startswith("application/ld+json")
    bad = hand_in(api, agent, {"name": "x"}, path="/api/v1/validate").json()
    assert bad["conforms"] is False and {r["resultPath"] for r in bad["result"]} == {"/startDate", "/location"}


def test_a_rule_makes_occurrences(api, agent, unique):
    start = datetime.datetime.now(datetime.timezone.utc).replace(hour=20, minute=0, second=0, microsecond=0)
    start += datetime.timedelta(days=1)
    rule = {"external_key": unique, "rrule": "FREQ=WEEKLY;COUNT=4", "tzid": "UTC",
            "exdates": [(start + datetime.timedelta(days=7)).isoformat()]}
    answer = hand_in(api, agent, event(unique, startDate=start.isoformat(), recurrence=rule))
    assert answer.status_code == 201, answer.text
    starts = [o["startDate"] for o in detail(api, answer)["subEvent"]]
    assert starts == [(start + datetime.timedelta(days=d)).strftime("%Y-%m-%dT%H:%M:%SZ") for d in (0, 14, 21)]
    bad = hand_in(api, agent, event(unique, recurrence={"rrule": "FREQ=WEEKLY;BYDAY=XX"}))
    assert bad.status_code == 400 and bad.json()["errors"][0]["pointer"] == "/recurrence/rrule", bad.text


# ------------------------------------------------------------------------------------------------------ idempotency
def test_a_repeated_key_is_answered_with_the_first_reply(api, agent, admin, unique):
    key = {"Idempotency-Key": unique}
    first = hand_in(api, agent, event(unique), headers=key)
    assert first.status_code == 201
    again = api.call("POST", EVENTS, agent, json=dict(reversed(event(unique).items())), headers=key)
    assert again.status_code == 409 and again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()
    assert [again.headers[name] for name in ("Location", "ETag")] == [first.headers[name] for name in ("Location", "ETag")]
    other = hand_in(api, agent, event(unique, description="other"), headers=key)
    assert other.status_code == 409 and other.json()["type"].endswith("/conflict")
    elsewhere = hand_in(api, new_key(api, admin), event(unique, name=f"Another {unique}"), headers=key)
    assert elsewhere.status_code in (201, 202), "keys are each agent's own"


def test_a_failed_call_leaves_its_key_free(api, agent, unique):
    key = {"Idempotency-Key": unique}
    assert hand_in(api, agent, {"name": "x"}, headers=key).status_code == 400
    assert hand_in(api, agent, event(unique), headers=key).status_code == 201


# ------------------------------------------------------------------------------------------------------- duplicates
def test_the_same_source_updates_its_event(api, agent, unique):
    source = {"url": f"https://{unique.lower()}.test/feed", "eventId": "1"}
    first = hand_in(api, agent, event(unique, source=source))
    assert first.status_code == 201, first.text
    same = hand_in(api, agent, event(unique, source=source))
    assert same.status_code == 409 and same.json()["@id"] == first.json()["@id"] and "sel:updated" not in same.json()
    moved = hand_in(api, agent, event(unique, source=source, startDate="2026-12-21T19:00:00-05:00", url="https://a.test/x"))
    assert moved.status_code == 409 and moved.json()["@id"] == first.json()["@id"] and moved.json()["sel:updated"] is True
    full = detail(api, first)
    assert full["startDate"] == "2026-12-22T00:00:00Z" and full["url"] == "https://a.test/x"


def test_the_same_content_is_known_whoever_sends_it(api, agent, admin, unique):
    first = hand_in(api, agent, event(unique))
    zone = event(unique, name=f"JAZZ  {unique}", startDate="2026-12-21T00:00:00Z", image="https://a.test/i.png")
    again = hand_in(api, new_key(api, admin), zone)
    assert again.status_code == 409 and again.json()["@id"] == first.json()["@id"]
    assert detail(api, first)["image"] == "https://a.test/i.png", "gaps are filled"


def test_what_may_be_the_same_waits_and_the_older_one_stays(api, agent, unique):
    first = hand_in(api, agent, event(unique))
    twin = hand_in(api, agent, event(unique, name=f"Jazz {unique} live", startDate="2026-12-20T20:00:00-05:00"))
    assert twin.status_code == 202 and codes(twin) == ["potential_duplicate"], twin.text
    assert twin.json()["warnings"][0]["related"] == first.json()["@id"]
    assert detail(api, first)["name"] == f"Jazz {unique}", "it is as public as before"
    later = hand_in(api, agent, event(unique, startDate="2027-01-03T19:15:00-05:00"))
    assert later.status_code == 202 and codes(later) == ["cross_week_series_companion"], later.text


def test_a_fixed_resubmission_is_published(api, agent, unique):
    source = {"url": f"https://{unique.lower()}.test/feed", "eventId": "1"}
    odd = hand_in(api, agent, event(unique, source=source, endDate="2026-12-19T19:00:00-05:00"))
    assert odd.status_code == 202
    fixed = hand_in(api, agent, event(unique, source=source, endDate="2026-12-20T23:00:00-05:00"))
    assert fixed.status_code == 409 and fixed.json()["@id"] == odd.json()["@id"], fixed.text
    assert detail(api, odd)["endDate"] == "2026-12-21T04:00:00Z"


def test_what_was_deleted_stays_deleted(api, agent, admin, unique):
    first = hand_in(api, agent, event(unique))
    ulid = first.json()["@id"].rsplit("/", 1)[1]
    assert api.call("DELETE", f"/api/v1/admin/events/{ulid}", admin, json={"reason": "spam"}).status_code == 204
    again = hand_in(api, agent, event(unique))
    assert again.status_code == 409 and again.json()["type"].endswith("/gone"), again.text
    assert again.json()["tombstone"] == first.json()["@id"]
    stubborn = hand_in(api, agent, event(unique, resurrect=True))
    assert stubborn.status_code == 409 and stubborn.json()["type"].endswith("/gone")
    back = hand_in(api, new_key(api, admin, "admin"), event(unique, resurrect=True))
    assert back.status_code == 409 and back.json()["@id"] == first.json()["@id"], back.text
    assert detail(api, first)["name"] == f"Jazz {unique}"


def test_what_was_rejected_is_told_so_until_it_is_better(api, agent, admin, unique):
    bad = event(unique, endDate="2026-12-19T19:00:00-05:00", source={"url": f"https://{unique}.test/", "eventId": "1"})
    first = hand_in(api, agent, bad)
    ulid = first.json()["@id"].rsplit("/", 1)[1]
    listed = api.get("/api/v1/admin/review-queue?limit=100", admin).json()["items"]
    entry = next(i["id"] for i in listed if i["eventId"] == ulid)
    reject = api.post(f"/api/v1/admin/review-queue/{entry}/reject", {"reason": "dates make no sense"}, admin)
    assert reject.status_code == 200, reject.text
    again = hand_in(api, agent, bad)
    assert again.status_code == 400 and again.json()["type"].endswith("/previously-rejected"), again.text
    assert "dates make no sense" in again.text
    better = hand_in(api, agent, {**bad, "endDate": "2026-12-20T23:00:00-05:00"})
    assert better.status_code == 201 and better.json()["@id"] != first.json()["@id"], better.text


def test_places_are_found_again(api, agent, unique):
    first = detail(api, hand_in(api, agent, event(unique)))
    second = detail(api, hand_in(api, agent, event(unique, name=f"Poetry {unique}", startDate="2027-01-09T19:00:00-05:00",
                                                   location=f"HALL {unique}!")))
    assert second["location"]["@id"] == first["location"]["@id"]
    third = hand_in(api, agent, event(unique, name=f"Dance {unique}", location={"@id": first["location"]["@id"]},
                                      startDate="2027-03-09T19:00:00-05:00"))
    assert detail(api, third)["location"]["@id"] == first["location"]["@id"]
    ottawa = detail(api, hand_in(api, agent, event(unique, name=f"Film {unique}", startDate="2027-04-09T19:00:00-05:00",
                                                   location={"name": f"Hall {unique}", "addressLocality": "Ottawa"})))
    assert ottawa["location"]["@id"] != first["location"]["@id"], "not across cities"
    wrong = hand_in(api, agent, event(unique, location={"@id": first["location"]["@id"], "name": "Elsewhere"}))
    assert wrong.status_code == 400 and wrong.json()["errors"][0]["pointer"] == "/location/name"
    unknown = hand_in(api, agent, event(unique, location={"@id": first["location"]["@id"][:-6] + "000000"}))
    assert unknown.status_code == 400 and unknown.json()["errors"][0]["pointer"] == "/location/@id"


def test_at_once_they_are_one(api, agent, unique):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: hand_in(api, agent, event(unique)), range(8)))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 7
    assert len({a.json()["@id"] for a in answers}) == 1


# ---------------------------------------------------------------------------------------------------------- batches
def batch_result(api, answer):
    assert answer.status_code == 202, answer.text
    url = "/api/v1/batch-status/" + answer.json()["batch_id"]
    return poll(lambda: (r := api.get(url)).status_code == 200 and r.json(), what="the batch is done")


def test_a_batch_is_worked_off(api, agent, unique):
    items = [event(unique, name=f"Film {i} {unique}", startDate=f"2027-01-{i + 10}T19:00:00-05:00",
                   location=f"Hall {i} {unique}") for i in range(4)]
    items += [items[0], {"name": "x"}, event(unique, description="")]
    answer = api.post(BATCH, {"events": items}, agent, headers={"Idempotency-Key": unique})
    submitted = answer.json()
    assert submitted["@type"] == "BatchSubmission" and submitted["submitted"] == 7 and isinstance(submitted["job_id"], int)
    assert submitted["status"] == "processing" and submitted["status_url"].endswith(submitted["batch_id"])
    result = batch_result(api, answer)
    assert (result["total"], result["created"], result["duplicates"], result["failed"]) == (7, 5, 1, 1), result
    assert [r["status"] for r in result["results"]] == ["created"] * 4 + ["duplicate", "failed", "created"]
    assert result["results"][4]["event_id"] == result["results"][0]["event_id"]
    assert "startDate" in result["results"][5]["error"] and result["results"][6]["review"] is True
    again = api.post("/api/v1/events/batch", {"events": items}, agent, headers={"Idempotency-Key": unique})
    assert again.status_code == 409 and again.json()["batch_id"] == submitted["batch_id"]


def test_who_waits_hears_of_a_batch_at_once(api, agent, unique):
    answer = api.post(BATCH, {"events": [event(unique)]}, agent)
    waited = api.get("/api/v1/batch-status/" + answer.json()["batch_id"] + "?wait=20")
    assert waited.status_code == 200 and waited.json()["status"] == "completed", waited.text
    assert api.get("/api/v1/batch-status/01ARZ3NDEKTSV4RRFFQ69G5FAV?wait=5").status_code == 404
    assert api.get("/api/v1/batch-status/nothing").status_code == 400


@pytest.mark.parametrize("count, word", [(0, "empty"), (101, "exceeds")])
def test_batches_have_bounds(api, agent, count, word):
    answer = api.post(BATCH, {"events": [{}] * count}, agent)
    assert answer.status_code == 400 and word in answer.json()["title"]
