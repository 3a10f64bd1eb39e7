#include "services/media/sniff.h"

#include <magic.h>
#include <pthread.h>

#include "atrium/reasons.atrium.h"

struct Sniffer {
    pthread_mutex_t lock;
    magic_t idle[SNIFF_COOKIES_MAX];
    int idle_count;
};

/* Only types; nothing is decompressed or unpacked to look inside. */
static Err make_cookie(magic_t *out)
{
    magic_t cookie = magic_open(MAGIC_MIME_TYPE | MAGIC_ERROR | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_TAR |
                                MAGIC_NO_CHECK_ELF | MAGIC_NO_CHECK_CDF);

    if (!cookie || magic_load(cookie, NULL) != 0) {
        Err e = err_make(&INTERNAL, "libmagic: %s", cookie ? magic_error(cookie) : "cannot be used");

        if (cookie)
            magic_close(cookie);
        return e;
    }
    *out = cookie;
    return OK;
}

static Err take_cookie(Sniffer *s, magic_t *out)
{
    *out = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->idle_count)
        *out = s->idle[--s->idle_count];
    pthread_mutex_unlock(&s->lock);
    return *out ? OK : make_cookie(out);
}

static void give_cookie(Sniffer *s, magic_t cookie)
{
    pthread_mutex_lock(&s->lock);
    if (s->idle_count < SNIFF_COOKIES_MAX) {
        s->idle[s->idle_count++] = cookie;
        cookie = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    if (cookie)
        magic_close(cookie);
}

Err sniffer_new(Sniffer **out)
{
    Sniffer *s = xcalloc(1, sizeof(*s));
    magic_t cookie;
    Err e = make_cookie(&cookie); /* that it can be made, is known at the start */

    if (err_failed(e)) {
        free(s);
        return e;
    }
    pthread_mutex_init(&s->lock, NULL);
    give_cookie(s, cookie);
    *out = s;
    return OK;
}

void sniffer_free(Sniffer *s)
{
    if (!s)
        return;
    while (s->idle_count)
        magic_close(s->idle[--s->idle_count]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Without parameters, in lower case; "" when it is none. */
static char *essence(Arena *mem, const char *type)
{
    Slice head, rest;
    char *text;

    slice_cut(slice(type), ';', &head, &rest);
    head = slice_trim(head);
    if (head.len > SNIFF_TYPE_MAX_BYTES || slice_find_char(head, '/') < 1)
        return arena_strdup(mem, "");
    text = slice_cstr(mem, head);
    for (char *c = text; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    return text;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Kinds of text that plain text may be called. */
static bool is_textual(const char *type)
{
    static const char *const TYPES[] = {"application/json", "application/xml", "application/x-subrip",
                                        "application/x-ndjson", "application/ld+json"};

    if (starts_with(type, "text/"))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
        if (strcmp(type, TYPES[i]) == 0)
            return true;
    return false;
}

static char *decide(Arena *mem, const char *sniffed, const char *claimed)
{
    char *claim = essence(mem, claimed);

    if (!*claim)
        return arena_strdup(mem, sniffed);
    if (strcmp(sniffed, "application/octet-stream") == 0)
        return claim;
    if (strcmp(sniffed, "text/plain") == 0 && is_textual(claim))
        return claim;
    return arena_strdup(mem, sniffed);
}

Err sniff_bytes(Sniffer *s, Arena *mem, Slice head, const char *claimed, char **out)
{
    magic_t cookie;
    const char *found;

    TRY(take_cookie(s, &cookie));
    found = magic_buffer(cookie, head.len ? head.ptr : "", head.len);
    if (!found || slice_find_char(slice(found), '/') < 1) /* words such as "cannot open" are none */
        found = "application/octet-stream";
    *out = decide(mem, found, claimed);
    give_cookie(s, cookie);
    return OK;
}

Err sniff_object(Sniffer *s, Blob *blob, Arena *mem, const char *key, const char *claimed, char **out)
{
    CLEANUP(blob_reader_free_at) BlobReader *r = NULL;
    char *head = arena_alloc_raw(mem, SNIFF_BYTES, 1);
    size_t len = 0, got = 1;

    TRY(blob_reader_new(blob, key, &r));
    TRY(blob_reader_range(r, 0, MIN((uint64_t)SNIFF_BYTES, blob_reader_info(r)->size_bytes)));
    while (got && len < SNIFF_BYTES) {
        TRY(blob_reader_read(r, head + len, SNIFF_BYTES - len, &got));
        len += got;
    }
    return sniff_bytes(s, mem, slice_of(head, len), claimed, out);
}

bool sniff_is_harmless(const char *type)
{
    return (starts_with(type, "image/") && strcmp(type, "image/svg+xml") != 0) || starts_with(type, "video/") ||
           starts_with(type, "audio/");
}
