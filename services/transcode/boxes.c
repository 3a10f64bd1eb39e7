/* boxes: see the header. ISO/IEC 14496-12 (boxes), -15 (avcC, hvcC), -1 (esds); RFC 6381 for the codecs. */
#include "services/transcode/boxes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"

enum { BOXES_MAX = 4 * FRAGMENTS_MAX, DEPTH_MAX = 8, FRAGMENTS_FIRST = 64 };
enum {
    TRUN_OFFSET = 1,
    TRUN_FIRST_FLAGS = 4,
    TRUN_DURATION = 0x100,
    TRUN_SIZE = 0x200,
    TRUN_FLAGS = 0x400,
    TRUN_CTS = 0x800
};
enum { TFHD_BASE = 1, TFHD_DESCRIPTION = 2, TFHD_DURATION = 8, TFHD_SIZE = 0x10, TFHD_FLAGS = 0x20 };
#define NOT_SYNC UINT32_C(0x10000)
#define TYPE(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* --- bytes ------------------------------------------------------------------------------------------------------- */
/* Reading beyond the end reads zeroes and is remembered. */
typedef struct Cursor {
    const uint8_t *at, *end;
    bool short_of;
} Cursor;

static uint64_t take(Cursor *c, int bytes)
{
    uint64_t value = 0;

    if (c->end - c->at < bytes) {
        c->short_of = true;
        c->at = c->end;
        return 0;
    }
    for (int i = 0; i < bytes; i++)
        value = value << 8 | *c->at++;
    return value;
}

static void skip(Cursor *c, size_t bytes)
{
    if ((size_t)(c->end - c->at) < bytes) {
        c->short_of = true;
        bytes = (size_t)(c->end - c->at);
    }
    c->at += bytes;
}

/* The next box of a list; its content in `out`. False at the end, and where the bytes are no boxes. */
static bool next_box(Cursor *list, uint32_t *type, Cursor *out)
{
    const uint8_t *begin = list->at;
    uint64_t size;

    if (list->end - list->at < 8)
        return false;
    size = take(list, 4);
    *type = (uint32_t)take(list, 4);
    if (size == 1)
        size = take(list, 8);
    else if (size == 0)
        size = (uint64_t)(list->end - begin);
    if (list->short_of || size < (uint64_t)(list->at - begin) || size > (uint64_t)(list->end - begin))
        return false;
    *out = (Cursor){.at = list->at, .end = begin + size};
    list->at = begin + size;
    return true;
}

/* The first of this type in a list. */
static bool find_box(Cursor list, uint32_t wanted, Cursor *out)
{
    uint32_t type;

    while (next_box(&list, &type, out))
        if (type == wanted)
            return true;
    return false;
}

/* Down a path of boxes that hold boxes. */
static bool find_path(Cursor list, const uint32_t *path, size_t count, Cursor *out)
{
    *out = list;
    for (size_t i = 0; i < count; i++)
        if (!find_box(*out, path[i], out))
            return false;
    return true;
}

/* --- codecs ------------------------------------------------------------------------------------------------------ */
static bool describe_avc(Cursor config, const char *form, Cmaf *out)
{
    unsigned profile, constraints, level;

    skip(&config, 1);
    profile = (unsigned)take(&config, 1);
    constraints = (unsigned)take(&config, 1);
    level = (unsigned)take(&config, 1);
    snprintf(out->codecs, sizeof out->codecs, "%s.%02X%02X%02X", form, profile, constraints, level);
    return !config.short_of;
}

static uint32_t reversed(uint32_t bits)
{
    uint32_t out = 0;

    for (int i = 0; i < 32; i++)
        out |= (bits >> i & 1) << (31 - i);
    return out;
}

/* hvc1.<space><profile>.<compatibility, reversed, hex>.<tier><level>.<constraint bytes without trailing zeroes> */
static bool describe_hevc(Cursor config, const char *form, Cmaf *out)
{
    static const char *const SPACES[] = {"", "A", "B", "C"};
    StrBuf text = strbuf_over(out->codecs, sizeof out->codecs);
    unsigned first, level, constraints[6];
    uint32_t compatibility;
    int last = 5;
    Slice done;

    skip(&config, 1);
    first = (unsigned)take(&config, 1);
    compatibility = (uint32_t)take(&config, 4);
    for (int i = 0; i < 6; i++)
        constraints[i] = (unsigned)take(&config, 1);
    level = (unsigned)take(&config, 1);
    strbuf_printf(&text, "%s.%s%u.%X.%c%u", form, SPACES[first >> 6], first & 31, reversed(compatibility),
                  first & 32 ? 'H' : 'L', level);
    while (last >= 0 && constraints[last] == 0)
        last--;
    for (int i = 0; i <= last; i++)
        strbuf_printf(&text, ".%X", constraints[i]);
    return strbuf_finish(&text, &done) && !config.short_of;
}

/* Lengths of descriptors come in one to four bytes of seven bits. */
static void skip_length(Cursor *c)
{
    for (int i = 0; i < 4; i++)
        if (!(take(c, 1) & 0x80))
            return;
}

static bool describe_aac(Cursor esds, Cmaf *out)
{
    unsigned flags, kind, object;

    skip(&esds, 4);
    if (take(&esds, 1) != 3) /* ES_Descriptor */
        return false;
    skip_length(&esds);
    skip(&esds, 2);
    flags = (unsigned)take(&esds, 1);
    if (flags & 0x80)
        skip(&esds, 2);
    if (flags & 0x40)
        skip(&esds, (size_t)take(&esds, 1));
    if (flags & 0x20)
        skip(&esds, 2);
    if (take(&esds, 1) != 4) /* DecoderConfigDescriptor */
        return false;
    skip_length(&esds);
    kind = (unsigned)take(&esds, 1);
    skip(&esds, 12);
    if (kind != 0x40 || take(&esds, 1) != 5) /* DecoderSpecificInfo of MPEG-4 audio */
        return false;
    skip_length(&esds);
    object = (unsigned)take(&esds, 1);
    if (object >> 3 == 31)
        object = 32 + ((object & 7) << 3 | (unsigned)take(&esds, 1) >> 5);
    else
        object >>= 3;
    snprintf(out->codecs, sizeof out->codecs, "mp4a.40.%u", object);
    return !esds.short_of;
}

static bool describe_video(Cursor entry, const char *form, uint32_t config_type,
                           bool (*describe)(Cursor, const char *, Cmaf *), Cmaf *out)
{
    Cursor config;

    skip(&entry, 24);
    out->width = (uint32_t)take(&entry, 2);
    out->height = (uint32_t)take(&entry, 2);
    skip(&entry, 50);
    out->video = true;
    return find_box(entry, config_type, &config) && describe(config, form, out);
}

static bool describe_entry(Cursor stsd, Cmaf *out)
{
    Cursor entry, config;
    uint32_t type;

    skip(&stsd, 8);
    if (!next_box(&stsd, &type, &entry))
        return false;
    switch (type) {
    case TYPE('a', 'v', 'c', '1'):
        return describe_video(entry, "avc1", TYPE('a', 'v', 'c', 'C'), describe_avc, out);
    case TYPE('h', 'v', 'c', '1'):
        return describe_video(entry, "hvc1", TYPE('h', 'v', 'c', 'C'), describe_hevc, out);
    case TYPE('m', 'p', '4', 'a'):
        skip(&entry, 28);
        return find_box(entry, TYPE('e', 's', 'd', 's'), &config) && describe_aac(config, out);
    default:
        return false;
    }
}

/* --- the initialisation ------------------------------------------------------------------------------------------ */
typedef struct Reader {
    const BoxFile *file;
    Arena *mem;
    Cmaf *out;
    uint32_t track_duration, track_flags; /* of trex: of samples for which nobody says otherwise */
    size_t capacity;
    uint8_t *head; /* BOX_HEAD_MAX_BYTES */
} Reader;

static bool read_moov(Reader *r, Cursor moov)
{
    static const uint32_t MDHD[] = {TYPE('t', 'r', 'a', 'k'), TYPE('m', 'd', 'i', 'a'), TYPE('m', 'd', 'h', 'd')};
    static const uint32_t STSD[] = {TYPE('t', 'r', 'a', 'k'), TYPE('m', 'd', 'i', 'a'), TYPE('m', 'i', 'n', 'f'),
                                    TYPE('s', 't', 'b', 'l'), TYPE('s', 't', 's', 'd')};
    static const uint32_t TREX[] = {TYPE('m', 'v', 'e', 'x'), TYPE('t', 'r', 'e', 'x')};
    Cursor mdhd, stsd, trex, tracks = moov, track;
    int track_count = 0;
    uint32_t type;

    while (next_box(&tracks, &type, &track))
        track_count += type == TYPE('t', 'r', 'a', 'k');
    if (track_count != 1 || !find_path(moov, MDHD, ARRAY_LEN(MDHD), &mdhd) ||
        !find_path(moov, STSD, ARRAY_LEN(STSD), &stsd) || !find_path(moov, TREX, ARRAY_LEN(TREX), &trex))
        return false;
    skip(&mdhd, mdhd.at < mdhd.end && *mdhd.at == 1 ? 20 : 12);
    r->out->timescale = (uint32_t)take(&mdhd, 4);
    skip(&trex, 12);
    r->track_duration = (uint32_t)take(&trex, 4);
    skip(&trex, 4);
    r->track_flags = (uint32_t)take(&trex, 4);
    return !mdhd.short_of && !trex.short_of && r->out->timescale > 0 && describe_entry(stsd, r->out);
}

/* --- fragments --------------------------------------------------------------------------------------------------- */
typedef struct Defaults {
    uint32_t duration, flags;
} Defaults;

static Defaults read_tfhd(const Reader *r, Cursor tfhd)
{
    Defaults d = {r->track_duration, r->track_flags};
    uint32_t flags = (uint32_t)take(&tfhd, 4);

    skip(&tfhd, 4);
    if (flags & TFHD_BASE)
        skip(&tfhd, 8);
    if (flags & TFHD_DESCRIPTION)
        skip(&tfhd, 4);
    if (flags & TFHD_DURATION)
        d.duration = (uint32_t)take(&tfhd, 4);
    if (flags & TFHD_SIZE)
        skip(&tfhd, 4);
    if (flags & TFHD_FLAGS)
        d.flags = (uint32_t)take(&tfhd, 4);
    return d;
}

/* Adds a run of samples; `first` is the fragment's first one. */
static bool read_trun(Cursor trun, Defaults d, bool first, Fragment *f)
{
    uint32_t flags = (uint32_t)take(&trun, 4), count = (uint32_t)take(&trun, 4), sample_flags = d.flags;

    if (flags & TRUN_OFFSET)
        skip(&trun, 4);
    if (flags & TRUN_FIRST_FLAGS)
        sample_flags = (uint32_t)take(&trun, 4);
    if (!(flags & (TRUN_DURATION | TRUN_SIZE | TRUN_FLAGS | TRUN_CTS))) {
        f->duration += (uint64_t)count * d.duration;
        count = 0;
    }
    for (uint32_t i = 0; i < count && !trun.short_of; i++) {
        f->duration += flags & TRUN_DURATION ? take(&trun, 4) : d.duration;
        if (flags & TRUN_SIZE)
            skip(&trun, 4);
        if (flags & TRUN_FLAGS) {
            uint32_t own = (uint32_t)take(&trun, 4);
            if (i == 0 && !(flags & TRUN_FIRST_FLAGS))
                sample_flags = own;
        }
        if (flags & TRUN_CTS)
            skip(&trun, 4);
    }
    if (first)
        f->key = !(sample_flags & NOT_SYNC);
    return !trun.short_of;
}

static bool read_moof(Reader *r, Cursor moof, Fragment *f)
{
    Cursor traf, tfdt, tfhd, box;
    bool first = true;
    uint32_t type;
    Defaults d;

    if (!find_box(moof, TYPE('t', 'r', 'a', 'f'), &traf) || !find_box(traf, TYPE('t', 'f', 'h', 'd'), &tfhd) ||
        !find_box(traf, TYPE('t', 'f', 'd', 't'), &tfdt))
        return false;
    d = read_tfhd(r, tfhd);
    f->start = take(&tfdt, 4) >> 24 == 1 ? take(&tfdt, 8) : take(&tfdt, 4);
    if (tfdt.short_of || f->start > INT64_MAX)
        return false;
    while (next_box(&traf, &type, &box)) {
        if (type != TYPE('t', 'r', 'u', 'n'))
            continue;
        if (!read_trun(box, d, first, f))
            return false;
        first = false;
    }
    f->key |= !r->out->video;
    return !first && f->duration > 0 && f->duration < UINT32_MAX * UINT64_C(1000);
}

static bool add_fragment(Reader *r, const Fragment *f)
{
    Cmaf *out = r->out;

    if (out->count == FRAGMENTS_MAX)
        return false;
    if (out->count == r->capacity) {
        size_t more = MAX(r->capacity * 2, FRAGMENTS_FIRST);
        out->fragments = arena_grow(r->mem, out->fragments, r->capacity * sizeof(Fragment), more * sizeof(Fragment));
        r->capacity = more;
    }
    /* Time goes on, and nothing is told twice. */
    if (out->count && f->start < out->fragments[out->count - 1].start)
        return false;
    out->fragments[out->count++] = *f;
    return true;
}

/* --- the file ---------------------------------------------------------------------------------------------------- */
typedef struct TopBox {
    uint64_t offset, size_bytes;
    uint32_t type, head_bytes;
} TopBox;

static bool read_top(const BoxFile *file, uint64_t offset, TopBox *out)
{
    uint8_t bytes[16] = {0};
    Cursor c = {.at = bytes, .end = bytes + sizeof bytes};

    if (file->size_bytes - offset < 8 || !file->read(file->data, offset, bytes, 8))
        return false;
    *out = (TopBox){.offset = offset, .head_bytes = 8};
    out->size_bytes = take(&c, 4);
    out->type = (uint32_t)take(&c, 4);
    if (out->size_bytes == 1) {
        if (file->size_bytes - offset < 16 || !file->read(file->data, offset + 8, bytes + 8, 8))
            return false;
        out->size_bytes = take(&c, 8);
        out->head_bytes = 16;
    } else if (out->size_bytes == 0) {
        out->size_bytes = file->size_bytes - offset;
    }
    return out->size_bytes >= out->head_bytes && out->size_bytes <= file->size_bytes - offset;
}

static bool load(Reader *r, const TopBox *box, Cursor *out)
{
    size_t len;

    if (box->size_bytes > BOX_HEAD_MAX_BYTES)
        return false;
    len = (size_t)(box->size_bytes - box->head_bytes);
    if (!r->file->read(r->file->data, box->offset + box->head_bytes, r->head, len))
        return false;
    *out = (Cursor){.at = r->head, .end = r->head + len};
    return true;
}

/* `open` is the fragment whose mdat is still to come. */
static bool take_box(Reader *r, const TopBox *box, Fragment *open)
{
    Cursor content;

    switch (box->type) {
    case TYPE('m', 'o', 'o', 'v'):
        r->out->init_bytes = box->offset + box->size_bytes;
        return r->out->timescale == 0 && load(r, box, &content) && read_moov(r, content);
    case TYPE('m', 'o', 'o', 'f'):
        *open = (Fragment){.offset = box->offset, .size_bytes = box->size_bytes};
        return r->out->timescale > 0 && load(r, box, &content) && read_moof(r, content, open);
    case TYPE('m', 'd', 'a', 't'):
        if (open->size_bytes == 0 || open->offset + open->size_bytes != box->offset)
            return false;
        open->size_bytes += box->size_bytes;
        if (!add_fragment(r, open))
            return false;
        *open = (Fragment){0};
        return true;
    default:
        return true;
    }
}

Err cmaf_read(const BoxFile *file, Arena *mem, Cmaf *out)
{
    Reader r = {.file = file, .mem = mem, .out = out, .head = arena_alloc_raw(mem, BOX_HEAD_MAX_BYTES, 16)};
    Fragment open = {0};
    const Fragment *last;
    uint64_t offset = 0;
    TopBox box;

    *out = (Cmaf){0};
    for (int i = 0; offset < file->size_bytes && i < BOXES_MAX; i++) {
        if (!read_top(file, offset, &box) || !take_box(&r, &box, &open))
            return err_make(&INVALID_BODY, "a box that does not belong, at byte %" PRIu64, offset);
        offset += box.size_bytes;
    }
    if (offset < file->size_bytes || out->count == 0)
        return err_make(&INVALID_BODY, "no fragments");
    last = &out->fragments[out->count - 1];
    out->duration = last->start + last->duration - out->fragments[0].start;
    return OK;
}

static bool read_fd(void *data, uint64_t offset, void *to, size_t len)
{
    const int *fd = data;
    size_t done = 0;

    while (done < len) {
        ssize_t got = pread(*fd, (char *)to + done, len - done, (off_t)(offset + done));
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

static Err open_file(const char *path, int *fd, BoxFile *out)
{
    struct stat st;

    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0)
        return err_errno(&INTERNAL, "open what was made");
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(*fd);
        return err_make(&INTERNAL, "what was made is no file");
    }
    *out = (BoxFile){.read = read_fd, .data = fd, .size_bytes = (uint64_t)st.st_size};
    return OK;
}

Err cmaf_read_path(const char *path, Arena *mem, Cmaf *out)
{
    BoxFile file;
    Err e;
    int fd;

    TRY(open_file(path, &fd, &file));
    e = cmaf_read(&file, mem, out);
    close(fd);
    return e;
}

Err mp4_is_faststart(const char *path, bool *out)
{
    uint64_t offset = 0;
    bool moov = false;
    BoxFile file;
    TopBox box;
    int fd;

    TRY(open_file(path, &fd, &file));
    for (int i = 0; i < DEPTH_MAX && offset < file.size_bytes && read_top(&file, offset, &box); i++) {
        moov |= box.type == TYPE('m', 'o', 'o', 'v');
        if (box.type == TYPE('m', 'd', 'a', 't'))
            break;
        offset += box.size_bytes;
    }
    close(fd);
    *out = moov;
    return OK;
}
