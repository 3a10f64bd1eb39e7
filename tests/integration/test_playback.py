"""From a file to what plays and back, with the real transcoder: by the command line, by URLs alone, by links to others."""
import io
import os
import signal
import subprocess
import urllib.parse
import zipfile

import m3u8
import pytest
import requests

from api import Api
from lab import ffprobe, make
from media_api import Library, error
from polling import poll
from stack import ROOT, running

pytestmark = pytest.mark.local

CLIP = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=3", "-f", "lavfi", "-i", "sine=f=440:d=3", "-c:v", "libx264",
        "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]


@pytest.fixture(scope="module")
def stack():
    with running() as own:
        yield own


@pytest.fixture(scope="module")
def mine(stack):
    return Library(Api(stack.url))


@pytest.fixture(scope="module")
def clip():
    return make("playback.mp4", *CLIP)


class Put:
    """bin/atrium media put, of one user and one folder of its state."""

    def __init__(self, stack, mine, folder):
        self.stack, self.state = stack, folder / "state"
        self.environment = {**stack.environment, "ATRIUM_TOKEN": mine.token, "XDG_STATE_HOME": str(self.state)}

    def begin(self, *words, **environment):
        changed = {k: v for k, v in {**self.environment, **environment}.items() if v is not None}
        return subprocess.Popen([str(ROOT / "bin/atrium"), "media", "put", "--server", self.stack.url, *map(str, words)],
                                env=changed, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *words, **environment):
        process = self.begin(*words, **environment)
        out, errors = process.communicate(timeout=180)
        return process.returncode, out, errors

    def remembered(self):
        return [p for p in self.state.rglob("*") if p.is_file() and p.stat().st_size]


@pytest.fixture
def put(stack, mine, tmp_path):
    return Put(stack, mine, tmp_path)


@pytest.fixture(scope="module")
def film(stack, mine, clip, tmp_path_factory):
    """Brought by the command line: what that printed, and the item."""
    command = Put(stack, mine, tmp_path_factory.mktemp("put"))
    code, out, errors = command.run(clip)
    assert code == 0, errors
    assert not command.remembered()
    item = next(i for i in mine.list()["items"] if i["original_filename"] == clip.name)
    return out.strip(), errors, mine.item(item["id"])


# ------------------------------------------------------------------------------------------------ the command line

def test_the_command_line_waits_until_it_plays(film):
    url, errors, item = film
    assert item["status"] == "ready" and url.endswith("/hls/master.m3u8")
    lines = errors.splitlines()
    assert "playback.mp4: sent 100 %" in lines and any("sent" not in line for line in lines), errors
    assert requests.get(url, timeout=30).text.startswith("#EXTM3U")


def interrupted(put, path, how):
    """Begins an upload and ends its process; false when that was quicker."""
    process = put.begin("--no-wait", path)
    poll(lambda: put.remembered() or process.poll() is not None, what="the upload to begin")
    process.send_signal(how)
    process.communicate(timeout=30)
    return process.returncode != 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_upload_is_gone_on_with(mine, put, tmp_path, how):
    for mib in (64, 256, 1024):
        path = tmp_path / f"{how.name}-{mib}.bin"
        path.write_bytes(os.urandom(1024 * 1024) * mib)
        if interrupted(put, path, how):
            break
    else:
        pytest.fail("no upload took long enough to be interrupted")
    code, out, errors = put.run("--no-wait", path)
    assert code == 0, errors
    sizes = [i["size_bytes"] for i in mine.list()["items"] if i["original_filename"] == path.name]
    assert sizes == [path.stat().st_size]
    assert out.strip() in [i["id"] for i in mine.list()["items"]] and not put.remembered()


def test_who_says_not_who_he_is_is_told_what_to_do(put, clip):
    code, out, errors = put.run(clip, ATRIUM_TOKEN=None)
    assert code == 1 and not out and "ATRIUM_TOKEN" in errors and "--user" in errors
    code, out, errors = put.run(clip, ATRIUM_TOKEN="nonsense")
    assert code == 1 and not out and "ATRIUM_TOKEN" in errors
    assert put.run(clip.with_name("none.mp4"))[0] == 1


# ------------------------------------------------------------------------------------------------ URLs alone

def uris(master_url):
    """All that a player would fetch: playlists, then initialisations and segments with their ranges."""
    master = m3u8.loads(requests.get(master_url, timeout=30).text, uri=master_url)
    playlists = [p.absolute_uri for p in master.playlists] + [m.absolute_uri for m in master.media if m.uri]
    assert playlists
    parts = []
    for url in playlists:
        answer = requests.get(url, timeout=30)
        assert answer.status_code == 200, url
        playlist = m3u8.loads(answer.text, uri=url)
        assert playlist.is_endlist and playlist.segments
        parts.append((urllib.parse.urljoin(url, playlist.segment_map["uri"]), playlist.segment_map["byterange"].strip('"')))
        parts += [(s.absolute_uri, s.byterange) for s in playlist.segments]
    return playlists, parts


def test_all_that_plays_is_there_by_urls_alone(film):
    url = film[0]
    _, parts = uris(url)
    for part, byterange in parts:
        assert byterange, part  # single files with ranges
        length, offset = map(int, byterange.split("@"))
        answer = requests.get(part, headers={"Range": f"bytes={offset}-{offset + length - 1}"}, timeout=30)
        assert answer.status_code == 206 and len(answer.content) == length
        assert answer.headers["Content-Range"].startswith(f"bytes {offset}-{offset + length - 1}/")
    assert requests.get(parts[0][0], headers={"Range": "bytes=99999999-"}, timeout=30).status_code == 416
    probed = ffprobe(url)
    assert {s["codec_type"] for s in probed["streams"]} == {"video", "audio"}
    assert abs(float(probed["format"]["duration"]) - 3) < 0.3
    done = subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", url, "-f", "null", "-"], check=False, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr


# ------------------------------------------------------------------------------------------------ links to others

@pytest.fixture
def shared(mine, film):
    """A collection with the film; its path and token."""
    collection = mine.collection()
    path = f"/collection/{collection['id']}"
    mine.ok("POST", f"{path}/add", {"media_id": film[2]["id"]})
    return path, collection["share_token"]


def see(mine, path, token):
    """As nobody."""
    answer = mine.api.get(path, params={"token": token})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_rotating_the_link_ends_what_it_opened(mine, shared):
    path, token = shared
    url = see(mine, path, token)["items"][0]["playback"]["hls_url"]
    playlists, parts = uris(url)
    opened = [url, *playlists, *sorted({p for p, _ in parts})]
    assert {requests.get(u, timeout=30).status_code for u in opened} == {200}
    rotated = mine.ok("PUT", f"{path}/share", {"regenerate_token": True})["share_token"]
    poll(lambda: {requests.get(u, timeout=30).status_code for u in opened} == {403}, 5, "what was opened to be shut")
    assert mine.api.get(path, params={"token": token}).status_code == 403
    assert requests.get(see(mine, path, rotated)["items"][0]["playback"]["hls_url"], timeout=30).status_code == 200


def test_a_collection_is_exported_by_its_link_where_it_may_be(mine, shared, clip):
    path, token = shared
    mine.ok("PUT", f"{path}/share", {"allow_download": False})
    assert "export_url" not in see(mine, path, token)
    mine.ok("PUT", f"{path}/share", {"allow_download": True})
    broken = mine.upload(clip.read_bytes()[:1000], filename="broken.mp4")
    assert mine.settled(broken)["status"] == "failed"
    mine.ok("POST", f"{path}/add", {"media_id": broken})
    url = see(mine, path, token)["export_url"]
    answer = requests.get(url, timeout=60)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None and archive.read(clip.name) == clip.read_bytes()
        assert archive.namelist() == [clip.name]
    rest = {"Range": "bytes=10-19", "If-Range": answer.headers["ETag"]}
    part = requests.get(url, headers=rest, timeout=60)
    assert part.status_code == 206 and part.content == answer.content[10:20]
    own = mine.ok("GET", path)["export_url"]
    whole = requests.get(own, headers=rest, timeout=60)  # another archive: its part would not fit to what one has
    assert whole.status_code == 200 and whole.headers["ETag"] != answer.headers["ETag"]
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert sorted(archive.namelist()) == ["broken.mp4", clip.name]
    mine.ok("PUT", f"{path}/share", {"allow_download": False})
    assert requests.get(url, timeout=30).status_code == 403  # at once
    assert requests.get(own, timeout=60).status_code == 200
    mine.ok("PUT", f"{path}/share", {"allow_download": True, "regenerate_token": True})
    assert requests.get(url, timeout=30).status_code == 403
    mine.ok("PUT", f"{path}/share", {"link_enabled": False})
    error(mine.api.get(path, params={"token": token}), 403, "permission_denied")
