/* hls: playlists (RFC 8216) from what the segments are, not from what the encoder was asked for. A rendition is one
 * file; its segments are byte ranges of it. */
#pragma once
#include "services/transcode/boxes.h"
#include "services/transcode/transcode.h"

enum {
    HLS_SEGMENT_MS = 4000, /* a segment is as many fragments as it takes to be this long */
    HLS_SEGMENT_MAX_MS = 12000,
    HLS_PLAYLIST_MAX_BYTES = 16 << 20,
    HLS_MASTER_MAX_BYTES = 64 << 10
};

/* Writes `out` and sets of `rendition` what is measured: codecs, width, height, peak and average bit rate, duration.
 * `file` is the name that the playlist gives the media file. INVALID_BODY: its segments could not be played by
 * themselves (no key frame at the start), or are longer than HLS_SEGMENT_MAX_MS. */
Err hls_media_playlist(Arena *mem, const Cmaf *cmaf, const char *file, Transcode__V1__Rendition *rendition,
                       Slice *out) MUST_CHECK;
/* The master of all renditions there are: video by codec and size, the one to begin with first. Renditions of audio and
 * captions are groups of every variant; audio alone is a variant of its own. */
Err hls_master(Arena *mem, Transcode__V1__Rendition *const *renditions, size_t count, Slice *out) MUST_CHECK;
/* A playlist of one WebVTT file that lasts `duration_ms`. */
Slice hls_captions_playlist(Arena *mem, const char *file, int64_t duration_ms);
