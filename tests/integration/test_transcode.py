"""Real files through the real service: put where uploads lie, announced as media does, and what comes of them looked at
with tools that are not ours (ffprobe, ffmpeg -xerror, m3u8, exiftool)."""
import json
import os
import re
import shutil
import subprocess

import m3u8
import pytest

from lab import FIXTURES, Lab, ffprobe, make
from api import Api
from polling import poll
from stack import Stack

pytestmark = pytest.mark.skipif(bool(os.environ.get("ATRIUM_URL")), reason="puts files where the service's are")

CLIP = ["-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=6", "-f", "lavfi", "-i", "sine=f=440:d=6"]
X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A stack of its own: its workshop is looked into, and its jobs give up soon."""
    stack = Stack(settings={"TRANSCODE_DIR": str(tmp_path_factory.mktemp("workshop")), "TRANSCODE_ATTEMPTS": "2",
                            "TRANSCODE_LEASE": "3s"})
    try:
        stack.up()
        stack.atrium("stop", "media")  # it would take away what is made of items that it does not know
        with Lab(stack) as opened:
            yield opened
    finally:
        stack.destroy()


def check_hls(lab, item):
    """Every playlist, by a parser of others and by ffmpeg; and what the master says against what is there."""
    master = m3u8.loads(lab.text(item, "hls/master.m3u8"))
    folder = lab.derived(item) / "hls"
    assert master.is_variant and master.playlists
    audio = {m.group_id: m for m in master.media if m.type == "AUDIO"}
    keys = set()
    for variant in master.playlists:
        media = folder / variant.uri
        rate = peak(media)
        codecs = [codec_of(media)]
        if variant.stream_info.audio:
            sound = folder / audio[variant.stream_info.audio].uri
            rate += peak(sound)
            codecs.append(codec_of(sound))
        assert rate <= variant.stream_info.bandwidth <= rate * 1.1 + 1, variant.uri
        assert variant.stream_info.average_bandwidth <= variant.stream_info.bandwidth
        assert variant.stream_info.codecs == ",".join(codecs)
        probed = ffprobe(media)
        video = [s for s in probed["streams"] if s["codec_type"] == "video"]
        if video:
            assert variant.stream_info.resolution == (video[0]["width"], video[0]["height"])
            num, den = video[0]["r_frame_rate"].split("/")
            assert abs(variant.stream_info.frame_rate - int(num) / int(den)) < 0.5
            assert video[0]["pix_fmt"] == "yuv420p"
            keys.add(tuple(key_times(media)))
        done = subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", str(media), "-f", "null", "-"], check=False,
                              capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done.stderr
    assert len(keys) <= 1, "key frames of all variants lie alike"
    whole = subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", str(folder / "master.m3u8"), "-f", "null", "-"],
                           check=False, capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    return master


def segments(playlist):
    parsed = m3u8.load(str(playlist))
    assert parsed.target_duration >= round(max(s.duration for s in parsed.segments))
    assert parsed.is_endlist and parsed.segment_map
    return [(float(s.duration), int(s.byterange.split("@")[0])) for s in parsed.segments], parsed.target_duration


def peak(playlist):
    """As RFC 8216 has it: of any contiguous set of segments that lasts half to one and a half target durations."""
    rows, target = segments(playlist)
    best = 0
    for i in range(len(rows)):
        seconds = size = 0
        for duration, length in rows[i:]:
            seconds, size = seconds + duration, size + length
            if 0.5 * target <= seconds <= 1.5 * target:
                best = max(best, size * 8 / seconds)
    return best or sum(r[1] for r in rows) * 8 / sum(r[0] for r in rows)


def codec_of(playlist):
    """From the initialisation's bytes, by hand: another reader than the service's."""
    data = playlist.with_suffix(".mp4").read_bytes()[:65536]
    if b"avcC" in data:
        at = data.index(b"avcC") + 4
        return "avc1." + data[at + 1:at + 4].hex().upper()
    if b"hvcC" in data:
        at = data.index(b"hvcC") + 4
        profile, tier, level = data[at + 1] & 31, "H" if data[at + 1] & 32 else "L", data[at + 12]
        compatible = int(f"{int.from_bytes(data[at + 2:at + 6], 'big'):032b}"[::-1], 2)
        constraints = list(data[at + 6:at + 12])
        while constraints and not constraints[-1]:
            constraints.pop()
        return ".".join([f"hvc1.{profile}.{compatible:X}.{tier}{level}"] + [f"{c:X}" for c in constraints])
    return "mp4a.40.2"


def key_times(playlist):
    out = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time,flags", "-of",
                          "csv=p=0", str(playlist.with_suffix(".mp4"))], check=True, capture_output=True, text=True).stdout
    return [round(float(line.split(",")[0]), 2) for line in out.splitlines() if ",K" in line]


def test_a_clip_becomes_what_plays_everywhere(lab):
    item = lab.upload(make("clip.mkv", *CLIP, "-c:v", "libx265", "-x265-params", "log-level=error", "-preset", "ultrafast", "-c:a",
                           "libopus", "-b:a", "64k", "-shortest"))
    first = lab.finished(item, "FIRST")
    assert abs(first.facts.duration_ms - 6000) < 100 and (first.facts.width, first.facts.height) == (640, 360)
    names = {a.name for a in first.assets}
    assert {"hls/master.m3u8", "hls/audio.m3u8", "poster.jpg", "thumb-320.jpg", "thumb-320.webp", "mp4/360.mp4"} <= names
    for asset in first.assets:
        assert (lab.blobs / asset.key).stat().st_size == asset.size_bytes
    whole = ffprobe(lab.derived(item) / "mp4/360.mp4")
    kinds = {s["codec_type"]: s for s in whole["streams"]}
    assert kinds["video"]["profile"] == "High" and kinds["audio"]["channels"] == 2
    data = (lab.derived(item) / "mp4/360.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    check_hls(lab, item)
    assert [int(k) for k in key_times(lab.derived(item) / "hls/h264-360.m3u8")] == [0, 2, 4]
    lab.finished(item, "RENDITIONS")
    master = check_hls(lab, item)
    assert {p.uri for p in master.playlists} == {f"{c}-{h}.m3u8" for c in ("h264", "hevc") for h in (240, 360)}
    assert master.playlists[0].uri == "h264-360.m3u8"
    extras = lab.finished(item, "EXTRAS")
    assert -30 < extras.facts.loudness_lufs < 0
    check_storyboard(lab, item, 6)
    assert len(json.loads(lab.text(item, "waveform.json"))["peaks"]) == pytest.approx(120, abs=3)


def check_storyboard(lab, item, duration_s):
    cues = re.findall(r"(\d+):(\d+):([\d.]+) --> (\d+):(\d+):([\d.]+)\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)",
                      lab.text(item, "storyboard.vtt"))
    seconds = lambda h, m, s: int(h) * 3600 + int(m) * 60 + float(s)
    assert seconds(*cues[0][:3]) == 0 and abs(seconds(*cues[-1][3:6]) - duration_s) < 0.1
    for before, after in zip(cues, cues[1:]):
        assert before[3:6] == after[:3]
    for cue in cues:
        sheet = ffprobe(lab.derived(item) / cue[6])["streams"][0]
        x, y, w, h = map(int, cue[7:])
        assert x + w <= sheet["width"] and y + h <= sheet["height"]


def test_what_conforms_is_not_encoded_again(lab):
    source = make("conforming.mp4", *CLIP, *X264, "-g", "50", "-ac", "1", "-movflags", "+faststart")
    item = lab.upload(source)
    lab.finished(item, "FIRST")

    def stream_hash(path):
        out = subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), "-map", "0", "-c", "copy", "-f", "streamhash", "-"],
                             check=True, capture_output=True, text=True).stdout
        return sorted(line.split(",", 2)[1:] for line in out.splitlines())

    assert stream_hash(lab.derived(item) / "mp4/360.mp4") == stream_hash(source)
    lab.finished(item, "RENDITIONS")
    check_hls(lab, item)


MATRIX = {
    "vp9.webm": (["-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=1", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"],
                 {"mime": "video/webm", "size": (320, 180)}),
    "av1.mp4": (["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=1", "-c:v", "libsvtav1", "-preset", "12"], {"size": (320, 180)}),
    "odd-sides.mkv": (["-f", "lavfi", "-i", "testsrc=s=321x241:r=25:d=1", "-c:v", "libx264", "-pix_fmt", "yuv444p"],
                {"size": (321, 241), "encoded": (320, 240)}),
    "deep.mov": (["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", "-c:v", "libx264", "-pix_fmt", "yuv422p10le"], {}),
    "hdr.mp4": (["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", "-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params",
                 "log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"], {"hdr": "hdr10"}),
    "vfr.mkv": (["-f", "lavfi", "-i", "testsrc2=s=320x240:r=30:d=2", "-vf", "select='not(mod(n,3))+lt(n,20)'", "-vsync", "vfr", "-c:v",
                 "libx264"], {}),
    "silent.mp4": (["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", "-c:v", "mpeg4"], {"audio": False}),
    "one-frame.mp4": (["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", "-frames:v", "1", "-c:v", "libx264"], {}),
    "surround.mkv": (["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", "-f", "lavfi", "-i",
                      "sine=d=1,pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0", "-c:v", "libx264", "-c:a", "ac3"], {"audio": True}),
    "upright.mp4": (["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=1", "-c:v", "libx264", "-pix_fmt", "yuv420p"],
                    {"rotate": 90, "size": (180, 320), "encoded": (180, 320)}),
    "sound.mp3": (["-f", "lavfi", "-i", "sine=d=2", "-c:a", "libmp3lame"], {"video": False, "audio": True, "mime": "audio/mpeg"}),
    "moving.gif": (["-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=1"], {"audio": False, "size": (160, 120)}),
}


@pytest.mark.parametrize("name", MATRIX)
def test_every_kind_of_input_plays(lab, name):
    arguments, expected = MATRIX[name]
    source = make(name, *arguments)
    if "rotate" in expected:
        source = make(f"rotated-{name}", "-display_rotation", str(expected["rotate"]), "-i", str(source), "-c", "copy",
                      fallback=["-i", str(source), "-c", "copy", "-metadata:s:v:0", f"rotate={expected['rotate']}"])
    item = lab.upload(source)
    first = lab.finished(item, "FIRST")
    if "size" in expected:
        assert (first.facts.width, first.facts.height) == expected["size"]
    if "mime" in expected:
        assert first.facts.mime_type == expected["mime"]
    assert first.facts.hdr == expected.get("hdr", "")
    progressive = [a for a in first.assets if a.content_type in ("video/mp4", "audio/mp4") and not a.name.startswith("hls/")]
    kinds = {s["codec_type"]: s for s in ffprobe(lab.blobs / progressive[0].key)["streams"]}
    if expected.get("video", True):
        video = kinds["video"]
        assert video["codec_name"] == "h264" and video["pix_fmt"] == "yuv420p" and video["profile"] in ("High", "Main")
        assert not any("rotation" in d for d in video.get("side_data_list", []))
        if "encoded" in expected:
            assert (video["width"], video["height"]) == expected["encoded"]
        if "hdr" in expected:
            assert video.get("color_transfer", "bt709") in ("bt709", "unknown")
    if "audio" in expected:
        assert ("audio" in kinds) == expected["audio"]
        if expected["audio"]:
            assert kinds["audio"]["codec_name"] == "aac" and kinds["audio"]["channels"] <= 2
    check_hls(lab, item)


def test_what_is_cut_off_is_told(lab):
    whole = make("to-be-cut.mkv", *CLIP, *X264)
    cut = FIXTURES / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[:whole.stat().st_size // 5])
    assert lab.failed(lab.upload(cut)).code == "truncated_input"
    quick = make("to-be-cut.mp4", *CLIP, *X264, "-movflags", "+faststart")
    cut = FIXTURES / "cut-faststart.mp4"
    cut.write_bytes(quick.read_bytes()[:quick.stat().st_size // 3])
    assert lab.failed(lab.upload(cut)).code == "truncated_input"
    slow = make("to-be-cut-slow.mp4", *CLIP, *X264)
    cut = FIXTURES / "cut-slow.mp4"
    cut.write_bytes(slow.read_bytes()[:slow.stat().st_size // 2])
    assert lab.failed(lab.upload(cut)).code == "truncated_input"


@pytest.mark.parametrize("name,content", [
    ("text.mp4", b"This is no film.\n" * 100),
    ("empty.mp4", b""),
    ("playlist.avi", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"),
    ("concat.mkv", b"ffconcat version 1.0\nfile '/etc/passwd'\n"),
    ("noise.mp4", b"\0\0\0\x20ftypisom" + bytes(range(256)) * 40),
], ids=["text", "empty", "playlist", "concat", "noise"])
def test_what_is_no_film_is_refused_at_once(lab, name, content):
    path = FIXTURES / name
    path.write_bytes(content)
    failure = lab.failed(lab.upload(path))
    assert failure.code in ("unsupported_format", "truncated_input") and not failure.retryable and failure.attempt == 1
    if name != "noise.mp4":
        assert failure.code == "unsupported_format"


def test_other_files_are_ready_as_they_are(lab):
    path = FIXTURES / "paper.pdf"
    path.write_bytes(b"%PDF-1.4\n%%EOF\n")
    first = lab.finished(lab.upload(path, "application/pdf"), "FIRST")
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


def test_pictures_lose_what_the_camera_said(lab):
    plain = make("picture.jpg", "-f", "lavfi", "-i", "testsrc2=s=400x300", "-frames:v", "1")
    photo = FIXTURES / "photo.jpg"
    shutil.copy(plain, photo)
    subprocess.run(["exiftool", "-q", "-overwrite_original", "-n", "-Orientation=6", "-GPSLatitude=48.2", "-GPSLatitudeRef=N",
                    "-GPSLongitude=16.3", "-GPSLongitudeRef=E", "-SerialNumber=1234", "-XMP:Creator=Somebody",
                    "-IPTC:City=Vienna", str(photo)], check=True)
    item = lab.upload(photo, "image/jpeg")
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


def test_a_bomb_of_pixels_is_refused(lab):
    bomb = make("bomb.png", "-f", "lavfi", "-i", "color=s=16000x16000", "-frames:v", "1", "-pix_fmt", "gray")
    assert lab.failed(lab.upload(bomb, "image/png")).code == "too_large"


def test_no_place_survives(lab):
    source = make("placed.mov", *CLIP, *X264, "-metadata", "location=+48.2082+016.3738/", "-metadata",
                  "com.apple.quicktime.location.ISO6709=+48.2082+016.3738/", "-movflags", "use_metadata_tags", "-metadata",
                  "title=Private")
    item = lab.upload(source)
    lab.finished(item, "RENDITIONS")
    for path in lab.derived(item).rglob("*"):
        if path.is_file():
            assert b"48.2082" not in path.read_bytes() and b"Private" not in path.read_bytes(), path


def test_captions_keep_their_times(lab):
    for language in ("en", "de"):
        (FIXTURES / f"{language}.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nOne <i>italic</i>\n\n"
                                                   "2\n00:00:03,000 --> 00:00:04,000\nTwo\n", encoding="utf-8")
    source = make("captioned.mkv", *CLIP, "-i", str(FIXTURES / "en.srt"), "-i", str(FIXTURES / "de.srt"), "-map", "0", "-map", "1",
                  "-map", "2", "-map", "3", *X264, "-c:s", "srt", "-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=ger",
                  "-disposition:s:1", "forced", "-output_ts_offset", "5")
    item = lab.upload(source)
    extras = lab.finished(item, "EXTRAS")
    captions = [a for a in extras.assets if a.name.startswith("captions/")]
    assert [(c.language, c.is_forced) for c in captions] == [("en", False), ("de", True)]
    times = re.findall(r"(\d\d:\d\d\.\d{3}) -->", lab.text(item, captions[0].name))
    assert [round(int(t[:2]) * 60 + float(t[3:]), 2) for t in times] == [pytest.approx(1, abs=0.05), pytest.approx(3, abs=0.05)]
    lab.finished(item, "RENDITIONS")
    master = m3u8.loads(lab.text(item, "hls/master.m3u8"))
    assert {m.language for m in master.media if m.type == "SUBTITLES"} == {"en", "de"}


def test_a_black_beginning_makes_no_black_poster(lab):
    source = make("black-start.mp4", "-f", "lavfi", "-i", "color=black:s=320x240:r=25:d=2", "-f", "lavfi", "-i",
                  "testsrc2=s=320x240:r=25:d=2", "-filter_complex", "[0][1]concat=n=2", "-c:v", "libx264")
    item = lab.upload(source)
    lab.finished(item, "FIRST")
    out = subprocess.run(["ffprobe", "-v", "error", "-f", "lavfi", "-i",
                          f"movie={lab.derived(item) / 'poster.jpg'},signalstats", "-show_entries",
                          "frame_tags=lavfi.signalstats.YAVG", "-of", "csv=p=0"], check=True, capture_output=True, text=True).stdout
    assert float(out.strip().rstrip(",")) > 40


def test_progress_goes_forward_only(lab):
    item = lab.upload(make("for-progress.mkv", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30:d=12", "-c:v", "mpeg4", "-q:v", "5"))
    lab.finished(item, "FIRST")
    told = [e.progress for e in lab.events(item, "JobProgressed") if e.kind == 1]
    assert told == sorted(told) and len(told) >= 4 and told[0] <= 2
    lab.cancel(item)  # nobody needs its HEVC


def test_the_same_event_twice_makes_one_job(lab):
    item = lab.upload(make("tiny.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=1", "-c:v", "libx264"))
    lab.announce(item)
    lab.finished(item, "EXTRAS")
    lab.finished(item, "RENDITIONS")
    assert len([e for e in lab.events(item, "JobFinished") if e.kind == 1]) == 1


def test_a_killed_worker_is_followed_by_another(lab):
    item = lab.upload(make("long-15.mkv", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30:d=15", "-c:v", "mpeg4", "-q:v", "3"))
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
    item = lab.upload(make("long-15.mkv", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30:d=15", "-c:v", "mpeg4", "-q:v", "3"))
    poll(lambda: [e for e in lab.events(item, "JobProgressed") if e.step == "encode"], 60, "the encoder begins")
    lab.cancel(item)
    assert lab.failed(item).code == "cancelled"
    poll(lambda: not lab.derived(item).exists() or not any(p.is_file() for p in lab.derived(item).rglob("*")), 20, "objects go")


def test_a_dead_letter_can_be_requeued(lab):
    """The original is there, and the store cannot be written: a trouble of ours, not of the file."""
    api = Api(lab.stack.url)
    admin = api.login("admin", lab.stack.secret("admin_password")).json()["access_token"]
    item = lab.upload(make("tiny.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=1", "-c:v", "libx264"), blocked=True)
    poll(lambda: [e for e in lab.events(item, "JobFailed") if e.is_final and e.retryable], 60, "it gives up")
    dead = api.get("/processing/dead-letters", admin).json()["dead_letters"]
    mine = [d for d in dead if d["media_id"] == item.id]
    assert mine and mine[0]["attempts"] == 2
    lab.unblock(item)
    assert api.post(f"/processing/dead-letters/{mine[0]['id']}/requeue", token=admin).status_code == 202
    assert lab.finished(item, "FIRST").attempt == 3
    assert api.get("/processing/dead-letters").status_code == 401


def test_nothing_is_left_behind(lab):
    poll(lambda: not lab.children(), 60, "no child runs")
    poll(lambda: lab.work_files() == [], 30, "no file in the workshop")
