"""HTTP calls as a client would make them."""
import base64
import json as jsonlib
import secrets

import requests

PASSWORD = "correct horse battery"


def claims(jwt):
    """What a token says, unchecked."""
    payload = jwt.split(".")[1]
    return jsonlib.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


class Api:
    def __init__(self, url):
        self.url = url
        self.session = requests.Session()

    def call(self, method, path, token=None, **options):
        headers = dict(options.pop("headers", None) or {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        options.setdefault("timeout", 30)
        return self.session.request(method, self.url + path, headers=headers, **options)

    def get(self, path, token=None, **options):
        return self.call("GET", path, token, **options)

    def post(self, path, json=None, token=None, **options):
        return self.call("POST", path, token, json=json, **options)

    def register(self, **fields):
        body = {"username": "u" + secrets.token_hex(6), "password": PASSWORD, **fields}
        answer = self.post("/api/v1/auth/register", body)
        assert answer.status_code == 200, answer.text
        return {**answer.json(), "password": body["password"]}

    def login(self, username, password=PASSWORD, **options):
        return self.post("/api/v1/auth/login", {"username": username, "password": password}, **options)

    def me(self, token, path="/api/v1/users/@me"):
        return self.get(path, token)

    def talker_register(self, **fields):
        body = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD, **fields}
        answer = self.post("/api/auth/register", body)
        assert answer.status_code == 201, answer.text
        return {**answer.json(), "password": body["password"]}
