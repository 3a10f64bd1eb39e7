/* subtitles: see subtitles.h. */
#include "services/media/subtitles.h"

#include "shared/strbuf.h"

#define MEDIA_SUBTITLES "#EXT-X-MEDIA:TYPE=SUBTITLES,"
#define STREAM_INF "#EXT-X-STREAM-INF:"
#define GROUP "captions" /* transcode's own is called so, too */

char *subtitles_name(Arena *mem, const char *language)
{
    return arena_printf(mem, "subtitles/%s.vtt", language);
}

char *subtitles_playlist(Arena *mem, const char *language, int64_t duration_ms)
{
    int64_t ms = MAX(duration_ms, 1);

    return arena_printf(mem,
                        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%" PRId64 "\n#EXT-X-MEDIA-SEQUENCE:0\n"
                        "#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:%" PRId64 ".%03" PRId64 ",\n%s.vtt\n#EXT-X-ENDLIST\n",
                        (ms + 999) / 1000, ms / 1000, ms % 1000, language);
}

/* Within quotes of a playlist. */
static void put_quoted(StrBuf *out, const char *text)
{
    for (; *text; text++)
        strbuf_append_char(out, *text == '"' || (unsigned char)*text < ' ' ? '\'' : *text);
}

/* Names differ within a group: languages do, and come last. */
static void put_caption(StrBuf *out, const CaptionRow *row)
{
    strbuf_append_cstr(out, MEDIA_SUBTITLES "GROUP-ID=\"" GROUP "\",NAME=\"");
    put_quoted(out, row->label);
    if (strcmp(row->label, row->language) != 0)
        strbuf_printf(out, " [%s]", row->language);
    strbuf_printf(out, "\",LANGUAGE=\"%s\",DEFAULT=%s,AUTOSELECT=YES,FORCED=NO,URI=\"../subtitles/%s.m3u8\"\n",
                  row->language, row->is_default ? "YES" : "NO", row->language);
}

static void put_replaced(StrBuf *out, Slice line, const char *from, const char *to)
{
    ptrdiff_t at = slice_find(line, slice(from));

    if (at < 0) {
        strbuf_append(out, line);
        return;
    }
    strbuf_append(out, slice_take(line, (size_t)at));
    strbuf_append_cstr(out, to);
    strbuf_append(out, slice_skip(line, (size_t)at + strlen(from)));
}

/* Captions of the file itself. */
static void put_own(StrBuf *out, Slice line, const CaptionRow *rows, size_t count)
{
    StrBuf changed = strbuf_new(out->mem, MASTER_MAX_BYTES);
    bool same_language = false, other_default = false;

    for (size_t i = 0; i < count; i++) {
        same_language =
            same_language || slice_find(line, slice(arena_printf(out->mem, "LANGUAGE=\"%s\"", rows[i].language))) >= 0;
        other_default = other_default || rows[i].is_default;
    }
    if (same_language || other_default)
        put_replaced(&changed, line, ",DEFAULT=YES", ",DEFAULT=NO");
    else
        strbuf_append(&changed, line);
    put_replaced(out, strbuf_slice(&changed), ",AUTOSELECT=YES", same_language ? ",AUTOSELECT=NO" : ",AUTOSELECT=YES");
}

static void put_variant(StrBuf *out, Slice line)
{
    ptrdiff_t at = slice_find(line, SLICE_LIT(",CLOSED-CAPTIONS="));
    size_t head = at < 0 ? line.len : (size_t)at;

    strbuf_append(out, slice_take(line, head));
    if (slice_find(line, SLICE_LIT(",SUBTITLES=")) < 0)
        strbuf_append_cstr(out, ",SUBTITLES=\"" GROUP "\"");
    strbuf_append(out, slice_skip(line, head));
}

Err subtitles_master(Arena *mem, Slice master, const CaptionRow *rows, size_t count, Slice *out)
{
    StrBuf made = strbuf_new(mem, MASTER_MAX_BYTES);
    bool listed = false;
    Slice line;

    while (master.len) {
        (void)slice_cut(master, '\n', &line, &master);
        if (slice_starts_with(line, SLICE_LIT(STREAM_INF))) {
            for (size_t i = 0; i < count && !listed; i++)
                put_caption(&made, &rows[i]);
            listed = true;
            put_variant(&made, line);
        } else if (slice_starts_with(line, SLICE_LIT(MEDIA_SUBTITLES))) {
            put_own(&made, line, rows, count);
        } else {
            strbuf_append(&made, line);
        }
        strbuf_append_char(&made, '\n');
    }
    return strbuf_finish(&made, out) ? OK : err_make(&INTERNAL, "a master of too many captions");
}
