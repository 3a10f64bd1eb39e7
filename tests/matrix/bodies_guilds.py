"""Requests for test_callers.py: of the rpcs of guilds. Guilds and what is in them are the owner's."""


def made(scene, method, path, body=None, token=None, status=201):
    answer = scene.api.call(method, path, token or owners(scene), json=body)
    assert answer.status_code == status, answer.text
    told = answer.json() if answer.text else {}
    return told.get("data", told) if isinstance(told, dict) else told


def owners(scene):
    return scene.owner_token


def guild(scene):
    if not hasattr(scene, "guild"):
        scene.guild = made(scene, "POST", "/api/v1/guilds", {"name": "matrix"})["id"]
    return scene.guild


def channel(scene):
    return made(scene, "GET", f"/api/v1/guilds/{guild(scene)}/channels", status=200)[0]["id"]


def role(scene):
    return made(scene, "POST", f"/api/v1/guilds/{guild(scene)}/roles", {"name": "matrix"})["id"]


def invite(scene):
    return made(scene, "POST", f"/api/v1/guilds/{guild(scene)}/invites", {})["code"]


def owner(scene):
    return made(scene, "GET", "/api/v1/users/@me", status=200)["id"]


def member(scene):
    """Somebody who came by an invite."""
    someone = scene.api.register()
    made(scene, "POST", f"/api/v1/invites/{invite(scene)}", token=someone["access_token"], status=200)
    return someone["user"]["id"]


def override_role(scene):
    chosen = role(scene)
    made(scene, "PUT", f"/api/v1/channels/{channel(scene)}/permissions/{chosen}", {}, status=200)
    return chosen


BODIES = {
    "CreateGuild": lambda s: {"name": "matrix"},
    "UpdateGuild": lambda s: {"name": "renamed"},
    "CreateChannel": lambda s: {"name": "matrix", "type": 0},
    "UpdateChannel": lambda s: {"name": "renamed"},
    "PutOverride": lambda s: {"allow": "1"},
    "UpdateOwnMember": lambda s: {"nickname": "matrix"},
    "UpdateMember": lambda s: {"nickname": "matrix"},
    "CreateGuildRole": lambda s: {"name": "matrix"},
    "UpdateGuildRole": lambda s: {"name": "renamed"},
    "CreateInvite": lambda s: {"max_uses": 1},
}
VARIABLES = {
    "guild_id": guild,
    "role_id": role,
    "code": invite,
    **{f"{rpc}.channel_id": channel
       for rpc in ("GetChannel", "UpdateChannel", "DeleteChannel", "ListOverrides", "PutOverride", "DeleteOverride")},
    **{f"{rpc}.user_id": owner for rpc in ("GetMember", "UpdateMember", "AddMemberRole", "RemoveMemberRole")},
    "DeleteOverride.role_id": override_role,
    "KickMember.user_id": member,
    **{f"{rpc}.user_id": lambda s: s.api.register()["user"]["id"] for rpc in ("PutBan", "DeleteBan")},
}
