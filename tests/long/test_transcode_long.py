"""Films of every kind through transcode, longer ones than the suite of every day has (tests/integration/test_transcode.py),
and one of 10 GB that is mostly nothing."""
import os
import re
import time

import m3u8
import pytest

from films import MATRIX, QUICK, X264, check_hls, check_kind, check_storyboard, clip, key_times, picture_mean, source_of
from lab import make, open_lab, written

GB = 1000 ** 3
CLIP = clip(6, "640x360")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with open_lab(tmp_path_factory.mktemp("workshop")) as opened:
        yield opened


@pytest.mark.parametrize("name", [n for n in MATRIX if n not in QUICK])
def test_every_kind_of_input_plays(lab, name):
    check_kind(lab, name, lab.upload(source_of(name)))


def test_a_longer_clip_has_all_rungs(lab):
    item = lab.upload(make("clip.mkv", *CLIP, "-c:v", "libx265", "-x265-params", "log-level=error", "-preset", "ultrafast", "-c:a",
                           "libopus", "-b:a", "64k", "-shortest"))
    first = lab.finished(item, "FIRST")
    assert abs(first.facts.duration_ms - 6000) < 100 and (first.facts.width, first.facts.height) == (640, 360)
    check_hls(lab, item)
    assert [int(k) for k in key_times(lab.derived(item) / "hls/h264-360.m3u8")] == [0, 2, 4]
    lab.finished(item, "RENDITIONS")
    master = check_hls(lab, item)
    assert {p.uri for p in master.playlists} == {f"{c}-{h}.m3u8" for c in ("h264", "hevc") for h in (240, 360)}
    assert master.playlists[0].uri == "h264-360.m3u8"
    lab.finished(item, "EXTRAS")
    check_storyboard(lab, item, 6)


def test_what_is_cut_off_is_told(lab):
    whole = make("to-be-cut.mkv", *CLIP, *X264)
    cut = written("cut.mkv", whole.read_bytes()[:whole.stat().st_size // 5])
    assert lab.failed(lab.upload(cut)).code == "truncated_input"
    quick = make("to-be-cut.mp4", *CLIP, *X264, "-movflags", "+faststart")
    cut = written("cut-faststart.mp4", quick.read_bytes()[:quick.stat().st_size // 3])
    assert lab.failed(lab.upload(cut)).code == "truncated_input"
    slow = make("to-be-cut-slow.mp4", *CLIP, *X264)
    cut = written("cut-slow.mp4", slow.read_bytes()[:slow.stat().st_size // 2])
    assert lab.failed(lab.upload(cut)).code == "truncated_input"


def test_captions_keep_their_times(lab):
    srt = {language: written(f"{language}.srt", b"1\n00:00:01,000 --> 00:00:02,500\nOne <i>italic</i>\n\n"
                                                b"2\n00:00:03,000 --> 00:00:04,000\nTwo\n") for language in ("en", "de")}
    source = make("captioned.mkv", *CLIP, "-i", str(srt["en"]), "-i", str(srt["de"]), "-map", "0", "-map", "1",
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
    assert picture_mean(lab.derived(item) / "poster.jpg") > 40


def test_progress_goes_forward_only(lab):
    item = lab.upload(make("for-progress.mkv", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30:d=12", "-c:v", "mpeg4", "-q:v", "5"))
    lab.finished(item, "FIRST")
    told = [e.progress for e in lab.events(item, "JobProgressed") if e.kind == 1]
    assert told == sorted(told) and len(told) >= 4 and told[0] <= 2
    lab.cancel(item)  # nobody needs its HEVC


def sparse(name, source):
    """The source's bytes, then nothing up to 10 GB."""
    path = written(name, source)
    os.truncate(path, 10 * GB)
    return path


def test_ten_gigabytes_of_nothing_end_soon(lab, capsys):
    """What is no film is refused by its first bytes; a film is ready, whatever stands behind its end."""
    plays = make("quick-2.mp4", *clip(2), *X264, "-movflags", "+faststart").read_bytes()
    began = time.monotonic()
    assert lab.failed(lab.upload(sparse("nothing.mp4", b""))).code == "unsupported_format"
    refused = time.monotonic()
    first = lab.finished(lab.upload(sparse("mostly-nothing.mp4", plays)), "FIRST", 300)
    ready = time.monotonic()
    assert abs(first.facts.duration_ms - 2000) < 100
    with capsys.disabled():
        print(f"\n10 GB of zeroes refused after {refused - began:.1f} s; behind a film: ready after {ready - refused:.1f} s")
    assert refused - began < 50 and ready - refused < 150
