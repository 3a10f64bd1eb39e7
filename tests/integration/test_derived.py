"""What is made of an item by the item's own address, and captions that its owner brings."""
import re

import m3u8
import pytest
import requests

from api import Api
from lab import FIXTURES, ffprobe, make, written
from media_api import Library, error
from polling import poll
from stack import running

pytestmark = pytest.mark.local  # the real transcoder is beside it
SRT = b"1\r\n00:00:00,200 --> 00:00:00,900\r\nOne <i>italic</i>\r\n\r\n2\r\n00:00:01,000 --> 00:00:01,500\r\nTwo & <b>bold\r\n"


@pytest.fixture(scope="module")
def stack():
    with running(settings={"MEDIA_QUOTA": "50M"}) as own:
        yield own


@pytest.fixture(scope="module")
def mine(stack):
    return Library(Api(stack.url))


@pytest.fixture(scope="module")
def film(mine):
    """With two tracks of captions; all that is made of it is there."""
    written("derived-en.srt", SRT)
    path = make("derived-2.mkv", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2", "-i",
                str(FIXTURES / "derived-en.srt"), "-i", str(FIXTURES / "derived-en.srt"), "-map", "0", "-map", "1", "-map", "2",
                "-map", "3", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-c:s", "srt",
                "-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=ger", "-disposition:s:0", "default")
    media_id = mine.upload(path.read_bytes(), filename="film.mkv")
    assert mine.settled(media_id)["status"] == "ready"
    poll(lambda: len(mine.item(media_id)["playback"].get("captions", [])) == 2, 60, "captions")
    return media_id


def get(mine, path, **options):
    return mine.call("GET", path, **options)


def test_pictures_are_of_the_width_that_was_wished_for(mine, film):
    for wish, width in ((None, 640), (320, 320), (300, 320), (600, 640), (5000, 640)):
        answer = get(mine, f"/media/{film}/thumbnail.jpg", params={"width": wish} if wish else {})
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "image/jpeg"
        picture = written("derived-thumb.jpg", answer.content)
        assert ffprobe(picture)["streams"][0]["width"] == width
    same = get(mine, f"/media/{film}/thumbnail.jpg", headers={"If-None-Match": answer.headers["ETag"]})
    assert same.status_code == 304 and "private" in same.headers["Cache-Control"]
    assert same.headers["Content-Length"] == str(len(answer.content)) and not same.content  # what it would be, or nothing
    error(get(mine, f"/media/{film}/thumbnail.jpg", params={"width": "wide"}), 400, "invalid_argument")


def test_a_storyboard_names_sheets_that_are_beside_it(mine, film):
    answer = get(mine, f"/media/{film}/storyboard.vtt")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/vtt; charset=utf-8"
    sheets = set(re.findall(r"^(\S+)#xywh=", answer.text, re.M))
    assert sheets == {"storyboard-0.jpg"}
    sheet = get(mine, f"/media/{film}/storyboard-0.jpg")
    assert sheet.status_code == 200 and sheet.headers["Content-Type"] == "image/jpeg" and sheet.content[:2] == b"\xff\xd8"
    url = mine.item(film)["playback"]["storyboard_url"]
    assert requests.get(url.replace("storyboard.vtt", "storyboard-0.jpg"), timeout=30).content == sheet.content
    for name in ("storyboard-1.jpg", "poster.jpg", "thumb-320.jpg"):
        error(get(mine, f"/media/{film}/{name}"), 404, "not_found")


def tracks(mine, film):
    return [(t["track"], t["language"], t["label"], t["source"], t["is_default"])
            for t in mine.ok("GET", f"/media/{film}/captions")["captions"]]


def test_captions_are_brought_listed_played_and_taken_back(mine, film):
    own = [("1", "en", "en", "extracted", True), ("2", "de", "de", "extracted", False)]
    used = mine.ok("GET", "/media/usage")["used_bytes"]
    assert tracks(mine, film) == own
    assert get(mine, f"/media/{film}/captions/1").text.startswith("WEBVTT")
    path = f"/media/{film}/captions/pt-br"
    answer = mine.call("PUT", path, data=SRT, params={"label": 'Brasil "x"', "default": "1"})
    made = "WEBVTT\n\n00:00:00.200 --> 00:00:00.900\nOne <i>italic</i>\n\n00:00:01.000 --> 00:00:01.500\nTwo &amp; <b>bold\n"
    assert answer.status_code == 200 and answer.text == made
    answer = mine.call("PUT", f"/media/{film}/captions/de", data=b"WEBVTT\n\n00:01.000 --> 00:02.000\nHallo\n")
    assert answer.status_code == 200, answer.text
    brought = [("de", "de", "de", "uploaded", False), ("pt-BR", "pt-BR", 'Brasil "x"', "uploaded", True)]
    assert tracks(mine, film) == own + brought
    assert mine.ok("GET", "/media/usage")["used_bytes"] == used + len(made) + len(answer.text)
    assert get(mine, path).text == made
    check_playback(mine, film, made)
    assert mine.ok("DELETE", path) == {"success": True}
    assert mine.ok("DELETE", f"/media/{film}/captions/de") == {"success": True}
    assert tracks(mine, film) == own and mine.ok("GET", "/media/usage")["used_bytes"] == used
    error(mine.call("DELETE", path), 404, "not_found")
    error(get(mine, path), 404, "not_found")
    error(mine.call("DELETE", f"/media/{film}/captions/1"), 404, "not_found")


def check_playback(mine, film, made):
    """Players find them, by the ticket alone."""
    playback = mine.item(film)["playback"]
    listed = [(c["language"], c["label"]) for c in playback["captions"]]
    assert listed == [("en", "en"), ("de", "de"), ("de", "de"), ("pt-BR", 'Brasil "x"')]
    assert requests.get(playback["captions"][3]["url"], timeout=30).text == made
    text = requests.get(playback["hls_url"], timeout=30).text
    master = m3u8.loads(text, uri=playback["hls_url"])
    subtitles = [m for m in master.media if m.type == "SUBTITLES"]
    assert [(m.language, m.default, m.autoselect) for m in subtitles] == [
        ("en", "NO", "YES"), ("de", "NO", "NO"), ("de", "NO", "YES"), ("pt-BR", "YES", "YES")]
    assert len({m.name for m in subtitles}) == 4 and {m.group_id for m in subtitles} == {"captions"}
    assert {p.stream_info.subtitles for p in master.playlists} == {"captions"}
    for media in subtitles:
        playlist = m3u8.loads(requests.get(media.absolute_uri, timeout=30).text, uri=media.absolute_uri)
        assert playlist.is_endlist and abs(sum(s.duration for s in playlist.segments) - 2) < 0.2
        assert requests.get(playlist.segments[0].absolute_uri, timeout=30).text.startswith("WEBVTT\n")
    assert {s["codec_type"] for s in ffprobe(playback["hls_url"])["streams"]} >= {"video", "audio"}
    base = playback["hls_url"].removesuffix("hls/master.m3u8") + "subtitles/"
    for name in ("fr.vtt", "de.txt", "de", "..%2fde.vtt", ""):
        assert requests.get(base + name, timeout=30).status_code == 404, name


def test_what_are_no_captions_is_refused(mine, film):
    path = f"/media/{film}/captions/fr"
    for data in (b"", b"#EXTM3U\nfile:///etc/passwd\n", b"WEBVTT\n\n00:02.000 --> 00:01.000\nback\n", b"\xff\xfe\0"):
        error(mine.call("PUT", path, data=data), 400, "invalid_argument")
    error(mine.call("PUT", path, data=b"x" * ((1 << 20) + 1)), 413, "resource_exhausted")
    for language in ("1", "e", "de_DE", "x" * 36):
        error(mine.call("PUT", f"/media/{film}/captions/{language}", data=SRT), 400, "invalid_argument")
    error(mine.call("PUT", path, data=SRT, params={"label": "x" * 101}), 400, "invalid_argument")
    assert len(tracks(mine, film)) == 2


def test_captions_count_and_go_with_their_item(mine):
    media_id = mine.upload(b"not a film", filename="a.txt")
    used = mine.ok("GET", "/media/usage")["used_bytes"]
    assert mine.call("PUT", f"/media/{media_id}/captions/de", data=SRT).status_code == 200
    assert mine.ok("GET", "/media/usage")["used_bytes"] > used
    mine.ok("DELETE", f"/media/{media_id}", params={"permanent": "true"})
    assert mine.ok("GET", "/media/usage")["used_bytes"] == used - len(b"not a film")
    error(get(mine, f"/media/{media_id}/captions"), 404, "not_found")


def test_all_of_it_is_the_owners(stack, mine, film):
    other = Library(Api(stack.url))
    for name in ("thumbnail.jpg", "storyboard.vtt", "storyboard-0.jpg", "captions", "captions/1"):
        error(get(other, f"/media/{film}/{name}"), 403, "permission_denied")
        error(mine.api.get(f"/media/{film}/{name}"), 401, "unauthenticated")
    error(other.call("PUT", f"/media/{film}/captions/de", data=SRT), 403, "permission_denied")
    error(other.call("DELETE", f"/media/{film}/captions/de"), 403, "permission_denied")
    # What is below `upload` is no item.
    error(get(mine, "/media/upload/sign"), 404, "not_found", "endpoint not found")
