/* vtt: captions that users bring, WebVTT (W3C) or SubRip, made into WebVTT of our own: what is not understood is left
 * out, and nothing is passed on as it was. Touches nothing else. */
#pragma once
#include "shared/err.h"
#include "shared/slice.h"

enum {
    VTT_MAX_BYTES = 1 << 20,     /* of what is brought */
    VTT_OUT_MAX_BYTES = 2 << 20, /* of what is made: escaping lengthens */
    VTT_CUES_MAX = 20000,
    VTT_LANGUAGE_MAX_BYTES = 35
};

/* Cues by their beginnings, each with its times, its known settings and its text. Of markup only what WebVTT has for
 * the form of text stays; styles, regions and comments do not. `out` is borrowed from `mem`; made of itself, it is the
 * same again. INVALID_ARGUMENT tells the line; PAYLOAD_TOO_LARGE. */
Err vtt_make(Arena *mem, Slice text, Slice *out) MUST_CHECK;

/* A tag of BCP 47 as it is usually written ("pt-BR", "zh-Hant"); false when it has not the form of one: a language of
 * letters and further parts, VTT_LANGUAGE_MAX_BYTES at most. Borrowed from `mem`. */
bool vtt_language(Arena *mem, Slice tag, const char **out);
