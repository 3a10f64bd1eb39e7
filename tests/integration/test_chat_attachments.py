"""Attachments: files that people bring for messages. They are media items; chat says who may bring them where."""
import struct
import uuid
import zlib

import pytest

from chat_api import Person, everybody
from polling import poll

pytestmark = pytest.mark.local
ATTACH_FILES = 1 << 14


def png(width=2, height=2):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"\x10\x20\x30" * width for _ in range(height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + \
        chunk(b"IDAT", zlib.compress(rows + uuid.uuid4().bytes)) + chunk(b"IEND", b"")


class Scene:
    def __init__(self, api):
        self.owner, self.member, self.stranger = Person(api), Person(api), Person(api)
        self.guild = self.owner.guild()
        everybody(self.guild, self.owner, self.member)
        self.channel = self.owner.channel(self.guild, "files")


@pytest.fixture
def scene(api):
    return Scene(api)


def bring(person, channel, file=("a.png", None, "image/png"), field="file"):
    name, content, type_ = file
    return person.api.call("POST", f"/api/v1/channels/{channel['id']}/attachments", person.token,
                           files={field: (name, png() if content is None else content, type_)})


def reason(answer):
    assert "error" in answer.json(), answer.text
    return answer.status_code, answer.json()["error"]["code"]


def test_a_file_is_brought_posted_and_read_by_everybody(scene, api):
    picture = png()
    answer = bring(scene.owner, scene.channel, ("day \u00e4.png", picture, "image/png"))
    assert answer.status_code == 201, answer.text
    file = answer.json()
    assert file["message_id"] == "0" and file["filename"] == "day \u00e4.png" and file["size"] == len(picture)
    assert file["content_type"] == "image/png" and file["url"].startswith("/attachments/")
    sent = scene.owner.call("POST", f"/channels/{scene.channel['id']}/messages", {"attachments": [file["id"]]}, 201)
    assert sent["content"] == "" and sent["attachments"] == [{**file, "message_id": sent["id"]}]
    assert scene.member.history(scene.channel)[0]["attachments"] == sent["attachments"]
    got = api.get(file["url"])  # as an image tag asks: without a credential
    assert got.status_code == 200 and got.content == picture and got.headers["Content-Type"] == "image/png"
    assert "sandbox" in got.headers["Content-Security-Policy"]
    assert got.headers["Content-Disposition"].startswith("inline")
    assert api.get(file["url"], headers={"Range": "bytes=0-7"}).content == picture[:8]
    assert api.get("/attachments/" + "A" * 22 + "/a.png").status_code == 404
    item = scene.owner.api.get(f"/media/{file['media_id']}", scene.owner.token)
    assert item.status_code == 200 and item.json()["size_bytes"] == len(picture)
    scene.owner.call("DELETE", f"/channels/{scene.channel['id']}/messages/{sent['id']}", status=204)
    poll(lambda: api.get(file["url"]).status_code == 404, what="the item is gone")


def test_what_is_not_named_is_taken_along(scene):
    files = [bring(scene.owner, scene.channel).json() for _ in range(2)]
    sent = scene.owner.say(scene.channel, "with both")
    assert [a["id"] for a in sent["attachments"]] == [f["id"] for f in files]
    assert scene.owner.say(scene.channel, "with none")["attachments"] == []


def test_what_is_refused_and_in_which_order(scene):
    channel, nowhere = scene.channel, {"id": "1"}
    large = b"x" * (10 * 1024 * 1024 + 1)
    plain = scene.owner.api.call("POST", f"/api/v1/channels/{channel['id']}/attachments", scene.owner.token, json={})
    assert reason(plain) == (400, "MISSING_FILE")
    assert reason(bring(scene.owner, nowhere, field="other")) == (400, "MISSING_FILE")
    assert reason(bring(scene.owner, {"id": "x"})) == (400, "INVALID_ID")
    assert reason(bring(scene.owner, nowhere)) == (404, "NOT_FOUND")
    assert reason(bring(scene.stranger, channel)) == (403, "FORBIDDEN")
    assert reason(bring(scene.member, channel)) == (403, "MISSING_PERMISSIONS")  # the default role has it not
    assert reason(bring(scene.owner, channel, ("a.exe", large, "application/x-msdownload"))) == (400, "FILE_TOO_LARGE")
    assert reason(bring(scene.owner, channel, ("a.zip", b"PK", "application/zip"))) == (400, "INVALID_CONTENT_TYPE")
    assert reason(bring(scene.owner, channel, ("a.txt", b"x", "text/plain; charset=utf-8"))) == \
        (400, "INVALID_CONTENT_TYPE")
    everyone = scene.owner.everyone(scene.guild)
    scene.owner.call("PATCH", f"/guilds/{scene.guild['id']}/roles/{everyone['id']}",
                     {"permissions": str(int(everyone["permissions"]) | ATTACH_FILES)})
    assert bring(scene.member, channel).status_code == 201
    assert bring(scene.owner, scene.owner.dm(scene.member)).status_code == 201


@pytest.mark.parametrize("name, content, type_", [
    ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "image/svg+xml"),
    ("a.png", b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>", "image/png"),
])
def test_what_could_run_is_saved_not_shown(scene, api, name, content, type_):
    answer = bring(scene.owner, scene.channel, (name, content, type_))
    assert answer.status_code == 201, answer.text
    got = api.get(answer.json()["url"])
    assert got.headers["Content-Disposition"].startswith("attachment") and got.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in got.headers["Content-Security-Policy"]


def test_nobody_takes_what_another_has_brought(scene):
    file = bring(scene.owner, scene.channel).json()
    answer = scene.member.api.call("POST", f"/api/v1/channels/{scene.channel['id']}/messages", scene.member.token,
                                   json={"content": "mine", "attachments": [file["id"]]})
    assert reason(answer) == (400, "INVALID_ATTACHMENT")


def test_a_file_name_that_is_too_long_is_refused_by_name(scene):
    assert bring(scene.owner, scene.channel, ("a" * 251 + ".png", None, "image/png")).status_code == 201
    answer = bring(scene.owner, scene.channel, ("a" * 252 + ".png", None, "image/png"))
    assert reason(answer) == (400, "INVALID_FILENAME")
    assert answer.json()["message"] == "filename of a part: more than 255 bytes"
