/* boxes: reads a fragmented MP4 of one track as far as playlists need it: where its fragments lie, how long they are,
 * whether each begins with a key frame, and what codec its initialisation says. The files are our own encoders' work,
 * but made from strangers' ones by a program that may have been taken over: so nothing in them is believed. */
#pragma once
#include "shared/err.h"
#include "shared/slice.h"

enum { BOX_HEAD_MAX_BYTES = 1 << 20 /* moov, and each moof */, FRAGMENTS_MAX = 200000, CODECS_TEXT_BYTES = 48 };

typedef struct BoxFile {
    /* Exactly `len` bytes from `offset`, or false. */
    bool (*read)(void *data, uint64_t offset, void *to, size_t len);
    void *data;
    uint64_t size_bytes;
} BoxFile;

typedef struct Fragment {
    uint64_t offset, size_bytes; /* of moof and mdat */
    uint64_t start, duration;    /* in the track's timescale; decode time */
    bool key;                    /* begins with a key frame; always so of audio */
} Fragment;

typedef struct Cmaf {
    bool video;
    uint32_t timescale;
    char codecs[CODECS_TEXT_BYTES]; /* RFC 6381 */
    uint32_t width, height;         /* of video */
    uint64_t init_bytes;            /* ftyp and moov, from the start */
    Fragment *fragments;
    size_t count;
    uint64_t duration; /* from the first fragment's start to the last one's end */
} Cmaf;

/* Borrowed from `mem`. INVALID_BODY: it is no such file, or one that no playlist could be made of. */
Err cmaf_read(const BoxFile *file, Arena *mem, Cmaf *out) MUST_CHECK;
/* The same of a local file. */
Err cmaf_read_path(const char *path, Arena *mem, Cmaf *out) MUST_CHECK;
/* Does a plain MP4 have moov before mdat? */
Err mp4_is_faststart(const char *path, bool *out) MUST_CHECK;
