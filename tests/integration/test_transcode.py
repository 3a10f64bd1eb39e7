"""Real files through the real service: put where uploads lie, announced as media does, and what comes of them looked at
with tools that are not ours. All are brought at once, then waited for one by one; tests/long has more and longer ones."""
import json
import shutil
import subprocess

import m3u8
import pytest

from api import Api
from films import QUICK, X264, check_hls, check_kind, check_storyboard, clip, key_times, source_of
from lab import FIXTURES, ffprobe, make, open_lab, written
from polling import poll

pytestmark = pytest.mark.local

NO_FILMS = {
    "text.mp4": b"This is no film.\n" * 100,
    "empty.mp4": b"",
    "playlist.avi": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "concat.mkv": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "noise.mp4": b"\0\0\0\x20ftypisom" + bytes(range(256)) * 40,
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with open_lab(tmp_path_factory.mktemp("workshop")) as opened:
        yield opened


def film():
    return make("clip-3.mkv", *clip(3), "-c:v", "libx265", "-x265-params", "log-level=error", "-preset", "ultrafast", "-c:a",
                "libopus", "-b:a", "64k", "-shortest")


def conforming():
    return make("conforming-2.mp4", *clip(2), *X264, "-g", "50", "-ac", "1", "-movflags", "+faststart")


def tiny():
    return make("tiny.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=1", "-c:v", "libx264")


def long_enough():
    """To be met while it is worked on."""
    return make("long-4.mkv", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30:d=4", "-c:v", "mpeg4", "-q:v", "3")


def captioned():
    for language in ("en", "de"):
        written(f"{language}-1.srt", b"1\n00:00:00,200 --> 00:00:00,900\nOne <i>italic</i>\n\n"
                                     b"2\n00:00:01,000 --> 00:00:01,500\nTwo\n")
    return make("captioned-2.mkv", *clip(2), "-i", str(FIXTURES / "en-1.srt"), "-i", str(FIXTURES / "de-1.srt"), "-map", "0",
                "-map", "1", "-map", "2", "-map", "3", *X264, "-c:s", "srt", "-metadata:s:s:0", "language=eng",
                "-metadata:s:s:1", "language=ger", "-disposition:s:1", "forced", "-metadata", "title=Private", "-metadata",
                "location=+48.2082+016.3738/", "-output_ts_offset", "5")


def photo():
    path = FIXTURES / "photo.jpg"
    shutil.copy(make("picture.jpg", "-f", "lavfi", "-i", "testsrc2=s=400x300", "-frames:v", "1"), path)
    subprocess.run(["exiftool", "-q", "-overwrite_original", "-n", "-Orientation=6", "-GPSLatitude=48.2", "-GPSLatitudeRef=N",
                    "-GPSLongitude=16.3", "-GPSLongitudeRef=E", "-SerialNumber=1234", "-XMP:Creator=Somebody",
                    "-IPTC:City=Vienna", str(path)], check=True)
    return path


def avif():
    return make("still.avif", "-f", "lavfi", "-i", "testsrc2=s=320x200", "-frames:v", "1", "-c:v", "libaom-av1", "-cpu-used",
                "8", "-pix_fmt", "yuv420p", "-still-picture", "1")


def heic():
    plain, path = make("for-heic.png", "-f", "lavfi", "-i", "testsrc2=s=320x200", "-frames:v", "1"), FIXTURES / "still.heic"
    subprocess.run(["heif-enc", str(plain), "-o", str(path)], check=True, capture_output=True)
    return path


def cut():
    whole = make("to-be-cut-2.mp4", *clip(2), *X264, "-movflags", "+faststart").read_bytes()
    return written("cut-2.mp4", whole[:len(whole) // 3])


@pytest.fixture(scope="module")
def items(lab):
    """Everything that only has to be brought and waited for, by name. What takes longest comes last, so that none waits for
    another's renditions."""
    sources = {name: written(name, content) for name, content in NO_FILMS.items()}
    sources |= {"cut": cut(), "photo": photo(), "avif": avif(), "heic": heic(), "tiny": tiny(),
                "paper": written("paper.pdf", b"%PDF-1.4\n%%EOF\n"),
                "bomb": make("bomb.png", "-f", "lavfi", "-i", "color=s=16000x16000", "-frames:v", "1", "-pix_fmt", "gray"),
                "clip": film(), "conforming": conforming(), "captioned": captioned()}
    sources |= {name: source_of(name) for name in QUICK}
    return {name: lab.upload(path) for name, path in sources.items()}


@pytest.mark.parametrize("name", NO_FILMS)
def test_what_is_no_film_is_refused_at_once(lab, items, name):
    failure = lab.failed(items[name])
    assert failure.code in ("unsupported_format", "truncated_input") and not failure.retryable and failure.attempt == 1
    if name != "noise.mp4":
        assert failure.code == "unsupported_format"


def test_what_is_cut_off_is_told(lab, items):
    assert lab.failed(items["cut"]).code == "truncated_input"


def test_a_bomb_of_pixels_is_refused(lab, items):
    assert lab.failed(items["bomb"]).code == "too_large"


def test_other_files_are_ready_as_they_are(lab, items):
    first = lab.finished(items["paper"], "FIRST")
    assert first.facts.mime_type == "application/pdf" and not first.assets and not first.following


@pytest.mark.parametrize("name,mime_type,content", [
    ("drawing.svg", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"),
    ("noise.bin", "image/x-tga", bytes(range(256)) * 40),  # as libmagic takes it
    ("song.mid", "audio/midi", b"MThd\0\0\0\6\0\0\0\1\0\x60"),
], ids=["svg", "noise", "midi"])
def test_kinds_that_nobody_plays_are_ready_as_they_are(lab, name, mime_type, content):
    path = FIXTURES / name
    path.write_bytes(content)
    first = lab.finished(lab.upload(path, mime_type), "FIRST")
    assert not first.assets and not first.following


def test_pictures_lose_what_the_camera_said(lab, items):
    item = items["photo"]
    first = lab.finished(item, "FIRST")
    assert (first.facts.width, first.facts.height) == (300, 400)
    assert 20 <= len(first.facts.thumbhash) <= 40
    for asset in first.assets:
        told = json.loads(subprocess.run(["exiftool", "-json", "-G", str(lab.blobs / asset.key)], check=True,
                                         capture_output=True, text=True).stdout)[0]
        assert not [k for k in told if "GPS" in k or "Serial" in k or k.startswith(("XMP", "IPTC"))], asset.name
        assert told.get("EXIF:Orientation") in (None, "Horizontal (normal)")
        assert (asset.width, asset.height) == (told["File:ImageWidth"], told["File:ImageHeight"]) \
            if "File:ImageWidth" in told else True
        assert asset.height > asset.width


@pytest.mark.parametrize("name", ["avif", "heic"])
def test_stills_of_phones_are_pictures(lab, items, name):
    first = lab.finished(items[name], "FIRST")
    assert first.facts.mime_type == f"image/{name}" and (first.facts.width, first.facts.height) == (320, 200)
    assert {"poster.jpg", "thumb-320.webp"} <= {a.name for a in first.assets} and not first.following


def test_a_clip_becomes_what_plays_everywhere(lab, items):
    item = items["clip"]
    first = lab.finished(item, "FIRST")
    assert abs(first.facts.duration_ms - 3000) < 100 and (first.facts.width, first.facts.height) == (320, 180)
    names = {a.name for a in first.assets}
    assert {"hls/master.m3u8", "hls/audio.m3u8", "poster.jpg", "thumb-320.jpg", "thumb-320.webp", "mp4/180.mp4"} <= names
    for asset in first.assets:
        if not asset.key.endswith("master.m3u8"):  # written anew as further renditions come
            assert (lab.blobs / asset.key).stat().st_size == asset.size_bytes
    whole = ffprobe(lab.derived(item) / "mp4/180.mp4")
    kinds = {s["codec_type"]: s for s in whole["streams"]}
    assert kinds["video"]["profile"] == "High" and kinds["audio"]["channels"] == 2
    data = (lab.derived(item) / "mp4/180.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    check_hls(lab, item)
    assert [int(k) for k in key_times(lab.derived(item) / "hls/h264-180.m3u8")] == [0, 2]
    lab.finished(item, "RENDITIONS")
    master = check_hls(lab, item)
    assert {p.uri for p in master.playlists} == {f"{c}-{h}.m3u8" for c in ("h264", "hevc") for h in (180,)}
    assert master.playlists[0].uri == "h264-180.m3u8"
    extras = lab.finished(item, "EXTRAS")
    assert -30 < extras.facts.loudness_lufs < 0
    check_storyboard(lab, item, 3)
    assert len(json.loads(lab.text(item, "waveform.json"))["peaks"]) == pytest.approx(60, abs=3)


def test_what_conforms_is_not_encoded_again(lab, items):
    source, item = conforming(), items["conforming"]
    lab.finished(item, "FIRST")

    def stream_hash(path):
        out = subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), "-map", "0", "-c", "copy", "-f", "streamhash", "-"],
                             check=True, capture_output=True, text=True).stdout
        return sorted(line.split(",", 2)[1:] for line in out.splitlines())

    assert stream_hash(lab.derived(item) / "mp4/180.mp4") == stream_hash(source)
    lab.finished(item, "RENDITIONS")
    check_hls(lab, item)


@pytest.mark.parametrize("name", QUICK)
def test_every_kind_of_input_plays(lab, items, name):
    check_kind(lab, name, items[name])


def test_captions_are_listed_and_no_place_survives(lab, items):
    item = items["captioned"]
    captions = [a for a in lab.finished(item, "EXTRAS").assets if a.name.startswith("captions/")]
    assert [(c.language, c.is_forced) for c in captions] == [("en", False), ("de", True)]
    lab.finished(item, "RENDITIONS")
    master = m3u8.loads(lab.text(item, "hls/master.m3u8"))
    assert {m.language for m in master.media if m.type == "SUBTITLES"} == {"en", "de"}
    for path in lab.derived(item).rglob("*"):
        if path.is_file():
            assert b"48.2082" not in path.read_bytes() and b"Private" not in path.read_bytes(), path


def test_the_same_event_twice_makes_one_job(lab, items):
    item = items["tiny"]
    lab.announce(item)
    lab.finished(item, "EXTRAS")
    lab.finished(item, "RENDITIONS")
    assert len([e for e in lab.events(item, "JobFinished") if e.kind == 1]) == 1


def test_a_dead_letter_can_be_requeued(lab):
    """The original is there, and the store cannot be written: a trouble of ours, not of the file."""
    api = Api(lab.stack.url)
    admin = api.login("admin", lab.stack.secret("admin_password")).json()["access_token"]
    item = lab.upload(tiny(), blocked=True)
    poll(lambda: [e for e in lab.events(item, "JobFailed") if e.is_final and e.retryable], 60, "it gives up")
    dead = api.get("/processing/dead-letters", admin).json()["dead_letters"]
    mine = [d for d in dead if d["media_id"] == item.id]
    assert mine and mine[0]["attempts"] == 2
    lab.unblock(item)
    assert api.post(f"/processing/dead-letters/{mine[0]['id']}/requeue", token=admin).status_code == 202
    assert lab.finished(item, "FIRST").attempt == 3
    assert api.get("/processing/dead-letters").status_code == 401


def test_a_killed_worker_is_followed_by_another(lab):
    item = lab.upload(long_enough())
    poll(lambda: [e for e in lab.events(item, "JobProgressed") if e.step == "encode"], 60, "the encoder begins")
    lab.kill()
    poll(lambda: not lab.children(), 10, "the children die with it")
    lab.restart()
    first = lab.finished(item, "FIRST", 120)
    assert first.attempt == 2
    assert len([e for e in lab.events(item, "JobFinished") if e.kind == 1]) == 1
    check_hls(lab, item)
    lab.cancel(item)


def test_what_is_cancelled_stops_and_leaves_nothing(lab):
    item = lab.upload(long_enough())
    poll(lambda: [e for e in lab.events(item, "JobProgressed") if e.step == "encode"], 60, "the encoder begins")
    lab.cancel(item)
    assert lab.failed(item).code == "cancelled"
    poll(lambda: not lab.derived(item).exists() or not any(p.is_file() for p in lab.derived(item).rglob("*")), 20, "objects go")


def test_nothing_is_left_behind(lab):
    poll(lambda: not lab.children(), 60, "no child runs")
    poll(lambda: lab.work_files() == [], 30, "no file in the workshop")
