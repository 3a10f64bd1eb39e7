"""What the suites of media share: a user with items, as a client would make them."""
import secrets

from polling import poll


class Library:
    """Of one user, through one gateway."""

    def __init__(self, api, user=None):
        self.api = api
        self.user = user or api.register()
        self.token = self.user["access_token"]

    def call(self, method, path, json=None, **options):
        return self.api.call(method, path, self.token, json=json, **options)

    def ok(self, method, path, json=None, **options):
        answer = self.call(method, path, json, **options)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def sign(self, filename="clip.bin", **fields):
        return self.ok("POST", "/media/upload/sign", {"filename": filename, **fields})

    def put(self, signed, content):
        answer = self.api.session.put(signed["upload_url"], data=content, timeout=30)
        assert answer.status_code == 200, answer.text

    def upload(self, content=None, filename="clip.bin", title="", **fields):
        """An item whose bytes are there; its id."""
        signed = self.sign(filename, **fields)
        self.put(signed, secrets.token_bytes(1000) if content is None else content)
        self.ok("POST", "/media/upload/confirm", {"media_id": signed["media_id"], "title": title})
        return signed["media_id"]

    def item(self, media_id):
        return self.ok("GET", f"/media/{media_id}")

    def list(self, **params):
        return self.ok("GET", "/media", params=params)

    def settled(self, media_id):
        """The item when its processing is over."""
        return poll(lambda: self.over(media_id), 60, f"the end of the processing of {media_id}")

    def over(self, media_id):
        item = self.item(media_id)
        return item if item["status"] in ("ready", "failed") else None

    def collection(self, **fields):
        return self.ok("POST", "/collection", {"title": "summer", **fields})


def error(answer, status, code, message=None):
    """The one error body of this contract: its members in this order."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert list(body) == ["code", "message", "details"]
    assert body["code"] == code
    if message is not None:
        assert body["message"] == message
    return body
