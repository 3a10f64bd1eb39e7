"""Who takes part in a case of the matrices."""
import functools

from api import Api, claims


class Scene:
    """What one case is about: an owner with two logins, and the one who calls."""

    def __init__(self, stack, caller):
        self.stack = stack
        self.api = Api(stack.url)
        registered = self.api.register()
        self.owner = registered["user"]["username"]
        self.spare = claims(registered["access_token"])["sid"]
        self.caller = None if caller == "nobody" else self.owner if caller == "owner" else \
            self.account(stack, {"other": "user"}.get(caller, caller))
        self.tokens = self.login(self.caller) if self.caller else {}

    def account(self, stack, role):
        return self.api.register()["user"]["username"] if role == "user" else stack.account(role)

    @functools.cached_property
    def owner_token(self):
        """Of a third login."""
        return self.login(self.owner)["access_token"]

    def login(self, name):
        answer = self.api.login(name)
        assert answer.status_code == 200, answer.text
        return answer.json()


class Scenes:
    """Scenes to be used again: most of a case's time goes into making its people. What is refused or only read leaves
    nothing changed (the cases see to it themselves); all else has a scene of its own. What requests are prepared with (a
    guild's roles, keys) grows meanwhile, so that a scene is used only so often."""

    USES_MAX = 20

    def __init__(self, stack):
        self.stack = stack
        self.kept = {}

    def of(self, kind, caller, method, status):
        if status < 400 and method != "GET":
            return kind(self.stack, caller)
        scene, uses = self.kept.get((kind, caller), (None, self.USES_MAX))
        if uses >= self.USES_MAX:
            scene, uses = kind(self.stack, caller), 0
        self.kept[kind, caller] = scene, uses + 1
        return scene
