/* subtitles: how players find captions that were brought: beside what was made of the item, below the same ticket
 * (/stream/{ticket}/subtitles/<language>.vtt and .m3u8), and in its master playlist. */
#pragma once
#include "services/media/store_captions.h"

enum { MASTER_MAX_BYTES = 256 << 10 };

/* "subtitles/de.vtt" */
char *subtitles_name(Arena *mem, const char *language);
/* A playlist (RFC 8216) of this one file, which lasts as long as the item. */
char *subtitles_playlist(Arena *mem, const char *language, int64_t duration_ms);
/* The master of what was made, with these captions: a group of every variant. What the file has in the same language is
 * not chosen by itself any more, and nothing else is the default when one of these is. */
Err subtitles_master(Arena *mem, Slice master, const CaptionRow *rows, size_t count, Slice *out) MUST_CHECK;
