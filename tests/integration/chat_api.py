"""Chat over HTTP: people, guilds, channels, messages. What fails here fails the test."""
from api import Api

VIEW, SEND, MANAGE_ROLES, HISTORY, CONNECT, SPEAK = 1 << 0, 1 << 1, 1 << 4, 1 << 15, 1 << 8, 1 << 9


def bare(answer):
    """What an answer holds, in either envelope."""
    body = answer.json() if answer.content else None
    return body["data"] if isinstance(body, dict) and set(body) == {"data"} else body


class Person:
    """Somebody with an account; calls go to one gateway."""

    def __init__(self, api, **fields):
        self.api = api
        account = api.register(**fields)
        self.token, self.refresh = account["access_token"], account["refresh_token"]
        self.id, self.name = str(account["user"]["id"]), account["user"]["username"]

    def at(self, api):
        """The same one at another gateway."""
        other = object.__new__(Person)
        other.__dict__.update(self.__dict__)
        other.api = api
        return other

    def call(self, method, path, body=None, status=None, **options):
        answer = self.api.call(method, "/api/v1" + path, self.token, json=body, **options)
        if status is None:
            assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        else:
            assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return bare(answer)

    # --- guilds
    def guild(self, name="Guild"):
        return self.call("POST", "/guilds", {"name": name}, 201)

    def channels(self, guild):
        return self.call("GET", f"/guilds/{guild['id']}/channels")

    def channel(self, guild, name, type_=0):
        return self.call("POST", f"/guilds/{guild['id']}/channels", {"name": name, "type": type_}, 201)

    def invite(self, guild):
        return self.call("POST", f"/guilds/{guild['id']}/invites", {"max_uses": 0, "max_age_seconds": 0}, 201)["code"]

    def join(self, code):
        return self.call("POST", f"/invites/{code}")

    def role(self, guild, name="Role", permissions=0):
        return self.call("POST", f"/guilds/{guild['id']}/roles",
                         {"name": name, "color": 0, "permissions": str(permissions), "position": 1}, 201)

    def everyone(self, guild):
        return next(r for r in self.call("GET", f"/guilds/{guild['id']}/roles") if r["is_default"])

    def override(self, channel, role, allow=0, deny=0):
        return self.call("PUT", f"/channels/{channel['id']}/permissions/{role['id']}",
                         {"allow": str(allow), "deny": str(deny)})

    # --- messages
    def say(self, channel, content):
        return self.call("POST", f"/channels/{channel['id']}/messages", {"content": content}, 201)

    def history(self, channel, **query):
        return self.call("GET", f"/channels/{channel['id']}/messages", params=query)

    def dm(self, *others):
        body = {"recipient_id": others[0].id} if len(others) == 1 else {"recipient_ids": [o.id for o in others]}
        return self.call("POST", "/users/@me/channels", body)


def everybody(guild, owner, *others):
    """They join the owner's guild."""
    code = owner.invite(guild)
    for other in others:
        other.join(code)


def person(stack, gateway=1):
    return Person(Api(stack.url if gateway == 1 else stack.url2))
