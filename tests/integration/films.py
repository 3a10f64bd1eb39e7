"""Films for the tests of transcode, what is expected of each, and tools that are not ours to look at what came of them
(ffprobe, ffmpeg -xerror, m3u8)."""
import re
import subprocess

import m3u8

from lab import ffprobe, make

X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]


def clip(seconds, size="320x180"):
    """Picture and sound, as arguments of ffmpeg."""
    return ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={seconds}", "-f", "lavfi", "-i", f"sine=f=440:d={seconds}"]


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


# A representative of each way through; tests/long goes through all.
QUICK = ("vp9.webm", "hdr.mp4", "odd-sides.mkv", "upright.mp4", "sound.mp3")


def source_of(name):
    arguments, expected = MATRIX[name]
    source = make(name, *arguments)
    if "rotate" not in expected:
        return source
    return make(f"rotated-{name}", "-display_rotation", str(expected["rotate"]), "-i", str(source), "-c", "copy",
                fallback=["-i", str(source), "-c", "copy", "-metadata:s:v:0", f"rotate={expected['rotate']}"])


def check_kind(lab, name, item):
    """What became of one of MATRIX."""
    expected = MATRIX[name][1]
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


def picture_mean(path):
    """How bright it is, 0 to 255."""
    out = subprocess.run(["ffprobe", "-v", "error", "-f", "lavfi", "-i", f"movie={path},signalstats", "-show_entries",
                          "frame_tags=lavfi.signalstats.YAVG", "-of", "csv=p=0"], check=True, capture_output=True,
                         text=True).stdout
    return float(out.strip().rstrip(","))
