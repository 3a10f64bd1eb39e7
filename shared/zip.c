/* Numbers in ZIP are little-endian; the layout is that of PKWARE's APPNOTE 6.3, sections 4.3 to 4.5. */
#include "shared/zip.h"

#include <zlib.h>

#include "atrium/reasons.atrium.h"

enum {
    LOCAL_BYTES = 30,
    LOCAL_EXTRA_BYTES = 20,
    DESCRIPTOR_BYTES = 16,
    DESCRIPTOR64_BYTES = 24,
    CENTRAL_BYTES = 46,
    CENTRAL_EXTRA_BYTES = 4, /* and 8 for each number in it */
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    END_BYTES = 22,
    FLAGS = 0x0808, /* UTF-8, checksum behind the content */
    VERSION = 20,
    VERSION64 = 45,
    MADE_BY_UNIX = 3 << 8,
    /* The largest thing that is built at a time: a directory entry. */
    PIECE_BYTES =
        CENTRAL_BYTES + CENTRAL_EXTRA_BYTES + 24 + ZIP_NAME_MAX_BYTES + END64_BYTES + LOCATOR_BYTES + END_BYTES
};
#define LIMIT32 0xffffffffU /* this and more: ZIP64 */
#define LIMIT16 0xffffU

typedef enum State { LOCAL, CONTENT, DESCRIPTOR, DIRECTORY, END, OVER } State;

/* What the directory says of an entry that was written. */
typedef struct Written {
    uint64_t offset;
    uint32_t crc;
} Written;

struct Zip {
    const ZipEntry *entries;
    size_t count;
    const ZipSource *source;
    void *at;
    State state;
    size_t entry; /* the one being written */
    bool open;
    uint64_t left;      /* of its content */
    uint64_t offset;    /* of all that was built */
    uint64_t directory; /* where it begins */
    Written *written;
    /* What was built and not handed out. */
    unsigned char piece[PIECE_BYTES];
    size_t piece_len, piece_at;
};

static bool entry_is_large(const ZipEntry *e)
{
    return e->size_bytes >= LIMIT32;
}

/* ---------------------------------------------------------------------------------------- sizes */

static uint64_t local_bytes(const ZipEntry *e)
{
    return LOCAL_BYTES + e->name.len + (entry_is_large(e) ? LOCAL_EXTRA_BYTES : 0);
}

static uint64_t central_bytes(const ZipEntry *e, uint64_t offset)
{
    size_t numbers = (entry_is_large(e) ? 2U : 0U) + (offset >= LIMIT32 ? 1U : 0U);

    return CENTRAL_BYTES + e->name.len + (numbers ? CENTRAL_EXTRA_BYTES + 8 * numbers : 0);
}

static bool end_is_large(size_t count, uint64_t directory_offset, uint64_t directory_bytes)
{
    return count >= LIMIT16 || directory_offset >= LIMIT32 || directory_bytes >= LIMIT32;
}

uint64_t zip_size(const ZipEntry *entries, size_t count)
{
    uint64_t offset = 0, directory = 0;

    if (count > ZIP_ENTRIES_MAX)
        return UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        const ZipEntry *e = &entries[i];

        if (!e->name.len || e->name.len > ZIP_NAME_MAX_BYTES || e->size_bytes > INT64_MAX / ZIP_ENTRIES_MAX)
            return UINT64_MAX;
        directory += central_bytes(e, offset);
        offset += local_bytes(e) + e->size_bytes + (entry_is_large(e) ? DESCRIPTOR64_BYTES : DESCRIPTOR_BYTES);
    }
    return offset + directory + (end_is_large(count, offset, directory) ? END64_BYTES + LOCATOR_BYTES : 0) + END_BYTES;
}

/* ---------------------------------------------------------------------------------------- pieces */

static void put(Zip *z, uint64_t value, int bytes)
{
    assert(z->piece_len + (size_t)bytes <= sizeof(z->piece));
    for (int i = 0; i < bytes; i++)
        z->piece[z->piece_len++] = (unsigned char)(value >> (8 * i));
}

static void put_slice(Zip *z, Slice s)
{
    assert(z->piece_len + s.len <= sizeof(z->piece));
    memcpy(z->piece + z->piece_len, s.ptr, s.len);
    z->piece_len += s.len;
}

/* Time and date of MS-DOS, in UTC. */
static uint32_t dos_time(int64_t modified_ms)
{
    time_t seconds = (time_t)(modified_ms / 1000);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || tm.tm_year < 80)
        return 0x00210000; /* 1980-01-01 */
    if (tm.tm_year > 207)
        return 0xff9fbf7d; /* 2107-12-31 23:59:58 */
    return (uint32_t)(tm.tm_year - 80) << 25 | (uint32_t)(tm.tm_mon + 1) << 21 | (uint32_t)tm.tm_mday << 16 |
           (uint32_t)tm.tm_hour << 11 | (uint32_t)tm.tm_min << 5 | (uint32_t)tm.tm_sec / 2;
}

static void build_local(Zip *z, const ZipEntry *e)
{
    bool large = entry_is_large(e);

    put(z, 0x04034b50, 4);
    put(z, large ? VERSION64 : VERSION, 2);
    put(z, FLAGS, 2);
    put(z, 0, 2); /* stored */
    put(z, dos_time(e->modified_ms), 4);
    put(z, 0, 4); /* the checksum and, of small ones, the sizes stand behind */
    put(z, large ? LIMIT32 : 0, 4);
    put(z, large ? LIMIT32 : 0, 4);
    put(z, e->name.len, 2);
    put(z, large ? LOCAL_EXTRA_BYTES : 0, 2);
    put_slice(z, e->name);
    if (!large)
        return;
    put(z, 1, 2);
    put(z, LOCAL_EXTRA_BYTES - 4, 2);
    put(z, 0, 8);
    put(z, 0, 8);
}

static void build_descriptor(Zip *z, const ZipEntry *e)
{
    int bytes = entry_is_large(e) ? 8 : 4;

    put(z, 0x08074b50, 4);
    put(z, z->written[z->entry].crc, 4);
    put(z, e->size_bytes, bytes);
    put(z, e->size_bytes, bytes);
}

static void build_central(Zip *z, const ZipEntry *e, const Written *w)
{
    bool large = entry_is_large(e), far = w->offset >= LIMIT32;
    unsigned extra = (large ? 16 : 0) + (far ? 8 : 0);

    put(z, 0x02014b50, 4);
    put(z, MADE_BY_UNIX | VERSION64, 2);
    put(z, large || far ? VERSION64 : VERSION, 2);
    put(z, FLAGS, 2);
    put(z, 0, 2);
    put(z, dos_time(e->modified_ms), 4);
    put(z, w->crc, 4);
    put(z, large ? LIMIT32 : e->size_bytes, 4);
    put(z, large ? LIMIT32 : e->size_bytes, 4);
    put(z, e->name.len, 2);
    put(z, extra ? CENTRAL_EXTRA_BYTES + extra : 0, 2);
    put(z, 0, 2);               /* comment */
    put(z, 0, 2);               /* disk */
    put(z, 0, 2);               /* internal attributes */
    put(z, 0100644UL << 16, 4); /* a regular file */
    put(z, far ? LIMIT32 : w->offset, 4);
    put_slice(z, e->name);
    if (!extra)
        return;
    put(z, 1, 2);
    put(z, extra, 2);
    if (large) {
        put(z, e->size_bytes, 8);
        put(z, e->size_bytes, 8);
    }
    if (far)
        put(z, w->offset, 8);
}

static void build_end(Zip *z)
{
    uint64_t begin = z->directory, bytes = z->offset - z->directory;

    if (end_is_large(z->count, begin, bytes)) {
        uint64_t end64 = z->offset;

        put(z, 0x06064b50, 4);
        put(z, END64_BYTES - 12, 8);
        put(z, MADE_BY_UNIX | VERSION64, 2);
        put(z, VERSION64, 2);
        put(z, 0, 4);
        put(z, 0, 4);
        put(z, z->count, 8);
        put(z, z->count, 8);
        put(z, bytes, 8);
        put(z, begin, 8);
        put(z, 0x07064b50, 4);
        put(z, 0, 4);
        put(z, end64, 8);
        put(z, 1, 4);
    }
    put(z, 0x06054b50, 4);
    put(z, 0, 4); /* disks */
    put(z, MIN(z->count, LIMIT16), 2);
    put(z, MIN(z->count, LIMIT16), 2);
    put(z, MIN(bytes, LIMIT32), 4);
    put(z, MIN(begin, LIMIT32), 4);
    put(z, 0, 2); /* comment */
}

/* ---------------------------------------------------------------------------------------- reading */

static void close_entry(Zip *z)
{
    if (z->open)
        z->source->close(z->at);
    z->open = false;
}

static Err read_content(Zip *z, char *into, size_t len, size_t *out_len)
{
    Written *w = &z->written[z->entry];
    size_t got = 0;

    if (z->left) {
        TRY(z->source->read(z->at, into, (size_t)MIN(len, z->left), &got));
        if (!got)
            return err_make(&INTERNAL, "an entry of the archive is shorter than it was");
        w->crc = (uint32_t)crc32(w->crc, (const Bytef *)into, (uInt)got);
        z->left -= got;
        z->offset += got;
        *out_len = got;
        return OK;
    }
    TRY(z->source->read(z->at, into, 1, &got));
    if (got)
        return err_make(&INTERNAL, "an entry of the archive is longer than it was");
    close_entry(z);
    z->state = DESCRIPTOR;
    return OK;
}

/* Builds what comes next, but for content. */
static Err build_next(Zip *z)
{
    switch (z->state) {
    case LOCAL:
        if (z->entry == z->count) {
            z->directory = z->offset;
            z->entry = 0;
            z->state = DIRECTORY;
            break;
        }
        TRY(z->source->open(z->at, &z->entries[z->entry]));
        z->open = true;
        z->written[z->entry].offset = z->offset;
        z->left = z->entries[z->entry].size_bytes;
        build_local(z, &z->entries[z->entry]);
        z->state = CONTENT;
        break;
    case DESCRIPTOR:
        build_descriptor(z, &z->entries[z->entry]);
        z->entry++;
        z->state = LOCAL;
        break;
    case DIRECTORY:
        if (z->entry == z->count) {
            z->state = END;
            break;
        }
        build_central(z, &z->entries[z->entry], &z->written[z->entry]);
        z->entry++;
        break;
    case END:
        build_end(z);
        z->state = OVER;
        break;
    case CONTENT:
    case OVER:
        break;
    }
    z->offset += z->piece_len;
    return OK;
}

Err zip_read(Zip *z, char *into, size_t len, size_t *out_len)
{
    *out_len = 0;
    while (len && !*out_len) {
        if (z->piece_at < z->piece_len) {
            *out_len = MIN(len, z->piece_len - z->piece_at);
            memcpy(into, z->piece + z->piece_at, *out_len);
            z->piece_at += *out_len;
        } else if (z->state == CONTENT) {
            TRY(read_content(z, into, MIN(len, UINT32_MAX), out_len));
        } else if (z->state == OVER) {
            break;
        } else {
            z->piece_at = z->piece_len = 0;
            TRY(build_next(z));
        }
    }
    return OK;
}

Zip *zip_new(const ZipEntry *entries, size_t count, const ZipSource *source, void *at)
{
    Zip *z = xcalloc(1, sizeof(*z));

    assert(zip_size(entries, count) != UINT64_MAX);
    z->entries = entries;
    z->count = count;
    z->source = source;
    z->at = at;
    z->written = xcalloc(count, sizeof(*z->written));
    return z;
}

void zip_free(Zip *z)
{
    if (!z)
        return;
    close_entry(z);
    free(z->written);
    free(z);
}
