"""Guilds, channels, members, roles, overrides, bans, invites and the audit log: every route of contracts/chat.md 5.3 to
5.6, 5.11 and 5.12 with its errors in the order of their checks; what happens at the same time; then section 17's defects."""
import concurrent.futures
import secrets

import pytest

from api import PASSWORD, Api
from chat_api import HISTORY, MANAGE_ROLES, SEND, VIEW, Person, bare, everybody
from chat_live import barrier
from polling import poll

MANAGE_CHANNELS, KICK, BAN, MANAGE_GUILD, ATTACH = 1 << 3, 1 << 5, 1 << 6, 1 << 7, 1 << 14
INVITE, NICKNAME, NICKNAMES, ADMIN = 1 << 16, 1 << 17, 1 << 18, 1 << 31
NOBODY = "1234567890"  # a snowflake that nothing has


@pytest.fixture
def ann(api):
    return Person(api)


@pytest.fixture
def bob(api2):
    return Person(api2)


@pytest.fixture
def eve(api):
    """A stranger."""
    return Person(api)


@pytest.fixture
def guild(ann, bob):
    """Ann's, with Bob in it."""
    guild = ann.guild("Harbour")
    everybody(guild, ann, bob)
    return guild


def refused(who, method, path, body, status, code, message=None, **options):
    answer = who.api.call(method, "/api/v1" + path, who.token, json=body, **options)
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert told["error"]["code"] == code, told
    assert told["message"] == told["error"]["message"]
    if message is not None:
        assert told["message"] == message
    return told


def raw(who, method, path, body=None):
    """The answer as it is, envelope included."""
    return who.api.call(method, "/api/v1" + path, who.token, json=body)


def give(owner, guild, who, permissions, position=1, name=None):
    """A role of these permissions, which he has from now on."""
    role = owner.call("POST", f"/guilds/{guild['id']}/roles",
                      {"name": name or "r" + secrets.token_hex(3), "permissions": str(permissions), "position": position}, 201)
    owner.call("PUT", f"/guilds/{guild['id']}/members/{who.id}/roles/{role['id']}", status=204)
    return role


def member(who, guild, person):
    return who.call("GET", f"/guilds/{guild['id']}/members/{person.id}")


def together(count, what):
    """The results of calls that are made at the same time."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(what, range(count)))


# ---------------------------------------------------------------------------------------------------- guilds
def test_a_new_guild_has_what_the_contract_says(ann):
    answer = raw(ann, "POST", "/guilds", {"name": "Harbour"})
    assert answer.status_code == 201 and set(answer.json()) == {"data"}
    guild = answer.json()["data"]
    assert guild["name"] == "Harbour" and guild["owner_id"] == ann.id and guild["member_count"] == 1
    assert isinstance(guild["id"], str) and guild["created_at"].endswith("Z") and "icon_hash" not in guild
    roles = raw(ann, "GET", f"/guilds/{guild['id']}/roles").json()
    assert [(r["name"], r["permissions"], r["position"], r["is_default"], r["color"]) for r in roles] == [
        ("@everyone", "32771", 0, True, 0), ("Admin", "2147483648", 1, False, 0)]
    assert all(r["guild_id"] == guild["id"] for r in roles)
    assert set(member(ann, guild, ann)["roles"]) == {r["id"] for r in roles}
    channels = raw(ann, "GET", f"/guilds/{guild['id']}/channels").json()["data"]
    assert [(c["name"], c["type"], c["position"]) for c in channels] == [("general", 0, 0), ("General", 2, 1)]
    assert all(c["guild_id"] == guild["id"] and "parent_id" not in c and "topic" not in c for c in channels)
    assert raw(ann, "GET", "/users/@me/guilds").json() == {"data": [guild]}
    assert raw(ann, "GET", f"/guilds/{guild['id']}").json() == {"data": guild}


def test_guilds_are_listed_by_id(ann, eve):
    assert raw(eve, "GET", "/users/@me/guilds").json() == {"data": []}
    made = [ann.guild(n)["id"] for n in ("b1", "a1", "c1")]
    assert [g["id"] for g in ann.call("GET", "/users/@me/guilds")] == made == sorted(made, key=int)


@pytest.mark.parametrize("name", ["", "x", "n" * 101, None])
def test_names_of_guilds(ann, name):
    refused(ann, "POST", "/guilds", {"name": name}, 400, "INVALID_NAME", "guild name must be 2-100 characters")


def test_characters_are_no_bytes(ann):
    assert ann.guild("ü" * 100)["name"] == "ü" * 100
    refused(ann, "POST", "/guilds", {"name": "a\0b"}, 400, "INVALID_NAME")


def test_a_guild_is_there_for_its_members(ann, bob, eve, guild):
    assert bob.call("GET", f"/guilds/{guild['id']}")["member_count"] == 2
    for who, id_ in ((eve, guild["id"]), (ann, NOBODY)):
        refused(who, "GET", f"/guilds/{id_}", None, 404, "NOT_FOUND", "guild not found")
    refused(ann, "GET", "/guilds/x", None, 400, "INVALID_ID")
    refused(ann, "GET", "/guilds/99999999999999999999", None, 400, "INVALID_ID")


def test_changing_a_guild(ann, bob, eve, guild):
    path = f"/guilds/{guild['id']}"
    assert raw(ann, "PATCH", path, {"name": "Port"}).json()["data"]["name"] == "Port"
    assert ann.call("PATCH", path, {"icon": "abc", "name": None})["icon_hash"] == "abc"
    assert ann.call("PATCH", path, {})["name"] == "Port"
    assert "icon_hash" not in ann.call("PATCH", path, {"icon": ""})
    refused(ann, "PATCH", path, {"icon": "x" * 65}, 400, "INVALID_ICON")
    refused(ann, "PATCH", path, {"name": "x"}, 400, "INVALID_NAME", "guild name must be 2-100 characters")
    refused(eve, "PATCH", path, {"name": "x"}, 404, "NOT_FOUND", "guild not found")
    refused(bob, "PATCH", path, {"name": "x"}, 403, "MISSING_PERMISSIONS", "you do not have permission to perform this action")
    give(ann, guild, bob, MANAGE_GUILD)
    assert bob.call("PATCH", path, {"name": "Bobs"})["name"] == "Bobs"


def test_ownership_passes_by_patch(ann, bob, eve, guild):
    path = f"/guilds/{guild['id']}"
    give(ann, guild, bob, MANAGE_GUILD)
    refused(bob, "PATCH", path, {"owner_id": bob.id}, 403, "FORBIDDEN", "only the guild owner can transfer ownership")
    refused(ann, "PATCH", path, {"owner_id": eve.id}, 400, "INVALID_OWNER")
    assert ann.call("PATCH", path, {"owner_id": ann.id})["owner_id"] == ann.id
    assert ann.call("PATCH", path, {"owner_id": bob.id})["owner_id"] == bob.id
    refused(ann, "DELETE", path, None, 403, "FORBIDDEN")
    refused(bob, "DELETE", f"{path}/members/@me", None, 403, "FORBIDDEN",
            "guild owner cannot leave; transfer ownership or delete the guild")
    ann.call("DELETE", f"{path}/members/@me", status=204)


def test_deleting_a_guild(ann, bob, eve, guild):
    path = f"/guilds/{guild['id']}"
    refused(eve, "DELETE", path, None, 404, "NOT_FOUND", "guild not found")
    refused(bob, "DELETE", path, None, 403, "FORBIDDEN", "only the guild owner can delete the guild")
    channel = ann.channels(guild)[0]
    code = ann.invite(guild)
    ann.say(channel, "gone soon")
    answer = raw(ann, "DELETE", path)
    assert answer.status_code == 204 and answer.content == b""
    for gone in (path, f"/channels/{channel['id']}", f"/invites/{code}"):
        refused(ann, "GET", gone, None, 404, "NOT_FOUND")
    assert ann.call("GET", "/users/@me/guilds") == []


# ---------------------------------------------------------------------------------------------------- channels
def test_making_channels(ann, bob, eve, guild):
    path = f"/guilds/{guild['id']}/channels"
    answer = raw(ann, "POST", path, {"name": "news", "type": 0, "topic": "what is new"})
    assert answer.status_code == 201
    news = answer.json()["data"]
    assert (news["name"], news["type"], news["topic"], news["position"]) == ("news", 0, "what is new", 2)
    assert bob.call("GET", f"/channels/{news['id']}") == news
    shelf = ann.channel(guild, "shelf", 4)
    below = ann.call("POST", path, {"name": "below", "type": 0, "parent_id": shelf["id"]}, 201)
    assert below["parent_id"] == shelf["id"] and below["position"] == 4
    assert ann.call("POST", path, {"name": "plain", "type": 0, "parent_id": int(shelf["id"])}, 201)["parent_id"] == shelf["id"]
    refused(eve, "POST", path, {"name": ""}, 404, "NOT_FOUND", "guild not found")
    refused(bob, "POST", path, {"name": ""}, 403, "MISSING_PERMISSIONS", "you do not have permission to perform this action")
    refused(ann, "POST", path, {"type": 9}, 400, "INVALID_NAME", "channel name must be 1-100 characters")
    for kind in (1, 3, 9):
        refused(ann, "POST", path, {"name": "x", "type": kind}, 400, "INVALID_TYPE",
                "channel type must be 0 (text), 2 (voice), or 4 (category)")
    refused(ann, "POST", path, {"name": "x", "parent_id": ""}, 400, "INVALID_BODY", "invalid request body")
    give(ann, guild, bob, MANAGE_CHANNELS)
    assert bob.channel(guild, "bobs")["name"] == "bobs"


def test_channels_are_listed_in_order(ann, bob, eve, guild):
    second = ann.channel(guild, "second")
    ann.call("PATCH", f"/channels/{second['id']}", {"position": 0})
    assert [c["name"] for c in bob.channels(guild)] == ["general", "second", "General"]
    refused(eve, "GET", f"/guilds/{guild['id']}/channels", None, 404, "NOT_FOUND", "guild not found")


def test_changing_a_channel(ann, bob, eve, guild):
    general = ann.channels(guild)[0]
    path = f"/channels/{general['id']}"
    changed = ann.call("PATCH", path, {"name": "renamed", "topic": "t"})
    assert (changed["name"], changed["topic"], changed["position"]) == ("renamed", "t", 0)
    assert ann.call("PATCH", path, {"topic": None})["topic"] == "t"
    assert ann.call("PATCH", path, {"topic": ""})["topic"] == ""
    shelf = ann.channel(guild, "shelf", 4)
    assert ann.call("PATCH", path, {"parent_id": shelf["id"]})["parent_id"] == shelf["id"]
    assert ann.call("PATCH", path, {"parent_id": None})["parent_id"] == shelf["id"]
    assert "parent_id" not in ann.call("PATCH", path, {"parent_id": "0"})
    refused(ann, "PATCH", path, {"name": ""}, 400, "INVALID_NAME", "channel name must be 1-100 characters")
    refused(ann, "PATCH", path, {"topic": "x" * 1025}, 400, "INVALID_TOPIC")
    refused(ann, "PATCH", path, {"parent_id": general["id"]}, 400, "INVALID_PARENT")
    refused(ann, "PATCH", path, {"name": "General"}, 409, "NAME_TAKEN")
    refused(bob, "PATCH", path, {"name": "x"}, 403, "MISSING_PERMISSIONS")
    for who, id_ in ((eve, general["id"]), (ann, NOBODY)):
        refused(who, "PATCH", f"/channels/{id_}", {"name": "x"}, 404, "NOT_FOUND", "channel not found")


def test_slow_mode_is_of_text_channels(ann, guild):
    general, voice = ann.channels(guild)
    assert general["rate_limit_per_user"] == 0 and "rate_limit_per_user" not in voice
    assert ann.call("PATCH", f"/channels/{general['id']}", {"rate_limit_per_user": 30})["rate_limit_per_user"] == 30
    assert ann.call("PATCH", f"/channels/{general['id']}", {"topic": "t"})["rate_limit_per_user"] == 30
    for channel, seconds in ((general, -1), (general, 21601), (voice, 1)):
        refused(ann, "PATCH", f"/channels/{channel['id']}", {"rate_limit_per_user": seconds}, 400, "INVALID_RATE_LIMIT")


def test_deleting_a_channel(ann, bob, eve, guild):
    general = ann.channels(guild)[0]
    path = f"/channels/{general['id']}"
    refused(eve, "DELETE", path, None, 404, "NOT_FOUND", "channel not found")
    refused(bob, "DELETE", path, None, 403, "MISSING_PERMISSIONS")
    ann.say(general, "gone soon")
    assert raw(ann, "DELETE", path).status_code == 204
    refused(ann, "DELETE", path, None, 404, "NOT_FOUND", "channel not found")
    refused(ann, "GET", f"{path}/messages", None, 404, "NOT_FOUND", "channel not found")


def test_a_direct_channel_is_shown_to_its_recipients(ann, bob, eve):
    dm = ann.dm(bob)
    shown = bob.call("GET", f"/channels/{dm['id']}")
    assert shown["type"] == 1 and {u["id"] for u in shown["recipients"]} == {ann.id, bob.id} and "guild_id" not in shown
    refused(eve, "GET", f"/channels/{dm['id']}", None, 404, "NOT_FOUND", "channel not found")
    refused(ann, "PATCH", f"/channels/{dm['id']}", {"name": "x"}, 404, "NOT_FOUND")


# ---------------------------------------------------------------------------------------------------- overrides
def test_overrides(ann, bob, eve, guild):
    general, everyone = ann.channels(guild)[0], ann.everyone(guild)
    path = f"/channels/{general['id']}/permissions"
    answer = raw(ann, "PUT", f"{path}/{everyone['id']}", {"deny": str(SEND)})
    assert answer.status_code == 200
    assert answer.json() == {"channel_id": general["id"], "role_id": everyone["id"], "allow": "0", "deny": str(SEND)}
    assert raw(bob, "GET", path).json() == [answer.json()]
    refused(bob, "POST", f"/channels/{general['id']}/messages", {"content": "x"}, 403, "MISSING_PERMISSIONS")
    assert ann.call("PUT", f"{path}/{everyone['id']}", {"allow": SEND})["deny"] == "0"
    refused(ann, "PUT", f"{path}/{everyone['id']}", {"allow": ""}, 400, "INVALID_BODY")
    refused(ann, "PUT", f"{path}/{NOBODY}", {}, 404, "NOT_FOUND", "role not found")
    refused(ann, "PUT", f"/channels/{NOBODY}/permissions/{everyone['id']}", {}, 404, "NOT_FOUND", "channel not found")
    refused(bob, "PUT", f"{path}/{everyone['id']}", {}, 403, "MISSING_PERMISSIONS", "you do not have the required permissions")
    refused(eve, "PUT", f"{path}/{everyone['id']}", {}, 403, "FORBIDDEN", "you are not a member of this guild")
    refused(eve, "GET", path, None, 404, "NOT_FOUND", "channel not found")
    for _ in range(2):
        assert raw(ann, "DELETE", f"{path}/{everyone['id']}").status_code == 204
    assert raw(ann, "GET", path).json() == []


def test_nobody_overrides_what_he_may_not_or_who_is_above_him(ann, bob, guild):
    general, everyone = ann.channels(guild)[0], ann.everyone(guild)
    give(ann, guild, bob, MANAGE_ROLES, position=3)
    high = ann.call("POST", f"/guilds/{guild['id']}/roles", {"name": "high", "position": 3}, 201)
    path = f"/channels/{general['id']}/permissions"
    assert bob.call("PUT", f"{path}/{everyone['id']}", {"deny": str(SEND)})["deny"] == str(SEND)
    refused(bob, "PUT", f"{path}/{everyone['id']}", {"deny": str(ATTACH)}, 403, "MISSING_PERMISSIONS")
    refused(bob, "PUT", f"{path}/{high['id']}", {"deny": str(SEND)}, 403, "ROLE_HIERARCHY")
    ann.call("PUT", f"{path}/{high['id']}", {"allow": str(ATTACH)})
    refused(bob, "DELETE", f"{path}/{high['id']}", None, 403, "ROLE_HIERARCHY")


# ---------------------------------------------------------------------------------------------------- members
def test_one_member(ann, bob, eve, guild):
    answer = raw(bob, "GET", f"/guilds/{guild['id']}/members/{bob.id}")
    shown = answer.json()["data"]
    assert (shown["guild_id"], shown["user_id"], shown["roles"]) == (guild["id"], bob.id, [])
    assert shown["user"]["username"] == bob.name and "nickname" not in shown and shown["joined_at"].endswith("Z")
    assert bob.call("GET", f"/guilds/{guild['id']}/members/@me") == shown
    refused(ann, "GET", f"/guilds/{guild['id']}/members/{eve.id}", None, 404, "NOT_FOUND", "member not found")
    refused(eve, "GET", f"/guilds/{guild['id']}/members/{ann.id}", None, 404, "NOT_FOUND", "guild not found")
    refused(ann, "GET", f"/guilds/{guild['id']}/members/x", None, 400, "INVALID_ID")


def test_listing_members(api, ann, bob, eve, guild):
    people = [Person(api, username=f"zoe{i}{secrets.token_hex(4)}") for i in range(4)]
    everybody(guild, ann, *people)
    path = f"/guilds/{guild['id']}/members"
    in_order = [p.id for p in (ann, bob, *people)]

    def ids(**query):
        return [m["user_id"] for m in ann.call("GET", path, params=query)]

    assert raw(ann, "GET", path).json()["data"][1]["user"]["username"] == bob.name
    assert ids() == in_order
    assert ids(limit=2) == in_order[:2] and ids(limit=2, offset=3) == in_order[3:5] and ids(offset=9) == []
    for odd in ({"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"offset": "-1"}, {"offset": "y"}):
        assert ids(**odd) == in_order
    by_id = sorted(in_order, key=int)
    assert ids(after=0, limit=3) == by_id[:3] and ids(after=by_id[2]) == by_id[3:]
    assert ids(query="ZOE") == [p.id for p in people] and ids(query="nobody at all") == []
    assert ids(query=bob.name) == [bob.id]
    refused(eve, "GET", path, None, 404, "NOT_FOUND", "guild not found")


def test_members_show_who_is_there(live, ann, bob, guild):
    assert member(ann, guild, bob)["presence"] == "offline"
    live(bob)
    poll(lambda: [m["presence"] for m in ann.call("GET", f"/guilds/{guild['id']}/members")] == ["offline", "online"],
         what="the presence of a member")


def test_ones_own_nickname(ann, bob, eve, guild):
    path = f"/guilds/{guild['id']}/members/@me"
    assert raw(ann, "PATCH", path, {"nickname": "Captain"}).json()["data"]["nickname"] == "Captain"
    assert ann.call("PATCH", path, {})["nickname"] == "Captain"
    assert "nickname" not in ann.call("PATCH", path, {"nickname": ""})
    refused(ann, "PATCH", path, {"nickname": "n" * 33}, 400, "INVALID_NICKNAME", "nickname must be 32 characters or fewer")
    refused(eve, "PATCH", path, {"nickname": "x"}, 404, "NOT_FOUND", "guild not found")
    refused(bob, "PATCH", path, {"nickname": "x"}, 403, "MISSING_PERMISSIONS")
    assert bob.call("PATCH", path, {})["user_id"] == bob.id
    give(ann, guild, bob, NICKNAME)
    assert bob.call("PATCH", path, {"nickname": "Bobby"})["nickname"] == "Bobby"


def test_changing_a_member(ann, bob, eve, guild):
    path = f"/guilds/{guild['id']}/members/{bob.id}"
    low, high = (ann.call("POST", f"/guilds/{guild['id']}/roles", {"name": n, "position": p}, 201) for n, p in (("l", 1), ("h", 9)))
    changed = ann.call("PATCH", path, {"nickname": "B", "roles": [low["id"], int(high["id"]), low["id"]]})
    assert changed["nickname"] == "B" and changed["roles"] == [low["id"], high["id"]]
    assert ann.call("PATCH", path, {"roles": None})["roles"] == [low["id"], high["id"]]
    assert ann.call("PATCH", path, {"roles": [high["id"]]})["roles"] == [high["id"]]
    assert ann.call("PATCH", path, {"roles": []})["roles"] == []
    assert member(bob, guild, bob)["roles"] == []
    refused(ann, "PATCH", path, {"nickname": "n" * 33}, 400, "INVALID_NICKNAME")
    refused(bob, "PATCH", path, {"nickname": "x"}, 403, "MISSING_PERMISSIONS")
    refused(bob, "PATCH", path, {"roles": []}, 403, "MISSING_PERMISSIONS")
    refused(eve, "PATCH", path, {"roles": []}, 404, "NOT_FOUND", "guild not found")
    refused(ann, "PATCH", f"/guilds/{guild['id']}/members/{eve.id}", {"nickname": "x"}, 404, "NOT_FOUND", "member not found")
    assert bob.call("PATCH", f"/guilds/{guild['id']}/members/{ann.id}", {})["user_id"] == ann.id
    give(ann, guild, bob, NICKNAMES, position=2)
    everybody(guild, ann, eve)
    assert bob.call("PATCH", f"/guilds/{guild['id']}/members/{eve.id}", {"nickname": "E"})["nickname"] == "E"
    assert bob.call("PATCH", path, {"nickname": "myself"})["nickname"] == "myself"
    refused(bob, "PATCH", f"/guilds/{guild['id']}/members/{ann.id}", {"nickname": "x"}, 403, "ROLE_HIERARCHY")
    give(ann, guild, eve, 0, position=2)
    refused(bob, "PATCH", f"/guilds/{guild['id']}/members/{eve.id}", {"nickname": "x"}, 403, "ROLE_HIERARCHY")


def test_the_founders_own_roles(ann, guild):
    everyone, admin = (r["id"] for r in ann.call("GET", f"/guilds/{guild['id']}/roles"))
    path = f"/guilds/{guild['id']}/members/{ann.id}"
    assert ann.call("PATCH", path, {"roles": []})["roles"] == [everyone]
    assert ann.call("PATCH", path, {"roles": [admin]})["roles"] == [everyone, admin]


def test_kicking(ann, bob, eve, guild):
    path = f"/guilds/{guild['id']}/members"
    refused(bob, "DELETE", f"{path}/{ann.id}", None, 403, "MISSING_PERMISSIONS")
    refused(eve, "DELETE", f"{path}/{bob.id}", None, 404, "NOT_FOUND", "guild not found")
    refused(ann, "DELETE", f"{path}/{eve.id}", None, 404, "NOT_FOUND", "member not found")
    refused(ann, "DELETE", f"{path}/{ann.id}", None, 403, "FORBIDDEN", "cannot kick the guild owner")
    everybody(guild, ann, eve)
    give(ann, guild, bob, KICK, position=2)
    refused(bob, "DELETE", f"{path}/{ann.id}", None, 403, "FORBIDDEN", "cannot kick the guild owner")
    give(ann, guild, eve, 0, position=2)
    refused(bob, "DELETE", f"{path}/{eve.id}", None, 403, "ROLE_HIERARCHY",
            "your highest role must be above the target's highest role")
    ann.call("PATCH", f"{path}/{eve.id}", {"roles": []})
    bob.call("DELETE", f"{path}/{eve.id}", status=204)
    refused(eve, "GET", f"/guilds/{guild['id']}", None, 404, "NOT_FOUND")
    assert ann.call("GET", f"/guilds/{guild['id']}")["member_count"] == 2
    everybody(guild, ann, eve)  # he may come again


def test_leaving(ann, bob, eve, guild):
    path = f"/guilds/{guild['id']}/members/@me"
    refused(ann, "DELETE", path, None, 403, "FORBIDDEN", "guild owner cannot leave; transfer ownership or delete the guild")
    refused(eve, "DELETE", path, None, 404, "NOT_FOUND", "you are not a member of this guild")
    assert raw(bob, "DELETE", path).status_code == 204
    refused(bob, "DELETE", path, None, 404, "NOT_FOUND", "you are not a member of this guild")
    assert ann.call("GET", f"/guilds/{guild['id']}")["member_count"] == 1


# ---------------------------------------------------------------------------------------------------- roles
def test_making_and_changing_roles(ann, bob, eve, guild):
    path = f"/guilds/{guild['id']}/roles"
    answer = raw(ann, "POST", path, {"name": "crew", "color": 255, "permissions": str(SEND), "position": 4})
    assert answer.status_code == 201
    role = answer.json()
    assert (role["name"], role["color"], role["permissions"], role["position"]) == ("crew", 255, str(SEND), 4)
    assert role["is_default"] is False and role["guild_id"] == guild["id"]
    plain = ann.call("POST", path, {"name": "plain"}, 201)
    assert (plain["color"], plain["permissions"], plain["position"]) == (0, "0", 0)
    assert [r["name"] for r in bob.call("GET", path)] == ["@everyone", "plain", "Admin", "crew"]
    changed = ann.call("PATCH", f"{path}/{role['id']}", {"name": "sailors", "color": 7})
    assert (changed["name"], changed["color"], changed["permissions"]) == ("sailors", 7, str(SEND))
    for body in ({}, {"name": ""}, {"name": "n" * 101}):
        refused(ann, "POST", path, body, 400, "INVALID_NAME", "name must be 1-100 characters")
    refused(ann, "PATCH", f"{path}/{role['id']}", {"name": ""}, 400, "INVALID_NAME", "name must be 1-100 characters")
    refused(ann, "PATCH", f"{path}/{NOBODY}", {"name": ""}, 404, "NOT_FOUND", "role not found")
    refused(ann, "POST", f"/guilds/{NOBODY}/roles", {"name": "x"}, 404, "NOT_FOUND", "guild not found")
    refused(bob, "POST", path, {"name": ""}, 403, "MISSING_PERMISSIONS", "you do not have the required permissions")
    refused(eve, "POST", path, {"name": "x"}, 403, "FORBIDDEN", "you are not a member of this guild")
    refused(ann, "POST", path, {"name": "x", "position": -1}, 400, "INVALID_ROLE")
    assert raw(ann, "DELETE", f"{path}/{role['id']}").status_code == 204
    refused(ann, "DELETE", f"{path}/{role['id']}", None, 404, "NOT_FOUND", "role not found")


def test_everyones_role(ann, guild):
    everyone = ann.everyone(guild)
    path = f"/guilds/{guild['id']}/roles/{everyone['id']}"
    refused(ann, "PATCH", path, {"name": "nobody"}, 400, "INVALID_NAME")
    refused(ann, "PATCH", path, {"position": 3}, 400, "INVALID_ROLE")
    refused(ann, "DELETE", path, None, 403, "CANNOT_DELETE", "cannot delete the @everyone role")
    assert ann.call("PATCH", path, {"permissions": str(VIEW), "name": "@everyone"})["permissions"] == str(VIEW)


def test_numbers_of_clients_that_compute_with_32_bits(ann, guild):
    path = f"/guilds/{guild['id']}/roles"
    for sent in ("-2147483648", -2147483648, 2147483648):
        assert ann.call("POST", path, {"name": "a", "permissions": sent}, 201)["permissions"] == "2147483648"


def test_roles_of_one_member(ann, bob, eve, guild):
    role = ann.call("POST", f"/guilds/{guild['id']}/roles", {"name": "r", "position": 2}, 201)
    path = f"/guilds/{guild['id']}/members/{bob.id}/roles"
    for _ in range(2):
        assert raw(ann, "PUT", f"{path}/{role['id']}").status_code == 204
    assert member(ann, guild, bob)["roles"] == [role["id"]]
    refused(ann, "PUT", f"/guilds/{guild['id']}/members/{eve.id}/roles/{role['id']}", None, 404, "NOT_FOUND", "member not found")
    refused(ann, "PUT", f"{path}/{NOBODY}", None, 404, "NOT_FOUND", "role not found")
    refused(bob, "PUT", f"{path}/{role['id']}", None, 403, "MISSING_PERMISSIONS")
    refused(eve, "DELETE", f"{path}/{role['id']}", None, 403, "FORBIDDEN")
    for _ in range(2):
        assert raw(ann, "DELETE", f"{path}/{role['id']}").status_code == 204
    assert raw(ann, "DELETE", f"{path}/{NOBODY}").status_code == 204
    assert raw(ann, "DELETE", f"/guilds/{guild['id']}/members/{eve.id}/roles/{role['id']}").status_code == 204
    assert member(ann, guild, bob)["roles"] == []


def test_a_deleted_role_is_nobodys(ann, bob, guild):
    role = give(ann, guild, bob, MANAGE_GUILD)
    ann.call("DELETE", f"/guilds/{guild['id']}/roles/{role['id']}", status=204)
    assert member(ann, guild, bob)["roles"] == []
    refused(bob, "PATCH", f"/guilds/{guild['id']}", {"name": "mine"}, 403, "MISSING_PERMISSIONS")


@pytest.mark.parametrize("position, refusal", [(2, None), (3, "ROLE_HIERARCHY"), (4, "ROLE_HIERARCHY")])
def test_the_order_of_roles(ann, bob, eve, guild, position, refusal):
    """Bob's highest role stands at 3."""
    everybody(guild, ann, eve)
    give(ann, guild, bob, MANAGE_ROLES | BAN, position=3)
    roles = f"/guilds/{guild['id']}/roles"
    theirs = ann.call("POST", roles, {"name": "theirs", "position": position}, 201)
    attempts = [("POST", roles, {"name": "new", "position": position}),
                ("PATCH", f"{roles}/{theirs['id']}", {"color": 1}),
                ("PUT", f"/guilds/{guild['id']}/members/{eve.id}/roles/{theirs['id']}", None),
                ("DELETE", f"/guilds/{guild['id']}/members/{eve.id}/roles/{theirs['id']}", None),
                ("PATCH", f"/guilds/{guild['id']}/members/{eve.id}", {"roles": [theirs["id"]]}),
                ("PUT", f"/guilds/{guild['id']}/bans/{eve.id}", {}),
                ("DELETE", f"{roles}/{theirs['id']}", None)]
    for method, path, body in attempts:
        if method == "PUT" and "bans" in path:
            ann.call("PUT", f"/guilds/{guild['id']}/members/{eve.id}/roles/{theirs['id']}", status=204)
        answer = raw(bob, method, path, body)
        assert answer.ok if refusal is None else answer.json()["error"]["code"] == refusal, (method, path, answer.text)


def test_a_role_cannot_be_moved_above_its_mover(ann, bob, guild):
    give(ann, guild, bob, MANAGE_ROLES, position=3)
    low = ann.call("POST", f"/guilds/{guild['id']}/roles", {"name": "low", "position": 1}, 201)
    refused(bob, "PATCH", f"/guilds/{guild['id']}/roles/{low['id']}", {"position": 3}, 403, "ROLE_HIERARCHY",
            "cannot modify a role at or above your highest role position")
    assert bob.call("PATCH", f"/guilds/{guild['id']}/roles/{low['id']}", {"position": 2})["position"] == 2


def test_nobody_grants_what_he_has_not(ann, bob, eve, guild):
    everybody(guild, ann, eve)
    high = give(ann, guild, bob, MANAGE_ROLES, position=5)
    roles = f"/guilds/{guild['id']}/roles"
    strong = ann.call("POST", roles, {"name": "strong", "permissions": str(BAN | SEND), "position": 1}, 201)
    mine = bob.call("POST", roles, {"name": "mine", "permissions": str(SEND), "position": 1}, 201)
    for method, path, body in [("POST", roles, {"name": "a", "permissions": str(ADMIN)}),
                               ("POST", roles, {"name": "a", "permissions": str(BAN)}),
                               ("PATCH", f"{roles}/{mine['id']}", {"permissions": str(SEND | BAN)}),
                               ("PUT", f"/guilds/{guild['id']}/members/{bob.id}/roles/{strong['id']}", None),
                               ("PATCH", f"/guilds/{guild['id']}/members/{bob.id}", {"roles": [high["id"], strong["id"]]})]:
        refused(bob, method, path, body, 403, "MISSING_PERMISSIONS")
    assert bob.call("PATCH", f"{roles}/{strong['id']}", {"permissions": str(BAN)})["permissions"] == str(BAN)  # less than before
    refused(bob, "PUT", f"/guilds/{guild['id']}/members/{eve.id}/roles/{strong['id']}", None, 403, "MISSING_PERMISSIONS")
    give(ann, guild, bob, ADMIN, position=6)
    bob.call("PUT", f"/guilds/{guild['id']}/members/{eve.id}/roles/{strong['id']}", status=204)


def test_an_administrator_is_no_owner(ann, bob, guild):
    give(ann, guild, bob, ADMIN, position=3)
    path = f"/guilds/{guild['id']}"
    assert bob.call("PATCH", path, {"name": "Bobs"})["name"] == "Bobs"
    assert bob.channel(guild, "bobs")
    refused(bob, "DELETE", path, None, 403, "FORBIDDEN")
    refused(bob, "DELETE", f"{path}/members/{ann.id}", None, 403, "FORBIDDEN")
    refused(bob, "PUT", f"{path}/bans/{ann.id}", {}, 403, "FORBIDDEN", "cannot ban the guild owner")
    refused(bob, "POST", f"{path}/roles", {"name": "x", "position": 3}, 403, "ROLE_HIERARCHY",
            "cannot create a role at or above your highest role position")


# ---------------------------------------------------------------------------------------------------- bans
def test_bans(ann, bob, eve, guild):
    path = f"/guilds/{guild['id']}/bans"
    refused(ann, "PUT", f"{path}/{ann.id}", {}, 400, "CANNOT_BAN_SELF", "you cannot ban yourself")
    refused(bob, "PUT", f"{path}/{ann.id}", {}, 403, "MISSING_PERMISSIONS", "you do not have the required permissions")
    refused(eve, "PUT", f"{path}/{bob.id}", {}, 403, "FORBIDDEN", "you are not a member of this guild")
    refused(ann, "PUT", f"/guilds/{NOBODY}/bans/{bob.id}", {}, 404, "NOT_FOUND", "guild not found")
    refused(ann, "PUT", f"{path}/{NOBODY}", {}, 404, "NOT_FOUND", "user not found")
    refused(bob, "GET", path, None, 403, "MISSING_PERMISSIONS")
    assert raw(ann, "PUT", f"{path}/{bob.id}", {"reason": "noise"}).status_code == 204
    assert raw(ann, "PUT", f"{path}/{eve.id}").status_code == 204  # who is no member may be banned
    assert raw(ann, "PUT", f"{path}/{bob.id}", {"reason": "more noise"}).status_code == 204
    bans = raw(ann, "GET", path).json()
    assert [(b["user_id"], b.get("reason"), b["created_by"], b["guild_id"]) for b in bans] == [
        (eve.id, None, ann.id, guild["id"]), (bob.id, "more noise", ann.id, guild["id"])]
    assert raw(ann, "GET", f"{path}?limit=1").json() == bans[:1]
    assert raw(ann, "GET", f"{path}?after={eve.id}").json() == bans[1:]
    refused(ann, "GET", f"{path}?limit=1001", None, 400, "INVALID_LIMIT", "limit must be 1-1000")
    refused(bob, "GET", f"/guilds/{guild['id']}", None, 404, "NOT_FOUND")
    refused(bob, "POST", f"/invites/{ann.invite(guild)}", {}, 403, "BANNED", "you are banned from this guild")
    for _ in range(2):
        assert raw(ann, "DELETE", f"{path}/{bob.id}").status_code == 204
    everybody(guild, ann, bob)


@pytest.mark.parametrize("body", ["{{{", "[]", '{"reason":7}', "reason"])
def test_a_ban_needs_no_body_that_can_be_read(ann, bob, guild, body):
    answer = ann.api.call("PUT", f"/api/v1/guilds/{guild['id']}/bans/{bob.id}", ann.token, data=body,
                          headers={"Content-Type": "application/json"})
    assert answer.status_code == 204, answer.text
    assert "reason" not in ann.call("GET", f"/guilds/{guild['id']}/bans")[0]


def test_two_without_roles_are_equal(ann, bob, eve, guild):
    everybody(guild, ann, eve)
    everyone = ann.everyone(guild)
    ann.call("PATCH", f"/guilds/{guild['id']}/roles/{everyone['id']}", {"permissions": str(VIEW | BAN | KICK)})
    refused(bob, "PUT", f"/guilds/{guild['id']}/bans/{eve.id}", {}, 403, "ROLE_HIERARCHY",
            "your highest role must be above the target's highest role")
    refused(bob, "DELETE", f"/guilds/{guild['id']}/members/{eve.id}", None, 403, "ROLE_HIERARCHY")


# ---------------------------------------------------------------------------------------------------- invites
def test_invites(api, ann, bob, eve, guild):
    path = f"/guilds/{guild['id']}/invites"
    answer = raw(ann, "POST", path, {"max_uses": 1, "max_age_seconds": 3600})
    assert answer.status_code == 201
    invite = answer.json()
    assert len(invite["code"]) == 8 and int(invite["code"], 16) >= 0 and invite["code"] == invite["code"].lower()
    assert (invite["guild_id"], invite["creator_id"], invite["max_uses"], invite["uses"]) == (guild["id"], ann.id, 1, 0)
    assert "channel_id" not in invite and invite["expires_at"] > invite["created_at"]
    assert "expires_at" in ann.call("POST", path, {}, 201)
    assert "expires_at" not in ann.call("POST", path, {"max_age_seconds": -1, "max_uses": -2}, 201)
    refused(bob, "POST", path, {}, 403, "MISSING_PERMISSIONS", "you do not have the required permissions")
    refused(eve, "POST", path, {}, 403, "FORBIDDEN", "you are not a member of this guild")
    refused(ann, "POST", f"/guilds/{NOBODY}/invites", {}, 404, "NOT_FOUND", "guild not found")
    refused(bob, "GET", path, None, 403, "MISSING_PERMISSIONS")
    listed = raw(ann, "GET", path).json()
    assert listed[-2]["code"] == invite["code"] and listed[0]["max_uses"] == -2  # the guild's first let Bob in

    shown = api.get(f"/api/v1/invites/{invite['code']}")  # by nobody in particular
    assert shown.status_code == 200
    assert shown.json() == {"code": invite["code"], "guild_name": "Harbour", "member_count": 2, "creator_id": ann.id,
                            "guild_id": guild["id"]}
    refused(ann, "GET", "/invites/00000000x", None, 404, "NOT_FOUND", "invite not found")

    joined = raw(eve, "POST", f"/invites/{invite['code']}")
    assert joined.status_code == 200
    assert joined.json()["id"] == joined.json()["guild_id"] == guild["id"] and joined.json()["member_count"] == 3
    refused(bob, "POST", f"/invites/{invite['code']}", {}, 410, "MAX_USES", "invite has reached maximum uses")
    assert api.get(f"/api/v1/invites/{invite['code']}").status_code == 200  # used-up ones are still shown
    refused(bob, "POST", f"/invites/{ann.invite(guild)}", {}, 409, "ALREADY_MEMBER", "you are already a member of this guild")
    refused(eve, "POST", "/invites/nonsense", {}, 404, "NOT_FOUND", "invite not found")


def test_expired_invites(ann, eve, guild):
    code = ann.call("POST", f"/guilds/{guild['id']}/invites", {"max_age_seconds": 1}, 201)["code"]
    poll(lambda: ann.api.get(f"/api/v1/invites/{code}").status_code == 404, what="an invite that expires")
    refused(ann, "GET", f"/invites/{code}", None, 404, "EXPIRED", "invite has expired")
    refused(eve, "POST", f"/invites/{code}", {}, 410, "EXPIRED", "invite has expired")
    assert code in {i["code"] for i in ann.call("GET", f"/guilds/{guild['id']}/invites")}


@pytest.mark.parametrize("root", ["/api/v1", ""])
def test_taking_an_invite_back(ann, bob, eve, guild, root):
    give(ann, guild, bob, INVITE)
    mine = bob.invite(guild)
    hers = ann.invite(guild)

    def delete(who, code):
        return who.api.call("DELETE", f"{root}/invites/{code}", who.token)

    assert delete(eve, hers).status_code == 403 and delete(eve, hers).json()["error"]["code"] == "FORBIDDEN"
    assert delete(bob, hers).json()["error"]["code"] == "MISSING_PERMISSIONS"
    assert delete(bob, mine).status_code == 204
    assert delete(bob, mine).status_code == 404
    again = bob.invite(guild)
    assert delete(ann, again).status_code == 204 and delete(ann, hers).status_code == 204


# ---------------------------------------------------------------------------------------------------- the audit log
def test_the_audit_log(ann, bob, eve, guild):
    path = f"/guilds/{guild['id']}"
    ann.call("PATCH", path, {"name": "Logged"}, headers={"X-Audit-Log-Reason": "a better%20name"})
    role = ann.role(guild, "crew", SEND)
    ann.call("PUT", f"{path}/members/{bob.id}/roles/{role['id']}", status=204)
    ann.call("PUT", f"{path}/bans/{bob.id}", {"reason": "noise"}, 204)
    log = ann.call("GET", f"{path}/audit-logs")
    entries = log["audit_log_entries"]
    assert [e["action_type"] for e in entries] == [22, 25, 30, 1, 40]
    assert entries[3]["reason"] == "a better name" and entries[0]["reason"] == "noise"
    assert {"key": "name", "old_value": "Harbour", "new_value": "Logged"} in entries[3]["changes"]
    assert entries[1]["changes"] == [{"key": "$add", "new_value": role["id"]}]
    assert entries[0]["target_id"] == bob.id and entries[4]["target_id"] is None
    assert {u["id"] for u in log["users"]} == {ann.id, bob.id}

    def kinds(**query):
        return [e["action_type"] for e in ann.call("GET", f"{path}/audit-logs", params=query)["audit_log_entries"]]

    assert kinds(limit=2) == [22, 25] and kinds(action_type=30) == [30] and kinds(user_id=bob.id) == []
    assert kinds(before=entries[2]["id"]) == [1, 40] and kinds(after=entries[2]["id"]) == [22, 25]
    assert kinds(after=entries[4]["id"], limit=1) == [1]
    refused(ann, "GET", f"{path}/audit-logs?limit=101", None, 400, "INVALID_LIMIT", "limit must be 1-100")
    refused(eve, "GET", f"{path}/audit-logs", None, 403, "FORBIDDEN")
    refused(ann, "PUT", f"{path}/bans/{eve.id}", {"reason": "x" * 513}, 400, "INVALID_REASON")


# ---------------------------------------------------------------------------------------------------- at the same time
def test_the_last_use_of_an_invite_is_used_once(api, api2, ann, guild):
    code = ann.call("POST", f"/guilds/{guild['id']}/invites", {"max_uses": 2}, 201)["code"]
    people = [Person((api, api2)[i % 2]) for i in range(8)]
    answers = together(8, lambda i: Api(people[i].api.url).post(f"/api/v1/invites/{code}", {}, people[i].token).status_code)
    assert sorted(answers) == [200] * 2 + [410] * 6
    assert ann.call("GET", f"/guilds/{guild['id']}")["member_count"] == 4
    assert next(i for i in ann.call("GET", f"/guilds/{guild['id']}/invites") if i["code"] == code)["uses"] == 2


def test_one_joins_once(ann, eve, guild):
    code = ann.invite(guild)
    answers = together(6, lambda i: Api(eve.api.url).post(f"/api/v1/invites/{code}", {}, eve.token).status_code)
    assert sorted(answers) == [200] + [409] * 5
    assert ann.call("GET", f"/guilds/{guild['id']}")["member_count"] == 3
    assert len(ann.call("GET", f"/guilds/{guild['id']}/members")) == 3


def test_roles_change_one_after_the_other(ann, bob, guild):
    roles = [ann.call("POST", f"/guilds/{guild['id']}/roles", {"name": f"r{i}", "position": 1}, 201)["id"] for i in range(6)]
    path = f"/api/v1/guilds/{guild['id']}/members/{bob.id}"
    together(6, lambda i: Api(ann.api.url).call("PUT", f"{path}/roles/{roles[i]}", ann.token))
    assert sorted(member(ann, guild, bob)["roles"]) == sorted(roles)  # none is lost
    pairs = [roles[i:i + 2] for i in (0, 2, 4)]
    together(3, lambda i: Api(ann.api.url).call("PATCH", path, ann.token, json={"roles": pairs[i]}))
    assert member(ann, guild, bob)["roles"] in pairs  # one of them, whole


def test_one_name_is_given_once(ann, guild):
    path = f"/api/v1/guilds/{guild['id']}/channels"
    answers = together(5, lambda i: Api(ann.api.url).post(path, {"name": "same", "type": 0}, ann.token))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 4
    made = together(4, lambda i: bare(Api(ann.api.url).post(path, {"name": f"n{i}", "type": 0}, ann.token)))
    assert sorted(c["position"] for c in made) == [3, 4, 5, 6]


def test_a_request_that_comes_twice_makes_one_guild(ann):
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    first, second = (ann.call("POST", "/guilds", {"name": "once"}, 201, headers=headers) for _ in range(2))
    assert first["id"] == second["id"] and len(ann.call("GET", "/users/@me/guilds")) == 1


# ---------------------------------------------------------------------------------------------------- events
def test_what_members_are_told(live, ann, bob, eve, guild):
    client = live(bob)
    path = f"/guilds/{guild['id']}"
    general = ann.channels(guild)[0]
    ann.call("PATCH", path, {"name": "Told"})
    assert client.wait_event("GUILD_UPDATE")["name"] == "Told"
    made = ann.channel(guild, "told")
    assert client.wait_event("CHANNEL_CREATE") == made
    ann.call("PATCH", f"/channels/{made['id']}", {"topic": "t"})
    assert client.wait_event("CHANNEL_UPDATE", topic="t")["id"] == made["id"]
    ann.call("DELETE", f"/channels/{made['id']}", status=204)
    assert client.wait_event("CHANNEL_DELETE") == {"id": made["id"], "guild_id": guild["id"]}
    role = ann.role(guild, "told")
    assert client.wait_event("GUILD_ROLE_CREATE") == {"guild_id": guild["id"], "role": role}
    ann.call("PATCH", f"{path}/roles/{role['id']}", {"color": 3})
    assert client.wait_event("GUILD_ROLE_UPDATE")["role"]["color"] == 3
    ann.call("PUT", f"{path}/members/{bob.id}/roles/{role['id']}", status=204)
    assert client.wait_event("GUILD_MEMBER_UPDATE", user_id=bob.id)["roles"] == [role["id"]]
    ann.call("DELETE", f"{path}/roles/{role['id']}", status=204)
    assert client.wait_event("GUILD_ROLE_DELETE") == {"guild_id": guild["id"], "role_id": role["id"]}
    everybody(guild, ann, eve)
    assert client.wait_event("GUILD_MEMBER_ADD", user_id=eve.id)["user"]["username"] == eve.name
    mark = client.mark()
    ann.call("PATCH", f"{path}/members/@me", {})
    assert client.wait_event("GUILD_MEMBER_UPDATE", mark, user_id=ann.id)["guild_id"] == guild["id"]
    ann.override(general, ann.everyone(guild), allow=SEND)
    assert client.wait_event("CHANNEL_UPDATE", mark, id=general["id"])
    ann.call("PUT", f"{path}/bans/{eve.id}", {"reason": "r"}, 204)
    ban = client.wait_event("GUILD_BAN_ADD")
    assert (ban["user_id"], ban["reason"], ban["created_by"], ban["guild_id"]) == (eve.id, "r", ann.id, guild["id"])
    assert client.wait_event("GUILD_MEMBER_REMOVE") == {"guild_id": guild["id"], "user_id": eve.id}
    ann.call("DELETE", f"{path}/bans/{eve.id}", status=204)
    assert client.wait_event("GUILD_BAN_REMOVE") == {"guild_id": guild["id"], "user_id": eve.id}
    ann.call("DELETE", path, status=204)
    assert client.wait_event("GUILD_DELETE") == {"id": guild["id"]}


def test_what_changes_nothing_is_not_told(live, ann, bob, guild):
    role = ann.role(guild, "r")
    client = live(bob)
    path = f"/guilds/{guild['id']}"
    barrier(ann, client, ann.channels(guild)[0])  # his own joining may come late
    mark = client.mark()
    ann.call("DELETE", f"{path}/members/{bob.id}/roles/{role['id']}", status=204)
    ann.call("PATCH", f"{path}/members/{bob.id}", {})
    ann.call("DELETE", f"{path}/bans/{bob.id}", status=204)
    barrier(ann, client, ann.channels(guild)[0], mark)
    assert not [t for t, _ in client.events[mark:] if t.startswith(("GUILD_MEMBER", "GUILD_BAN"))]


def test_children_of_a_category_are_told_that_it_is_gone(live, ann, bob, guild):
    shelf = ann.channel(guild, "shelf", 4)
    child = ann.call("POST", f"/guilds/{guild['id']}/channels", {"name": "c", "type": 0, "parent_id": shelf["id"]}, 201)
    client = live(bob)
    ann.call("DELETE", f"/channels/{shelf['id']}", status=204)
    assert "parent_id" not in client.wait_event("CHANNEL_UPDATE", id=child["id"])
    assert "parent_id" not in ann.call("GET", f"/channels/{child['id']}")


def test_the_copy_of_a_profile_follows(ann, bob, guild):
    ann.call("PATCH", "/users/@me", {"display_name": "Annabel"})
    poll(lambda: member(bob, guild, ann)["user"]["display_name"] == "Annabel", what="chat's copy of a profile")


# ---------------------------------------------------------------------------------------------------- defects of the original
def test_strangers_touch_no_role_and_no_channel(ann, eve, guild):
    """Section 17, security 1, 2 and 5: roles at negative positions, overrides, members and lists."""
    general, everyone = ann.channels(guild)[0], ann.everyone(guild)
    path = f"/guilds/{guild['id']}"
    for method, where, body in [("POST", f"{path}/roles", {"name": "a", "permissions": str(ADMIN), "position": -1}),
                                ("PATCH", f"{path}/roles/{everyone['id']}", {"permissions": str(ADMIN)}),
                                ("DELETE", f"{path}/roles/{everyone['id']}", None),
                                ("PUT", f"{path}/members/{eve.id}/roles/{everyone['id']}", None),
                                ("DELETE", f"{path}/members/{ann.id}/roles/{everyone['id']}", None),
                                ("PUT", f"/channels/{general['id']}/permissions/{everyone['id']}", {"deny": str(VIEW)}),
                                ("DELETE", f"/channels/{general['id']}/permissions/{everyone['id']}", None),
                                ("GET", f"{path}/roles", None), ("PATCH", f"{path}/members/{ann.id}", {})]:
        assert raw(eve, method, where, body).status_code in (403, 404), (method, where)
    assert ann.call("GET", f"{path}/roles")[0]["permissions"] == "32771"


def test_nobody_makes_himself_administrator(ann, bob, guild):
    """Section 17, security 1: whose highest role stood above position 1 could."""
    admin = next(r for r in ann.call("GET", f"/guilds/{guild['id']}/roles") if r["name"] == "Admin")
    give(ann, guild, bob, MANAGE_ROLES, position=5)
    refused(bob, "PUT", f"/guilds/{guild['id']}/members/{bob.id}/roles/{admin['id']}", None, 403, "MISSING_PERMISSIONS")


def test_hidden_channels_are_not_there(ann, bob, guild):
    """Section 17, security 3."""
    hidden = ann.channel(guild, "hidden")
    ann.override(hidden, ann.everyone(guild), deny=VIEW)
    assert hidden["id"] not in {c["id"] for c in bob.channels(guild)}
    assert hidden["id"] in {c["id"] for c in ann.channels(guild)}
    for method, path in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/permissions")]:
        refused(bob, method, f"/channels/{hidden['id']}{path}", {} if method == "PATCH" else None, 404, "NOT_FOUND",
                "channel not found")
    give(ann, guild, bob, MANAGE_CHANNELS)
    refused(bob, "DELETE", f"/channels/{hidden['id']}", None, 404, "NOT_FOUND", "channel not found")
    role = give(ann, guild, bob, 0)
    ann.override(hidden, role, allow=VIEW)
    assert hidden["id"] in {c["id"] for c in bob.channels(guild)}


def test_everyones_permissions_count(ann, bob, guild):
    """Section 6: the original's G1 does not see what everybody may."""
    everyone = ann.everyone(guild)
    ann.call("PATCH", f"/guilds/{guild['id']}/roles/{everyone['id']}", {"permissions": str(VIEW | SEND | HISTORY | MANAGE_CHANNELS)})
    assert bob.channel(guild, "by-bob")["name"] == "by-bob"


def test_a_role_that_is_not_there_takes_no_other_away(ann, bob, guild):
    """Section 17, races 6: the old roles were dropped first."""
    role = give(ann, guild, bob, 0)
    everyone = ann.everyone(guild)
    for wrong in ([role["id"], NOBODY], [NOBODY], [everyone["id"]], ["1"]):
        refused(ann, "PATCH", f"/guilds/{guild['id']}/members/{bob.id}", {"nickname": "x", "roles": wrong}, 400, "INVALID_ROLE",
                "invalid role ID")
    shown = member(ann, guild, bob)
    assert shown["roles"] == [role["id"]] and "nickname" not in shown


def test_what_was_a_500_has_a_code(ann, bob, guild):
    """Section 17, races 7."""
    path = f"/guilds/{guild['id']}"
    shelf = ann.channel(guild, "shelf", 4)
    ann.call("POST", f"{path}/channels", {"name": "child", "type": 0, "parent_id": shelf["id"]}, 201)
    for method, where, body, status, code in [
            ("POST", f"{path}/channels", {"name": "general", "type": 0}, 409, "NAME_TAKEN"),
            ("POST", f"{path}/channels", {"name": "x", "type": 0, "topic": "t" * 1025}, 400, "INVALID_TOPIC"),
            ("POST", f"{path}/channels", {"name": "x", "type": 0, "parent_id": NOBODY}, 400, "INVALID_PARENT"),
            ("POST", f"{path}/channels", {"name": "x", "type": 4, "parent_id": shelf["id"]}, 400, "INVALID_PARENT"),
            ("PATCH", path, {"icon": "i" * 65}, 400, "INVALID_ICON"),
            ("PUT", f"{path}/bans/{NOBODY}", {}, 404, "NOT_FOUND"),
            ("POST", f"{path}/roles", {"name": "a\0b"}, 400, "INVALID_NAME")]:
        refused(ann, method, where, body, status, code)
    ann.call("DELETE", f"/channels/{shelf['id']}", status=204)
    ann.call("PUT", f"{path}/bans/{bob.id}", {}, 204)
    ann.call("PUT", f"{path}/bans/{bob.id}", {}, 204)


def test_many_look_at_an_invite_at_once(ann, guild):
    """Section 17, scaling 1: 40 of these stopped the original."""
    code = ann.invite(guild)
    answers = together(40, lambda i: Api(ann.api.url).get(f"/api/v1/invites/{code}").status_code)
    assert answers == [200] * 40
    lists = together(40, lambda i: Api(ann.api.url).get(f"/api/v1/guilds/{guild['id']}/members", ann.token).status_code)
    assert lists == [200] * 40


# ---------------------------------------------------------------------------------------------------- accounts that go
def gone(stack, person):
    """An administrator deletes the account; true when chat has reported what it erased."""
    name = "m" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    admin = person.api.login(name).json()["access_token"]
    assert person.api.call("DELETE", f"/api/v1/users/{person.id}", admin).status_code == 200
    audit = person.api.get("/api/v1/admin/audit", admin, params={"target_id": person.id, "action": "user.deleted"}).json()
    erasure = audit["items"][0]["detail"]["erasure_id"]
    return poll(lambda: next((d["rows"] for d in person.api.get(f"/api/v1/auth/erasures/{erasure}", admin).json()["reports"]
                              if d["domain"] == "chat"), None), 30, "chat's report of an erasure")


@pytest.mark.local
def test_an_account_goes_with_all_that_chat_has_of_it(stack, live, ann, bob, eve, guild):
    general = ann.channels(guild)[0]
    alone = ann.guild("alone")
    said = [ann.say(general, f"{i}")["id"] for i in range(3)]
    kept = bob.say(general, "mine")["id"]
    group, pair = ann.dm(bob, eve), ann.dm(bob)
    ann.say(pair, "to bob")
    client = live(bob)
    gone(stack, ann)
    assert client.wait_event("GUILD_UPDATE", id=guild["id"])["owner_id"] == bob.id
    client.wait_event("GUILD_MEMBER_REMOVE", user_id=ann.id)
    assert [m["id"] for m in bob.history(general)] == [kept]
    assert set(client.wait_event("MESSAGE_DELETE_BULK", channel_id=general["id"])["ids"]) == set(said)
    assert bob.call("GET", f"/guilds/{guild['id']}")["member_count"] == 1
    assert bob.call("PATCH", f"/guilds/{guild['id']}", {"name": "mine"})["owner_id"] == bob.id
    shown = next(c for c in bob.call("GET", "/users/@me/channels") if c["id"] == group["id"])
    assert {r["id"] for r in shown["recipients"]} == {bob.id, eve.id} and shown["owner_id"] in (bob.id, eve.id)
    assert bob.history(pair) == []
    refused(bob, "GET", f"/guilds/{alone['id']}", None, 404, "NOT_FOUND")
    log = bob.call("GET", f"/guilds/{guild['id']}/audit-logs")
    assert {e["user_id"] for e in log["audit_log_entries"]} == {None, bob.id} and ann.name not in str(log)
