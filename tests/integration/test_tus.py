"""Resumable uploads: the protocol, statement by statement, and what crashes do to it."""
import base64
import hashlib
import os
import random
import socket
import threading
import urllib.parse

import pytest
from api import Api
from polling import poll
from stack import SMALL_UPLOADS, running
from uploads import OFFSET, TUS, Uploads, finished, kill, metadata, sha256, start, stored, tuspy

MAX_BYTES = 40 * 1024 * 1024


@pytest.fixture(scope="module")
def stack():
    with running(gateways=2, settings={**SMALL_UPLOADS, "MEDIA_QUOTA": "120M"}) as own:
        yield own


def digest(algorithm, data):
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def test_what_it_can_is_said_to_anybody(api):
    for path in ("/media/upload/tus", "/media/upload/tus/anything"):
        answer = api.call("OPTIONS", path)
        assert answer.status_code == 204 and answer.headers["Tus-Version"] == "1.0.0"
        assert set(answer.headers["Tus-Extension"].split(",")) == {
            "creation", "creation-with-upload", "creation-defer-length", "expiration", "checksum", "termination",
            "concatenation"}
        assert answer.headers["Tus-Max-Size"] == str(MAX_BYTES)
        assert "sha1" in answer.headers["Tus-Checksum-Algorithm"].split(",")


def test_an_upload_in_pieces_becomes_a_queued_item(stack, database, mine):
    data = os.urandom(300_000)
    made = mine.create(len(data), filename="фильм.bin", title="Film", private="")
    assert made.status_code == 201 and made.headers["Tus-Resumable"] == "1.0.0"
    assert made.headers["Upload-Expires"].endswith("GMT")
    url, media_id = made.headers["Location"], made.headers["Media-Id"]
    assert mine.item(media_id)["status"] == "uploading"
    head = mine.head(url)
    assert head.status_code == 200 and head.headers["Cache-Control"] == "no-store"
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("0", "300000")
    assert head.headers["Upload-Metadata"] == metadata(filename="фильм.bin", title="Film", private="")
    for begin in range(0, len(data), 100_000):
        answer = mine.patch(url, begin, data[begin:begin + 100_000])
        assert answer.status_code == 204 and answer.headers["Upload-Offset"] == str(begin + 100_000)
    item = mine.item(media_id)
    assert item["status"] in ("queued", "processing", "ready", "failed") and item["title"] == "Film"
    assert item["original_filename"] == "фильм.bin" and item["size_bytes"] == len(data)
    key, stored_sha256 = database.original(media_id)
    assert stored_sha256 == sha256(data) and stored(stack, key).read_bytes() == data
    head = mine.head(url)
    assert head.headers["Upload-Offset"] == head.headers["Upload-Length"] == "300000"
    assert mine.patch(url, 300_000, b"").status_code == 204
    assert mine.patch(url, 300_000, b"more").status_code == 409
    assert mine.delete(url).status_code == 403 and mine.item(media_id)


def test_bytes_may_come_with_the_creation(mine):
    made = mine.create(10, b"0123456789")
    assert made.status_code == 201 and made.headers["Upload-Offset"] == "10"
    assert mine.item(made.headers["Media-Id"])["size_bytes"] == 10
    made = mine.create(10, b"0123")
    assert made.status_code == 201 and made.headers["Upload-Offset"] == "4"
    assert mine.head(made.headers["Location"]).headers["Upload-Offset"] == "4"
    assert mine.patch(made.headers["Location"], 4, b"456789").status_code == 204


def test_nothing_is_complete_at_once(mine):
    made = mine.create(0, filename="empty.bin")
    assert made.status_code == 201
    item = mine.item(made.headers["Media-Id"])
    assert item["status"] != "uploading" and item["size_bytes"] == 0


def test_a_length_may_be_said_later(mine):
    made = mine.create(headers={"Upload-Defer-Length": "1"})
    url = made.headers["Location"]
    assert made.status_code == 201 and mine.head(url).headers["Upload-Defer-Length"] == "1"
    assert mine.patch(url, 0, b"01234").status_code == 204
    assert mine.patch(url, 5, b"", {"Upload-Length": "4"}).status_code == 400
    assert mine.patch(url, 5, b"", {"Upload-Length": str(MAX_BYTES + 1)}).status_code == 413
    assert mine.patch(url, 5, b"567", {"Upload-Length": "10"}).status_code == 204
    assert mine.patch(url, 8, b"89", {"Upload-Length": "11"}).status_code == 400
    assert mine.patch(url, 8, b"89").status_code == 204
    assert mine.item(made.headers["Media-Id"])["size_bytes"] == 10


@pytest.mark.parametrize("headers, status", [
    ({"Upload-Length": "10", "Tus-Resumable": "0.2.2"}, 412),
    ({"Upload-Length": "10", "Tus-Resumable": None}, 412),
    ({}, 400),
    ({"Upload-Length": "10", "Upload-Defer-Length": "1"}, 400),
    ({"Upload-Defer-Length": "2"}, 400),
    ({"Upload-Length": "-1"}, 400),
    ({"Upload-Length": "ten"}, 400),
    ({"Upload-Length": "9223372036854775808"}, 400),
    ({"Upload-Length": str(MAX_BYTES + 1)}, 413),
    ({"Upload-Length": "10", "Upload-Metadata": "filename ?"}, 400),
    ({"Upload-Length": "10", "Upload-Metadata": "a YQ==,a YQ=="}, 400),
    ({"Upload-Length": "10", "Upload-Metadata": "filename YQBi"}, 400),  # "a", NUL, "b"
    ({"Upload-Length": "10", "Upload-Concat": "whole"}, 400),
    ({"Upload-Length": "10", "Upload-Concat": "final;/media/upload/tus/x"}, 400),
    ({"Upload-Concat": "final;"}, 400),
    ({"Upload-Concat": "final;/media/upload/tus/x"}, 403),
])
def test_creations_that_cannot_be(mine, headers, status):
    all_headers = {k: v for k, v in {**TUS, **headers}.items() if v is not None}
    answer = mine.api.call("POST", "/media/upload/tus", mine.token, headers=all_headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert (answer.headers.get("Tus-Version") == "1.0.0") == (status == 412)


def test_a_body_needs_its_type(mine):
    answer = mine.api.call("POST", "/media/upload/tus", mine.token, headers={**TUS, "Upload-Length": "3"}, data=b"abc")
    assert answer.status_code == 415
    assert mine.create(2, b"abc").status_code == 413
    assert mine.api.call("POST", "/media/upload/tus", headers={**TUS, "Upload-Length": "3"}).status_code == 401


def test_appends_that_cannot_be(mine):
    url = mine.create(10).headers["Location"]
    session = mine.api.session

    def patch(data=b"01234", **headers):
        sent = {**OFFSET, "Upload-Offset": "0", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return session.patch(url, data=data, headers={k: v for k, v in sent.items() if v is not None}, timeout=30)

    for status, answer in (
            (415, patch(Content_Type="application/octet-stream")),
            (412, patch(Tus_Resumable="2.0.0")),
            (412, patch(Tus_Resumable=None)),
            (400, patch(Upload_Offset=None)),
            (400, patch(Upload_Offset="-1")),
            (409, patch(Upload_Offset="1")),
            (413, patch(b"0123456789x")),
            (400, patch(Upload_Checksum="crc32 AAAAAA==")),
            (400, patch(Upload_Checksum="sha1 AAAAAA==")),
            (460, patch(Upload_Checksum=digest("sha1", b"other")))):
        assert answer.status_code == status, answer.text
        assert mine.head(url).headers["Upload-Offset"] == "0"
    answer = session.patch(url, data=(b"x" for _ in range(11)), headers={**OFFSET, "Upload-Offset": "0"}, timeout=30)
    assert answer.status_code == 413  # in chunks, of no length that was said
    offset = int(mine.head(url).headers["Upload-Offset"])
    assert offset <= 10
    wrong = url[:-2] + ("A" if url[-2] != "A" else "B") + url[-1]
    assert session.head(wrong, headers=TUS, timeout=30).status_code == 403


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512", "md5"])
def test_checksums_are_verified(mine, algorithm):
    made = mine.create(10)
    url = made.headers["Location"]
    assert mine.patch(url, 0, b"01234", {"Upload-Checksum": digest(algorithm, b"01234")}).status_code == 204
    assert mine.patch(url, 5, b"5678x", {"Upload-Checksum": digest(algorithm, b"56789")}).status_code == 460
    assert mine.head(url).headers["Upload-Offset"] == "5"
    assert mine.patch(url, 5, b"56789", {"Upload-Checksum": digest(algorithm, b"56789")}).status_code == 204
    assert mine.item(made.headers["Media-Id"])["sha256"] == sha256(b"0123456789")


def test_a_digest_of_the_whole_is_verified(mine):
    good = mine.create(4, b"good", sha256=sha256(b"good"))
    assert good.status_code == 201
    bad = mine.create(4, b"evil", sha256=sha256(b"good"))
    assert bad.status_code == 460
    assert mine.create(4, sha256="0123").status_code == 400


def test_an_upload_can_be_given_up(database, mine, user):
    made = mine.create(1000, filename="x.bin")
    url = made.headers["Location"]
    assert mine.patch(url, 0, b"x" * 500).status_code == 204
    assert database.reserved(user["user"]["id"]) == 1000
    assert mine.delete(url).status_code == 204
    assert mine.head(url).status_code == 404 and mine.patch(url, 500, b"x").status_code == 404
    assert mine.delete(url).status_code == 404
    assert mine.item(made.headers["Media-Id"]) is None and database.reserved(user["user"]["id"]) == 0


def test_methods_may_be_overridden(mine):
    url = mine.create(5).headers["Location"]
    session = mine.api.session
    answer = session.post(url, data=b"01", headers={**OFFSET, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"},
                          timeout=30)
    assert answer.status_code == 204 and answer.headers["Upload-Offset"] == "2"
    answer = session.post(url, headers={**TUS, "X-HTTP-Method-Override": "HEAD"}, timeout=30)
    assert answer.status_code == 200 and answer.headers["Upload-Offset"] == "2"
    assert session.post(url, headers={**TUS, "X-HTTP-Method-Override": "DELETE"}, timeout=30).status_code == 204
    assert mine.head(url).status_code == 404


def test_parts_are_put_together(stack, database, mine, user):
    parts, data = [], [os.urandom(100_000), b"", os.urandom(50_001)]
    for piece in data:
        made = mine.create(len(piece), headers={"Upload-Concat": "partial"})
        assert made.status_code == 201 and "Media-Id" not in made.headers
        parts.append(made.headers["Location"])
    assert mine.head(parts[0]).headers["Upload-Concat"] == "partial"
    concat = "final;" + " ".join([parts[0], urllib.parse.urlparse(parts[1]).path, parts[2]])
    assert mine.create(headers={"Upload-Concat": concat}).status_code == 400  # not complete
    for url, piece in zip(parts, data):
        assert not piece or mine.patch(url, 0, piece).status_code == 204
    made = mine.create(headers={"Upload-Concat": concat}, filename="whole.bin")
    assert made.status_code == 201, made.text
    item, whole = mine.item(made.headers["Media-Id"]), b"".join(data)
    assert item["size_bytes"] == len(whole) and item["sha256"] == sha256(whole)
    assert stored(stack, database.original(item["id"])[0]).read_bytes() == whole
    head = mine.head(made.headers["Location"])
    assert head.headers["Upload-Concat"] == concat and head.headers["Upload-Length"] == str(len(whole))
    assert mine.patch(made.headers["Location"], len(whole), b"x").status_code == 403
    assert mine.head(parts[0]).status_code == 404 and database.reserved(user["user"]["id"]) == 0


def test_parts_of_somebody_else_are_not_put_together(api, mine):
    other = Uploads(api, api.register()["access_token"])
    part = other.create(3, b"abc", headers={"Upload-Concat": "partial"}).headers["Location"]
    assert mine.create(headers={"Upload-Concat": "final;" + part}).status_code == 403
    assert other.head(part).status_code == 200


def slow_patch(url, offset, length, first):
    """A request that sent `first` of its `length` bytes; the caller goes on with it."""
    at = urllib.parse.urlparse(url)
    s = socket.create_connection((at.hostname, at.port), timeout=30)
    s.sendall((f"PATCH {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n"
               f"Content-Type: application/offset+octet-stream\r\nContent-Length: {length}\r\n\r\n").encode() + first)
    return s


def wait_for_writer(database, media_id):
    """Until a request has this upload: one that comes earlier would be the first."""
    poll(lambda: database.rows("SELECT 1 FROM media.upload WHERE media_id = %s AND writer IS NOT NULL", media_id), 20,
         "a writer")


def test_one_writes_at_a_time(database, mine):
    made = mine.create(1000)
    url = made.headers["Location"]
    with slow_patch(url, 0, 1000, b"x" * 100) as first:
        wait_for_writer(database, made.headers["Media-Id"])
        assert mine.patch(url, 0, b"y" * 1000).status_code == 423
        first.sendall(b"x" * 900)
        assert first.recv(100).startswith(b"HTTP/1.1 204")
    assert mine.head(url).headers["Upload-Offset"] == "1000"


def test_an_item_that_is_deleted_while_it_is_written_leaves_nothing(stack, database, mine, user):
    made = mine.create(1000)
    url, media_id = made.headers["Location"], made.headers["Media-Id"]
    with slow_patch(url, 0, 1000, b"x" * 100) as first:
        wait_for_writer(database, media_id)
        assert mine.api.call("DELETE", f"/media/{media_id}", mine.token).status_code == 200
        assert mine.item(media_id) is None
        assert mine.patch(url, 0, b"y" * 1000).status_code == 404  # nobody begins with it any more
        # Who writes has it still: nothing is taken away under his hands.
        assert database.rows("SELECT 1 FROM media.upload WHERE media_id = %s", media_id)
        first.sendall(b"x" * 900)
        assert first.recv(100).startswith(b"HTTP/1.1 404")
    poll(lambda: not database.rows("SELECT 1 FROM media.upload WHERE media_id = %s", media_id), 20, "the upload to go")
    assert database.reserved(user["user"]["id"]) == 0
    folder = stored(stack, "")
    poll(lambda: not any(media_id in str(p) for p in folder.rglob("*")), 20, "the bytes to go")


def test_what_came_before_the_client_left_stays(database, mine):
    made = mine.create(1000)
    url = made.headers["Location"]
    with slow_patch(url, 0, 1000, b"x" * 400):
        wait_for_writer(database, made.headers["Media-Id"])
    assert poll(lambda: int(mine.head(url).headers["Upload-Offset"]), what="what came") == 400
    assert mine.patch(url, 400, b"x" * 600).status_code == 204
    assert mine.item(made.headers["Media-Id"])["sha256"] == sha256(b"x" * 1000)


def test_uploads_side_by_side_stay_within_the_quota(database, mine, user):
    """Thirty times 10 MB, where 120 MB are allowed: twelve at most, whoever comes first."""
    made, lock = [], threading.Lock()

    def create():
        answer = Uploads(Api(mine.api.url), mine.token).create(10 * 1024 * 1024)
        with lock:
            made.append(answer.status_code)

    threads = [threading.Thread(target=create) for _ in range(30)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert made.count(201) == 12 and made.count(413) == 18
    assert database.reserved(user["user"]["id"]) == 120 * 1024 * 1024


def test_a_length_that_is_not_known_cannot_go_beyond_the_quota(database, api):
    user = api.register()
    mine = Uploads(api, user["access_token"])
    database.rows("INSERT INTO media.owner (owner_id, quota_bytes) VALUES (%s, 1000000)", int(user["user"]["id"]))
    url = mine.create(headers={"Upload-Defer-Length": "1"}).headers["Location"]
    assert mine.patch(url, 0, b"x" * 900_000).status_code == 204
    assert mine.patch(url, 900_000, b"x" * 200_000).status_code == 413
    assert int(mine.head(url).headers["Upload-Offset"]) <= 1_000_000
    assert database.reserved(user["user"]["id"]) <= 1_000_000


def test_abandoned_uploads_are_collected(stack, database, mine, user):
    made = mine.create(1000, b"x" * 500, filename="left.bin")
    media_id = made.headers["Media-Id"]
    database.rows("UPDATE media.upload SET expires_at = now() WHERE media_id = %s", media_id)
    poll(lambda: mine.item(media_id) is None, 10, "the sweeper")
    assert mine.head(made.headers["Location"]).status_code == 404
    assert database.reserved(user["user"]["id"]) == 0


def test_tuspy_goes_on_after_it_was_killed(stack, database, mine, tmp_path):
    path, storage, data = tmp_path / "film.bin", tmp_path / "urls", os.urandom(20_000_000)
    path.write_bytes(data)
    for _ in range(5):
        process = tuspy(mine.api.url, mine.token, path, storage, random.randint(300_000, 5_000_000))
        for _ in range(random.randint(1, 3)):
            process.stdout.readline()
        process.kill()
        process.communicate()
    out = finished(tuspy(mine.api.url, mine.token, path, storage, 4_000_000))
    assert out.startswith("offset") and not out.startswith("offset 0\n")
    url = out.split()[-1]
    assert database.original(mine.head(url).headers["Media-Id"])[1] == sha256(data)


@pytest.mark.parametrize("name", ["media", "gateway"])
def test_tuspy_outlives_a_server_that_was_killed(stack, database, mine, tmp_path, name):
    path, storage, data = tmp_path / "film.bin", tmp_path / "urls", os.urandom(30_000_000)
    path.write_bytes(data)
    process = tuspy(mine.api.url, mine.token, path, storage, 1_000_000)
    for _ in range(random.randint(2, 12)):
        process.stdout.readline()
    kill(stack, name)
    start(stack, name)
    out, errors = process.communicate(timeout=120)
    if process.returncode != 0:  # it gives up where a server does not answer at all: then it is started again
        out = finished(tuspy(mine.api.url, mine.token, path, storage, 1_000_000))
    url = out.split()[-1]
    assert poll(lambda: database.original(mine.head(url).headers["Media-Id"])[1], 10) == sha256(data), errors


def test_what_was_complete_when_the_server_died_becomes_an_item(stack, database, mine):
    """All bytes are durable, nothing was told: as after a crash between the two. Asking how far it is, ends it."""
    made = mine.create(1000, b"x" * 999)
    media_id, url = made.headers["Media-Id"], made.headers["Location"]
    database.rows("ALTER TABLE media.item ADD CONSTRAINT shut CHECK (status <> 'queued') NOT VALID")
    try:
        assert mine.patch(url, 999, b"x").status_code != 204
        assert mine.item(media_id)["status"] == "uploading"
    finally:
        database.rows("ALTER TABLE media.item DROP CONSTRAINT shut")
    assert mine.head(url).headers["Upload-Offset"] == "1000"
    assert mine.item(media_id)["status"] != "uploading"
