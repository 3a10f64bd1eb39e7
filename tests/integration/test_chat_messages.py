"""Messages over HTTP: every route of theirs with what it refuses, in the contract's order; direct channels, reactions, pins,
read states, blocks, search; what happens when many do the same at once; and the defects of the original (contracts/chat.md,
section 17) that must not come back."""
import concurrent.futures
import datetime
import time
import urllib.parse

import pytest

from chat_api import HISTORY, SEND, VIEW, Person, everybody

pytestmark = pytest.mark.local
MANAGE_MESSAGES, MENTION_EVERYONE = 1 << 2, 1 << 13
NOWHERE = {"id": "1"}


class Scene:
    """A guild of an owner with a member; a channel that only the owner sees; somebody outside."""

    def __init__(self, api):
        self.owner, self.member, self.stranger = Person(api), Person(api), Person(api)
        self.guild = self.owner.guild()
        everybody(self.guild, self.owner, self.member)
        self.open = self.owner.channel(self.guild, "open")
        self.hidden = self.owner.channel(self.guild, "hidden")
        self.category = self.owner.channel(self.guild, "category", 4)
        self.owner.override(self.hidden, self.owner.everyone(self.guild), deny=VIEW)


@pytest.fixture
def scene(api):
    return Scene(api)


def code(person, method, path, body=None, **options):
    answer = person.api.call(method, "/api/v1" + path, person.token, json=body, **options)
    return answer.status_code, answer.json()["error"]["code"] if answer.status_code >= 400 else None


def messages(channel, message=None, rest=""):
    return f"/channels/{channel['id']}/messages" + (f"/{message['id']}" if message else "") + rest


def together(count, call):
    """`call` with 0 to count - 1, all at the same time."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


# --- paths and texts that are not there --------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/api/v1/guilds/1/nothing", "/api/v1/channels/1/messages/2/nothing", "/api/v1/channels",
                                  "/api/v1/users/@me/nothing", "/api/v1/invites/a/b"])
def test_unknown_paths_below_chats_answer_in_its_manner(scene, path):
    stranger, known = scene.owner.api.get(path), scene.owner.api.get(path, scene.owner.token)
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    assert stranger.json()["message"] == "missing authorization header"
    assert known.status_code == 404 and known.json()["error"]["code"] == "NOT_FOUND"
    assert known.headers["Content-Type"] == "application/json"
    other = scene.owner.api.get("/api/v1/nothing")
    assert other.status_code == 404 and other.headers["Content-Type"] == "application/problem+json"


def test_the_description_is_there_as_yaml_too(api):
    answer = api.get("/docs/openapi.yaml")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/yaml"
    assert answer.json()["openapi"].startswith("3.")  # what is JSON is YAML


@pytest.mark.parametrize("method, path, body, reason", [
    ("POST", "/channels/{channel}/messages", {"content": "a\0b"}, "INVALID_CONTENT"),
    ("PATCH", "/channels/{channel}", {"topic": "\0"}, "INVALID_TOPIC"),
    ("PATCH", "/guilds/{guild}", {"name": "a\0b"}, "INVALID_NAME"),
    ("PATCH", "/users/@me", {"display_name": "\0"}, "INVALID_DISPLAY_NAME")])
def test_text_with_nul_is_refused_by_the_fields_name(scene, method, path, body, reason):
    path = path.format(channel=scene.open["id"], guild=scene.guild["id"])
    assert code(scene.owner, method, path, body) == (400, reason)


# --- posting and reading ----------------------------------------------------------------------------------------------
def test_a_message_looks_as_the_contract_says(scene):
    sent = scene.member.say(scene.open, "hello <&>\u2028")
    assert sent == {
        "id": sent["id"], "channel_id": scene.open["id"], "guild_id": scene.guild["id"], "author_id": scene.member.id,
        "content": "hello <&>\u2028", "created_at": sent["created_at"], "author_username": scene.member.name,
        "author_display_name": sent["author_display_name"], "attachments": [], "type": 0, "mentions": [],
        "mention_roles": [], "mention_everyone": False, "reactions": [], "pinned": False}
    assert sent["created_at"].endswith("Z") and isinstance(sent["id"], str)
    read = scene.owner.call("GET", messages(scene.open, sent))
    assert read == sent
    assert scene.owner.history(scene.open) == [sent]


@pytest.mark.parametrize("who, where, body, status, reason", [
    ("stranger", "nowhere", {"content": "x"}, 404, "NOT_FOUND"),
    ("stranger", "open", {"content": ""}, 403, "FORBIDDEN"),
    ("member", "hidden", {"content": ""}, 403, "MISSING_PERMISSIONS"),
    ("owner", "category", {"content": "x"}, 400, "INVALID_CHANNEL"),
    ("member", "open", {"content": ""}, 400, "INVALID_CONTENT"),
    ("member", "open", {}, 400, "INVALID_CONTENT"),
    ("member", "open", {"content": "x" * 2001}, 400, "INVALID_CONTENT"),
    ("member", "open", {"content": "a\0b"}, 400, None),
    ("member", "open", {"content": 5}, 400, "INVALID_BODY"),
    ("member", "open", {"content": "x", "nonce": "n" * 65}, 400, "INVALID_NONCE"),
    ("member", "open", {"content": "x", "reply_to": "1"}, 400, "INVALID_REPLY"),
    ("member", "open", {"content": "x", "attachments": ["1"]}, 400, "INVALID_ATTACHMENT"),
    ("member", "open", {"content": "\u00e9" * 2000}, 201, None),
    ("member", "open", {"content": "   "}, 201, None),
    ("owner", "hidden", {"content": "x"}, 201, None),
])
def test_what_may_be_posted_where(scene, who, where, body, status, reason):
    channel = getattr(scene, where, NOWHERE)
    got = code(getattr(scene, who), "POST", messages(channel), body)
    assert got[0] == status and (reason is None or got[1] == reason)


def test_a_channel_is_paged_in_all_directions(scene):
    ids = [scene.owner.say(scene.open, str(i))["id"] for i in range(7)]
    assert [m["id"] for m in scene.member.history(scene.open, limit=3)] == ids[:3:-1]
    assert [m["id"] for m in scene.member.history(scene.open, limit=2, before=ids[3])] == [ids[2], ids[1]]
    assert [m["id"] for m in scene.member.history(scene.open, limit=2, after=ids[3])] == [ids[5], ids[4]]
    assert [m["id"] for m in scene.member.history(scene.open, limit=3, around=ids[3])] == [ids[4], ids[3], ids[2]]
    for query, reason in (({"limit": "0"}, "INVALID_LIMIT"), ({"limit": "101"}, "INVALID_LIMIT"),
                          ({"limit": "x"}, "INVALID_LIMIT"), ({"before": "x"}, "INVALID_BEFORE"),
                          ({"after": "x"}, "INVALID_AFTER"), ({"around": "x"}, "INVALID_AROUND")):
        assert code(scene.member, "GET", messages(scene.open), params=query) == (400, reason)
    assert code(scene.member, "GET", messages(scene.hidden)) == (403, "MISSING_PERMISSIONS")
    assert code(scene.stranger, "GET", messages(scene.open)) == (403, "FORBIDDEN")
    assert code(scene.stranger, "GET", messages(NOWHERE)) == (404, "NOT_FOUND")
    other = scene.owner.say(scene.hidden, "elsewhere")
    assert code(scene.member, "GET", messages(scene.open, other)) == (404, "NOT_FOUND")
    assert code(scene.member, "GET", messages(scene.open, {"id": "x"})) == (400, "INVALID_ID")


def test_replies_and_mentions(scene):
    role = scene.owner.role(scene.guild, "readers")
    first = scene.owner.say(scene.open, "question")
    answer = scene.member.call("POST", messages(scene.open), {
        "content": f"@{scene.owner.name} <@{scene.stranger.id}> <@&{role['id']}> @everyone", "reply_to": first["id"],
        "nonce": "n1"}, 201)
    assert answer["type"] == 19 and answer["reply_to"] == first["id"] and answer["nonce"] == "n1"
    assert answer["mentions"] == [scene.owner.id] and answer["mention_roles"] == [role["id"]]
    assert answer["mention_everyone"] is False
    assert scene.owner.say(scene.open, "@everyone")["mention_everyone"] is True
    assert "nonce" not in scene.owner.call("GET", messages(scene.open, answer))
    scene.owner.call("DELETE", messages(scene.open, first))
    assert scene.owner.call("GET", messages(scene.open, answer))["reply_to"] == first["id"]


def test_editing_and_deleting(scene):
    sent = scene.member.say(scene.open, "helo")
    edited = scene.member.call("PATCH", messages(scene.open, sent), {"content": "hello"})
    assert edited["content"] == "hello" and edited["edited_at"] and edited["id"] == sent["id"]
    assert code(scene.owner, "PATCH", messages(NOWHERE, sent), {"content": "x"}) == (404, "NOT_FOUND")
    assert code(scene.stranger, "PATCH", messages(scene.open, sent), {"content": "x"}) == (403, "FORBIDDEN")
    assert code(scene.member, "PATCH", messages(scene.open, NOWHERE), {"content": "x"}) == (404, "NOT_FOUND")
    assert code(scene.owner, "PATCH", messages(scene.open, sent), {"content": ""}) == (403, "FORBIDDEN")
    assert code(scene.member, "PATCH", messages(scene.open, sent), {"content": ""}) == (400, "INVALID_CONTENT")
    others = scene.owner.say(scene.open, "mine")
    assert code(scene.member, "DELETE", messages(scene.open, others)) == (403, "MISSING_PERMISSIONS")
    scene.owner.call("DELETE", messages(scene.open, sent), status=204)
    assert code(scene.owner, "DELETE", messages(scene.open, sent)) == (404, "NOT_FOUND")
    entries = scene.owner.call("GET", f"/guilds/{scene.guild['id']}/audit-logs")
    assert "72" in str(entries)  # of somebody else's message


def test_who_was_kicked_edits_and_deletes_nothing(scene):
    sent = scene.member.say(scene.open, "I was here")
    scene.owner.call("DELETE", f"/guilds/{scene.guild['id']}/members/{scene.member.id}", status=204)
    assert code(scene.member, "PATCH", messages(scene.open, sent), {"content": "x"}) == (403, "FORBIDDEN")
    assert code(scene.member, "DELETE", messages(scene.open, sent)) == (403, "FORBIDDEN")


def test_many_are_deleted_at_once(scene):
    ids = [scene.member.say(scene.open, str(i))["id"] for i in range(3)]
    path = messages(scene.open, rest="/bulk-delete")
    assert code(scene.member, "POST", path, {"messages": ids}) == (403, "MISSING_PERMISSIONS")
    assert code(scene.owner, "POST", path, {"messages": ids[:1]}) == (400, "INVALID_MESSAGES")
    assert code(scene.owner, "POST", path, {"messages": ["1"] * 101}) == (400, "INVALID_MESSAGES")
    scene.owner.call("POST", path, {"messages": ids[:2] + ["1"]}, 204)
    assert [m["id"] for m in scene.owner.history(scene.open)] == ids[2:]


def test_slow_mode(scene):
    scene.owner.call("PATCH", f"/channels/{scene.open['id']}", {"rate_limit_per_user": 600})
    scene.member.say(scene.open, "one")
    answer = scene.member.api.call("POST", "/api/v1" + messages(scene.open), scene.member.token, json={"content": "two"})
    assert answer.status_code == 429 and answer.json()["error"]["code"] == "RATE_LIMITED"
    assert 0 < int(answer.headers["Retry-After"]) <= 600
    scene.owner.say(scene.open, "one")
    scene.owner.say(scene.open, "two")


def test_parallel_posts_have_rising_ids_and_all_arrive(scene):
    sent = together(16, lambda i: scene.owner.say(scene.open, str(i)))
    read = scene.owner.history(scene.open)
    assert sorted(m["id"] for m in sent) == sorted(m["id"] for m in read)
    assert [int(m["id"]) for m in read] == sorted((int(m["id"]) for m in read), reverse=True)


# --- reactions and pins -----------------------------------------------------------------------------------------------
def reaction(channel, message, emoji, mine=True):
    return messages(channel, message, f"/reactions/{urllib.parse.quote(emoji, safe='')}" + ("/@me" if mine else ""))


def test_reactions(scene):
    sent = scene.owner.say(scene.open, "look")
    for person, emoji in ((scene.owner, "\U0001f44d"), (scene.member, "\U0001f44d"), (scene.member, "a/b ?"),
                          (scene.member, "a/b ?")):
        person.call("PUT", reaction(scene.open, sent, emoji), status=204)
    seen = scene.owner.history(scene.open)[0]["reactions"]
    assert seen == [{"emoji": "\U0001f44d", "count": 2, "me": True}, {"emoji": "a/b ?", "count": 1, "me": False}]
    path = reaction(scene.open, sent, "\U0001f44d", mine=False)
    assert scene.member.call("GET", path) == [scene.owner.id, scene.member.id]
    assert scene.member.call("GET", path + "?limit=1") == [scene.owner.id]
    assert scene.member.call("GET", reaction(scene.open, sent, "none", mine=False)) == []
    assert code(scene.member, "GET", path + "?limit=101") == (400, "INVALID_LIMIT")
    assert code(scene.member, "PUT", reaction(scene.open, NOWHERE, "x")) == (404, "NOT_FOUND")
    assert code(scene.member, "PUT", reaction(scene.open, sent, "x" * 65)) == (400, "INVALID_EMOJI")
    assert code(scene.member, "PUT", reaction(scene.hidden, sent, "x")) == (403, "MISSING_PERMISSIONS")
    assert code(scene.stranger, "GET", path) == (403, "FORBIDDEN")
    hidden = scene.owner.say(scene.hidden, "secret")
    assert code(scene.member, "GET", reaction(scene.open, hidden, "x", mine=False)) == (404, "NOT_FOUND")
    scene.member.call("DELETE", reaction(scene.open, sent, "a/b ?"), status=204)
    scene.member.call("DELETE", reaction(scene.open, sent, "a/b ?"), status=204)
    assert len(scene.owner.history(scene.open)[0]["reactions"]) == 1


def test_twenty_kinds_of_reactions_and_no_more_at_once(scene):
    sent = scene.owner.say(scene.open, "look")
    got = together(24, lambda i: code(scene.owner, "PUT", reaction(scene.open, sent, f"e{i}"))[0])
    assert got.count(204) == 20 and got.count(400) == 4
    assert len(scene.owner.history(scene.open)[0]["reactions"]) == 20


def test_parallel_reactions_of_one_kind_count_once_each(scene):
    sent = scene.owner.say(scene.open, "look")
    people = [scene.owner, scene.member]
    together(8, lambda i: people[i % 2].call("PUT", reaction(scene.open, sent, "x"), status=204))
    assert scene.owner.history(scene.open)[0]["reactions"] == [{"emoji": "x", "count": 2, "me": True}]


def test_pins(scene):
    pins = f"/channels/{scene.open['id']}/pins"
    a, b = scene.member.say(scene.open, "a"), scene.member.say(scene.open, "b")
    assert code(scene.member, "PUT", f"{pins}/{a['id']}") == (403, "MISSING_PERMISSIONS")
    assert code(scene.owner, "PUT", f"{pins}/1") == (404, "NOT_FOUND")
    assert code(scene.stranger, "GET", pins) == (403, "FORBIDDEN")
    for message in (a, b, b):
        scene.owner.call("PUT", f"{pins}/{message['id']}", status=204)
    assert [(m["id"], m["pinned"]) for m in scene.member.call("GET", pins)] == [(b["id"], True), (a["id"], True)]
    scene.owner.call("DELETE", f"{pins}/{b['id']}", status=204)
    assert [m["id"] for m in scene.member.call("GET", pins)] == [a["id"]]
    more = [scene.owner.say(scene.open, str(i)) for i in range(50)]
    got = together(8, lambda i: [code(scene.owner, "PUT", f"{pins}/{m['id']}")[0] for m in more[i::8]])
    assert sum(x.count(204) for x in got) == 49 and len(scene.member.call("GET", pins)) == 50
    assert code(scene.owner, "PUT", f"{pins}/{b['id']}") == (400, "MAX_PINS")


# --- read states ------------------------------------------------------------------------------------------------------
def read_states(person):
    return {s["channel_id"]: s for s in person.call("GET", "/users/@me/read-states")}


def test_what_was_read_and_what_was_meant(scene):
    assert read_states(scene.member) == {}
    a = scene.owner.say(scene.open, f"@{scene.member.name}")
    scene.owner.say(scene.hidden, f"@{scene.member.name} @everyone")
    scene.member.say(scene.open, f"@{scene.member.name}")
    b = scene.owner.say(scene.open, "@everyone")
    state = read_states(scene.member)
    assert set(state) == {scene.open["id"]}  # what is hidden is not even counted
    assert (state[scene.open["id"]]["mention_count"], state[scene.open["id"]]["unread_count"]) == (2, 2)
    ack = f"/channels/{scene.open['id']}/ack/"
    scene.member.call("PUT", ack + a["id"], status=204)
    assert read_states(scene.member)[scene.open["id"]]["mention_count"] == 1
    scene.member.call("PUT", ack + b["id"], status=204)
    scene.member.call("PUT", ack + a["id"], status=204)
    state = read_states(scene.member)[scene.open["id"]]
    assert state["last_message_id"] == b["id"] and state["mention_count"] == 0 and state["user_id"] == scene.member.id
    assert code(scene.member, "PUT", f"/channels/1/ack/{a['id']}") == (404, "NOT_FOUND")
    assert code(scene.member, "PUT", f"/channels/{scene.hidden['id']}/ack/1") == (403, "MISSING_PERMISSIONS")
    assert code(scene.stranger, "PUT", ack + a["id"]) == (403, "FORBIDDEN")


def test_parallel_acks_end_at_the_last(scene):
    ids = [scene.owner.say(scene.open, str(i))["id"] for i in range(12)]
    together(12, lambda i: scene.member.call("PUT", f"/channels/{scene.open['id']}/ack/{ids[i]}", status=204))
    assert read_states(scene.member)[scene.open["id"]]["last_message_id"] == ids[-1]


# --- direct channels --------------------------------------------------------------------------------------------------
def test_a_dm_works_everywhere(api):
    ann, bob, eve = Person(api), Person(api), Person(api)
    dm = ann.dm(bob)
    assert dm["type"] == 1 and "owner_id" not in dm
    assert [u["id"] for u in dm["recipients"]] == sorted((ann.id, bob.id), key=int)
    assert bob.dm(ann)["id"] == dm["id"] and ann.call("GET", "/users/@me/channels") == [dm]
    sent = bob.say(dm, "hello")
    assert "guild_id" not in sent and ann.history(dm) == [sent]
    bob.call("PATCH", messages(dm, sent), {"content": "hello!"})
    ann.call("PUT", reaction(dm, sent, "x"), status=204)
    ann.call("PUT", f"/channels/{dm['id']}/pins/{sent['id']}", status=204)
    ann.call("PUT", f"/channels/{dm['id']}/ack/{sent['id']}", status=204)
    assert ann.call("GET", f"/channels/{dm['id']}")["id"] == dm["id"]
    assert code(ann, "DELETE", messages(dm, sent)) == (403, "FORBIDDEN")
    for method, path, body in (("GET", messages(dm), None), ("POST", messages(dm), {"content": "x"}),
                               ("PUT", f"/channels/{dm['id']}/ack/1", None)):
        assert code(eve, method, path, body) == (403, "FORBIDDEN")
    bob.call("DELETE", messages(dm, sent), status=204)


@pytest.mark.parametrize("body, status, reason", [
    ({}, 400, "INVALID_RECIPIENT"), ({"recipient_id": "ann"}, 400, "INVALID_RECIPIENT"),
    ({"recipient_id": "0"}, 400, "INVALID_RECIPIENT"), ({"recipient_id": "4503599627370496"}, 404, "NOT_FOUND"),
    ({"recipient_ids": []}, 400, "INVALID_RECIPIENT"), ({"recipient_ids": ["x"]}, 400, "INVALID_RECIPIENTS"),
    ({"recipient_ids": [str(i) for i in range(1, 11)]}, 400, "INVALID_RECIPIENTS"),
    ({"recipient_ids": ["5", "5"]}, 400, "INVALID_RECIPIENTS"),
    ({"recipient_ids": ["4503599627370496"]}, 404, "NOT_FOUND"),
])
def test_what_no_dm_is_made_of(api, body, status, reason):
    assert code(Person(api), "POST", "/users/@me/channels", body) == (status, reason)


def test_parallel_first_dms_are_one(api):
    ann, bob = Person(api), Person(api)
    people = [(ann, bob), (bob, ann)]
    got = together(10, lambda i: people[i % 2][0].dm(people[i % 2][1])["id"])
    assert len(set(got)) == 1 and len(ann.call("GET", "/users/@me/channels")) == 1


def test_groups(api):
    ann, bob, eve = Person(api), Person(api), Person(api)
    group = ann.call("POST", "/users/@me/channels", {"recipient_ids": [bob.id]})
    assert group["type"] == 3 and group["owner_id"] == ann.id
    path = f"/channels/{group['id']}/recipients/"
    assert code(ann, "PUT", f"/channels/x/recipients/{eve.id}") == (400, "INVALID_CHANNEL")
    assert code(ann, "PUT", path + "x") == (400, "INVALID_USER")
    assert code(ann, "PUT", f"/channels/1/recipients/{eve.id}") == (404, "NOT_FOUND")
    assert code(ann, "PUT", f"/channels/{ann.dm(bob)['id']}/recipients/{eve.id}") == (400, "INVALID_CHANNEL")
    assert code(bob, "PUT", path + eve.id) == (403, "FORBIDDEN")
    assert code(ann, "PUT", path + "4503599627370496") == (404, "NOT_FOUND")
    assert code(ann, "PUT", path + bob.id) == (409, "ALREADY_MEMBER")
    ann.call("PUT", path + eve.id, status=204)
    eve.say(group, "hello")
    assert code(eve, "DELETE", path + bob.id) == (403, "FORBIDDEN")
    assert code(Person(api), "DELETE", path + bob.id) == (403, "FORBIDDEN")
    ann.call("DELETE", path + ann.id, status=204)  # passes it on to who has been there longest
    assert next(d for d in bob.call("GET", "/users/@me/channels") if d["id"] == group["id"])["owner_id"] == bob.id
    assert code(ann, "GET", messages(group)) == (403, "FORBIDDEN")
    assert code(bob, "DELETE", path + ann.id) == (404, "NOT_FOUND")
    bob.call("DELETE", path + eve.id, status=204)
    bob.call("DELETE", path + bob.id, status=204)
    assert code(bob, "GET", messages(group)) == (404, "NOT_FOUND")


def test_parallel_adds_keep_the_limit(api):
    people = [Person(api) for _ in range(13)]
    group = people[0].call("POST", "/users/@me/channels", {"recipient_ids": [p.id for p in people[1:8]]})
    path = f"/channels/{group['id']}/recipients/"
    got = together(5, lambda i: code(people[0], "PUT", path + people[8 + i].id))
    assert got.count((204, None)) == 2 and got.count((400, "MAX_MEMBERS")) == 3


def test_the_blocked_neither_open_nor_write(api):
    ann, bob = Person(api), Person(api)
    dm = bob.dm(ann)
    said = bob.say(dm, "before")
    assert code(ann, "PUT", "/users/@me/blocks/" + ann.id) == (400, "INVALID_USER")
    assert code(ann, "PUT", "/users/@me/blocks/4503599627370496") == (404, "NOT_FOUND")
    ann.call("PUT", "/users/@me/blocks/" + bob.id, status=204)
    ann.call("PUT", "/users/@me/blocks/" + bob.id, status=204)
    assert [b["user"]["id"] for b in ann.call("GET", "/users/@me/blocks")] == [bob.id]
    assert code(bob, "POST", messages(dm), {"content": "x"}) == (403, "FORBIDDEN")
    assert code(bob, "POST", f"/channels/{dm['id']}/typing") == (403, "FORBIDDEN")
    assert code(bob, "PUT", f"/channels/{dm['id']}/pins/{said['id']}") == (403, "FORBIDDEN")
    assert code(bob, "POST", "/users/@me/channels", {"recipient_id": ann.id}) == (403, "FORBIDDEN")
    assert code(bob, "POST", "/users/@me/channels", {"recipient_ids": [ann.id]}) == (403, "FORBIDDEN")
    ann.say(dm, "I may")
    ann.call("DELETE", "/users/@me/blocks/" + bob.id, status=204)
    bob.say(dm, "now I may")
    assert ann.call("GET", "/users/@me/blocks") == []


def test_who_may_not_write_may_not_edit(scene):
    sent = scene.member.say(scene.open, "hello")
    scene.owner.override(scene.open, scene.owner.everyone(scene.guild), deny=SEND)
    assert code(scene.member, "PATCH", messages(scene.open, sent), {"content": "x"}) == (403, "MISSING_PERMISSIONS")
    scene.owner.override(scene.open, scene.owner.everyone(scene.guild), deny=0)
    assert scene.member.call("PATCH", messages(scene.open, sent), {"content": "x"})["content"] == "x"


def test_direct_channels_come_in_pages(scene):
    made = [scene.owner.dm(other)["id"] for other in (scene.member, scene.stranger)]
    made.append(scene.owner.dm(scene.member, scene.stranger)["id"])
    seen, query = [], {}
    while page := scene.owner.call("GET", "/users/@me/channels", params={"limit": 2, **query}):
        assert len(page) <= 2
        seen += [c["id"] for c in page]
        query = {"before": seen[-1]}
    assert seen == made[::-1]
    assert code(scene.owner, "GET", "/users/@me/channels", params={"limit": 0}) == (400, "INVALID_LIMIT")
    assert code(scene.owner, "GET", "/users/@me/channels", params={"before": "x"}) == (400, "INVALID_BEFORE")


# --- search -----------------------------------------------------------------------------------------------------------
def found(person, guild, q, **query):
    return [m["content"] for m in person.call("GET", f"/guilds/{guild['id']}/messages/search", params={"q": q, **query})]


def test_search_finds_what_one_may_read(scene):
    for person, channel, text in ((scene.owner, scene.open, "Two brown foxes jumped over the fence"),
                                  (scene.member, scene.open, "fox"), (scene.owner, scene.hidden, "secret fox"),
                                  (scene.member, scene.open, "F\u00fc\u00dfe im Wald")):
        person.say(channel, text)
    scene.owner.say(scene.owner.dm(scene.member), "fox in a DM")
    guild = scene.guild
    assert sorted(found(scene.member, guild, "fox")) == ["Two brown foxes jumped over the fence", "fox"]
    assert "secret fox" in found(scene.owner, guild, "foxes")
    assert found(scene.member, guild, "the") == [] and found(scene.member, guild, "secret") == []
    assert found(scene.member, guild, '"brown foxes"') == ["Two brown foxes jumped over the fence"]
    assert found(scene.member, guild, '"foxes brown"') == []
    assert found(scene.member, guild, "jum*") == ["Two brown foxes jumped over the fence"]
    assert found(scene.member, guild, "f\u00fc\u00dfe") == ["F\u00fc\u00dfe im Wald"]
    assert found(scene.owner, guild, "fox", channel_id=scene.hidden["id"]) == ["secret fox"]
    assert found(scene.member, guild, "fox", channel_id=scene.hidden["id"]) == []
    assert found(scene.owner, guild, "fox", author_id=scene.member.id) == ["fox"]
    now = datetime.datetime.now(datetime.timezone.utc)
    later, sooner = ((now + datetime.timedelta(hours=h)).isoformat().replace("+00:00", "Z") for h in (1, -1))
    assert len(found(scene.owner, guild, "fox", before=later, after=sooner)) == 3
    assert found(scene.owner, guild, "fox", before=sooner) == [] and found(scene.owner, guild, "fox", after=later) == []


def test_search_goes_on_where_it_ended(scene):
    path = f"/guilds/{scene.guild['id']}/messages/search"
    want = {scene.owner.say(scene.open, "fox " * (i % 3 + 1))["id"] for i in range(9)}
    seen, cursor = [], {}
    while page := scene.owner.call("GET", path, params={"q": "fox", "limit": 4, **cursor}):
        seen += [m["id"] for m in page]
        cursor = {"cursor": seen[-1]}
    assert len(seen) == 9 and set(seen) == want


@pytest.mark.parametrize("query, status, reason", [
    ({}, 400, "INVALID_QUERY"), ({"q": " "}, 400, "INVALID_QUERY"), ({"q": "x" * 513}, 400, "INVALID_QUERY"),
    ({"q": "x", "limit": "0"}, 400, "INVALID_LIMIT"), ({"q": "x", "author_id": "x"}, 400, "INVALID_AUTHOR_ID"),
    ({"q": "x", "before": "x"}, 400, "INVALID_BEFORE"), ({"q": "x", "after": "2026-01-01"}, 400, "INVALID_AFTER"),
    ({"q": "x", "channel_id": "x"}, 400, "INVALID_CHANNEL"), ({"q": "x", "cursor": "x"}, 400, "INVALID_CURSOR"),
    ({"q": "x"}, 403, "FORBIDDEN"),
])
def test_what_is_no_search(scene, query, status, reason):
    assert code(scene.stranger, "GET", f"/guilds/{scene.guild['id']}/messages/search", params=query) == (status, reason)


def test_permissions_of_a_channel_hold_for_all_that_is_done_in_it(scene):
    """Rights as a table: what a member may with them, in a channel with an old message of the owner's."""
    everyone = scene.owner.everyone(scene.guild)
    rows = [(0, 0, 0, 0, 0, 0), (VIEW, 0, 0, 0, 0, 1), (VIEW | SEND, 1, 0, 0, 0, 1), (VIEW | HISTORY, 0, 1, 1, 0, 1),
            (VIEW | SEND | HISTORY, 1, 1, 1, 0, 1), (VIEW | HISTORY | MANAGE_MESSAGES, 0, 1, 1, 1, 1),
            (SEND | HISTORY, 0, 0, 0, 0, 0)]
    for i, (bits, post, read, react, pin, ack) in enumerate(rows):
        channel = scene.owner.channel(scene.guild, f"table-{i}")
        old = scene.owner.say(channel, "old")
        scene.owner.override(channel, everyone, allow=bits, deny=(VIEW | SEND | HISTORY | MANAGE_MESSAGES) & ~bits)
        for may, method, path, body in (
                (post, "POST", messages(channel), {"content": "x"}), (read, "GET", messages(channel), None),
                (react, "PUT", reaction(channel, old, "x"), None),
                (pin, "PUT", f"/channels/{channel['id']}/pins/{old['id']}", None),
                (ack, "PUT", f"/channels/{channel['id']}/ack/{old['id']}", None)):
            got = code(scene.member, method, path, body)
            assert (got[0] < 400) == bool(may) and got[1] in (None, "MISSING_PERMISSIONS"), (bits, method, path, got)


def test_a_right_that_is_taken_is_gone_with_the_next_post(scene):
    everyone = scene.owner.everyone(scene.guild)
    scene.member.say(scene.open, "still")
    scene.owner.override(scene.open, everyone, deny=SEND)
    assert code(scene.member, "POST", messages(scene.open), {"content": "x"}) == (403, "MISSING_PERMISSIONS")


def test_a_key_repeats_a_post_no_second_time(scene):
    headers = {"Idempotency-Key": "k" + scene.member.id + str(time.monotonic_ns())}
    a, b = (scene.member.call("POST", messages(scene.open), {"content": "once"}, 201, headers=headers) for _ in range(2))
    assert a == b and len(scene.owner.history(scene.open)) == 1
