"""Signed URLs, forms, files and exports."""
import base64
import concurrent.futures
import hashlib
import io
import os
import pathlib
import secrets
import subprocess
import zipfile

import pytest
from api import PASSWORD, Api
from polling import poll
from stack import SMALL_UPLOADS, running
from uploads import Uploads, kill, sha256, start, stored

# As libmagic knows them.
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")
PDF = b"%PDF-1.4\n1 0 obj <<>> endobj\ntrailer <<>>\n%%EOF\n"
MP4 = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + b"\0" * 100
PLAYLIST = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"


@pytest.fixture(scope="module")
def stack():
    with running(gateways=1, settings=SMALL_UPLOADS) as own:
        yield own


def problem(answer, status, code=None):
    assert answer.status_code == status, answer.text
    assert code is None or answer.json()["code"] == code, answer.text
    return answer.json()["message"]


# ------------------------------------------------------------------------------------------------ signed URLs

def test_a_file_is_put_to_its_url_and_queued(stack, database, mine, user):
    signed = mine.sign("a b.png", mime_type="image/png").json()
    assert signed["s3_key"] == f"original/{user['user']['id']}/{signed['media_id']}/a b.png"
    assert mine.item(signed["media_id"])["status"] == "uploading"
    assert problem(mine.confirm(signed["media_id"]), 400, "failed_precondition")
    assert mine.item(signed["media_id"])["status"] == "uploading"
    done = mine.put(signed["upload_url"], PNG, Content_Type="image/png")
    assert done.status_code == 200 and done.headers["ETag"].startswith('"')
    confirmed = mine.confirm(signed["media_id"], title="Dot", size_bytes=1)
    assert confirmed.status_code == 200
    assert confirmed.json() == {"media_id": signed["media_id"], "status": "queued"}
    item = mine.item(signed["media_id"])
    assert (item["title"], item["size_bytes"], item["mime_type"]) == ("Dot", len(PNG), "image/png")
    assert item["sha256"] == sha256(PNG)
    key, _ = database.original(signed["media_id"])
    assert stored(stack, key).read_bytes() == PNG


def test_a_url_takes_any_type_unless_one_was_signed(mine):
    free = mine.sign("a.bin").json()
    for content_type in ("text/html", "application/json"):
        assert mine.put(free["upload_url"], PNG, Content_Type=content_type).status_code == 200
    subprocess.run(["curl", "-fsS", "-T", "-", free["upload_url"]], input=PDF, check=True, timeout=30)  # in chunks
    assert mine.confirm(free["media_id"]).status_code == 200
    assert mine.item(free["media_id"])["mime_type"] == "application/pdf"
    bound = mine.sign("a.png", mime_type="image/png").json()
    problem(mine.put(bound["upload_url"], PNG, Content_Type="text/html"), 400, "invalid_argument")
    assert problem(mine.confirm(bound["media_id"]), 400, "failed_precondition")


def test_what_was_said_of_the_bytes_holds(mine):
    signed = mine.sign("a.png", size_bytes=len(PNG), sha256=sha256(PNG)).json()
    url = signed["upload_url"]
    problem(mine.put(url, PNG[:-1]), 400)
    problem(mine.put(url, PNG + b"x"), 400)
    problem(mine.put(url, (bytes([b]) for b in PNG + b"x")), 413)
    problem(mine.put(url, PNG[:-1] + b"x"), 400)
    problem(mine.put(url, PNG, Repr_Digest=f"sha-256=:{base64.b64encode(b'x' * 32).decode()}:"), 400)
    problem(mine.confirm(signed["media_id"]), 400, "failed_precondition")
    assert mine.put(url, PNG).status_code == 200
    assert mine.confirm(signed["media_id"]).status_code == 200


def test_a_digest_that_is_sent_along_is_verified(mine):
    signed = mine.sign("a.png").json()
    right = base64.b64encode(hashlib.sha256(PNG).digest()).decode()
    wrong = base64.b64encode(hashlib.sha256(b"").digest()).decode()
    problem(mine.put(signed["upload_url"], PNG, Repr_Digest=f"sha-256=:{wrong}:"), 400)
    problem(mine.put(signed["upload_url"], PNG, x_amz_checksum_sha256=wrong), 400)
    problem(mine.put(signed["upload_url"], PNG, Content_Digest="sha-256=:?:"), 400)
    problem(mine.confirm(signed["media_id"]), 400, "failed_precondition")
    assert mine.put(signed["upload_url"], PNG, Repr_Digest=f"sha-256=:{right}:").status_code == 200


def test_after_the_confirmation_nothing_changes_any_more(stack, database, mine):
    signed = mine.sign("a.png").json()
    assert mine.put(signed["upload_url"], b"first").status_code == 200
    assert mine.put(signed["upload_url"], PNG).status_code == 200  # until then, as often as one likes
    assert mine.confirm(signed["media_id"]).status_code == 200
    problem(mine.put(signed["upload_url"], b"another"), 409)
    assert mine.confirm(signed["media_id"]).json()["status"] == "queued"
    assert stored(stack, database.original(signed["media_id"])[0]).read_bytes() == PNG
    assert database.rows("SELECT count(*) FROM media.outbox WHERE subject = %s",
                         f"evt.media.item.uploaded.{signed['media_id']}")[0][0] <= 1


def test_what_is_confirmed_is_whole_whatever_is_put_meanwhile(stack, database, mine):
    """Two keep putting, three confirm at once: each answer is good, and the bytes are those of the digest."""
    def keep_putting(url, content):
        for turn in range(200):
            if mine.put(url, content + b"." * turn).status_code != 200:
                return

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        for turn in range(10):
            signed = mine.sign(f"{turn}.bin").json()
            assert mine.put(signed["upload_url"], b"first").status_code == 200
            puts = [pool.submit(keep_putting, signed["upload_url"], content) for content in (b"this", b"that")]
            confirmed = [pool.submit(mine.confirm, signed["media_id"]) for _ in range(3)]
            assert [c.result().status_code for c in confirmed] == [200] * 3
            for put in puts:
                put.result()
            key, digest = database.original(signed["media_id"])
            content = stored(stack, key).read_bytes()
            assert sha256(content) == digest and mine.item(signed["media_id"])["size_bytes"] == len(content)


def test_urls_are_for_one_thing(api, mine):
    url = mine.sign("a.png").json()["upload_url"]
    head, ticket = url.rsplit("/", 1)
    problem(mine.put(f"{head}/{ticket[:-2]}AA", PNG), 403)
    problem(mine.put(f"{head}/nonsense", PNG), 403)
    assert api.session.get(url.replace("/upload/put/", "/file/"), timeout=30).status_code == 403
    assert api.session.head(url.replace("/put/", "/tus/"), headers={"Tus-Resumable": "1.0.0"},
                            timeout=30).status_code == 403


def test_urls_end_with_the_login(mine):
    url = mine.sign("a.png").json()["upload_url"]
    assert mine.api.post("/auth/logout", token=mine.token).status_code == 200
    poll(lambda: mine.put(url, PNG).status_code == 403, 5, "the URL to be worthless")


@pytest.mark.parametrize("body, message", [
    ({}, "filename is required"),
    ({"filename": ""}, "filename is required"),
    ({"filename": "x" * 256}, "filename: 1 to 255 characters, no controls"),
    ({"filename": "a", "mime_type": "nonsense"}, None),
    ({"filename": "a", "size_bytes": -1}, None),
    ({"filename": "a", "sha256": "12"}, None),
    ({"filename": "a", "title": "x" * 501}, None),
])
def test_wishes_that_cannot_be(api, mine, body, message):
    said = problem(api.post("/media/upload/sign", body, mine.token), 400, "invalid_argument")
    assert message is None or said == message


def test_confirmations_that_cannot_be(api, mine):
    assert problem(mine.confirm(""), 400) == "media_id is required"
    for media_id in ("nonsense", "01a22bb9-f9bd-76d2-87f4-1e8f6a16f712"):
        assert problem(mine.confirm(media_id), 404, "not_found") == "media not found"
    other = Uploads(api, api.register()["access_token"])
    media_id = mine.sign("a.png").json()["media_id"]
    assert problem(other.confirm(media_id), 403, "permission_denied") == "not authorized"


@pytest.mark.parametrize("filename, kept", [("../../etc/passwd", "_._.._etc_passwd"), (".hidden", "_hidden"),
                                            ("写真.jpg", "写真.jpg"), ("a/b\\c.txt", "a_b_c.txt"),
                                            ("я" * 250 + ".mp4", None)])
def test_names_are_made_safe(stack, database, mine, filename, kept):
    signed = mine.sign(filename).json()
    assert mine.put(signed["upload_url"], b"x").status_code == 200 and mine.confirm(signed["media_id"]).status_code == 200
    name = database.original(signed["media_id"])[0].rsplit("/", 1)[1]
    assert len(name.encode()) <= 200 and name.endswith(filename[-4:]) and name == (kept or name)
    assert mine.item(signed["media_id"])["original_filename"] == filename
    database.rows("UPDATE media.item SET status = 'ready' WHERE id = %s", signed["media_id"])
    url = mine.api.get(f"/media/{signed['media_id']}", mine.token).json()["stream_url"]
    given = mine.api.session.get(url, timeout=30)
    assert (given.status_code, given.content) == (200, b"x")


@pytest.mark.parametrize("filename, claimed, data, stored_type", [
    ("film.mp4", "video/mp4", PNG, "image/png"),
    ("film.mp4", "video/mp4", MP4, "video/mp4"),
    ("film.avi", "video/x-msvideo", PLAYLIST, None),
    ("paper.pdf", "", PDF, "application/pdf"),
    ("table.csv", "text/csv", b"a,b\n1,2\n", "text/csv"),
    ("page.html", "image/png", b"<!DOCTYPE html><html><script>1</script></html>", "text/html"),
    ("noise.mp3", "audio/mpeg", bytes(range(7, 200)) * 3, "audio/mpeg"),
    ("empty.bin", "", b"", None),
])
def test_types_are_what_the_bytes_are(mine, filename, claimed, data, stored_type):
    signed = mine.sign(filename, mime_type=claimed).json()
    assert mine.put(signed["upload_url"], data, **({"Content_Type": claimed} if claimed else {})).status_code == 200
    assert mine.confirm(signed["media_id"]).status_code == 200
    found = mine.item(signed["media_id"])["mime_type"]
    if stored_type:
        assert found == stored_type
    else:
        assert not found.startswith("video/x-msvideo")


def test_sizes_have_limits_while_bytes_arrive(database, mine, user):
    problem(mine.sign("a.bin", size_bytes=40 * 1024 * 1024 + 1), 413, "resource_exhausted")
    signed = mine.sign("a.bin").json()
    piece = b"x" * 1024 * 1024
    # A server that refuses early may close before it has read all.
    try:
        problem(mine.put(signed["upload_url"], (piece for _ in range(41))), 413)
    except OSError:
        pass
    problem(mine.confirm(signed["media_id"]), 400, "failed_precondition")
    assert database.reserved(user["user"]["id"]) <= 40 * 1024 * 1024


def test_signed_sizes_are_set_aside(database, mine, user):
    size = 20 * 1024 * 1024
    first, second = mine.sign("a.bin", size_bytes=size), mine.sign("b.bin", size_bytes=size)
    assert first.status_code == second.status_code == 200
    refused = mine.sign("c.bin", size_bytes=size)
    problem(refused, 429, "resource_exhausted")
    assert refused.json()["details"]["limit"] == 50 * 1024 * 1024
    assert database.reserved(user["user"]["id"]) == 2 * size
    assert mine.put(first.json()["upload_url"], b"x" * size).status_code == 200
    assert mine.confirm(first.json()["media_id"]).status_code == 200
    assert (database.reserved(user["user"]["id"]), database.used(user["user"]["id"])) == (size, size)


def test_what_failed_or_was_given_up_is_not_set_aside(stack, database, api):
    """A quota for five of eight, which arrive at once, and none says how long it is."""
    user = api.register()
    mine = Uploads(api, user["access_token"])
    signed = [mine.sign(f"{n}.bin").json() for n in range(8)]
    database.rows("UPDATE media.owner SET quota_bytes = 5000000 WHERE owner_id = %s", int(user["user"]["id"]))

    def put(one):
        return mine.put(one["upload_url"], (os.urandom(100_000) for _ in range(10))).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(put, signed)) <= {200, 429}
    stored_bytes = sum(1_000_000 for one in signed if mine.confirm(one["media_id"]).status_code == 200)
    assert database.used(user["user"]["id"]) == stored_bytes <= 5_000_000
    left = [one for one in signed if mine.item(one["media_id"])["status"] == "uploading"]
    poll(lambda: database.reserved(user["user"]["id"]) == 0, 10, "what failed to be given back")
    for one in left:
        assert mine.api.call("DELETE", f"/media/{one['media_id']}", mine.token).status_code == 200
        problem(mine.put(one["upload_url"], b"x"), 404)
    again = mine.sign("again.bin", size_bytes=5_000_000 - stored_bytes).json()
    assert database.reserved(user["user"]["id"]) == 5_000_000 - stored_bytes
    assert mine.api.call("DELETE", f"/media/{again['media_id']}", mine.token).status_code == 200
    assert database.reserved(user["user"]["id"]) == 0
    assert database.rows("SELECT count(*) FROM media.upload WHERE owner_id = %s AND state = 'open'",
                         int(user["user"]["id"]))[0][0] == 0


def test_an_account_that_goes_takes_its_uploads_along(stack, database, api):
    name = "m" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    user = api.register()
    user_id, mine = user["user"]["id"], Uploads(api, user["access_token"])
    signed = mine.sign("put.bin").json()
    assert mine.put(signed["upload_url"], b"put").status_code == 200
    assert mine.create(10, b"begun", filename="tus.bin").status_code == 201
    done = mine.create(4, b"done", filename="done.bin")
    key = database.original(done.headers["Media-Id"])[0]
    incoming = list(stored(stack, f"incoming/{user_id}").iterdir())
    assert len(incoming) == 1 and stored(stack, key).exists()
    admin = api.login(name).json()["access_token"]
    assert api.call("DELETE", f"/api/v1/users/{user_id}", admin).status_code == 200
    for table in ("upload", "item", "owner"):
        poll(lambda t=table: database.rows(f"SELECT 1 FROM media.{t} WHERE owner_id = %s", int(user_id)) == [], 10, table)
    poll(lambda: not incoming[0].exists() and not stored(stack, key).exists(), 20, "its objects to be gone")
    staging = pathlib.Path(stack.environment["ATRIUM_DIR"]) / "blobs"
    assert not [path for path in staging.rglob("*") if path.is_file() and path.read_bytes() == b"begun"]


def test_the_same_content_is_kept_once(stack, database, mine, user):
    data, ids = os.urandom(100_000), []
    for name in ("one.bin", "two.bin"):
        signed = mine.sign(name).json()
        assert mine.put(signed["upload_url"], data).status_code == 200
        assert mine.confirm(signed["media_id"]).status_code == 200
        ids.append(signed["media_id"])
    assert database.original(ids[0]) == database.original(ids[1])
    assert database.used(user["user"]["id"]) == len(data)


def test_a_confirmation_that_a_crash_ended_is_made_good_by_the_next(stack, database, mine):
    """Media is killed while it confirms, again and again: in the end there is one item, one object, one event."""
    signed = mine.sign("a.bin").json()
    data = os.urandom(5_000_000)
    assert mine.put(signed["upload_url"], data).status_code == 200
    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = pool.submit(mine.confirm, signed["media_id"])
        kill(stack, "media")
        asked.result()
    start(stack, "media")
    assert poll(lambda: mine.confirm(signed["media_id"]).status_code == 200, 20)
    assert database.original(signed["media_id"])[1] == sha256(data)
    assert database.rows("SELECT count(*) FROM media.object WHERE sha256 = decode(%s, 'hex')", sha256(data)) == [(1,)]


# ------------------------------------------------------------------------------------------------ forms

def form(mine, files, **fields):
    return mine.api.call("POST", "/media/upload/form", mine.token, data=fields, files=files)


def test_a_form_brings_files_with_what_is_said_of_them(stack, database, mine):
    answer = form(mine, [("f", ("写真.png", PNG, "image/png")), ("f", ("b.pdf", PDF, "application/pdf"))],
                  title="Both", tags=["one", "two", "one"])
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [i["original_filename"] for i in items] == ["写真.png", "b.pdf"]
    for item, data in zip(items, (PNG, PDF)):
        row = mine.item(item["media_id"])
        assert row["title"] == "Both" and row["tags"] == ["one", "two"] and row["size_bytes"] == len(data)
        assert stored(stack, database.original(item["media_id"])[0]).read_bytes() == data


def test_a_form_is_taken_whole_or_not_at_all(database, mine, user):
    before = mine.api.get("/media", mine.token).json()["total_count"]
    problem(form(mine, [("f", (f"{i}.bin", b"x", None)) for i in range(21)]), 400, "invalid_argument")
    problem(form(mine, [("f", ("a.bin", b"x", None))], title="x" * 501), 400, "invalid_argument")
    problem(form(mine, [("f", ("a.bin", b"x", "nonsense"))]), 400, "invalid_argument")
    problem(form(mine, {"x": (None, "1")}), 400, "invalid_argument")
    problem(mine.api.call("POST", "/media/upload/form", mine.token, data=b"--b\r\n",
                          headers={"Content-Type": "multipart/form-data; boundary=b"}), 400, "invalid_argument")
    problem(mine.api.call("POST", "/media/upload/form", mine.token, json={}), 415, "invalid_argument")
    # What is thrown away goes after the answer.
    poll(lambda: mine.api.get("/media", mine.token).json()["total_count"] == before, what="the items to go")
    poll(lambda: database.reserved(user["user"]["id"]) == 0, what="what was set aside to come back")


# ------------------------------------------------------------------------------------------------ files and streams

def made_ready(stack, database, mine, name="film.mp4", data=MP4):
    """An item that plays, without a transcoder: what that would have made."""
    media_id = uploaded(mine, name, data)
    database.rows("UPDATE media.item SET status = 'ready', rendition_media_id = id, rendition_generation = generation"
                  " WHERE id = %s", media_id)
    generation = database.rows("SELECT generation FROM media.item WHERE id = %s", media_id)[0][0]
    database.rows("INSERT INTO media.rendition VALUES (%s, %s, 1) ON CONFLICT DO NOTHING", media_id, generation)
    for path, kind, content in (("hls/master.m3u8", "hls_master", b"#EXTM3U\nv/seg-1.m4s\n"),
                                ("hls/v/seg-1.m4s", "segment", bytes(range(256))),
                                ("poster-640.jpg", "poster", b"jpeg"), ("captions/en.vtt", "captions", b"WEBVTT\n")):
        key = f"derived/{media_id}/{generation}/{path}"
        database.rows("INSERT INTO media.asset (media_id, generation, name, kind, key, content_type, size_bytes)"
                      " VALUES (%s, %s, %s, %s, %s, 'x/y', %s)", media_id, generation, path, kind, key, len(content))
        stored(stack, key).parent.mkdir(parents=True, exist_ok=True)
        stored(stack, key).write_bytes(content)
    return media_id


def test_a_stream_plays_by_one_url(stack, database, mine):
    media_id = made_ready(stack, database, mine)
    master = mine.api.get(f"/media/{media_id}", mine.token).json()["playback"]["hls_url"]
    session = mine.api.session
    answer = session.get(master, timeout=30)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/vnd.apple.mpegurl"
    assert "no-cache" in answer.headers["Cache-Control"]
    segment = master.rsplit("/", 1)[0] + "/v/seg-1.m4s"
    answer = session.get(segment, timeout=30)
    assert answer.content == bytes(range(256)) and answer.headers["Content-Type"] == "video/iso.segment"
    assert "immutable" in answer.headers["Cache-Control"] and answer.headers["Accept-Ranges"] == "bytes"
    part = session.get(segment, headers={"Range": "bytes=-6"}, timeout=30)
    assert part.status_code == 206 and part.content == bytes(range(250, 256))
    assert session.get(segment, headers={"If-None-Match": answer.headers["ETag"]}, timeout=30).status_code == 304
    head = session.head(segment, timeout=30)
    assert head.status_code == 200 and head.headers["Content-Length"] == "256"
    base = master.rsplit("/hls/", 1)[0]
    assert session.get(f"{base}/captions/en.vtt", timeout=30).headers["Content-Type"].startswith("text/vtt")
    for path in ("hls/none.m4s", "hls/v", "x.exe", "hls//master.m3u8", "%2e%2e/1/hls/master.m3u8",
                 f"hls/%2e%2e/%2e%2e/%2e%2e/{media_id}/1/hls/master.m3u8"):
        assert session.get(f"{base}/{path}", timeout=30).status_code in (400, 403, 404), path


def test_links_end_at_once_with_the_item(stack, database, mine):
    media_id = made_ready(stack, database, mine)
    item = mine.api.get(f"/media/{media_id}", mine.token).json()
    urls = [item["playback"]["hls_url"], item["stream_url"]]
    assert [mine.api.session.get(u, timeout=30).status_code for u in urls] == [200, 200]
    assert mine.api.call("DELETE", f"/media/{media_id}", mine.token).status_code == 200
    poll(lambda: [mine.api.session.get(u, timeout=30).status_code for u in urls] == [403, 403], 2.5, "links to die")


def test_an_original_is_given_out_safely(stack, database, mine):
    media_id = made_ready(stack, database, mine, "写真.html", b"<!DOCTYPE html><html><script>1</script></html>")
    database.rows("DELETE FROM media.asset WHERE media_id = %s", media_id)
    url = mine.api.get(f"/media/{media_id}", mine.token).json()["stream_url"]
    answer = mine.api.session.get(url, timeout=30)
    assert answer.status_code == 200 and answer.content.startswith(b"<!DOCTYPE")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "filename*=UTF-8''%E5%86%99%E7%9C%9F.html" in answer.headers["Content-Disposition"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and "sandbox" in answer.headers["Content-Security-Policy"]
    media_id = made_ready(stack, database, mine, "dot.png", PNG)
    database.rows("DELETE FROM media.asset WHERE media_id = %s", media_id)
    url = mine.api.get(f"/media/{media_id}", mine.token).json()["stream_url"]
    answer = mine.api.session.get(url, timeout=30)
    assert answer.headers["Content-Type"] == "image/png" and answer.headers["Content-Disposition"].startswith("inline")
    answer = mine.api.session.get(url + "?download=1", timeout=30)
    assert answer.headers["Content-Disposition"].startswith("attachment")


# ------------------------------------------------------------------------------------------------ exports

def uploaded(mine, name, data):
    made = mine.create(len(data), data, filename=name)
    assert made.status_code == 201, made.text
    return made.headers["Media-Id"]


def test_items_are_exported_as_one_archive(mine, tmp_path):
    contents = {"a.txt": b"hello", "写真 é.bin": os.urandom(100_000), "empty": b""}
    ids = [uploaded(mine, name, data) for name, data in contents.items()]
    ids.append(uploaded(mine, "a.txt", b"another"))
    made = mine.api.post("/media/export", {"media_ids": ids}, mine.token)
    assert made.status_code == 200 and made.json()["item_count"] == 4, made.text
    answer = mine.api.session.get(made.json()["url"], timeout=30)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/zip"
    assert len(answer.content) == int(answer.headers["Content-Length"]) == made.json()["size_bytes"]
    assert answer.headers["Content-Disposition"].startswith("attachment")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {i.filename: archive.read(i) for i in archive.infolist()} == {**contents, "a (2).txt": b"another"}
    (tmp_path / "x.zip").write_bytes(answer.content)
    subprocess.run(["unzip", "-tqq", str(tmp_path / "x.zip")], check=True, timeout=30)
    part = mine.api.session.get(made.json()["url"], headers={"Range": "bytes=100-199"}, timeout=30)
    assert part.status_code == 206 and part.content == answer.content[100:200]
    other = Uploads(mine.api, mine.api.register()["access_token"])
    problem(mine.api.post("/media/export", {"media_ids": ids}, other.token), 404, "not_found")
    problem(mine.api.post("/media/export", {}, mine.token), 400, "invalid_argument")


# ------------------------------------------------------------------------------------------------ the command line

def test_the_command_line_uploads_and_goes_on(stack, database, mine, tmp_path):
    path, data = tmp_path / "big.bin", os.urandom(30_000_000)
    path.write_bytes(data)
    environment = {**stack.environment, "ATRIUM_TOKEN": mine.token, "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [str(stack.root / "bin/atrium"), "media", "put", "--no-wait", "--server", stack.url, str(path)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # Once it is remembered: who is killed before that begins anew.
    poll(lambda: any(p.is_file() and p.stat().st_size for p in (tmp_path / "state").rglob("*")), what="the upload to begin")
    process.kill()
    process.communicate()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr
    media_id = done.stdout.split()[-1]
    assert database.original(media_id)[1] == sha256(data)
    assert database.rows("SELECT count(*) FROM media.upload WHERE size_bytes = %s", len(data)) == [(1,)]
    wrong = subprocess.run(command, env={**environment, "ATRIUM_TOKEN": "nonsense"}, stderr=subprocess.PIPE, timeout=60,
                           check=False)
    assert wrong.returncode == 1
