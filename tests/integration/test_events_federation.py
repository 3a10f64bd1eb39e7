"""Other nodes: the registry, what they send, and how many streams of changes one has."""
import json
import secrets

import pytest

from events_feed import FEED, NODES, Commons, Watch, happening, unique
from polling import poll
from stack import running


@pytest.fixture(scope="module")
def stack():
    with running(settings={"FEED_STREAMS_PER_ADDRESS": "3"}) as own:
        yield own


@pytest.fixture(scope="module")
def commons(stack):
    return Commons(stack)


def node(**fields):
    domain = f"{secrets.token_hex(6)}.example.org"
    return {"NodeDomain": domain, "NodeName": "A node", "BaseURL": f"https://{domain}", "FederationStatus": "active",
            "SyncDirection": "bidirectional", **fields}


def make(commons, **fields):
    answer = commons.api.post(NODES, node(**fields), commons.admin)
    assert answer.status_code == 201, answer.text
    return answer.json()


# ---------------------------------------------------------------------------------------------- the registry
def test_a_node_is_registered_and_shown(commons):
    made = make(commons, GeographicScope="Ontario", TrustLevel=7, ContactEmail="ops@example.org")
    assert len(made["ID"]) == 36 and made["ID"] != "00000000-0000-0000-0000-000000000000"
    assert {"ID", "NodeDomain", "NodeName", "BaseURL", "APIVersion", "GeographicScope", "TrustLevel", "FederationStatus",
            "SyncEnabled", "SyncDirection", "LastSyncAt", "LastSuccessfulSyncAt", "SyncCursor", "RequiresAuth",
            "ContactEmail", "ContactName", "IsOnline", "LastHealthCheckAt", "LastErrorAt", "LastErrorMessage", "Notes",
            "CreatedAt", "UpdatedAt"} <= made.keys()
    assert (made["TrustLevel"], made["LastSyncAt"], made["IsOnline"]) == (7, None, False)
    path = f"{NODES}/{made['ID']}"
    assert commons.api.get(path, commons.admin).json() == made
    assert made in commons.api.get(NODES, commons.admin, params={"limit": 200}).json()["items"]
    changed = commons.api.call("PUT", path, commons.admin, json={"federation_status": "paused"})
    assert changed.status_code == 200 and changed.json()["FederationStatus"] == "paused"
    assert changed.json()["GeographicScope"] == "Ontario"
    assert commons.api.call("DELETE", path, commons.admin).status_code == 204
    assert commons.api.get(path, commons.admin).status_code == 404
    assert commons.api.call("DELETE", path, commons.admin).status_code == 404


def test_fields_are_read_by_their_own_names_too(commons):
    body = node()
    answer = commons.api.post(NODES, {"node_domain": body["NodeDomain"].upper(), "node_name": "x", "base_url": body["BaseURL"],
                                      "federation_status": "pending", "sync_direction": "disabled"}, commons.admin)
    assert answer.status_code == 201 and answer.json()["NodeDomain"] == body["NodeDomain"]
    assert answer.json()["TrustLevel"] == 5


def test_a_domain_is_taken_once(commons):
    made = make(commons)
    again = commons.api.post(NODES, node(NodeDomain=made["NodeDomain"]), commons.admin)
    assert again.status_code == 409 and again.json()["type"].endswith("/duplicate")
    other = make(commons)
    taken = commons.api.call("PUT", f"{NODES}/{other['ID']}", commons.admin, json={"NodeDomain": made["NodeDomain"]})
    assert taken.status_code == 409


def test_all_that_is_wrong_is_told_at_once(commons):
    answer = commons.api.post(NODES, {"NodeDomain": "no host", "BaseURL": "gopher://x", "TrustLevel": 11}, commons.admin)
    assert answer.status_code == 400 and answer.json()["type"].endswith("/validation-error")
    pointers = {e["pointer"] for e in answer.json()["errors"]}
    assert pointers == {"/NodeDomain", "/NodeName", "/BaseURL", "/TrustLevel", "/FederationStatus", "/SyncDirection"}
    answer = commons.api.post(NODES, {"node_domain": "no host"}, commons.admin)  # as the body says it
    assert {"/node_domain", "/NodeName"} <= {e["pointer"] for e in answer.json()["errors"]}


@pytest.mark.parametrize("fields", [
    {"NodeDomain": "-x.example"}, {"NodeDomain": "x..example"}, {"NodeDomain": "x.example:0"}, {"NodeDomain": "x.example:99999"},
    {"NodeDomain": "x" * 300}, {"NodeName": "x" * 201}, {"TrustLevel": 0}, {"FederationStatus": "happy"},
    {"SyncDirection": "sideways"}, {"Notes": "x" * 5001}, {"KeyIDs": ["nonsense"]}, {"BaseURL": "https://"},
])
def test_what_cannot_be_a_node(commons, fields):
    answer = commons.api.post(NODES, node(**fields), commons.admin)
    assert answer.status_code == 400 and answer.json()["type"].endswith("/validation-error"), answer.text


def test_nodes_are_for_administrators(commons):
    user = commons.api.register()["access_token"]
    for token, status in ((None, 401), (user, 403), (commons.key, 403)):
        assert commons.api.get(NODES, token).status_code == status
        assert commons.api.post(NODES, node(), token).status_code == status


def test_pages_of_nodes_join(commons):
    made = [make(commons)["ID"] for _ in range(3)]
    found, after = [], ""
    while True:
        page = commons.api.get(NODES, commons.admin, params={"limit": 2, "after": after}).json()
        found += [n["ID"] for n in page["items"]]
        after = page["next_cursor"]
        if not after:
            break
    assert len(found) == len(set(found)) and found[-3:] == made
    assert commons.api.get(NODES, commons.admin, params={"after": "x"}).status_code == 400


# ---------------------------------------------------------------------------------------------- what they send
SYNC = "/api/v1/federation/sync"


class Peer:
    """A node with a key that speaks for it."""

    def __init__(self, commons, **fields):
        self.api, self.admin = commons.api, commons.admin
        self.key, self.key_id = commons.new_key(rate_limit_tier="federation")
        self.node = make(commons, KeyIDs=[self.key_id], **fields)

    def event(self, **fields):
        return {"@context": "https://schema.org", "@id": f"{self.node['BaseURL']}/events/{unique()}", **happening(), **fields}

    def send(self, body, key=None):
        return self.api.post(SYNC, body, key or self.key)

    def public(self, ulid):
        return self.api.get(f"/api/v1/events/{ulid}")


@pytest.fixture(scope="module")
def peer(commons):
    return Peer(commons)


def test_an_event_of_another_node_is_one_of_ours_too(peer, commons):
    here = commons.position()
    body = peer.event()
    first = peer.send(body)
    assert first.status_code == 201, first.text
    told = first.json()
    assert told["@id"] == body["@id"] and told["@type"] == body["@type"] and told["@context"] and told["federationUri"]
    local = peer.public(told["localId"]).json()
    assert local["name"] == body["name"] and local["@id"].endswith(told["localId"]) and body["@id"] in local["sameAs"]
    again = peer.send(body)
    assert again.status_code == 200 and again.json()["localId"] == told["localId"]
    after = peer.public(told["localId"]).json()
    assert after["location"]["@id"] == local["location"]["@id"] and len(after["subEvent"]) == 1
    change = poll(lambda: commons.all_since(here, action="create"))[0]
    assert change["federation_uri"] == body["@id"] and change["uri"] == local["@id"]


def test_an_older_word_changes_nothing(peer):
    body = peer.event(dateModified="2026-02-01T00:00:00Z")
    ulid = peer.send(body).json()["localId"]
    assert peer.send({**body, "description": "What was said of it before, which was otherwise, and longer than it needed to be.",
                      "dateModified": "2026-01-01T00:00:00Z"}).status_code == 200
    assert peer.public(ulid).json()["description"] == body["description"]
    newer = "What is said of it now, which is otherwise, and no longer than it needs to be."
    assert peer.send({**body, "description": newer, "dateModified": "2026-03-01T00:00:00Z"}).status_code == 200
    assert peer.public(ulid).json()["description"] == newer


def test_a_tombstone_takes_it_away(peer):
    body = peer.event()
    ulid = peer.send(body).json()["localId"]
    gone = peer.send({"@context": "https://schema.org", "@id": body["@id"], "@type": "Event", "sel:tombstone": True})
    assert gone.status_code == 200, gone.text
    assert peer.public(ulid).status_code == 410
    assert peer.send({**peer.event(), "sel:tombstone": True}).status_code == 404


def test_what_was_here_before_stays_ours(peer, commons):
    """A node that has the same event, by its content, can neither take it over nor take it away."""
    body = happening()
    ulid = commons.submit(body)
    here = commons.position()
    own = {"@context": "https://schema.org", "@id": f"{peer.node['BaseURL']}/events/{unique()}", **body}
    assert peer.send(own).json()["localId"] == ulid
    assert peer.send({**own, "eventStatus": "https://schema.org/EventCancelled"}).status_code == 200
    assert peer.public(ulid).json()["eventStatus"].endswith("EventScheduled")
    other = Peer(commons)
    theirs = {**own, "@id": f"{other.node['BaseURL']}/events/{unique()}"}
    assert other.send(theirs).json()["localId"] == ulid
    for node, uri in ((peer, own["@id"]), (other, theirs["@id"])):
        gone = node.send({"@context": "https://schema.org", "@id": uri, "@type": "Event", "sel:tombstone": True})
        assert gone.status_code == 200, gone.text
        assert peer.public(ulid).status_code == 200 and uri not in peer.public(ulid).text
    commons.delete(ulid)
    poll(lambda: commons.all_since(here, action="delete"))
    assert not {c["federation_uri"] for c in commons.all_since(here)} & {own["@id"], theirs["@id"]}


def test_the_reason_of_a_tombstone_is_a_short_clean_text(peer):
    body = peer.event()
    ulid = peer.send(body).json()["localId"]
    tombstone = {"@context": "https://schema.org", "@id": body["@id"], "@type": "Event", "sel:tombstone": True}
    assert peer.send({**tombstone, "sel:deletionReason": "x" * 100000}).status_code == 400
    assert peer.send({**tombstone, "sel:deletionReason": "<b>rained</b>\n off"}).status_code == 200
    assert peer.public(ulid).json()["sel:deletionReason"] == "rained off"


def test_who_may_not_speak(peer, commons):
    for fields in ({"FederationStatus": "blocked"}, {"FederationStatus": "paused"}, {"SyncDirection": "push_only"},
                   {"SyncDirection": "disabled"}):
        refused = Peer(commons, **fields)
        answer = refused.send(refused.event())
        assert answer.status_code == 403 and answer.json()["type"].endswith("/forbidden"), (fields, answer.text)
    assert peer.send(peer.event(), commons.key).status_code == 403  # bound to no node
    assert peer.send({**peer.event(), "@id": "https://nobody.example/events/1"}).status_code == 403
    assert peer.send(peer.event(), commons.admin).status_code == 403
    assert commons.api.post(SYNC, peer.event()).status_code == 401


def test_what_went_out_does_not_come_back(peer, commons):
    ulid = commons.submit()
    own = peer.public(ulid).json()["@id"]
    for body in (peer.event(**{"@id": own}), peer.event(sameAs=[own]), peer.event(sameAs=own)):
        assert peer.send(body).status_code == 403


@pytest.mark.parametrize("change", [
    {"@context": None}, {"@id": "events/1"}, {"@id": "ftp://x/1"}, {"@id": 5}, {"@type": None}, {"name": ""},
    {"license": "https://creativecommons.org/licenses/by/4.0/"}, {"startDate": "tomorrow"}, {"@id": "https://x/" + "a" * 3000},
])
def test_what_cannot_be_taken(peer, change):
    body = {k: v for k, v in {**peer.event(), **change}.items() if v is not None}
    answer = peer.send(body)
    assert answer.status_code == 400 and answer.json()["type"].endswith("/validation-error"), answer.text


@pytest.mark.parametrize("raw", [b"", b"nonsense", b"[]", b"5", b'"x"', b"{" * 5000, b"[" * 5000, b'{"a":1,"a":2}', b"\xff"])
def test_a_body_that_is_none(peer, raw):
    answer = peer.api.call("POST", SYNC, peer.key, data=raw, headers={"Content-Type": "application/ld+json"})
    assert answer.status_code == 400, answer.text


def test_many_at_once_each_by_itself(peer):
    good, bad, other = peer.event(), peer.event(startDate="tomorrow"), peer.event()
    answer = peer.send([good, bad, other])
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [i.get("status", 0) for i in items] == [0, 400, 0] and items[1]["@id"] == bad["@id"]
    lines = "\n".join(json.dumps(e) for e in (good, other)).encode()
    again = peer.api.call("POST", SYNC, peer.key, data=lines, headers={"Content-Type": "application/x-ndjson"})
    assert [i["localId"] for i in again.json()["items"]] == [items[0]["localId"], items[2]["localId"]]
    assert peer.send([peer.event()] * 101).status_code == 400
    mixed = b'[%s,{"a" 1},%s]' % tuple(json.dumps(e).encode() for e in (good, {**other, "x": [1] * 150000}))
    each = peer.api.call("POST", SYNC, peer.key, data=mixed, headers={"Content-Type": "application/ld+json"})
    assert [i.get("status", 0) for i in each.json()["items"]] == [0, 400, 400]


def test_a_node_is_trusted_as_it_is_registered(commons):
    peer = Peer(commons, TrustLevel=3)
    body = peer.event()
    ulid = peer.send(body).json()["localId"]

    def trust():
        shown = commons.api.get(f"/api/v1/events/{ulid}", params={"include_provenance": "true"}).json()
        source = shown["_provenance"]["/name"]["source"]
        return source["type"], source["trustLevel"]

    assert trust() == ("federation", 3)
    path = f"{NODES}/{peer.node['ID']}"
    assert commons.api.call("PUT", path, commons.admin, json={"TrustLevel": 8}).status_code == 200
    assert trust() == ("federation", 8)


def test_a_node_that_is_registered_again_is_the_one_it_was(commons):
    peer = Peer(commons)
    body = peer.event()
    first = peer.send(body)
    assert first.status_code == 201
    old = peer.node
    assert commons.api.call("DELETE", f"{NODES}/{old['ID']}", commons.admin).status_code == 204
    assert peer.send(body).status_code == 403
    again = make(commons, **{k: old[k] for k in ("NodeDomain", "BaseURL")}, KeyIDs=[peer.key_id])
    assert again["ID"] == old["ID"]
    changed = peer.send({**body, "name": body["name"] + " moved", "startDate": "2031-05-05T19:00:00Z"})
    assert changed.status_code == 200 and changed.json()["localId"] == first.json()["localId"], changed.text
    assert peer.public(first.json()["localId"]).json()["name"].endswith("moved")


def test_a_request_of_a_node_is_answered_once(peer):
    key = {"Idempotency-Key": unique()}
    body = peer.event()
    first = peer.api.post(SYNC, body, peer.key, headers=key)
    again = peer.api.post(SYNC, body, peer.key, headers=key)
    assert first.status_code == 201
    assert again.status_code == 409 and again.headers["Idempotency-Replayed"] == "true" and again.json() == first.json()
    other = peer.api.post(SYNC, peer.event(), peer.key, headers=key)
    assert other.status_code == 409 and "Idempotency-Replayed" not in other.headers
    several = peer.api.post(SYNC, [body, peer.event()], peer.key, headers={"Idempotency-Key": unique()})
    assert several.status_code == 200


# ---------------------------------------------------------------------------------------------- how many follow
def test_an_address_has_so_many_streams_and_no_more(commons):
    watches = [Watch(commons.api.url) for _ in range(3)]
    assert all(b" 200 " in watch.head.splitlines()[0] for watch in watches)
    assert commons.api.get(FEED, headers={"Accept": "text/event-stream"}).status_code == 429
    for watch in watches:
        watch.close()
    again = poll(lambda: next((w for w in [Watch(commons.api.url)] if b" 200 " in w.head.splitlines()[0]), None))
    again.close()
