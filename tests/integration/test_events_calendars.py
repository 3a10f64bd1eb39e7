"""Events as calendars, by another reader's opinion; occurrences and series over HTTP; calendars read in, by URL and from
the command line (events contract 10, 11; B5, B20, B22)."""
import datetime as dt
import json
import secrets
import subprocess
import zoneinfo

import icalendar
import pytest

from api import PASSWORD, Api
from stack import ROOT

TORONTO = zoneinfo.ZoneInfo("America/Toronto")


@pytest.fixture(scope="module")
def admin(stack):
    name = "a" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return Api(stack.url).login(name).json()["access_token"]


@pytest.fixture
def agent(api, admin):
    return api.post("/api/v1/admin/api-keys", {"name": "robot", "role": "agent"}, admin).json()["api_key"]


@pytest.fixture
def unique():
    return "W" + secrets.token_hex(5)


def next_monday(weeks=1):
    today = dt.datetime.now(TORONTO).date()
    return today + dt.timedelta(days=7 * weeks - today.weekday())


def submit_series(api, agent, unique, rule="FREQ=WEEKLY;BYDAY=MO", **recurrence):
    start = dt.datetime.combine(next_monday(), dt.time(20), TORONTO)
    body = {"name": f"Mondays {unique}", "description": "Every week.", "startDate": start.isoformat(),
            "endDate": (start + dt.timedelta(hours=2)).isoformat(), "skip_multi_session_check": True,
            "location": {"name": f"Hall {unique}", "addressLocality": "Toronto"},
            "recurrence": {"external_key": unique, "rrule": rule, "tzid": "America/Toronto",
                           "series_start": start.isoformat(), **recurrence}}
    answer = api.post("/api/v1/events", body, agent)
    assert answer.status_code == 201, answer.text
    return answer.json()["@id"].rsplit("/", 1)[1], start


def entries(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/calendar")
    assert all(len(line) <= 75 for line in answer.content.split(b"\r\n"))
    return icalendar.Calendar.from_ical(answer.content).walk("VEVENT")


def test_a_monday_series_is_a_calendar_of_monday_evenings(api, agent, unique):
    event, start = submit_series(api, agent, unique)
    single = entries(api.get(f"/api/v1/events/{event}/ics"))
    assert 12 <= len(single) <= 14
    for entry in single:
        local = entry.decoded("DTSTART").astimezone(TORONTO)
        assert (local.weekday(), local.hour) == (0, 20)
        assert entry.decoded("DTEND") - entry.decoded("DTSTART") == dt.timedelta(hours=2)
        assert entry["STATUS"] == "CONFIRMED" and f"Hall {unique}" in entry["LOCATION"]
    uids = {str(entry["UID"]) for entry in single}
    assert len(uids) == len(single)
    feed = api.get("/api/v1/events.ics", params={"q": unique})
    assert {str(e["UID"]) for e in entries(feed)} == uids
    again = api.get("/api/v1/events.ics", params={"q": unique})
    assert again.content == feed.content and again.headers["ETag"] == feed.headers["ETag"]
    known = api.call("GET", "/api/v1/events.ics", params={"q": unique}, headers={"If-None-Match": feed.headers["ETag"]})
    assert known.status_code == 304
    (rule,) = [e for e in entries(api.get(f"/api/v1/events/{event}/ics", params={"include_rrule": "true"}))]
    assert rule["RRULE"]["BYDAY"] == ["MO"] and rule["DTSTART"].params["TZID"] == "America/Toronto"
    assert rule.decoded("DTSTART").replace(tzinfo=None) == start.replace(tzinfo=None)


def test_a_changed_occurrence_shows_and_a_cancelled_one_is_told(api, admin, agent, unique):
    event, _ = submit_series(api, agent, unique)
    before = entries(api.get(f"/api/v1/events/{event}/ics"))
    occurrence = str(before[1]["UID"]).split("-", 1)[1].split("@")[0]
    path = f"/api/v1/admin/events/{event}/occurrences"
    assert api.call("PUT", f"{path}/{occurrence}", admin, json={"status": "cancelled"}).status_code == 200
    after = entries(api.get(f"/api/v1/events/{event}/ics"))
    assert [e["STATUS"] for e in after].count("CANCELLED") == 1
    assert int(after[0]["SEQUENCE"]) > int(before[0]["SEQUENCE"])
    assert {str(e["UID"]) for e in after} == {str(e["UID"]) for e in before}
    taken = {"start_time": before[0].decoded("DTSTART").isoformat(), "timezone": "America/Toronto"}
    answer = api.post(path, taken, admin)
    assert answer.status_code == 409 and answer.json()["type"].endswith("/occurrence-overlap")
    assert api.post(path, {"start_time": "2031-01-01T10:00:00Z"}, admin).status_code == 400
    made = api.post(path, {"start_time": "2031-01-01T10:00:00+02:00", "timezone": "Europe/Berlin"}, admin)
    assert made.status_code == 201 and made.json()["start_time"] == "2031-01-01T08:00:00Z"
    assert api.call("DELETE", f"{path}/{made.json()['id']}", admin).status_code == 204
    assert api.call("DELETE", f"{path}/{made.json()['id']}", admin).status_code == 404


def test_an_empty_feed_is_a_calendar_and_odd_paths_are_not(api):
    assert entries(api.get("/api/v1/events.ics", params={"q": "nothing" + secrets.token_hex(8)})) == []
    assert api.get("/api/v1/events/01J00000000000000000000000/ics").status_code == 404
    assert api.get("/api/v1/events/nonsense/ics").status_code == 400


def test_a_rule_that_is_none_is_refused_by_its_part(api, agent, unique):
    answer = api.post("/api/v1/events", {
        "name": unique, "startDate": "2026-12-20T19:00:00-05:00", "location": {"name": "x"},
        "recurrence": {"external_key": unique, "rrule": "FREQ=SECONDLY"}}, agent)
    assert answer.status_code == 400 and "/recurrence/rrule" in answer.text


def calendar(*events):
    return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + "".join(
        f"BEGIN:VEVENT\r\nUID:{uid}\r\nSUMMARY:{name}\r\nDESCRIPTION:Good company {unique}\r\nLOCATION:{place}\r\n"
        f"DTSTART:{start}\r\nDURATION:PT2H\r\nEND:VEVENT\r\n" for unique, uid, name, place, start in events) + "END:VCALENDAR\r\n"


@pytest.mark.local
def test_an_import_from_the_command_line_is_idempotent_and_cancels(stack, api, admin, unique, tmp_path):
    def atrium(*words):
        done = subprocess.run([str(ROOT / "bin/atrium"), "events", *words], text=True, capture_output=True, timeout=60,
                              env={**stack.environment, "ATRIUM_URL": stack.url, "ATRIUM_TOKEN": admin}, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    file = tmp_path / f"{unique}.ics"
    soon = dt.datetime.now(dt.timezone.utc)  # what is too far ahead would wait for review
    # With names that nobody would take for one another, here or at another time.
    both = [(unique, f"{unique}-{n}", f"{name} {word}", f"{place} {word}", f"{soon + dt.timedelta(days=30 + n):%Y%m%dT190000Z}")
            for n, name, place, word in ((1, "Harvest dinner", "Old mill", unique), (2, "Chess", "Library", secrets.token_hex(5)))]

    def run(*events):
        file.write_text(calendar(*events))
        return json.loads(atrium("import", str(file), "--json"))

    first = run(*both)
    assert (first["created"], first["failed"]) == (2, 0), first
    assert run(*both)["unchanged"] == 2
    gone = run(both[0])
    assert (gone["cancelled"], gone["unchanged"]) == (1, 1)
    feed = entries(api.get("/api/v1/events.ics", params={"q": unique}))
    assert sorted(e["STATUS"] for e in feed) == ["CANCELLED", "CONFIRMED"]
    exported = tmp_path / "out.ics"
    atrium("export", str(exported), "--filter", f"q={unique}")
    assert len(icalendar.Calendar.from_ical(exported.read_bytes()).walk("VEVENT")) == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x.ics", "http://localhost/x.ics", "http://169.254.169.254/latest",
                                 "http://[::1]/x", "file:///etc/passwd", "http://10.0.0.1/x.ics"])
def test_a_calendar_of_our_own_network_is_not_fetched(api, admin, url):
    answer = api.post("/api/v1/admin/calendars/import", {"url": url}, admin)
    assert answer.status_code == 400, answer.text


def test_a_name_that_leads_into_our_network_is_not_followed(api, admin):
    """Nothing listens to see: the refusal is by the resolved address."""
    answer = api.post("/api/v1/admin/calendars/import", {"url": "http://localhost.localdomain:1/x.ics"}, admin)
    assert answer.status_code in (400, 422), answer.text
