"""Calendars of the outside as submissions, and our zones as others read them."""

import datetime as dt
import json
import zoneinfo

import icalendar
import pytest

HEAD, FOOT = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n", "END:VCALENDAR\n"
EVENT = "BEGIN:VEVENT\nUID:{uid}\nSUMMARY:{uid}\nLOCATION:Hall\nDTSTART:20300105T190000Z\n{more}END:VEVENT\n"


@pytest.fixture
def read(ask, tmp_path):
    """read(TEXT or BYTES): what our importer makes of it, times in Toronto where they say none."""

    def run(text):
        path = tmp_path / "calendar.ics"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return json.loads(ask("import", "America/Toronto", path))

    return run


def one(result):
    (event,) = result["events"]
    assert event["error"] == "", event
    return event


def vevent(lines, uid="a"):
    return f"{HEAD}BEGIN:VEVENT\nUID:{uid}\nSUMMARY:Name\n{lines}\nEND:VEVENT\n{FOOT}"


# --- times ------------------------------------------------------------------------------------------------------------

TIMES = {
    "DTSTART:20300105T190000Z\nDTEND:20300105T210000Z": ("2030-01-05T19:00:00Z", "2030-01-05T21:00:00Z"),
    "DTSTART:20300105T190000\nDURATION:PT1H30M": ("2030-01-06T00:00:00Z", "2030-01-06T01:30:00Z"),
    "DTSTART;TZID=Europe/Berlin:20300705T190000": ("2030-07-05T17:00:00Z", None),
    'DTSTART;TZID="W. Europe Standard Time":20300105T190000\nDTEND;TZID="W. Europe Standard Time":20300105T200000':
        ("2030-01-05T18:00:00Z", "2030-01-05T19:00:00Z"),
    "DTSTART;TZID=/mozilla.org/20050126_1/Asia/Tokyo:20300105T190000": ("2030-01-05T10:00:00Z", None),
    "DTSTART;VALUE=DATE:20300105": ("2030-01-05T05:00:00Z", "2030-01-06T05:00:00Z"),
    "DTSTART;VALUE=DATE:20300309\nDTEND;VALUE=DATE:20300312": ("2030-03-09T05:00:00Z", "2030-03-12T04:00:00Z"),
    "DTSTART;VALUE=DATE:20300309\nDURATION:P3D": ("2030-03-09T05:00:00Z", "2030-03-12T04:00:00Z"),
    "DTSTART:20300105T190000Z\nDTEND:20300105T180000Z": ("2030-01-05T19:00:00Z", None),
    "DTSTART;TZID=America/Toronto:20300310T023000": ("2030-03-10T07:30:00Z", None),  # the hour that is skipped
}


@pytest.mark.parametrize("lines", TIMES, ids=lambda t: t.replace("\n", " "))
def test_times_in_all_their_forms(read, lines):
    body = one(read(vevent("LOCATION:Hall\n" + lines)))["body"]
    assert (body["startDate"], body.get("endDate")) == TIMES[lines]


# --- tolerance: each a calendar that somebody really sends -----------------------------------------------------------

ODD = {
    "bare line feeds": HEAD + EVENT.format(uid="a", more="") + FOOT,
    "carriage returns": (HEAD + EVENT.format(uid="a", more="") + FOOT).replace("\n", "\r\n"),
    "a byte order mark": "\ufeff" + HEAD + EVENT.format(uid="a", more="") + FOOT,
    "no VERSION": "BEGIN:VCALENDAR\n" + EVENT.format(uid="a", more="") + FOOT,
    "no END": HEAD + EVENT.format(uid="a", more="").replace("END:VEVENT\n", ""),
    "lower case": (HEAD + EVENT.format(uid="a", more="") + FOOT).replace("BEGIN", "begin").replace("VEVENT", "vevent"),
    "an END too many": HEAD + "END:VALARM\n" + EVENT.format(uid="a", more="") + FOOT,
    "empty lines": (HEAD + EVENT.format(uid="a", more="") + FOOT).replace("\n", "\n\n"),
    "lines without a colon": HEAD + EVENT.format(uid="a", more="nonsense\n=\n;;;\n") + FOOT,
    "an alarm in it": HEAD + EVENT.format(uid="a", more="BEGIN:VALARM\nSUMMARY:no\nDTSTART:19990101\nEND:VALARM\n") + FOOT,
    "folded within a word": HEAD + EVENT.format(uid="a", more="").replace("LOCATION:Hall", "LOCA\n TION:Ha\n\tll") + FOOT,
    "a rule that is none": HEAD + EVENT.format(uid="a", more="RRULE:FREQ=SOMETIMES\n") + FOOT,
    "an unknown zone": (HEAD + EVENT.format(uid="a", more="") + FOOT).replace("DTSTART:20300105T190000Z",
                                                                              "DTSTART;TZID=Mars:20300105T140000"),
    "two of one UID": HEAD + EVENT.format(uid="a", more="SEQUENCE:1\n") + EVENT.format(uid="a", more="") + FOOT,
    "deep nesting": HEAD + "BEGIN:X\n" * 5000 + "END:X\n" * 5000 + EVENT.format(uid="a", more="") + FOOT,
    "a very long line": HEAD + EVENT.format(uid="a", more="COMMENT:" + "x" * 300_000 + "\n") + FOOT,
    "very many parameters": HEAD + EVENT.format(uid="a", more="COMMENT" + ";X=1" * 5000 + ":x\n") + FOOT,
    "quotes that do not end": HEAD + EVENT.format(uid="a", more='ATTENDEE;CN="x:y\n') + FOOT,
    "a sequence that is none": HEAD + EVENT.format(uid="a", more="SEQUENCE:many\n") + FOOT,
    "two calendars": HEAD + FOOT + HEAD + EVENT.format(uid="a", more="") + FOOT,
    "something before": "HTTP junk\n" + HEAD + EVENT.format(uid="a", more="") + FOOT,
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_calendar_gives_its_event(read, what):
    event = one(read(ODD[what]))
    assert (event["uid"], event["body"]["startDate"]) == ("a", "2030-01-05T19:00:00Z")
    assert event["body"]["location"]["name"] == "Hall"


NOTHING = {
    "nothing": "", "a page": "<html><body>not here</body></html>", "JSON": "{}", "zeros": b"\0" * 1000,
    "noise": bytes(range(256)) * 50, "a vCard": "BEGIN:VCARD\nFN:x\nEND:VCARD\n", "only BEGIN": "BEGIN:VEVENT\n" * 1000,
}


@pytest.mark.parametrize("what", NOTHING)
def test_what_is_no_calendar_has_no_events(read, what):
    result = read(NOTHING[what])
    assert result["events"] == [] and not result["is_calendar"]


def test_one_bad_event_is_told_and_the_others_are_taken(read):
    result = read(HEAD + EVENT.format(uid="a", more="") + "BEGIN:VEVENT\nUID:b\nDTSTART:soon\nEND:VEVENT\n"
                  + EVENT.format(uid="c", more="") + FOOT)
    assert {e["uid"]: bool(e["error"]) for e in result["events"]} == {"a": False, "b": True, "c": False}


def test_bytes_that_are_no_utf_8_do_no_harm(read):
    body = one(read(vevent("LOCATION:Hall\nDTSTART:20300105T190000Z\nDESCRIPTION:caf").encode() .replace(
        b"caf", b"caf\xe9 \xff")))["body"]
    assert body["description"].startswith("caf\ufffd")


def test_facts_and_their_escapes(read):
    body = one(read(vevent(
        "DTSTART:20300105T190000Z\nDESCRIPTION:One\\, two\\; three\\nfour \\\\ five\nLOCATION:Hall\\, Main St\n"
        "GEO:43.650000;-79.380000\nCATEGORIES:Music,Jazz\\, live\nCATEGORIES:Free\nURL:https://example.org/e?id=7\n"
        'ORGANIZER;CN="The \\"Band\\"":mailto:band@example.org\nCONFERENCE;VALUE=URI:https://meet.example.org/1\n'
        "IMAGE;VALUE=URI:https://example.org/i.png")))["body"]
    assert body["description"] == "One, two; three\nfour \\ five"
    assert body["location"] == {"name": "Hall, Main St", "latitude": 43.65, "longitude": -79.38}
    assert body["keywords"] == ["Music", "Jazz, live", "Free"]
    assert (body["url"], body["image"]) == ("https://example.org/e?id=7", "https://example.org/i.png")
    assert body["virtualLocation"] == {"url": "https://meet.example.org/1"}
    assert body["organizer"]["email"] == "band@example.org"


def test_a_series_with_what_differs(read):
    event = one(read(
        HEAD + "BEGIN:VEVENT\nUID:s\nSUMMARY:Weekly\nLOCATION:Hall\nDTSTART;TZID=America/Toronto:20300107T200000\n"
        "DTEND;TZID=America/Toronto:20300107T220000\nRRULE:FREQ=WEEKLY;BYDAY=MO\nEXDATE;TZID=America/Toronto:20300114T200000,"
        "20300121T200000\nRDATE;VALUE=PERIOD:20300109T010000Z/PT1H\nEND:VEVENT\n"
        "BEGIN:VEVENT\nUID:s\nSUMMARY:Weekly\nLOCATION:Hall\nRECURRENCE-ID;TZID=America/Toronto:20300128T200000\n"
        "DTSTART;TZID=America/Toronto:20300129T190000\nEND:VEVENT\n"
        "BEGIN:VEVENT\nUID:s\nRECURRENCE-ID:20300205T010000Z\nSTATUS:CANCELLED\nDTSTART:20300205T010000Z\nEND:VEVENT\n" + FOOT))
    series = event["body"]["recurrence"]
    assert series["rrule"] == "FREQ=WEEKLY;BYDAY=MO" and series["tzid"] == "America/Toronto"
    assert series["exdates"] == ["2030-01-15T01:00:00Z", "2030-01-22T01:00:00Z"]
    assert series["rdates"] == ["2030-01-09T01:00:00Z"]

    def unix(text):
        return int(dt.datetime.fromisoformat(text).timestamp())

    assert sorted(event["overrides"]) == [
        [unix("2030-01-29T01:00:00+00:00"), unix("2030-01-30T00:00:00+00:00"), 0, False],
        [unix("2030-02-05T01:00:00+00:00"), unix("2030-02-05T01:00:00+00:00"), 0, True]]


def test_ten_thousand_events_are_cut_and_said_to_be(read, clock):
    text = HEAD + "".join(EVENT.format(uid=f"u{n}", more="") for n in range(10_000)) + FOOT
    with clock(3):
        result = read(text)
    assert len(result["events"]) == 5000 and not result["whole"]


# --- our zones, as others read them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["America/Toronto", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo",
                                  "Asia/Jerusalem", "America/Godthab", "Pacific/Apia"])
def test_a_vtimezone_gives_the_offsets_of_its_zone(ask, zone):
    begin = int(dt.datetime(2024, 1, 15, tzinfo=dt.timezone.utc).timestamp())
    text = json.loads(ask("zone", zone, begin))
    theirs = icalendar.Timezone.from_ical(text).to_tz()
    ours = zoneinfo.ZoneInfo(zone)
    for day in range(0, 9 * 365, 3):
        naive = dt.datetime(2024, 1, 15, 12, 10) + dt.timedelta(days=day)
        assert theirs.utcoffset(naive) == naive.replace(tzinfo=ours).utcoffset(), (zone, naive)
