"""Media over a real S3 store: what clients put there themselves, resumable uploads over several instances, what plays."""
import io
import json
import os
import random
import signal
import socket
import subprocess
import urllib.parse
import zipfile

import m3u8
import pytest
import requests

from api import Api
from lab import make
from polling import poll
from stack import Stack
from test_s3 import AWS_ENVIRONMENT, BUCKET, ENDPOINT, run
from uploads import Database, Uploads, sha256

CLIP = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2", "-f", "lavfi", "-i", "sine=f=440:d=2", "-c:v", "libx264",
        "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]
PART_BYTES = 8 << 20  # more than S3's least part


@pytest.fixture(scope="module")
def stack():
    own = Stack(settings={
        "BLOB_DRIVER": "s3", "S3_ENDPOINT": os.environ["BLOB_TEST_S3"], "S3_ACCESS_KEY": os.environ["BLOB_TEST_S3_KEY"],
        "S3_SECRET_KEY": os.environ["BLOB_TEST_S3_SECRET"], "S3_BUCKET": BUCKET, "MEDIA_SWEEP_INTERVAL": "1s",
        "MEDIA_TRASH_DAYS": "0"})
    try:
        yield own.up()
    finally:
        own.destroy()


@pytest.fixture
def mine(stack):
    api = Api(stack.url)
    return Uploads(api, api.register()["access_token"])


@pytest.fixture
def database(stack):
    own = Database(stack)
    yield own
    own.close()


def keys(prefix):
    out = run("/usr/bin/aws", "--endpoint-url", ENDPOINT, "s3api", "list-objects-v2", "--bucket", BUCKET, "--prefix", prefix,
              env=AWS_ENVIRONMENT)
    return [row["Key"] for row in json.loads(out or b"{}").get("Contents", [])]


def content(key):
    return run("/usr/bin/aws", "--endpoint-url", ENDPOINT, "s3", "cp", f"s3://{BUCKET}/{key}", "-", env=AWS_ENVIRONMENT)


def ready(mine, media_id):
    def over():
        item = mine.api.get(f"/media/{media_id}", mine.token).json()
        return item if item["status"] in ("ready", "failed") else None

    item = poll(over, 120, "the end of the processing")
    assert item["status"] == "ready", item
    return item


def test_clients_put_to_the_store_itself(mine, database):
    data = random.Random(2).randbytes(100_000)
    signed = mine.sign("a b.bin", mime_type="application/x-test", size_bytes=len(data), sha256=sha256(data)).json()
    assert signed["upload_url"].startswith(ENDPOINT)
    headers = {h["name"]: h["value"] for h in signed.get("headers", [])}
    assert requests.put(signed["upload_url"], data=data[:-1], headers=headers, timeout=30).status_code == 403
    assert mine.confirm(signed["media_id"]).status_code == 400
    # A store that looks at the signed digest refuses; Ceph's gateway of Debian 12 does not, so the confirmation does.
    requests.put(signed["upload_url"], data=data[:-1] + b"x", headers=headers, timeout=30)
    assert mine.confirm(signed["media_id"]).status_code == 400
    assert mine.item(signed["media_id"])["status"] == "uploading"
    assert requests.put(signed["upload_url"], data=data, headers=headers, timeout=30).status_code == 200
    assert mine.confirm(signed["media_id"]).status_code == 200
    key, digest = database.original(signed["media_id"])
    assert content(key) == data and digest == sha256(data)
    # What is put later changes nothing any more.
    assert requests.put(signed["upload_url"], data=data, headers=headers, timeout=30).status_code == 200
    assert database.original(signed["media_id"]) == (key, digest)


def test_parts_are_put_to_the_store_itself(mine, database):
    data = random.Random(4).randbytes(2 * PART_BYTES + 12345)
    made = mine.api.post("/media/upload/multipart", {"filename": "film.bin", "size_bytes": len(data),
                                                     "part_size_bytes": PART_BYTES, "sha256": sha256(data)}, mine.token).json()
    path = f"/media/upload/multipart/{made['upload']}"
    signed = mine.api.post(path + "/parts", {"part_numbers": [3, 1, 2]}, mine.token).json()["parts"]
    parts = []
    for part in signed:
        assert part["upload_url"].startswith(ENDPOINT)
        piece = data[(part["part_number"] - 1) * PART_BYTES:][:part["size_bytes"]]
        headers = {h["name"]: h["value"] for h in part.get("headers", [])}
        answer = requests.put(part["upload_url"], data=piece, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        parts.append({"part_number": part["part_number"], "etag": answer.headers["ETag"]})
    listed = mine.api.get(path + "/parts", mine.token).json()["parts"]
    assert [(p["part_number"], p["size_bytes"]) for p in listed] == [(1, PART_BYTES), (2, PART_BYTES), (3, 12345)]
    parts.sort(key=lambda p: p["part_number"])
    for _ in range(2):
        done = mine.api.post(path + "/complete", {"parts": parts}, mine.token)
        assert done.status_code == 200, done.text
    key, digest = database.original(made["media_id"])
    assert digest == sha256(data) and content(key) == data
    given_up = mine.api.post("/media/upload/multipart", {"filename": "b.bin", "size_bytes": 100}, mine.token).json()
    assert mine.api.call("DELETE", f"/media/upload/multipart/{given_up['upload']}", mine.token).status_code == 200


def test_a_resumable_upload_in_many_sittings(mine, database):
    data = random.Random(3).randbytes(3 * PART_BYTES + 12345)
    url = mine.create(len(data), filename="film.bin").headers["Location"]
    at = 0
    for size in (1000, PART_BYTES, 1, 2 * PART_BYTES, len(data)):  # parts of S3 begin and end elsewhere
        piece = data[at:at + size]
        answer = mine.patch(url, at, piece)
        assert answer.status_code == 204, answer.text
        at += len(piece)
        assert int(answer.headers["Upload-Offset"]) == int(mine.head(url).headers["Upload-Offset"]) == at
    key, digest = database.original(mine.head(url).headers["Media-Id"])
    assert digest == sha256(data) and content(key) == data
    given_up = mine.create(len(data), filename="film.bin").headers["Location"]
    assert mine.patch(given_up, 0, data[:PART_BYTES]).status_code == 204
    assert mine.delete(given_up).status_code == 204
    assert mine.head(given_up).status_code == 404


def test_what_plays_comes_from_the_store(mine):
    clip = make("tiny.mp4", *CLIP).read_bytes()
    media_id = mine.create(len(clip), clip, filename="tiny.mp4").headers["Media-Id"]
    item = ready(mine, media_id)
    master = m3u8.loads(requests.get(item["playback"]["hls_url"], timeout=30).text, uri=item["playback"]["hls_url"])
    for variant in master.playlists:
        playlist = m3u8.loads(requests.get(variant.absolute_uri, timeout=30).text, uri=variant.absolute_uri)
        whole = requests.get(playlist.segments[0].absolute_uri, timeout=30)
        part = requests.get(playlist.segments[0].absolute_uri, headers={"Range": "bytes=10-99"}, timeout=30)
        assert whole.status_code == 200 and part.status_code == 206 and part.content == whole.content[10:100]
    made = mine.api.post("/media/export", {"media_ids": [media_id]}, mine.token).json()
    with zipfile.ZipFile(io.BytesIO(requests.get(made["url"], timeout=60).content)) as archive:
        assert archive.read("tiny.mp4") == clip
    assert keys(f"derived/{media_id}/") and [k for k in keys("original/") if media_id in k]
    assert mine.api.call("DELETE", f"/media/{media_id}", mine.token).status_code == 200
    poll(lambda: not keys(f"derived/{media_id}/") and not [k for k in keys("original/") if media_id in k], 60,
         "the objects to go")
    assert requests.get(item["playback"]["hls_url"], timeout=30).status_code in (403, 404)


# ------------------------------------------------------------------------------------------------ two instances

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def second(stack):
    """Another media on the same database and store: its process, and the address of its data plane."""
    folder = stack.folder / "stack"
    settings = dict(line.split("=", 1) for line in (folder / "run/media.env").read_text().splitlines() if "=" in line)
    admin, data_plane = free_port(), free_port()
    settings.update(ADMIN_ADDR=f"127.0.0.1:{admin}", BYTES_ADDR=f"127.0.0.1:{data_plane}")
    build = os.environ.get("ATRIUM_BUILD", str(stack.root / "build"))
    with open(folder / "logs/media-second.log", "wb") as log:
        process = subprocess.Popen([f"{build}/bin/media"], env={"PATH": os.environ["PATH"], **settings}, stdout=log, stderr=log)

    def is_ready():
        try:
            return requests.get(f"http://127.0.0.1:{admin}/readyz", timeout=5).status_code == 200
        except requests.ConnectionError:
            assert process.poll() is None, (folder / "logs/media-second.log").read_text()
            return False

    try:
        poll(is_ready, 60, "the second media")
        yield process, f"http://127.0.0.1:{data_plane}"
    finally:
        process.kill()
        process.wait()


def begin_patch(url, offset, length, first):
    """A PATCH that says more than it sends, as one does whose network is gone."""
    at = urllib.parse.urlsplit(url)
    connection = socket.create_connection((at.hostname, at.port), timeout=30)
    connection.sendall((f"PATCH {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n"
                        f"Content-Type: application/offset+octet-stream\r\nContent-Length: {length}\r\n\r\n").encode() + first)
    return connection


@pytest.mark.parametrize("end", ["leaves", "dies"])
def test_one_instance_writes_and_the_other_takes_over(mine, database, second, end):
    process, address = second
    data = random.Random(end).randbytes(2 * PART_BYTES)
    url = mine.create(len(data), filename="film.bin").headers["Location"]
    elsewhere = address + urllib.parse.urlsplit(url).path
    assert mine.patch(url, 0, data[:1000]).status_code == 204
    assert mine.patch(elsewhere, 1000, data[1000:3000]).status_code == 204  # by turns: nothing stays behind
    with begin_patch(elsewhere, 3000, len(data) - 3000, data[3000:PART_BYTES]):
        poll(lambda: database.rows("SELECT count(*) FROM media.upload WHERE writer IS NOT NULL") == [(1,)], what="a writer")
        assert mine.patch(url, 3000, data[3000:]).status_code == 423
        assert mine.delete(url).status_code == 423
        if end == "dies":
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    # What was not durable yet is sent again.
    def goes_on():
        at = int(mine.head(url).headers["Upload-Offset"])
        return mine.patch(url, at, data[at:]).status_code == 204

    poll(goes_on, 30, "the other instance to take over")
    key, digest = database.original(mine.head(url).headers["Media-Id"])
    assert digest == sha256(data) and content(key) == data
    assert database.rows("SELECT count(*) FROM media.upload WHERE writer IS NOT NULL") == [(0,)]
