"""The commons as it is read: lists by filters, walks, search, maps, facets, conditions, tombstones, exports (events
contract 6, 3.5, and B4, B7 to B9, B13 of 21)."""
import datetime
import gzip
import json
import secrets

import icalendar
import pytest

from api import PASSWORD, Api
from polling import poll

EVENTS, PLACES = "/api/v1/events", "/api/v1/places"


@pytest.fixture(scope="module")
def admin(stack):
    name = "a" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return Api(stack.url).login(name).json()["access_token"]


@pytest.fixture(scope="module")
def key(stack, admin):
    answer = Api(stack.url).post("/api/v1/admin/api-keys", {"name": "reader", "role": "admin"}, admin)
    assert answer.status_code == 201, answer.text
    return answer.json()["api_key"]


@pytest.fixture(scope="module")
def town():
    """A town that no other test knows."""
    return "Town" + secrets.token_hex(4)


NAMES = ["Jazz at the Café", "Night of songs", "Market", "Reading hour", "Football"]


@pytest.fixture(scope="module")
def events(stack, key, town):
    """Five events on five days, 0.1 degrees apart; their ULIDs."""
    api, made = Api(stack.url), []
    for i, name in enumerate(NAMES):
        answer = api.post(EVENTS, {
            "name": f"{name} {town}", "description": f"What happens on day {i}.",
            "startDate": f"2031-05-1{i}T20:00:00-04:00", "endDate": f"2031-05-1{i}T22:00:00-04:00",
            "@type": "SportsEvent" if name == "Football" else "MusicEvent", "keywords": ["all", f"k{i}"],
            "offers": {"price": 10 * i, "priceCurrency": "CAD"}, "image": f"https://pictures.test/{i}.jpg",
            "location": {"name": f"Hall {i} {town}", "addressLocality": town, "addressRegion": "ON",
                         "latitude": 50 + i / 10, "longitude": -70}}, key)
        assert answer.status_code in (201, 202), answer.text
        ulid = answer.json()["@id"].rsplit("/", 1)[1]
        if answer.status_code == 202:
            assert api.post(f"/api/v1/admin/events/{ulid}/publish", {}, key).status_code == 200
        made.append(ulid)
    return made


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [item["@id"].rsplit("/", 1)[1] for item in answer.json()["items"]]


def find(api, town, query=""):
    return api.get(f"{EVENTS}?startDate=2031-01-01&locality={town}{query}")


def test_filters(api, events, town):
    first = ids(api.get(f"{EVENTS}?startDate=2031-05-01&locality={town}"))
    assert first == events
    for query, wanted in {"&domain=sports": [4], "&keywords=K1,k2": [1, 2], "&free=true": [0], "&price_max=20": [0, 1, 2],
                          "&endDate=2031-05-11": [0, 1], "&startDate=2031-05-13": [3, 4], "&mode=online": [],
                          "&state=cancelled": [], "&state=draft": [], "&city=ottawa": [0, 1, 2, 3, 4],
                          "&near_lat=50&near_lon=-70&radius=12": [0, 1], "&bbox=-71,50.05,-69,50.25": [1, 2],
                          "&q=cafe+jazz": [0], "&q=JAZZ": [0], "&q=day+3": [3], "&q=%22songs+night%22": [],
                          "&q=nigth+songz": [1]}.items():
        if query.startswith("&startDate"):
            answer = api.get(f"{EVENTS}?locality={town}{query}")
        else:
            answer = find(api, town, query)
        assert ids(answer) == [events[i] for i in wanted], query


def test_a_walk_sees_each_once_and_keeps_to_its_filters(api, events, town):
    seen, after = [], ""
    while True:
        answer = find(api, town, f"&limit=2&after={after}")
        seen += ids(answer)
        after = answer.json()["next_cursor"]
        if not after:
            break
        assert api.get(f"{EVENTS}?startDate=2031-01-01&domain=music&after={after}").status_code == 400
    assert seen == events


def test_what_is_wrong_is_told_and_what_is_unknown_is_ignored(api, events, town):
    answer = api.get(f"{EVENTS}?limit=0&domain=cars&startDate=2031-02-30&venueId=x")
    assert answer.status_code == 400 and answer.headers["Content-Type"] == "application/problem+json"
    assert {e["pointer"] for e in answer.json()["errors"]} == {"/limit", "/domain", "/startDate", "/venueId"}
    answer = find(api, town, "&colour=red&event_domain=sports&domain=")
    assert ids(answer) == [events[4]] and len(answer.json()["warnings"]) == 2


def test_contexts(api, events, town):
    inline, by_url, document = (find(api, town, f"&limit=1{more}").json() for more in ("", "&context=url", "&context=document"))
    assert isinstance(inline["items"][0]["@context"], dict)
    assert "exceptDate" not in inline["items"][0]["@context"], "of schedules, where there is none"
    assert by_url["items"][0]["@context"].endswith("/contexts/sel/v1.jsonld")
    assert "@context" in document and "@context" not in document["items"][0]


def test_facets_ignore_their_own_filter(api, events, town):
    facets = find(api, town, "&domain=sports&facets=domain,keyword,month,mode,price").json()["facets"]
    assert {f["value"]: f["count"] for f in facets["domain"]} == {"music": 4, "sports": 1}
    assert facets["month"] == [{"value": "2031-05", "count": 1}] and facets["mode"] == [{"value": "offline", "count": 1}]


def test_a_map_of_occurrences(api, events, town):
    answer = api.get(f"{EVENTS}?startDate=2031-01-01&locality={town}", headers={"Accept": "application/geo+json"})
    assert answer.headers["Content-Type"].startswith("application/geo+json")
    points = [f["geometry"]["coordinates"] for f in answer.json()["features"]]
    assert points == [[-70, 50], [-70, 50.1], [-70, 50.2], [-70, 50.3], [-70, 50.4]]


def test_conditions(api, events, town):
    for path in (f"{EVENTS}/{events[0]}", f"{EVENTS}?startDate=2031-01-01&locality={town}", f"{PLACES}?city={town}"):
        first = api.get(path)
        again = api.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 304 and again.headers["ETag"] == first.headers["ETag"], path
        assert not again.content and "Accept" in first.headers["Vary"]


def test_ids(api, events):
    assert api.get(f"{EVENTS}/{events[0].lower()}").json()["@id"].endswith(events[0])
    assert api.get(f"{EVENTS}/nonsense").status_code == 400
    assert api.get(f"{EVENTS}/8{events[0][1:]}").status_code == 400
    assert api.get(f"{EVENTS}/01J00000000000000000000000").status_code == 404


def test_places(api, events, town):
    near = api.get(f"{PLACES}?near_lat=50&near_lon=-70&radius=25&city={town}").json()["items"]
    assert [round(p["sel:distanceKm"], 1) for p in near] == [0, 11.1, 22.2]
    named = api.get(f"{PLACES}?near_place={town}&radius=5")
    assert named.json()["geocoding"]["display_name"] == town and named.status_code == 200
    assert api.get(f"{PLACES}?near_place=nowhere{town}").json()["type"].endswith("geocoding-failed")
    names, after = [], ""
    while True:
        page = api.get(f"{PLACES}?city={town}&sort=name&order=desc&limit=2&after={after}").json()
        names += [p["name"] for p in page["items"]]
        after = page["next_cursor"]
        if not after:
            break
    assert names == sorted(names, reverse=True) and len(names) == 5


def test_drafts_and_what_is_gone(api, key, events, town):
    ulid = events[3]
    assert api.post(f"/api/v1/admin/events/{ulid}/unpublish", {}, key).status_code == 200
    assert api.get(f"{EVENTS}/{ulid}").status_code == 404 and api.get(f"{EVENTS}/{ulid}", key).status_code == 200
    assert ulid not in ids(find(api, town))
    assert api.post(f"/api/v1/admin/events/{ulid}/publish", {}, key).status_code == 200
    assert ulid in ids(find(api, town))
    assert api.call("DELETE", f"/api/v1/admin/events/{events[4]}", key).status_code == 204
    gone = api.get(f"{EVENTS}/{events[4]}")
    assert gone.status_code == 410 and gone.json()["sel:tombstone"] is True
    assert gone.json()["eventStatus"] == "https://schema.org/EventCancelled" and "name" in gone.json()


def is_known(api, path):
    return api.get(path, headers={"If-None-Match": api.get(path).headers["ETag"]}).status_code == 304


def test_everything_in_one_file(api, events):
    lines = [json.loads(line) for line in api.get("/api/v1/exports/events.ndjson").text.splitlines()]
    assert {e["@id"].rsplit("/", 1)[1] for e in lines} >= set(events[:3])
    assert all(e["@context"].endswith("/contexts/sel/v1.jsonld") for e in lines)
    packed = api.get("/api/v1/exports/events.jsonld.gz")
    assert len(json.loads(gzip.decompress(packed.content))["@graph"]) == len(lines)
    first = api.get("/api/v1/exports/events.ttl")
    assert first.text.startswith("@prefix")
    assert poll(lambda: is_known(api, "/api/v1/exports/events.ttl")), "its tag is the position of the feed"
    assert api.get("/api/v1/exports/events.exe").status_code == 404


def test_an_export_is_another_when_one_went_and_one_came(api, key, events, town):
    def publish(number):
        answer = api.post(EVENTS, {"name": f"Export {number} {town}", "description": "x", "isAccessibleForFree": True,
                                   "startDate": f"2027-0{number}-01T20:00:00Z", "doorTime": f"2027-0{number}-01T19:00:00Z",
                                   "location": {"name": secrets.token_hex(12), "addressLocality": town}}, key)
        assert answer.status_code == 201, answer.text
        return answer.json()["@id"].rsplit("/", 1)[1]

    def tag_of_the_export():
        return api.get("/api/v1/exports/events.ndjson", headers={"Range": "bytes=0-0"}).headers["ETag"]

    def settled():  # until what was written last has its number
        tags = [tag_of_the_export()]
        poll(lambda: tags.append(tag_of_the_export()) or tags[-1] == tags[-2])
        return tags[-1]

    first = publish(1)
    before = settled()
    assert api.call("DELETE", f"/api/v1/admin/events/{first}", key).status_code == 204
    second = publish(2)
    assert poll(lambda: tag_of_the_export() != before)
    lines = {e["@id"].rsplit("/", 1)[1]: e
             for e in map(json.loads, api.get("/api/v1/exports/events.ndjson").text.splitlines())}
    assert first not in lines and lines[second]["doorTime"] == "2027-02-01T19:00:00Z"


def test_everything_as_one_calendar(api, key, town, events):
    """More entries than a turn has, of one event; each once, and none of what is not public."""
    start = datetime.datetime.now(datetime.timezone.utc).replace(hour=20, minute=0, second=0, microsecond=0)
    answer = api.post(EVENTS, {
        "name": f"Daily {town}", "description": "x", "startDate": (start + datetime.timedelta(days=1)).isoformat(),
        "skip_multi_session_check": True, "location": {"name": f"Yard {town}", "addressLocality": town},
        "recurrence": {"external_key": town, "rrule": "FREQ=HOURLY;COUNT=100", "tzid": "UTC"}}, key)
    assert answer.status_code in (201, 202), answer.text
    ulid = answer.json()["@id"].rsplit("/", 1)[1]
    api.post(f"/api/v1/admin/events/{ulid}/publish", {}, key)
    count = len(api.get(f"{EVENTS}/{ulid}").json()["subEvent"])
    first = api.get("/api/v1/exports/events.ics")
    assert first.headers["Content-Type"].startswith("text/calendar")
    entries = icalendar.Calendar.from_ical(first.content).walk("VEVENT")
    uids = [str(e["UID"]) for e in entries]
    assert len(uids) == len(set(uids)) and sum(u.startswith(ulid) for u in uids) == count > 50
    assert {u.split("-")[0] for u in uids} >= set(events[:3]) and not any(u.startswith(events[4]) for u in uids)
    single = icalendar.Calendar.from_ical(api.get(f"{EVENTS}/{ulid}/ics").content).walk("VEVENT")
    assert {str(e["UID"]) for e in single} <= set(uids), "the same names as elsewhere"
    assert poll(lambda: is_known(api, "/api/v1/exports/events.ics")), "its tag is the position of the feed"
    assert gzip.decompress(api.get("/api/v1/exports/events.ics.gz").content) == first.content


def test_days_of_a_schedule_as_addresses(api, key, town):
    answer = api.post(EVENTS, {
        "name": f"Mondays {town}", "description": "x", "startDate": "2031-06-02T20:00:00Z", "skip_multi_session_check": True,
        "location": {"name": f"Barn {town}", "addressLocality": town},
        "recurrence": {"external_key": f"mo{town}", "rrule": "FREQ=WEEKLY;BYDAY=MO,FR;COUNT=4", "tzid": "UTC"}}, key)
    assert answer.status_code in (201, 202), answer.text
    ulid = answer.json()["@id"].rsplit("/", 1)[1]
    api.post(f"/api/v1/admin/events/{ulid}/publish", {}, key)
    plain, iris = (api.get(f"{EVENTS}/{ulid}{query}") for query in ("", "?schedule=iri"))
    assert sorted(plain.json()["eventSchedule"]["byDay"]) == ["Friday", "Monday"]
    assert sorted(iris.json()["eventSchedule"]["byDay"]) == ["https://schema.org/Friday", "https://schema.org/Monday"]
    assert plain.headers["ETag"] != iris.headers["ETag"]
    rest = {**iris.json(), "eventSchedule": plain.json()["eventSchedule"]}
    assert rest == plain.json(), "nothing else is otherwise"
    query = {"startDate": "2031-06-01", "locality": town, "schedule": "iri"}
    listed = next(e for e in api.get(EVENTS, params=query).json()["items"] if e["@id"].endswith(ulid))
    assert sorted(listed["eventSchedule"]["byDay"]) == ["https://schema.org/Friday", "https://schema.org/Monday"]
    assert listed["@context"]["exceptDate"]["@container"] == "@set"
    for path in (EVENTS, f"{EVENTS}/{ulid}"):
        assert api.get(path, params={"schedule": "words"}).status_code == 400


def test_counts(api, events):
    answer = api.get("/api/v1/stats")
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.json()["total_events"] >= 4 and answer.json()["total_users"] == 0


def test_where_a_town_is_and_what_is_there(api, town, events):
    answer = api.get("/api/v1/geocode", params={"q": f" {town.upper()} "})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert 50 < found["latitude"] < 50.4 and found["longitude"] == pytest.approx(-70) and found["display_name"] == town
    assert found["source"] == "places" and found["cached"] is False and found["attribution"]
    assert api.get("/api/v1/geocode", params={"q": town, "countrycodes": "de, fr"}).status_code == 404
    assert api.get("/api/v1/geocode", params={"q": "Nowhere" + secrets.token_hex(6)}).status_code == 404
    for query in ("", "?q=%20", "?q=" + "x" * 201):
        assert api.get("/api/v1/geocode" + query).status_code == 400, query
    near = api.get("/api/v1/reverse-geocode", params={"lat": 50.201, "lon": -70})
    assert near.status_code == 200, near.text
    assert near.json()["address"] == {"city": town, "state": "ON"} and near.json()["display_name"] == f"Hall 2 {town}, {town}, ON"
    assert (near.json()["latitude"], near.json()["longitude"]) == (50.2, -70)
    assert api.get("/api/v1/reverse-geocode", params={"lat": -50, "lon": 170}).status_code == 404
    wrong = api.get("/api/v1/reverse-geocode", params={"lat": 91})
    assert wrong.status_code == 400 and {e["pointer"] for e in wrong.json()["errors"]} == {"/lat", "/lon"}
