"""What strangers may try on the commons of events over HTTP: each row a request, the documented error it gets, and nothing
stored; and texts with markup, which are taken, and shown as the words that they are (events contract 7, 15, 23)."""
import base64
import datetime
import json
import secrets

import psycopg2
import pytest

from events_feed import FEED, HOOKS, NODES, Commons, cursor, happening, unique
from polling import poll
from stack import running

pytestmark = pytest.mark.local  # it looks into the tables, and counts what others would make

EVENTS, BATCH, VALIDATE = "/api/v1/events", "/api/v1/events:batch", "/api/v1/validate"
SYNC, IMPORT = "/api/v1/federation/sync", "/api/v1/admin/calendars/import"
NOBODY = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
# Of the machinery, not of what anybody hands in: rows come and go in them by themselves.
OWN_BUSINESS = {"outbox", "lease", "idempotency", "schema_migration"}
MANY = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def stack():
    with running() as own:
        yield own


@pytest.fixture(scope="module")
def commons(stack):
    return Commons(stack)


class Peer:
    """A node, and its key."""

    def __init__(self, commons):
        self.key, key_id = commons.new_key(rate_limit_tier="federation")
        self.domain = f"{secrets.token_hex(6)}.example.org"
        made = commons.api.post(NODES, {"NodeDomain": self.domain, "NodeName": "x", "BaseURL": f"https://{self.domain}",
                                        "FederationStatus": "active", "SyncDirection": "bidirectional",
                                        "KeyIDs": [key_id]}, commons.admin)
        assert made.status_code == 201, made.text

    def event(self, **fields):
        return {"@context": "https://schema.org", "@id": f"https://{self.domain}/{unique()}", **happening(), **fields}


@pytest.fixture(scope="module")
def peer(commons):
    return Peer(commons)


@pytest.fixture(scope="module")
def there(commons):
    """An event, with its place and organiser, that is there before anybody does anything."""
    ulid = commons.submit(happening(organizer={"name": f"Org {unique()}"}))
    shown = commons.api.get(f"{EVENTS}/{ulid}").json()
    return {"event": ulid, "place": shown["location"]["@id"].rsplit("/", 1)[1],
            "organization": shown["organizer"]["@id"].rsplit("/", 1)[1]}


@pytest.fixture(scope="module")
def tables(stack, there, peer):  # which are there before the first look
    connection = psycopg2.connect(host="127.0.0.1", port=stack.ports["PG_PORT"], user="atrium", dbname="atrium",
                                  password=stack.secret("db_atrium"))
    connection.autocommit = True

    def contents():
        with connection.cursor() as c:
            c.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'events' "
                      "AND table_type = 'BASE TABLE'")
            names = sorted({row[0] for row in c.fetchall()} - OWN_BUSINESS)
            found = {}
            for table in names:
                c.execute(f'SELECT count(*), sum(hashtext(t::text)) FROM events."{table}" t')
                found[table] = c.fetchone()
            return found

    def waits():
        """A change is there and has no number yet: the feed gives it one soon."""
        with connection.cursor() as c:
            c.execute("SELECT count(*) FROM events.change WHERE sequence IS NULL")
            return c.fetchone()[0]

    contents.waits = waits
    assert contents()["event"][0] >= 1
    yield contents
    connection.close()


@pytest.fixture
def nothing_stored(tables):
    before = poll(lambda: (now := tables()) == tables() and not tables.waits() and now, what="the tables to be at rest")
    yield
    after = tables()
    assert not {t for t in before if before[t] != after[t]}, "something was stored"


def refused(answer, status, slug=None):
    assert answer.status_code == status, f"{answer.status_code} {answer.text[:500]}"
    assert answer.headers["Content-Type"].startswith("application/problem+json"), answer.headers
    problem = answer.json()
    assert problem["status"] == status and len(answer.content) < 20000, answer.text[:500]
    slug = slug or {400: "validation-error", 403: "forbidden", 404: "not-found", 413: "request-too-large"}[status]
    assert problem["type"].endswith("/problems/" + slug), problem
    assert "SELECT" not in answer.text and "/services/" not in answer.text
    return problem


def deep(levels):
    return b'{"name":"x","x":' + b'{"x":' * levels + b"1" + b"}" * levels + b"}"


def raw(body):
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def send(commons, path, body, token, method="POST"):
    return commons.api.call(method, path, token, data=raw(body), headers={"Content-Type": "application/json"})


def rule(text, **fields):
    return happening(recurrence={"external_key": unique(), "rrule": text, "tzid": "UTC", **fields})


# Bodies that are refused as submissions: as one, in a dry run, as a report's faults, in a batch, from another node.
NOT_EVENTS = {
    "long name": happening("x" * 501),
    "long description": happening(description="x" * 10001),
    "long keyword": happening(keywords=["x" * 5000]),
    "many keywords": happening(keywords=[f"k{i}" for i in range(5000)]),
    "many performers": happening(performer=[{"name": f"p{i}"} for i in range(3000)]),
    "many offers": happening(offers=[{"price": i} for i in range(3000)]),
    "many occurrences": happening(occurrences=[{"startDate": f"2027-01-{i % 28 + 1:02}T{i % 24:02}:00:{i % 60:02}Z"}
                                               for i in range(2500)]),
    "name of markup alone": happening("<script>alert(1)</script>"),
    "invisible name": happening("\u200b\u2060\ufeff"),
    "impossible day": happening(startDate="2027-02-30T10:00:00Z"),
    "year 0": happening(startDate="0000-01-01T00:00:00Z"),
    "year 9999": happening(startDate="9999-12-31T23:59:59Z"),
    "five-digit year": happening(startDate="99999-01-01T00:00:00Z"),
    "negative year": happening(startDate="-2027-01-01T00:00:00Z"),
    "hour 25": happening(startDate="2027-01-01T25:00:00Z"),
    "offset of a hundred hours": happening(startDate="2027-01-01T10:00:00+99:99"),
    "no offset": happening(startDate="2027-01-01T10:00:00"),
    "a date in words": happening(startDate="'; DROP TABLE event; --"),
    "absurd end": happening(endDate="2027-13-01T00:00:00Z"),
    "absurd doors": happening(doorTime="1e999"),
    "every second": rule("FREQ=SECONDLY"),
    "every minute": rule("FREQ=MINUTELY;INTERVAL=1"),
    "interval 0": rule("FREQ=DAILY;INTERVAL=0"),
    "huge interval": rule("FREQ=DAILY;INTERVAL=99999999999999999999"),
    "huge count": rule("FREQ=DAILY;COUNT=99999999999"),
    "count and until": rule("FREQ=DAILY;COUNT=3;UNTIL=20270101T000000Z"),
    "a rule of nonsense": rule("FREQ=DAILY;BYDAY=XX"),
    "a rule of 100 KB": rule("FREQ=YEARLY;BYYEARDAY=" + ",".join(["1"] * 50000)),
    "exdate that is none": rule("FREQ=DAILY;COUNT=2", exdates=["never"]),
    "100,000 dates": rule("", rdates=["20270101T100000Z"] * 10000),
    "javascript url": happening(url="javascript:alert(1)"),
    "data image": happening(image="data:text/html,<script>alert(1)</script>"),
    "file url": happening(url="file:///etc/passwd"),
    "user in url": happening(url="https://root:secret@a.example.org/"),
    "line break in url": happening(url="https://a.example.org/\r\nSet-Cookie: x"),
    "long url": happening(url="https://a.example.org/" + "x" * 5000),
    "placeholder": happening(url="https://www.example.com/"),
    "javascript offer": happening(offers={"url": "javascript:alert(1)"}),
    "javascript sameAs": happening(sameAs=["javascript:alert(1)"]),
    "foreign licence": happening(license="https://creativecommons.org/licenses/by/4.0/"),
    "source without id": happening(source={"url": "https://a.example.org/"}),
    "unknown place of ours": happening(location={"@id": "https://elsewhere.example.org/places/" + NOBODY}),
    "both places": happening(occurrences=[{"startDate": "2027-01-01T10:00:00Z", "venueId": NOBODY,
                                           "virtualUrl": "https://a.example.org"}]),
}
# What is not even read.
NO_JSON = {
    "nothing": b"", "text": b"nonsense", "list": b"[]", "number": b"5", "null": b"null", "half": b'{"name":"x"',
    "two": b'{"name":"x"}{}', "65 levels": deep(65), "100,000 levels": b"[" * 100000, "100,000 objects": b'{"a":' * 40000,
    "twice a member": b'{"name":"x","name":"y"}', "no UTF-8": b'{"name":"\xc3\x28"}', "lone surrogate": b'{"name":"\\ud800"}',
    "NUL": b'{"name":"a\\u0000b"}', "huge number": b'{"x":1e999}', "10,000 digits": b'{"x":' + b"9" * 10000 + b"}",
    "NaN": b'{"x":NaN}', "form": b"name=x&startDate=y", "xml": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>",
}


@pytest.mark.parametrize("name", NOT_EVENTS)
def test_what_is_no_event(commons, nothing_stored, name):
    problem = refused(send(commons, EVENTS, NOT_EVENTS[name], commons.key), 400)
    assert problem["errors"] and all(e["pointer"].startswith("/") and e["code"] for e in problem["errors"]), problem
    refused(send(commons, EVENTS + "?dry_run=true", NOT_EVENTS[name], commons.key), 400)
    report = send(commons, VALIDATE, NOT_EVENTS[name], commons.key)
    assert report.status_code == 200 and report.json()["conforms"] is False, report.text[:300]


@pytest.mark.parametrize("name", NO_JSON)
def test_what_is_no_json(commons, peer, there, nothing_stored, name):
    body = NO_JSON[name]
    refused(send(commons, EVENTS, body, commons.key), 400)
    refused(send(commons, BATCH, body, commons.key), 400)
    synced = send(commons, SYNC, body, peer.key)
    if synced.status_code == 200:  # lines: each is refused by itself
        assert all(item["status"] == 400 for item in synced.json()["items"]), synced.text
    else:
        refused(synced, 400)
    if name not in ("nothing", "twice a member", "huge number", "10,000 digits"):  # docs/limits.md: taken by the gateway's reader
        refused(send(commons, IMPORT, body, commons.admin), 400)
        refused(send(commons, NODES, body, commons.admin), 400)
        refused(send(commons, f"/api/v1/admin/events/{there['event']}", body, commons.admin, "PUT"), 400)


TOO_LARGE = {
    "submission": (EVENTS, "key", happening(x="x" * MANY)),
    "dry run": (EVENTS + "?dry_run=true", "key", happening(x="x" * MANY)),
    "validation": (VALIDATE, "key", happening(x="x" * MANY)),
    "batch": (BATCH, "key", {"events": [happening(x="x" * 2 * MANY)]}),
    "sync": (SYNC, "peer", {"x": "x" * 2 * MANY}),
    "import": (IMPORT, "admin", {"name": "x", "calendar": "x" * 2 * MANY}),
    "event": ("/api/v1/admin/events/{event}", "admin", {"name": "x" * MANY}),
    "place": ("/api/v1/admin/places/{place}", "admin", {"name": "x" * MANY}),
    "organisation": ("/api/v1/admin/organizations/{organization}", "admin", {"name": "x" * MANY}),
    "node": (NODES, "admin", {"Notes": "x" * MANY}),
    "consolidation": ("/api/v1/admin/events/consolidate", "admin", {"event": {"x": "x" * MANY}}),
    "webhook": (HOOKS, "key", {"url": "https://a.example.org", "types": ["x" * MANY]}),
    "takedown": ("/api/v1/admin/events/{event}/takedown", "admin", {"reason": "x" * MANY}),
}
PUTS = {"event", "place", "organisation"}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_is_too_large(commons, peer, there, nothing_stored, name):
    path, who, body = TOO_LARGE[name]
    token = {"key": commons.key, "admin": commons.admin, "peer": peer.key}[who]
    refused(send(commons, path.format(**there), body, token, "PUT" if name in PUTS else "POST"), 413)


# Nearly as large as may be, in one member.
LARGE = {
    "batch": (BATCH, "key", {"events": happening("x" * MANY)}, 400),
    "batch of a hundred and one": (BATCH, "key", {"events": [{}] * 101}, 400),
    "batch of a million": (BATCH, "key", {"events": [0] * 1000000}, 400),
    "sync": (SYNC, "peer", {"@context": "x", "@id": "x" * MANY, "@type": "Event", "name": "x"}, 400),
    "sync of a million": (SYNC, "peer", [0] * 1000000, 400),
    "event": ("/api/v1/admin/events/{event}", "admin", {"name": "x" * (MANY - 100)}, 400),
    "event's keywords": ("/api/v1/admin/events/{event}", "admin", {"keywords": ["k"] * 500000}, 400),
    "place": ("/api/v1/admin/places/{place}", "admin", {"description": "x" * (MANY - 100)}, 400),
    "organisation": ("/api/v1/admin/organizations/{organization}", "admin", {"url": "https://" + "x" * (MANY - 100)}, 400),
    "node": (NODES, "admin", {"NodeName": "x" * (MANY - 100)}, 400),
    "consolidation": ("/api/v1/admin/events/consolidate", "admin", {"event_ulid": NOBODY, "retire": ["x"] * 500000}, 400),
    "import": (IMPORT, "admin", {"name": "x" * MANY, "calendar": "x"}, 400),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_large_and_wrong(commons, peer, there, nothing_stored, name):
    path, who, body, status = LARGE[name]
    token = {"key": commons.key, "admin": commons.admin, "peer": peer.key}[who]
    refused(send(commons, path.format(**there), body, token, "PUT" if path.startswith("/api/v1/admin/") and
                 name.split("'")[0] in PUTS else "POST"), status)


@pytest.mark.parametrize("name", sorted(NOT_EVENTS.keys() - {"source without id"}))  # the node is its source
def test_what_is_no_event_of_another_node_either(peer, commons, nothing_stored, name):
    answer = send(commons, SYNC, {**NOT_EVENTS[name], "@context": "https://schema.org",
                                  "@id": f"https://{peer.domain}/{unique()}"}, peer.key)
    refused(answer, 400)


def test_a_batch_of_what_is_no_event_stores_no_event(commons, tables):
    before = tables()["event"]
    made = send(commons, BATCH, {"events": [*NOT_EVENTS.values(), happening(x="x" * 300000), 5, None, "x", []]}, commons.key)
    assert made.status_code == 202, made.text
    result = commons.api.get(f"/api/v1/batch-status/{made.json()['batch_id']}?wait=25").json()
    assert result["status"] == "completed" and result["failed"] == result["total"] == len(NOT_EVENTS) + 5, result
    assert all(r["error"] and len(r["error"]) < 2000 for r in result["results"])
    assert tables()["event"] == before


# ------------------------------------------------------------------------------------------- our own network, and others
PRIVATE = ["http://127.0.0.1:1/x", "http://localhost/x", "http://LOCALHOST./x", "http://0/x", "http://2130706433/x", "http://0x7f.1/x",
           "http://017700000001/x", "http://[::1]/x", "http://[::ffff:127.0.0.1]/x", "http://[fe80::1]/x", "http://[fd00::1]/x",
           "http://169.254.169.254/latest", "http://10.1.2.3/x", "http://172.16.0.1/x", "http://192.168.1.1/x", "http://100.64.0.1/x",
           "http://224.0.0.1/x", "http://255.255.255.255/x", "http://a:b@10.0.0.1/x", "file:///etc/passwd", "gopher://127.0.0.1/x",
           "https://", "//127.0.0.1/x", "http://127.0.0.1\\@a.example.org/", "http://a.example.org:99999/", "javascript:alert(1)"]


@pytest.mark.parametrize("url", PRIVATE)
def test_addresses_of_our_own_network(commons, nothing_stored, url):
    refused(send(commons, IMPORT, {"url": url}, commons.admin), 400)
    refused(send(commons, IMPORT, {"url": url, "dry_run": True}, commons.admin), 400)
    refused(send(commons, HOOKS, {"url": url}, commons.key), 400)


CALENDARS = {
    "no calendar": ("nonsense", 422), "html": ("<html>" * 1000, 422), "nothing in it": ("\r\n" * 1000, 422),
    "nested": ("BEGIN:VCALENDAR\r\n" * 50000, 200), "long line": ("BEGIN:VCALENDAR\r\nX:" + "x" * 1000000, 200),
    "folded": ("BEGIN:VCALENDAR\r\nX:" + "\r\n x" * 200000, 200), "unknown zone": (None, 400),
}


@pytest.mark.parametrize("name", CALENDARS)
def test_calendars_that_are_none(commons, tables, name):
    text, status = CALENDARS[name]
    before = tables()
    body = {"name": unique(), "calendar": text or "BEGIN:VCALENDAR", **({"timezone": "Mars/Olympus"} if not text else {})}
    answer = send(commons, IMPORT, body, commons.admin)
    if status == 200:
        assert answer.status_code == 200 and not answer.json()["total"], answer.text[:300]
    else:
        refused(answer, status, "validation-error")
    assert tables()["event"] == before["event"] and tables()["place"] == before["place"]


def entry(uid, *lines):
    return "\r\n".join(["BEGIN:VEVENT", f"UID:{uid}", f"SUMMARY:{uid}", "LOCATION:Somewhere",
                        *(lines or ["DTSTART:20270101T100000Z"]), "END:VEVENT", ""])


def test_of_a_hostile_calendar_each_entry_is_told(commons, tables):
    word = unique()
    bad = {"never": ["DTSTART:00000101T000000Z"], "late": ["DTSTART:99991231T235959Z"], "words": ["DTSTART:tomorrow"],
           "none": ["DTEND:20270101T100000Z"], "long": ["DTSTART:20270101T100000Z", "DESCRIPTION:" + "x" * 10500]}
    body = {"name": word, "calendar": "BEGIN:VCALENDAR\r\n" + "".join(entry(f"{word}-{k}", *v) for k, v in bad.items())
            + "END:VCALENDAR\r\n"}
    before = tables()["event"]
    answer = send(commons, IMPORT, body, commons.admin)
    assert answer.status_code == 200, answer.text
    report = {e["uid"].rsplit("-", 1)[1]: e for e in answer.json()["entries"]}
    assert {k: report[k]["result"] for k in bad} == dict.fromkeys(bad, "failed"), report
    assert all(e["error"] for e in report.values()) and tables()["event"] == before


# ------------------------------------------------------------------------------------------------ rules without an end
@pytest.mark.parametrize("text", ["FREQ=HOURLY", "FREQ=DAILY", "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=YEARLY;BYDAY=53MO",
                                  "FREQ=YEARLY;INTERVAL=10000", "FREQ=DAILY;UNTIL=99991231T235959Z",
                                  "FREQ=YEARLY;BYMONTHDAY=" + ",".join(str(d) for d in range(1, 32))
                                  + ";BYHOUR=" + ",".join(map(str, range(24))) + ";BYMINUTE=" + ",".join(map(str, range(60)))])
def test_a_rule_without_an_end_makes_some(commons, text):
    """It is taken, or refused by its part; it never takes long, and makes a hundred occurrences at most."""
    begun = datetime.datetime.now()
    answer = send(commons, EVENTS, rule(text), commons.key)
    assert (datetime.datetime.now() - begun).total_seconds() < 10
    if answer.status_code == 400:
        assert "recurrence" in refused(answer, 400)["errors"][0]["pointer"]
        return
    assert answer.status_code in (201, 202), answer.text
    shown = commons.api.get(EVENTS + "/" + answer.json()["@id"].rsplit("/", 1)[1], commons.key)
    assert shown.status_code == 200 and 1 <= len(shown.json()["subEvent"]) <= 100, shown.text[:300]


# ----------------------------------------------------------------------------------------------- administration's routes
NOT_EDITS = {
    "event": [{"name": ""}, {"name": "x" * 501}, {"name": "<b></b>"}, {"lifecycle_state": "deleted"}, {"image_url": "javascript:1"},
              {"public_url": "ftp://a.example.org"}, {"event_domain": "x"}, {"keywords": ["x" * 5000]}, {"name": 5},
              {"keywords": "a"}, {"version": 10**30}],
    "place": [{"name": ""}, {"name": "<i> </i>"}, {"name": "x" * 100000}, {"latitude": 91, "longitude": 0},
              {"latitude": 0, "longitude": 1e300}, {"latitude": 1}, {"url": "javascript:alert(1)"}, {"latitude": "x"}],
    "organization": [{"name": ""}, {"name": "x" * 100000}, {"url": "data:text/html,x"}, {"legal_name": ["x"]}],
}


@pytest.mark.parametrize("kind, body", [(k, b) for k, bodies in NOT_EDITS.items() for b in bodies],
                         ids=lambda v: str(v)[:40])
def test_edits_that_are_none(commons, there, nothing_stored, kind, body):
    refused(send(commons, f"/api/v1/admin/{kind}s/{there[kind]}", body, commons.admin, "PUT"), 400)


IDS = ["x", "'", "..%2f..%2fetc%2fpasswd", NOBODY[:-1], NOBODY + "0", "8" + NOBODY[1:], "ILOU" + NOBODY[4:], "x" * 3000, "%00", "%0d%0ax", "%ff"]


@pytest.mark.parametrize("wrong", IDS, ids=lambda v: v[:20])
@pytest.mark.parametrize("path", ["/api/v1/events/{}", "/api/v1/places/{}", "/api/v1/organizations/{}", "/api/v1/events/{}/ics",
                                  "/api/v1/events/{}/history", "/api/v1/batch-status/{}", "/events/{}", "/series/{}"])
def test_ids_that_are_none(commons, path, wrong):
    answer = commons.api.get(path.format(wrong))
    assert answer.status_code in (400, 404), answer.text[:300]
    if wrong in ("%00", "%ff"):  # that is no path at all, of no contract
        assert answer.json()["status"] == 400
    else:
        refused(answer, answer.status_code)


ROUTES = [("DELETE", "/api/v1/admin/events/{}", None), ("POST", "/api/v1/admin/events/{}/publish", None),
          ("POST", "/api/v1/admin/events/{}/unpublish", None), ("POST", "/api/v1/admin/events/{}/takedown", {"reason": "x"}),
          ("POST", "/api/v1/admin/events/{}/revert", {"version": 1}), ("DELETE", "/api/v1/admin/places/{}", None),
          ("DELETE", "/api/v1/admin/organizations/{}", None), ("PUT", "/api/v1/admin/places/{}", {"name": "x"}),
          ("POST", "/api/v1/admin/events/{}/occurrences", {"start_time": "2027-01-01T10:00:00Z", "timezone": "UTC"})]


@pytest.mark.parametrize("method, path, body", ROUTES, ids=lambda v: str(v)[:40])
def test_what_is_not_there_is_not_changed(commons, nothing_stored, method, path, body):
    for id_, status in ((NOBODY, 404), ("x'--", 400), ("8" + NOBODY[1:], 400)):
        answer = commons.api.call(method, path.format(id_), commons.admin, json=body)
        refused(answer, status)


@pytest.mark.parametrize("fields", [
    {"start_time": "tomorrow"}, {"start_time": "9999-12-31T23:59:59Z"}, {"start_time": "0000-01-01T00:00:00Z"}, {"timezone": "Mars/X"},
    {"timezone": "../../etc/passwd"}, {"timezone": "x" * 10000}, {"end_time": "1999-01-01T00:00:00Z"}, {"virtual_url": "javascript:1"},
    {"ticket_url": "file:///x"}, {"price_min": -1}, {"price_min": 1e300}, {"price_min": 5, "price_max": 1}, {"price_currency": "<b>"},
    {"availability": "x" * 500}, {"status": "x"}, {"venue_ulid": "x"}, {"start_time": 5}], ids=str)
def test_occurrences_that_are_none(commons, there, nothing_stored, fields):
    body = {"start_time": "2027-01-01T10:00:00Z", "timezone": "UTC", **fields}
    refused(send(commons, f"/api/v1/admin/events/{there['event']}/occurrences", body, commons.admin), 400)


@pytest.mark.parametrize("path, body", [
    ("/api/v1/admin/places/merge", {"primary_id": NOBODY, "duplicate_id": NOBODY}),
    ("/api/v1/admin/places/merge", {"primary_id": "x", "duplicate_id": NOBODY}),
    ("/api/v1/admin/organizations/merge", {}),
    ("/api/v1/admin/events/consolidate", {"event_ulid": NOBODY, "retire": []}),
    ("/api/v1/admin/events/consolidate", {"event_ulid": NOBODY, "retire": [NOBODY]}),
    ("/api/v1/admin/events/consolidate", {"event": {"name": "<b></b>"}, "retire": [NOBODY]}),
    ("/api/v1/admin/review-queue/x/approve", {}), ("/api/v1/admin/review-queue/99999999999999999999/reject", {"reason": "x"}),
], ids=str)
def test_what_joins_nothing(commons, nothing_stored, path, body):
    refused(send(commons, path, body, commons.admin), 400)


# ------------------------------------------------------------------------------------------------------------ parameters
LONG = "x" * 201
EVENT_PARAMETERS = [
    "limit=0", "limit=-1", "limit=201", "limit=x", "limit=1e2", "limit=99999999999999999999", "startDate=2027-13-01", "startDate=2027-02-30",
    "startDate=0000-00-00", "startDate=2027-02-01T00:00:00Z", "endDate=99999-01-01", "endDate='", "venueId=x", "organizerId='--",
    "state=deleted", "domain=x", f"q={LONG}", f"locality={LONG}", "keywords=" + ",".join("abcdefghijklmnopqrstu"), "near_lon=1",
    "near_lat=nan&near_lon=0", "near_lat=1e999&near_lon=0", "near_lat=91&near_lon=0", "near_lon=181&near_lat=0", "radius=1",
    *[f"radius={r}&near_lat=1&near_lon=1" for r in ("0", "-1", "101", "nan", "inf", "x")],
    *[f"bbox={b}" for b in ("1,2,3", "a,b,c,d", "nan,nan,nan,nan", "-181,0,0,0", "0,5,0,1", "1,2,3,4,5", "inf,0,0,0")], "price_max=x",
    "price_max=nan", "price_max=-1", "price_max=1e999", "free=maybe", "mode=x", "occurrences=x", "updated_since=yesterday", "sort=x",
    "sort=relevance", "sort=distance", "facets=x", "facets=domain,'", "context=x", "schedule=x", "after=%27"]
ENTITY_PARAMETERS = ["limit=0", "limit=201", f"q={LONG}", f"city={LONG}", "sort=x", "order=sideways", "context=x", "after=%27"]
POINTS = ["near_lat=1", "near_lon=nan&near_lat=1", "near_lat=1e999&near_lon=0", "radius=0&near_lat=1&near_lon=1", "near_place=x&near_lat=1&near_lon=1"]
FEED_PARAMETERS = ["limit=0", "limit=201", "limit=x", "action=destroy", "entity=user", "include_snapshot=perhaps", "since=yesterday",
                   "since=2027-02-30T00:00:00Z", "since=99999-01-01T00:00:00Z"]


@pytest.mark.parametrize("path, query", [
    *[("/api/v1/events", q) for q in EVENT_PARAMETERS], *[("/api/v1/events.ics", q) for q in EVENT_PARAMETERS if "facets" not in q],
    *[(f"/api/v1/{kind}", q) for kind in ("places", "organizations") for q in ENTITY_PARAMETERS],
    *[("/api/v1/places", q) for q in POINTS], *[(FEED, q) for q in FEED_PARAMETERS]], ids=lambda v: v[:40])
def test_parameters_that_are_none(commons, path, query):
    """Told by name, whatever else is asked for."""
    problem = refused(commons.api.get(f"{path}?{query}"), 400)
    name = query.split("=")[0]
    told = [e["pointer"] for e in problem.get("errors", [])]
    assert any(t in ("/" + name, "/near_lat", "/near_lon") for t in told) or name in problem["detail"], problem


def test_what_is_not_known_is_told_and_ignored(commons):
    answer = commons.api.get("/api/v1/events?__proto__=1&lang=fr&%3Cscript%3E=1&" + "&".join(f"p{i}=x" for i in range(100)))
    assert answer.status_code == 200 and len(answer.json()["warnings"]) == 20, "bounded"
    assert 'unknown parameter "__proto__" is ignored' in answer.json()["warnings"][0]
    refused(commons.api.get("/api/v1/events?" + "&".join(f"p{i}=x" for i in range(300))), 400)


# --------------------------------------------------------------------------------------------------------------- cursors
def encoded(text):
    return base64.urlsafe_b64encode(text if isinstance(text, bytes) else text.encode()).decode().rstrip("=")


BAD_CURSORS = ["x", "%%%", "A" * 5000, encoded("x"), encoded(":"), encoded("1:"), encoded(f"x:{NOBODY}"),
               encoded(f"{10**40}:{NOBODY}"), encoded(f"-{10**40}:{NOBODY}"), encoded(f"1000:8{NOBODY[1:]}"),
               encoded(f"1000:{NOBODY}:0000000000000000"), encoded(f"1000:{NOBODY}:'; DROP TABLE event; --"),
               encoded(b"\xff" * 40), encoded("seq_"), encoded("seq_-1"), encoded(f"seq_{10**40}"), encoded("seq_1x"),
               encoded(f"1000\0:{NOBODY}")]
LISTS = ["/api/v1/events?after=", "/api/v1/events?cursor=", "/api/v1/events?q=jazz&sort=relevance&after=", "/api/v1/places?after=",
         "/api/v1/organizations?after=", "/api/v1/places?near_lat=43&near_lon=-79&after=", FEED + "?since=", FEED + "?after=",
         "/api/v1/events.ics?after="]


@pytest.mark.parametrize("path", LISTS)
def test_cursors_that_are_none(commons, path):
    for bad in BAD_CURSORS:
        answer = commons.api.get(path + bad)
        assert answer.status_code == 400, (bad, answer.status_code, answer.text[:200])
        refused(answer, 400)


@pytest.mark.parametrize("path", ["/api/v1/admin/events?after=", "/api/v1/admin/events/pending?after=", "/api/v1/admin/sources?after=",
                                  "/api/v1/admin/audit/events?after=", "/api/v1/admin/duplicates?after=", NODES + "?after="])
def test_cursors_of_administration_that_are_none(commons, path):
    for bad in BAD_CURSORS[:-1]:
        refused(commons.api.get(path + bad, commons.admin), 400)


def test_a_cursor_is_good_for_its_own_list(commons):
    word = unique()
    for i in range(3):
        commons.submit(happening(f"{word} {unique()}", days=30 + 10 * i, organizer={"name": f"{word} {unique()}"},
                                 location={"name": f"{word} {unique()}", "addressLocality": "Toronto"}))
    lists = {"events": f"/api/v1/events?limit=1&q={word}", "relevance": f"/api/v1/events?limit=1&q={word}&sort=relevance",
             "places": f"/api/v1/places?limit=1&q={word}", "organizations": f"/api/v1/organizations?limit=1&q={word}",
             "feed": FEED + "?limit=1"}
    ends = {name: commons.api.get(path).json()["next_cursor"] for name, path in lists.items()}
    assert all(ends.values()), ends
    for name, path in lists.items():
        parameter = "since" if name == "feed" else "after"
        for other, end in ends.items():
            answer = commons.api.get(path, params={parameter: end})
            assert answer.status_code == (200 if other == name else 400), (name, other, answer.text[:200])
        for changed in ("&domain=arts", f"&q={unique()}") if name in ("events", "relevance") else ():
            refused(commons.api.get(path.replace(f"&q={word}", "") + changed, params={"after": ends[name]}), 400)
        if name != "feed":
            end = ends[name]
            tampered = end[:4] + ("A" if end[4] != "A" else "B") + end[5:-1] + ("A" if end[-1] != "A" else "Q")
            refused(commons.api.get(path, params={"after": tampered}), 400)


def test_a_feed_position_that_was_never_reached(commons):
    answer = commons.api.get(FEED, params={"since": cursor(2**62)})
    assert answer.status_code == 200 and answer.json()["changes"] == [] or answer.status_code == 400, answer.text


# ------------------------------------------------------------------------------------------------------ markup in texts
SCRIPT = "<script>alert(1)</script>"
MARKUP = [SCRIPT, "<img src=x onerror=alert(1)>", "&lt;script&gt;alert(1)&lt;/script&gt;", "</script><svg/onload=alert(1)>",
          "\"><iframe src=javascript:alert(1)>", "'-alert(1)-'", "{{7*7}}", "BEGIN:VEVENT\r\nX:evil", "]]>", "\u202eevil"]


def test_markup_is_words_everywhere(commons):
    word, bad = unique(), " ".join(MARKUP)
    body = happening(
        f"{word} {bad}", description=f"{bad}\n\n{bad}", keywords=[bad[:90], "ok"], organizer={"name": f"{word} {bad}"[:190], "url": "https://o.example.org/"},
        performer=[{"name": f"{word} {bad}"[:190]}], url="https://a.example.org/?x=\"><script>alert(1)</script>",
        location={"name": f"{word} {bad}"[:190], "streetAddress": bad[:190], "addressLocality": "Toronto"}, inLanguage=[SCRIPT],
        offers={"price": "5", "priceCurrency": "<b>", "availability": SCRIPT, "name": bad[:90]}, eventStatus=SCRIPT, eventDomain=SCRIPT,
        **{"@type": SCRIPT})
    answer = send(commons, EVENTS, body, commons.key)
    assert answer.status_code in (201, 202), answer.text
    ulid = answer.json()["@id"].rsplit("/", 1)[1]
    commons.api.call("POST", f"/api/v1/admin/events/{ulid}/publish", commons.admin)
    shown = commons.api.get(f"{EVENTS}/{ulid}")
    assert shown.status_code == 200 and word in shown.text
    place, organization = shown.json()["location"]["@id"].rsplit("/", 1)[1], shown.json()["organizer"]["@id"].rsplit("/", 1)[1]
    pages = [f"/events/{ulid}", f"/places/{place}", f"/organizations/{organization}", f"/events?q={word}", f"/widget?q={word}"]
    for page in pages:
        html = commons.api.get(page, headers={"Accept": "text/html"})
        assert html.status_code == 200 and word in html.text, page
        low = html.text.lower()
        assert "<script>alert" not in low and "<svg" not in low and "<iframe" not in low and "<img src=x" not in low, page
        assert low.count("<script") == low.count("<script type=\"application/ld+json\""), page
        assert "script-src" not in html.headers["Content-Security-Policy"] or "unsafe" not in html.headers["Content-Security-Policy"]
    for path in [f"/events/{ulid}.ics", f"/api/v1/events/{ulid}/ics", f"/api/v1/events.ics?q={word}"]:
        lines = commons.api.get(path).text.replace("\r\n ", "").split("\r\n")
        assert "X:evil" not in lines and lines.count("BEGIN:VEVENT") == 1, path
    for path in [f"/events.atom?q={word}", f"/api/v1/events/{ulid}", f"/events/{ulid}.ttl", f"/events/{ulid}.nt", FEED]:
        text = commons.api.get(path, params={"include_snapshot": "true", "limit": 200} if path == FEED else None).text
        assert SCRIPT not in text and "<img src=x" not in text, path
