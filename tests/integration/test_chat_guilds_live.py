"""Live delivery of what happens in guilds: two people, two gateways. Hidden channels leak nowhere, what changes who sees
what holds at once, and presence is right whatever connects where."""
import json
import threading
import time

import pytest

from api import Api
from chat_api import CONNECT, SPEAK, VIEW, Person, everybody
from chat_live import PRESENCE, barrier
from polling import PATIENCE, poll

VISIBLE_S = 1 * PATIENCE  # within which a change of permissions holds on live connections
GRACE_S = 10              # after which somebody who has gone is offline


@pytest.fixture
def ann(api):
    return Person(api)


@pytest.fixture
def bob(api2):
    return Person(api2)


@pytest.fixture
def guild(ann, bob):
    """Ann's, with Bob in it."""
    guild = ann.guild()
    everybody(guild, ann, bob)
    return guild


def general(who, guild):
    return next(c for c in who.channels(guild) if c["type"] == 0)


def test_who_makes_and_who_joins_a_guild_follows_it_at_once(live, ann, bob):
    one, two = live(ann), live(bob, gateway=2)
    guild = ann.guild("Fresh")
    assert one.wait_event("GUILD_CREATE", id=guild["id"])["name"] == "Fresh"
    everybody(guild, ann, bob)
    assert two.wait_event("GUILD_CREATE", id=guild["id"])["name"] == "Fresh"
    joined = one.wait_event("GUILD_MEMBER_ADD", user_id=bob.id)
    assert joined["guild_id"] == guild["id"] and joined["roles"] == []
    place = general(bob, guild)
    message = ann.say(place, "welcome")
    for client in (one, two):
        client.wait_event("MESSAGE_CREATE", id=message["id"])


def test_every_event_of_a_guild(live, ann, bob, guild):
    """Section 7.1, as far as somebody does it over HTTP: each is seen by the other at the other gateway."""
    two = live(bob, gateway=2)
    id_, place = guild["id"], general(ann, guild)

    ann.call("PATCH", f"/guilds/{id_}", {"name": "Renamed"})
    assert two.wait_event("GUILD_UPDATE", id=id_)["name"] == "Renamed"
    channel = ann.channel(guild, "news")
    assert two.wait_event("CHANNEL_CREATE", id=channel["id"])["guild_id"] == id_
    ann.call("PATCH", f"/channels/{channel['id']}", {"topic": "what is new"})
    assert two.wait_event("CHANNEL_UPDATE", id=channel["id"])["topic"] == "what is new"
    ann.call("DELETE", f"/channels/{channel['id']}")
    assert two.wait_event("CHANNEL_DELETE", id=channel["id"]) == {"id": channel["id"], "guild_id": id_}

    role = ann.role(guild, "Painter")
    assert two.wait_event("GUILD_ROLE_CREATE", guild_id=id_)["role"]["name"] == "Painter"
    ann.call("PATCH", f"/guilds/{id_}/roles/{role['id']}", {"color": 7})
    assert two.wait_event("GUILD_ROLE_UPDATE", guild_id=id_)["role"]["color"] == 7
    ann.call("PUT", f"/guilds/{id_}/members/{bob.id}/roles/{role['id']}")
    assert two.wait_event("GUILD_MEMBER_UPDATE", user_id=bob.id)["roles"] == [role["id"]]
    ann.call("DELETE", f"/guilds/{id_}/roles/{role['id']}")
    assert two.wait_event("GUILD_ROLE_DELETE") == {"guild_id": id_, "role_id": role["id"]}

    message = ann.say(place, "one")
    two.wait_event("MESSAGE_CREATE", id=message["id"])
    ann.call("PATCH", f"/channels/{place['id']}/messages/{message['id']}", {"content": "two"})
    assert two.wait_event("MESSAGE_UPDATE", id=message["id"])["content"] == "two"
    path = f"/channels/{place['id']}/messages/{message['id']}/reactions/%F0%9F%91%8D/@me"
    ann.call("PUT", path)
    added = two.wait_event("MESSAGE_REACTION_ADD", message_id=message["id"])
    assert added == {"message_id": message["id"], "channel_id": place["id"], "guild_id": id_, "user_id": ann.id,
                     "emoji": "👍"}
    ann.call("DELETE", path)
    two.wait_event("MESSAGE_REACTION_REMOVE", message_id=message["id"])
    ann.call("DELETE", f"/channels/{place['id']}/messages/{message['id']}")
    gone = two.wait_event("MESSAGE_DELETE", id=message["id"])
    assert gone["channel_id"] == place["id"]

    ann.call("POST", f"/channels/{place['id']}/typing", status=204)
    typing = two.wait_event("TYPING_START", user_id=ann.id)
    assert typing["guild_id"] == id_ and typing["channel_id"] == place["id"]

    stranger = Person(ann.api)
    ann.call("PUT", f"/guilds/{id_}/bans/{stranger.id}", {"reason": "spam"})
    assert two.wait_event("GUILD_BAN_ADD", user_id=stranger.id)["reason"] == "spam"
    ann.call("DELETE", f"/guilds/{id_}/bans/{stranger.id}")
    assert two.wait_event("GUILD_BAN_REMOVE") == {"guild_id": id_, "user_id": stranger.id}

    ann.call("DELETE", f"/guilds/{id_}")
    assert two.wait_event("GUILD_DELETE") == {"id": id_}


@pytest.mark.parametrize("how", ["kick", "ban", "leave"])
def test_who_is_gone_sees_nothing_any_more(live, ann, bob, guild, how):
    one, two = live(ann), live(bob, gateway=2)
    place, dm = general(ann, guild), ann.dm(bob)
    two.wait_event("CHANNEL_CREATE", id=dm["id"])
    if how == "kick":
        ann.call("DELETE", f"/guilds/{guild['id']}/members/{bob.id}")
    elif how == "ban":
        ann.call("PUT", f"/guilds/{guild['id']}/bans/{bob.id}", {})
    else:
        bob.call("DELETE", f"/guilds/{guild['id']}/members/@me")
    one.wait_event("GUILD_MEMBER_REMOVE", user_id=bob.id)
    two.wait_event("GUILD_MEMBER_REMOVE", user_id=bob.id)
    two.wait_event("GUILD_DELETE", id=guild["id"])
    since = two.mark()
    message = ann.say(place, "among ourselves")
    one.wait_event("MESSAGE_CREATE", id=message["id"])
    barrier(ann, two, dm, since)
    assert [d["channel_id"] for name, d in two.events[since:] if name == "MESSAGE_CREATE"] == [dm["id"]]


def test_a_hidden_channel_leaks_nowhere(stack, clients, live, ann, bob, guild):
    two = live(bob, gateway=2)
    place, everyone = general(ann, guild), ann.everyone(guild)
    hidden = ann.channel(guild, "hidden")
    two.wait_event("CHANNEL_CREATE", id=hidden["id"])
    ann.override(hidden, everyone, deny=VIEW)
    since = two.mark()
    message = ann.say(hidden, "secret")
    ann.call("PATCH", f"/channels/{hidden['id']}/messages/{message['id']}", {"content": "still secret"})
    ann.call("PATCH", f"/channels/{hidden['id']}", {"topic": "secret plans"})
    ann.call("POST", f"/channels/{hidden['id']}/typing", status=204)
    ann.call("PUT", f"/channels/{hidden['id']}/messages/{message['id']}/reactions/x/@me")
    ann.call("DELETE", f"/channels/{hidden['id']}/messages/{message['id']}")
    barrier(ann, two, place, since)
    fresh = live(bob)
    barrier(ann, fresh, place)
    for client, begin in ((two, since), (fresh, 0)):
        for name, data in client.events[begin:]:
            assert hidden["id"] not in (data.get("channel_id"), data.get("id")) or \
                name == "CHANNEL_DELETE", (name, data)
            assert "secret" not in json.dumps(data)

    # A resume is filtered by what he may see now.
    two.cut()
    ann.say(hidden, "secret again")
    two.open(stack.url)
    begin = two.mark()
    two.resume(bob.token)
    two.wait_event("RESUMED", begin)
    barrier(ann, two, place, begin)
    assert "secret" not in json.dumps(two.events[begin:])


def test_a_change_of_permissions_holds_within_a_second(live, ann, bob, guild):
    two = live(bob, gateway=2)
    place, everyone = general(ann, guild), ann.everyone(guild)
    for deny, sees in ((VIEW, False), (0, True), (VIEW, False), (0, True)):
        ann.override(place, everyone, deny=deny)
        began = time.monotonic()

        def follows():
            since = two.mark()
            message = ann.say(place, "is he there?")
            dm_barrier(ann, bob, two)
            return any(d.get("id") == message["id"] for _, d in two.events[since:]) == sees

        poll(follows, VISIBLE_S, "the change of permissions")
        assert time.monotonic() - began < VISIBLE_S


def dm_barrier(one, other, client):
    barrier(one, client, one.dm(other), client.mark())


def test_a_role_given_and_taken_changes_what_is_seen(live, ann, bob, guild):
    two = live(bob, gateway=2)
    hidden, everyone = ann.channel(guild, "staff"), ann.everyone(guild)
    staff = ann.role(guild, "Staff")
    ann.override(hidden, everyone, deny=VIEW)
    ann.override(hidden, staff, allow=VIEW)
    path = f"/guilds/{guild['id']}/members/{bob.id}/roles/{staff['id']}"

    ann.call("PUT", path)
    inside = ann.say(hidden, "inside")
    two.wait_event("MESSAGE_CREATE", id=inside["id"])
    ann.call("DELETE", path)
    since = two.mark()
    ann.say(hidden, "outside")
    dm_barrier(ann, bob, two)
    assert "outside" not in json.dumps(two.events[since:])


def test_who_gains_a_channel_is_shown_it_and_who_loses_it_forgets_it(live, ann, bob, guild):
    two = live(bob, gateway=2)
    hidden, staff = ann.channel(guild, "staff"), ann.role(guild, "Staff")
    two.wait_event("CHANNEL_CREATE", id=hidden["id"])
    ann.override(hidden, ann.everyone(guild), deny=VIEW)
    assert two.wait_event("CHANNEL_DELETE", id=hidden["id"]) == {"id": hidden["id"], "guild_id": guild["id"]}
    ann.override(hidden, staff, allow=VIEW)
    path = f"/guilds/{guild['id']}/members/{bob.id}/roles/{staff['id']}"
    for _ in range(2):
        since = two.mark()
        ann.call("PUT", path)
        assert two.wait_event("CHANNEL_CREATE", since, id=hidden["id"])["name"] == "staff"
        ann.call("DELETE", path)
        two.wait_event("CHANNEL_DELETE", since, id=hidden["id"])


def test_who_is_away_when_he_is_let_in_goes_on_from_there(stack, live, ann, bob, guild):
    """No fresh READY, and what was said before he might see it is not said to him."""
    two = live(bob, gateway=2)
    place, hidden, everyone = general(ann, guild), ann.channel(guild, "staff"), ann.everyone(guild)
    ann.override(hidden, everyone, deny=VIEW)
    two.wait_event("CHANNEL_DELETE", id=hidden["id"])
    ann.say(hidden, "before")
    barrier(ann, two, place)
    two.cut()
    ann.say(hidden, "among ourselves")
    ann.override(hidden, everyone, deny=0)
    seen = ann.say(hidden, "welcome")
    ann.override(hidden, everyone, deny=VIEW)
    ann.say(hidden, "among ourselves again")
    ann.override(hidden, everyone, deny=0)
    last = ann.say(hidden, "welcome again")
    two.open(stack.url)
    since = two.mark()
    two.resume(bob.token)
    two.wait_event("RESUMED", since)
    two.wait_event("MESSAGE_CREATE", since, id=last["id"])  # which may still have been on its way to this gateway
    names = [name for name, _ in two.events[since:]]
    assert "READY" not in names
    assert [d["id"] for name, d in two.events[since:] if name == "MESSAGE_CREATE"] == [seen["id"], last["id"]]
    told = [name for name in names if name in ("CHANNEL_CREATE", "CHANNEL_DELETE")]
    assert told == ["CHANNEL_CREATE", "CHANNEL_DELETE", "CHANNEL_CREATE"]


# ---------------------------------------------------------------------------------------------------- presence
def test_presence_over_sessions_and_gateways(live, ann, bob, guild):
    watcher = live(ann)
    one = live(bob, gateway=2)
    watcher.wait_event("PRESENCE_UPDATE", user_id=bob.id, status="online")
    own = one.wait_event("PRESENCE_UPDATE", user_id=bob.id)
    assert own["status"] == "online"
    two = live(bob)
    assert two.wait_event("PRESENCE_UPDATE", user_id=ann.id)["status"] == "online"  # after READY
    one.send({"op": PRESENCE, "d": {"status": "dnd"}})
    two.send({"op": PRESENCE, "d": {"status": "idle"}})
    watcher.wait_event("PRESENCE_UPDATE", user_id=bob.id, status="idle")
    two.send({"op": PRESENCE, "d": {"status": "invisible"}})
    watcher.wait_event("PRESENCE_UPDATE", user_id=bob.id, status="dnd")
    since = watcher.mark()
    two.close()
    one.close()
    watcher.wait_event("PRESENCE_UPDATE", since, GRACE_S * PATIENCE, user_id=bob.id, status="offline")
    statuses = [d["status"] for d in watcher.of("PRESENCE_UPDATE") if d["user_id"] == bob.id]
    assert statuses == ["online", "idle", "dnd", "offline"]


def test_presence_comes_once_however_many_guilds_are_shared(live, ann, bob, guild):
    for name in ("Second", "Third"):
        everybody(ann.guild(name), ann, bob)
    watcher = live(ann)
    live(bob, gateway=2)
    watcher.wait_event("PRESENCE_UPDATE", user_id=bob.id)
    barrier(ann, watcher, general(ann, guild))
    assert len([d for d in watcher.of("PRESENCE_UPDATE") if d["user_id"] == bob.id]) == 1


# ---------------------------------------------------------------------------------------------------- order
def test_all_see_one_order(live, ann, bob, guild):
    seers = [live(ann), live(bob, gateway=2), live(bob)]
    place = general(ann, guild)
    posted = []

    def post(who):
        for i in range(40):
            posted.append(who.say(place, f"{who.name} {i}")["id"])

    threads = [threading.Thread(target=post, args=(who,)) for who in (ann, bob, ann.at(Api(bob.api.url)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(posted) == 120
    for client in seers:
        client.wait(lambda c=client: len(c.of("MESSAGE_CREATE")) >= 120)
        seen = [m["id"] for m in client.of("MESSAGE_CREATE")]
        assert seen == sorted(posted, key=int)


# ---------------------------------------------------------------------------------------------------- voice
def test_voice_is_unavailable_without_a_server(ann, bob, guild):
    place = next(c for c in ann.channels(guild) if c["type"] == 2)
    bob.call("POST", f"/channels/{place['id']}/voice/join", status=403)  # @everyone lacks CONNECT
    assert ann.call("POST", f"/channels/{place['id']}/voice/join", status=503)["error"]["code"] == "VOICE_UNAVAILABLE"
    ann.override(place, ann.everyone(guild), allow=CONNECT | SPEAK)
    bob.call("POST", f"/channels/{place['id']}/voice/join", status=503)
    ann.call("POST", f"/channels/{general(ann, guild)['id']}/voice/join", status=400)
    ann.call("POST", f"/channels/{place['id']}/voice/leave", status=404)
    assert ann.call("GET", f"/channels/{place['id']}/voice/states") == []
