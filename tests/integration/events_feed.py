"""The commons of events as those see it who follow it: changes by page and by stream, and how to cause some."""
import base64
import datetime
import json
import secrets
import socket
from urllib.parse import urlsplit

from api import PASSWORD, Api

FEED, STREAM, HOOKS, NODES = ("/api/v1/feeds/changes", "/api/v1/feeds/changes/stream", "/api/v1/feeds/webhooks",
                              "/api/v1/admin/federation/nodes")


def cursor(number):
    return base64.urlsafe_b64encode(f"seq_{number}".encode()).decode().rstrip("=")


def number(text):
    return int(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().removeprefix("seq_"))


def unique():
    return "".join(secrets.choice("bcdfghjklmnpqrstvwxz") for _ in range(14))


def happening(name=None, days=30, **fields):
    """An event that is published at once: all there, and like no other."""
    start = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).replace(microsecond=0)
    word = unique()
    return {
        "@type": "MusicEvent",
        "name": name or f"{word} {unique()} concert",
        "description": f"An evening with {word}, who plays until the last tram has gone, and then some more.",
        "startDate": start.isoformat().replace("+00:00", "Z"),
        "endDate": (start + datetime.timedelta(hours=2)).isoformat().replace("+00:00", "Z"),
        "image": f"https://pictures.example.org/{word}.jpg",
        "url": f"https://{word}.example.org/",
        "location": {"@type": "Place", "name": f"Hall {word}", "address": {
            "@type": "PostalAddress", "streetAddress": "1 Long Street", "addressLocality": "Toronto",
            "addressRegion": "ON", "postalCode": "M5V 2T6", "addressCountry": "CA"},
            "geo": {"@type": "GeoCoordinates", "latitude": 43.65, "longitude": -79.38}},
        **fields,
    }


class Commons:
    """An administrator and an agent at one gateway."""

    def __init__(self, stack, url=None):
        self.api = Api(url or stack.url)
        name = "a" + secrets.token_hex(6)
        stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
        self.admin = self.api.login(name).json()["access_token"]
        self.key, self.key_id = self.new_key()

    def new_key(self, **fields):
        made = self.api.post("/api/v1/admin/api-keys", {"name": "robot", **fields}, self.admin)
        assert made.status_code == 201, made.text
        return made.json()["api_key"], made.json()["id"]

    def submit(self, body=None, key=None):
        """Its ULID."""
        answer = self.api.post("/api/v1/events", body or happening(), key or self.key)
        assert answer.status_code == 201, answer.text
        return answer.json()["@id"].rsplit("/", 1)[1]

    def rename(self, ulid, name):
        answer = self.api.call("PUT", f"/api/v1/admin/events/{ulid}", self.admin, json={"name": name})
        assert answer.status_code == 200, answer.text

    def delete(self, ulid):
        answer = self.api.call("DELETE", f"/api/v1/admin/events/{ulid}", self.admin)
        assert answer.status_code == 204, answer.text

    def changes(self, **params):
        answer = self.api.get(FEED, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def position(self):
        """Where the feed is now."""
        page = self.changes(since=cursor(0), limit=200)
        while page["has_more"]:
            page = self.changes(since=page["next_cursor"], limit=200)
        return page["next_cursor"]

    def all_since(self, since, **params):
        found, more = [], True
        while more:
            page = self.changes(since=since, limit=200, **params)
            found += page["changes"]
            since, more = page["next_cursor"], page["has_more"]
        return found


class Watch:
    """A reader of server-sent events on a socket of its own. `last`: the id of the last event that came."""

    def __init__(self, url, path=FEED, last=None, accept="text/event-stream", timeout=30):
        at = urlsplit(url)
        self.socket = socket.create_connection((at.hostname, at.port), timeout=timeout)
        head = f"GET {path} HTTP/1.1\r\nHost: {at.netloc}\r\nAccept: {accept}\r\n"
        self.socket.sendall((head + (f"Last-Event-ID: {last}\r\n" if last else "") + "\r\n").encode())
        self.file, self.last = self.socket.makefile("rb"), last
        self.head = b"".join(iter(self.file.readline, b"\r\n"))
        self.lines = self._lines()

    def _lines(self):
        """The chunks put together, line by line."""
        rest = b""
        while (size := int(self.file.readline() or b"0", 16)) > 0:
            rest += self.file.read(size)
            self.file.readline()
            *whole, rest = rest.split(b"\n")
            yield from whole

    def next(self):
        """Kind and data of the next event; None at the end."""
        kind, data, name = "message", [], None
        for line in self.lines:
            field, _, value = line.decode().partition(": ")
            if field == "id":
                name = value
            elif field == "event":
                kind = value
            elif field == "data":
                data.append(value)
            elif not line and data:
                self.last = name or self.last
                return kind, json.loads("\n".join(data))
        return None

    def close(self):
        self.file.close()
        self.socket.close()
