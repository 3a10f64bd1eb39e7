"""The documents of events, read by processors of others: the same graph in every format, pages without the markup of
strangers, feeds, and what tells machines where things are (events contract 3.3, 5, 21 B1 B2 B3 B21 B30)."""
import html.parser
import json
import re
import secrets
import xml.etree.ElementTree as ET

import pytest
import rdflib
from pyld import jsonld

from api import PASSWORD, Api

SCHEMA, XSD = "https://schema.org/", "http://www.w3.org/2001/XMLSchema#"
ALL = ("application/ld+json", "text/turtle", "application/n-triples", "text/html")
rdflib.NORMALIZE_LITERALS = False  # texts are compared as they stand there


@pytest.fixture(scope="module")
def admin(stack):
    name = "a" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return Api(stack.url).login(name).json()["access_token"]


@pytest.fixture(scope="module")
def agent(stack, admin):
    """A key to hand events in."""
    made = Api(stack.url).post("/api/v1/admin/api-keys", {"name": "robot"}, admin)
    assert made.status_code == 201, made.text
    return made.json()["api_key"]


def happening(**members):
    word = "w" + secrets.token_hex(6)
    return {
        "@type": "MusicEvent", "name": f"Concert {word}", "description": f"An evening with {word}.\n\nAnd a night.",
        "startDate": "2027-03-01T19:00:00-05:00", "endDate": "2027-03-01T22:00:00-05:00",
        "image": f"https://pictures.example.net/{word}.jpg", "url": f"https://{word}.example.net/?a=1&b=2",
        "keywords": ["jazz", word], "inLanguage": ["en"], "isAccessibleForFree": False,
        "location": {"name": f"Hall {word}", "streetAddress": "1 Long Street", "addressLocality": "Toronto",
                     "addressRegion": "ON", "postalCode": "M5V 2T6", "addressCountry": "CA",
                     "latitude": 43.65, "longitude": -79.38},
        "organizer": {"name": f"Club {word}", "url": f"https://club-{word}.example.net/"},
        "offers": {"url": f"https://tickets-{word}.example.net/", "price": 25.5, "priceCurrency": "CAD"},
        **members,
    }


def hand_in(api, agent, body):
    answer = api.post("/api/v1/events", body, agent)
    assert answer.status_code == 201, answer.text
    return answer.json()["@id"]


def path_of(uri):
    return "/" + uri.split("/", 3)[3]


@pytest.fixture(scope="module")
def event(stack, agent):
    return hand_in(Api(stack.url), agent, happening())


# ------------------------------------------------------------------------------------------------------------ graphs
def no_network(url, _options):
    raise AssertionError(f"a document that cannot be read alone: {url}")


def equal_doubles(nquads):
    """Processors write one number in several ways: 9.0E-1 and 9.000000000000000E-01."""
    return re.sub(rf'"([^"]*)"(\^\^<{XSD}double>)', lambda m: f'"{float(m[1])!r}"{m[2]}', nquads)


def canonical(nquads):
    return jsonld.normalize(equal_doubles(nquads), {"algorithm": "URDNA2015", "inputFormat": "application/n-quads",
                                                    "format": "application/n-quads"})


def triples_of_document(document, loader=no_network):
    return canonical(jsonld.to_rdf(document, {"format": "application/n-quads", "documentLoader": loader}))


def triples_of(answer):
    kind = answer.headers["Content-Type"].split(";")[0]
    if kind == "application/ld+json":
        return triples_of_document(answer.json())
    if kind == "text/html":
        return triples_of_document(Page(answer.text).data)
    if kind == "application/n-triples":
        rdflib.Graph().parse(data=answer.text, format="nt")
        return canonical(answer.text)
    return canonical(rdflib.Graph().parse(data=answer.text, format="turtle").serialize(format="nt"))


class Page(html.parser.HTMLParser):
    """What a browser would make of a page: its elements, and the linked data in it."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.within, self.title, self.text = [], [], None, "", ""
        self.feed(text)
        assert len(self.scripts) <= 1
        self.data = json.loads(self.scripts[0]) if self.scripts else None

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.within = tag
        if tag == "script":
            assert dict(attrs) == {"type": "application/ld+json"}
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.within = None

    def handle_data(self, data):
        if self.within == "script":
            self.scripts[-1] += data
        elif self.within == "title":
            self.title += data
        elif self.within != "style":
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


TEXTS = [
    "plain",
    "\"quoted\" \\ back\\slash \\u0041 'single'",
    "tabs\tand more",
    "emoji 🎷👩‍👩‍👧 and \u202eright to left\u202c العربية עברית",
    "é vs e\u0301, ﬁ, ß, İ, \u00a0, \u200d, \ufeff",
    "{{7*7}} ${x} %s %n @prefix a: <b> . _:b0 ^^xsd:string",
    "]]> <!-- --> --> &amp;lt; &#60;",
]


@pytest.mark.parametrize("text", TEXTS)
def test_all_formats_carry_one_graph(api, agent, text):
    body = happening()
    uri = hand_in(api, agent, {**body, "name": f"{body['name']} {text}", "description": f"{text}\n\n{text}",
                               "keywords": [text[:50]], "organizer": {"name": f"{text} {body['name']}"}})
    answers = [api.get(path_of(uri), headers={"Accept": accept}) for accept in ALL]
    assert [a.headers["Content-Type"].split(";")[0] for a in answers] == list(ALL)
    first, *others = [triples_of(a) for a in answers]
    assert all(other == first for other in others)
    assert f"<{uri}> <{SCHEMA}name>" in first and f"<{SCHEMA}Event>" in first and f"<{SCHEMA}latitude>" in first
    assert f'"2027-03-02T00:00:00Z"^^<{XSD}dateTime>' in first


def test_places_and_organisations_do_too(api, event):
    document = api.get(path_of(event) + ".jsonld").json()
    for entity in (document["location"], document["organizer"]):
        answers = [api.get(path_of(entity["@id"]), headers={"Accept": accept}) for accept in ALL]
        assert len({triples_of(a) for a in answers}) == 1
        assert f"<{SCHEMA}{entity['@type']}>" in triples_of(answers[0])


def test_a_document_expands_to_all_it_says_and_comes_back(api, event):
    document = api.get(path_of(event) + ".jsonld").json()
    expanded = jsonld.expand(document, {"documentLoader": no_network})
    assert expanded[0]["@type"] == [SCHEMA + "Event"]
    for name in ("name", "startDate", "endDate", "location", "organizer", "offers", "license", "image", "keywords"):
        assert expanded[0][SCHEMA + name], name
    assert expanded[0][SCHEMA + "license"] == [{"@id": "https://creativecommons.org/publicdomain/zero/1.0/"}]
    assert expanded[0][SCHEMA + "startDate"][0]["@type"] == XSD + "dateTime"
    assert jsonld.compact(expanded, document["@context"], {"documentLoader": no_network}) == document


def test_the_context_has_an_address(api, event):
    base = event.split("/events/")[0]

    def ours(url, _options):
        assert url == base + "/contexts/sel/v1.jsonld"
        answer = api.get("/contexts/sel/v1.jsonld")
        return {"contentType": "application/ld+json", "contextUrl": None, "documentUrl": url, "document": answer.json()}
    full = api.get("/api/v1" + path_of(event)).json()
    short = api.get("/api/v1" + path_of(event), params={"context": "url"}).json()
    assert short["@context"] == base + "/contexts/sel/v1.jsonld"
    assert triples_of_document(short, ours) == triples_of_document(full)

    answer = api.get("/contexts/sel/v1.jsonld", headers={"Origin": "https://elsewhere.example"})
    assert answer.headers["Content-Type"].startswith("application/ld+json") and "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert api.get("/contexts/sel/v0.1.jsonld").text == answer.text
    assert api.get("/contexts/sel/v1.jsonld", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


# ------------------------------------------------------------------------------------------------------- negotiation
@pytest.mark.parametrize("accept, kind", [
    (None, "application/ld+json"), ("*/*", "application/ld+json"), ("image/png", "application/ld+json"),
    ("text/html", "text/html"), ("text/turtle, text/html", "text/html"),
    ("application/ld+json;q=1, text/html;q=0.1", "application/ld+json"),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
    ("text/turtle;q=0.5, application/n-triples;q=0.6", "application/n-triples"),
])
def test_accept_chooses(api, event, accept, kind):
    answer = api.get(path_of(event), headers={"Accept": accept})
    assert answer.status_code == 200 and answer.headers["Content-Type"].split(";")[0] == kind
    assert "Accept" in answer.headers["Vary"]
    again = api.get(path_of(event), headers={"Accept": accept, "If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304 and not again.content


@pytest.mark.parametrize("suffix, kind", [(".jsonld", "application/ld+json"), (".ttl", "text/turtle"),
                                          (".nt", "application/n-triples"), (".html", "text/html")])
def test_a_suffix_decides(api, event, suffix, kind):
    answer = api.get(path_of(event) + suffix, headers={"Accept": "image/png"})
    assert answer.headers["Content-Type"].split(";")[0] == kind
    lower = api.get(path_of(event).lower() + suffix)
    assert lower.content == answer.content and api.call("HEAD", path_of(event) + suffix).status_code == 200


def test_what_cannot_be_is_a_problem(api, event):
    refused = api.get(path_of(event), headers={"Accept": "*/*;q=0"})
    assert refused.status_code == 406 and refused.json()["type"].endswith("/not-acceptable")
    assert api.get("/events/nonsense").status_code == 400
    assert api.get("/events/01ARZ3NDEKTSV4RRFFQ69G5FAV").status_code == 404
    assert api.get(path_of(event) + ".exe").status_code == 400
    assert api.get("/places/" + event.rsplit("/", 1)[1]).status_code == 404


# -------------------------------------------------------------------------------------------------------------- pages
HOSTILE = ["<script>alert(1)</script>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>",
           "\" onmouseover=\"alert(1)", "' autofocus onfocus='alert(1)", "</title><h1>x</h1>", "<!--", "]]>",
           "&lt;script&gt;alert(1)&lt;/script&gt;", "&#60;iframe src=//x&#62;", "javascript:alert(1)", "<a href=data:x>"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_markup_of_strangers(api, agent, text):
    body = happening()
    uri = hand_in(api, agent, {**body, "name": f"{body['name']} {text}", "description": "y " + text,
                               "keywords": [text], "performer": [{"@type": "Person", "name": "z " + text}]})
    place = api.get(path_of(uri) + ".jsonld").json()["location"]["@id"]
    pages = [api.get(path_of(uri) + ".html"), api.get(path_of(place) + ".html"), api.get("/events"), api.get("/widget"),
             api.get("/events", params={"q": text, "keywords": text[:40]}), api.get("/widget", params={"q": text})]
    for answer in pages:
        page = Page(answer.text)
        assert answer.status_code == 200 and "default-src 'none'" in answer.headers["Content-Security-Policy"]
        for tag, attrs in page.elements:
            assert tag not in ("iframe", "img", "object", "embed", "base"), tag
            assert not any(name.startswith("on") or name == "autofocus" for name in attrs), attrs
            assert re.match(r"(https?://|#|/)", attrs.get("href") or "#"), attrs
        assert len(page.all("h1")) == 1
    ET.fromstring(api.get("/events.atom").content)
    assert api.get("/events.json").json()["version"] == "https://jsonfeed.org/version/1.1"


def test_a_page_tells_what_the_document_does(api, event):
    document = api.get(path_of(event) + ".jsonld").json()
    answer = api.get(path_of(event) + ".html")
    page = Page(answer.text)
    assert page.data == document
    assert page.title.startswith(document["name"])
    for part in (document["name"], document["location"]["name"], document["organizer"]["name"], "And a night."):
        assert part in page.text
    links = {(link["rel"], link.get("type")): link["href"] for link in page.all("link")}
    assert links["canonical", None] == event
    assert {kind for rel, kind in links if rel == "alternate"} >= {"application/ld+json", "text/turtle", "text/calendar"}
    assert {m["property"]: m["content"] for m in page.all("meta") if "property" in m}["og:title"] == document["name"]
    assert page.all("html")[0]["lang"] and page.all("main") and page.all("nav")
    hrefs = [a.get("href") for a in page.all("a")]
    assert event + ".ics" in hrefs and any(h.startswith("https://www.openstreetmap.org/?mlat=43.65") for h in hrefs)
    assert {"lang": "en"} in page.all("div")


def test_lists_work_without_scripts(api, event):
    search = {"q": api.get(path_of(event), headers={"Accept": "application/json"}).json()["name"]}  # others are there, too
    page, widget = Page(api.get("/events", params=search).text), Page(api.get("/widget", params=search).text)
    assert [f["method"] for f in page.all("form")] == ["get"]
    named = {label.get("for") for label in page.all("label")}
    assert all(field["id"] in named for field in page.all("input") + page.all("select"))
    assert any(a.get("href") == event for a in page.all("a")) and any(a.get("href") == event for a in widget.all("a"))
    assert all(a.get("target") == "_blank" for a in widget.all("a"))
    assert "frame-ancestors *" in api.get("/widget").headers["Content-Security-Policy"]


def test_the_quality_of_an_event_is_reported(api, admin, event):
    report = api.get("/api/v1/admin" + path_of(event) + "/quality", admin).json()
    assert report["uri"] == event and report["errors"] == 0
    assert {f["pointer"] for f in report["findings"]} >= {"/performer", "/offers/0/validFrom"}
    assert report["warnings"] == len(report["findings"])


def test_the_gone_leave_one_graph(api, admin, agent):
    uri = hand_in(api, agent, happening())
    gone = api.call("DELETE", "/api/v1/admin" + path_of(uri), admin, json={"reason": "spam </script>"})
    assert gone.status_code == 204, gone.text
    answers = [api.get(path_of(uri), headers={"Accept": accept}) for accept in ALL]
    assert [a.status_code for a in answers] == [410] * 4
    assert len({triples_of(a) for a in answers}) == 1
    assert answers[0].json()["sel:tombstone"] is True and "EventCancelled" in triples_of(answers[0])
    assert "noindex" in [m.get("content") for m in Page(answers[3].text).all("meta")]
    assert api.get(path_of(uri) + ".ics").status_code == 410
    assert uri not in api.get("/events").text + api.get("/events.atom").text


def test_a_series_has_a_page_and_feeds(api, agent):
    body = happening()
    uri = hand_in(api, agent, {**body, "recurrence": {"external_key": body["name"], "series_name": body["name"],
                                                      "rrule": "FREQ=WEEKLY;COUNT=4", "tzid": "America/Toronto"}})
    series = api.get(path_of(uri) + ".jsonld").json()["superEvent"]["@id"]
    answers = [api.get(path_of(series), headers={"Accept": accept}) for accept in ALL]
    assert [a.status_code for a in answers] == [200] * 4, answers[0].text
    assert len({triples_of(a) for a in answers}) == 1
    document = answers[0].json()
    assert document["@type"] == "EventSeries" and document["name"] == body["name"]
    assert document["eventSchedule"]["repeatFrequency"] == "P1W" and document["subEvent"][0]["@id"] == uri
    assert uri in api.get(path_of(series) + "/events.atom").text
    assert api.get(path_of(series) + "/events.ics").text.startswith("BEGIN:VCALENDAR")


def test_an_event_is_a_calendar_by_its_suffix(api, event):
    answer = api.get(path_of(event) + ".ics")
    assert answer.headers["Content-Type"].startswith("text/calendar") and "BEGIN:VEVENT" in answer.text
    assert api.get(path_of(event), headers={"Accept": "text/calendar"}).content == answer.content


# -------------------------------------------------------------------------------------------------------------- feeds
ATOM = "{http://www.w3.org/2005/Atom}"


def test_feeds_of_a_place_and_an_organiser(api, agent, event):
    document, other = api.get(path_of(event) + ".jsonld").json(), hand_in(api, agent, happening())
    for owner in (document["location"]["@id"], document["organizer"]["@id"]):
        atom = api.get(path_of(owner) + "/events.atom")
        root = ET.fromstring(atom.content)
        assert atom.headers["Content-Type"].startswith("application/atom+xml")
        assert [e.findtext(ATOM + "id") for e in root.findall(ATOM + "entry")] == [event]
        assert root.findtext(ATOM + "title") and root.findtext(ATOM + "updated") and root.find(ATOM + "author") is not None
        feed = api.get(path_of(owner) + "/events.json").json()
        assert [item["id"] for item in feed["items"]] == [event] and feed["items"][0]["content_text"]
        again = api.get(path_of(owner) + "/events.atom", headers={"If-None-Match": atom.headers["ETag"]})
        assert again.status_code == 304
        page = Page(api.get(path_of(owner) + ".html").text)
        assert path_of(owner) + "/events.atom" in [path_of(link["href"]) for link in page.all("link")]
        assert other not in [a.get("href") for a in page.all("a")]


# ------------------------------------------------------------------------------------------------------ for machines
def conforms(graph, shapes):
    """The part of SHACL that our shapes use. What does not hold, as texts."""
    sh = rdflib.Namespace("http://www.w3.org/ns/shacl#")
    faults = []

    def value_holds(value, node):
        datatype = shapes.value(node, sh.datatype)
        if datatype and (not isinstance(value, rdflib.Literal) or (value.datatype or rdflib.XSD.string) != datatype):
            return False
        kind = shapes.value(node, sh.nodeKind)
        if kind == sh.IRI and not isinstance(value, rdflib.URIRef):
            return False
        if kind == sh.BlankNodeOrIRI and isinstance(value, rdflib.Literal):
            return False
        either = shapes.value(node, sh["or"])
        if either and not any(value_holds(value, one) for one in shapes.items(either)):
            return False
        longest = shapes.value(node, sh.maxLength)
        least, most = shapes.value(node, sh.minInclusive), shapes.value(node, sh.maxInclusive)
        return not ((longest and len(value) > int(longest)) or (least and float(value) < float(least))
                    or (most and float(value) > float(most)))

    for shape in shapes.subjects(rdflib.RDF.type, sh.NodeShape):
        for target in shapes.objects(shape, sh.targetClass):
            for focus in graph.subjects(rdflib.RDF.type, target):
                for rule in shapes.objects(shape, sh.property):
                    path = shapes.value(rule, sh.path)
                    values = list(graph.objects(focus, path))
                    low, high = shapes.value(rule, sh.minCount), shapes.value(rule, sh.maxCount)
                    if (low and len(values) < int(low)) or (high and len(values) > int(high)):
                        faults.append(f"{focus} {path}: {len(values)} values")
                    faults += [f"{focus} {path}: {value!r}" for value in values if not value_holds(value, rule)]
    return faults


def test_documents_conform_to_the_shapes(api, event):
    shapes = rdflib.Graph().parse(data=api.get("/shapes/event.ttl").text, format="turtle")
    graph = rdflib.Graph().parse(data=api.get(path_of(event) + ".ttl").text, format="turtle")
    assert len(shapes) > 200 and conforms(graph, shapes) == []
    graph.remove((rdflib.URIRef(event), rdflib.URIRef(SCHEMA + "name"), None))
    assert conforms(graph, shapes) == [f"{event} {SCHEMA}name: 0 values"]
    for name in ("place", "organization"):
        rdflib.Graph().parse(data=api.get(f"/shapes/{name}.ttl").text, format="turtle")
    assert api.get("/shapes/dragon.ttl").status_code == 404


def test_the_data_set_is_described_in_one_graph(api):
    answers = [api.get("/dataset", headers={"Accept": accept}) for accept in
               ("application/ld+json", "text/turtle", "text/html")]
    assert len({triples_of(a) for a in answers}) == 1
    assert "http://www.w3.org/ns/dcat#Dataset" in triples_of(answers[0])
    for distribution in answers[0].json()["dcat:distribution"]:
        download = api.get(path_of(distribution["dcat:accessURL"]["@id"]))
        assert download.status_code == 200, distribution
        assert distribution["dcat:mediaType"]["@id"].endswith(download.headers["Content-Type"].split(";")[0])


def test_crawlers_find_their_way(api, event):
    robots = api.get("/robots.txt")
    assert robots.headers["Content-Type"].startswith("text/plain") and "Sitemap: " in robots.text
    index = ET.fromstring(api.get("/sitemap.xml").content)
    maps = [loc.text for loc in index.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    found = [loc.text for one in maps if "/events.xml" in one
             for loc in ET.fromstring(api.get(path_of(one)).content).iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert event in found and len(found) == len(set(found))
    profile = api.get("/.well-known/sel-profile").json()
    assert {"profile", "version", "node", "updated", "api_documentation", "feeds", "contexts", "shapes", "license",
            "signing_keys"} <= profile.keys()
    assert api.get(path_of(profile["contexts"][0])).status_code == 200
    assert api.get("/llms.txt").text.startswith("# ")
