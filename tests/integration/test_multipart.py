"""Uploads in parts, each put to a URL of its own."""
import concurrent.futures
import os

import pytest
from api import Api
from media_api import error
from polling import poll
from stack import SMALL_UPLOADS, running
from uploads import kill, sha256, start, stored

MIB = 1 << 20


@pytest.fixture(scope="module")
def stack():
    with running(gateways=1, settings=SMALL_UPLOADS) as own:
        yield own


class Parts:
    """One upload of one user."""

    def __init__(self, mine, data, **fields):
        self.mine, self.data = mine, data
        answer = mine.api.post("/media/upload/multipart", {"filename": "film.bin", "size_bytes": len(data), **fields},
                               mine.token)
        assert answer.status_code == 200, answer.text
        self.made = answer.json()
        self.path = f"/media/upload/multipart/{self.made['upload']}"

    def call(self, method, below="", json=None, token=None):
        return self.mine.api.call(method, self.path + below, token or self.mine.token, json=json)

    def sign(self, *numbers):
        answer = self.call("POST", "/parts", {"part_numbers": list(numbers)})
        assert answer.status_code == 200, answer.text
        return answer.json()["parts"]

    def piece(self, number):
        size = self.made["part_size_bytes"]
        return self.data[(number - 1) * size:number * size]

    def put(self, number, data=None):
        signed, = self.sign(number)
        headers = {h["name"]: h["value"] for h in signed.get("headers", [])}
        return self.mine.put(signed["upload_url"], self.piece(number) if data is None else data, **headers)

    def put_all(self):
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(self.put, range(1, self.made["part_count"] + 1)))
        assert [a.status_code for a in answers] == [200] * len(answers), answers[0].text
        return [{"part_number": i + 1, "etag": a.headers["ETag"]} for i, a in enumerate(answers)]

    def complete(self, parts=None, **fields):
        return self.call("POST", "/complete", {**({"parts": parts} if parts is not None else {}), **fields})


@pytest.fixture(scope="module")
def data():
    return os.urandom(11 * MIB + 12345)


def begin(mine, data, **fields):
    return Parts(mine, data, part_size_bytes=5 * MIB, **fields)


def test_parts_side_by_side_become_a_queued_item(stack, database, mine, user, data):
    upload = begin(mine, data, title="Film", mime_type="application/x-test", sha256=sha256(data))
    made = upload.made
    assert (made["part_count"], made["part_size_bytes"], made["size_bytes"]) == (3, 5 * MIB, len(data))
    assert [p["size_bytes"] for p in upload.sign(1, 2, 3)] == [5 * MIB, 5 * MIB, MIB + 12345]
    assert mine.item(made["media_id"])["status"] == "uploading"
    assert database.reserved(user["user"]["id"]) == len(data)
    parts = upload.put_all()
    listed = upload.call("GET", "/parts").json()["parts"]
    assert [(p["part_number"], p["size_bytes"]) for p in listed] == [(1, 5 * MIB), (2, 5 * MIB), (3, MIB + 12345)]
    assert [p["etag"] for p in listed] == [p["etag"].strip('"') for p in parts]
    done = upload.complete(parts)
    assert done.status_code == 200, done.text
    item = done.json()
    assert (item["id"], item["title"], item["size_bytes"]) == (made["media_id"], "Film", len(data))
    key, digest = database.original(item["id"])
    assert digest == sha256(data) and stored(stack, key).read_bytes() == data
    assert database.reserved(user["user"]["id"]) == 0 and database.used(user["user"]["id"]) == len(data)
    again = upload.complete(parts)
    assert again.status_code == 200 and again.json()["id"] == item["id"]
    folder = stored(stack, f"incoming/{user['user']['id']}/{made['upload']}")
    poll(lambda: not any(folder.glob("*")), what="the parts to go")


def test_a_part_that_is_put_again_replaces_the_earlier_one(mine, data):
    upload = begin(mine, data)
    wrong = upload.put(1, os.urandom(5 * MIB))
    assert wrong.status_code == 200
    parts = upload.put_all()
    assert parts[0]["etag"] != wrong.headers["ETag"]
    stale = [{**parts[0], "etag": wrong.headers["ETag"]}, *parts[1:]]
    assert error(upload.complete(stale), 400, "invalid_argument")["message"].startswith("InvalidPart: part 1")
    done = upload.complete()  # whatever has come
    assert done.status_code == 200 and done.json()["sha256"] == sha256(data)


def test_what_is_not_as_it_was_said_is_refused(mine, data):
    api, token = mine.api, mine.token
    for fields, begins in (({"size_bytes": 0}, "size_bytes"), ({"part_size_bytes": MIB}, "EntityTooSmall"),
                           ({"part_size_bytes": 6 << 30}, "EntityTooLarge"), ({"filename": ""}, "filename"),
                           ({"sha256": "00"}, "sha256")):
        answer = api.post("/media/upload/multipart", {"filename": "a", "size_bytes": 6 * MIB, **fields}, token)
        assert error(answer, 400, "invalid_argument")["message"].startswith(begins)
    error(api.post("/media/upload/multipart", {"filename": "a", "size_bytes": 41 * MIB}, token), 413,
          "resource_exhausted")
    upload = begin(mine, data)
    for numbers in ([], [0], [4], [1] * 101):
        error(upload.call("POST", "/parts", {"part_numbers": numbers}), 400, "invalid_argument")
    assert upload.put(3, data[:5 * MIB]).status_code == 400  # longer than it is
    assert upload.put(1, data[:MIB]).status_code == 400
    assert error(upload.complete(), 400, "invalid_argument")["message"] == "InvalidPart: part 1 has not come"
    parts = upload.put_all()
    assert error(upload.complete(parts[::-1]), 400, "invalid_argument")["message"].startswith("InvalidPartOrder")
    assert error(upload.complete(parts[:2]), 400, "invalid_argument")["message"].startswith("InvalidPart")
    error(mine.confirm(upload.made["media_id"]), 400, "failed_precondition")
    other = begin(mine, data, sha256=sha256(b"others"))
    other.put_all()
    error(other.complete(), 400, "invalid_argument")
    assert mine.item(other.made["media_id"])["status"] == "uploading"


def test_what_is_given_up_is_freed(stack, database, mine, user, data):
    upload = begin(mine, data)
    upload.put(1)
    late, = upload.sign(2)
    folder = stored(stack, f"incoming/{user['user']['id']}/{upload.made['upload']}")
    assert any(folder.glob("*"))
    assert upload.call("DELETE").json() == {"success": True}
    assert mine.item(upload.made["media_id"]) is None and database.reserved(user["user"]["id"]) == 0
    poll(lambda: not any(folder.glob("*")), what="the parts to go")
    for answer in (upload.call("DELETE"), upload.call("GET", "/parts"), upload.complete()):
        error(answer, 404, "not_found")
    assert mine.put(late["upload_url"], upload.piece(2)).status_code == 404
    stale = begin(mine, data)
    stale.put(1)
    database.rows("UPDATE media.upload SET expires_at = now() WHERE id = %s", stale.made["upload"])
    poll(lambda: not database.rows("SELECT 1 FROM media.upload WHERE id = %s", stale.made["upload"]),
         what="a stale upload to go")
    folder = stored(stack, f"incoming/{user['user']['id']}/{stale.made['upload']}")
    poll(lambda: not any(folder.glob("*")), what="its parts to go")


def test_it_is_gone_on_with_after_a_crash(stack, mine, data):
    upload = begin(mine, data)
    assert upload.put(2).status_code == 200
    kill(stack, "media")
    start(stack, "media")
    listed = poll(lambda: upload.call("GET", "/parts").json().get("parts"), what="the parts to be listed")
    assert [p["part_number"] for p in listed] == [2]
    for number in (3, 1):
        assert upload.put(number).status_code == 200
    assert upload.complete().json()["sha256"] == sha256(data)


def test_others_have_no_such_upload(stack, mine, data):
    api = Api(stack.url)
    other = api.register()["access_token"]
    upload = begin(mine, data)
    for method, below, body in (("GET", "/parts", None), ("POST", "/parts", {"part_numbers": [1]}),
                                ("POST", "/complete", {}), ("DELETE", "", None)):
        error(upload.call(method, below, body, token=other), 404, "not_found")
    assert api.session.put(stack.url + "/media/upload/part/bm9uZQ", data=b"x", timeout=30).status_code == 403
