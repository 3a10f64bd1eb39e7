/* The record of a resumable upload: lines of "name value", since it is read by people, too, when something went wrong.
 * The last line is its digest: a file system may have lost the end of what a crash left. */
#include "shared/blob_internal.h"
#include "shared/strbuf.h"

#define RECORD_HEAD "atrium upload 1\n"

size_t blob_record_format(const BlobRecord *r, char out[BLOB_RECORD_MAX_BYTES])
{
    StrBuf b = strbuf_over(out, BLOB_RECORD_MAX_BYTES);
    char state[SHA256_STATE_TEXT_BYTES], digest[SHA256_HEX_BYTES];

    sha256_save(&r->sha, state);
    strbuf_printf(&b, RECORD_HEAD "key %s\ntype %s\nmax %" PRIu64 "\noffset %" PRIu64 "\nsha256 %s\n", r->key,
                  r->content_type, r->max_bytes, r->offset, state);
    strbuf_printf(&b, "upload %s\npart %" PRIu64 "\nparts %" PRIu64 "\ncreated %" PRIu64 "\ncomplete %" PRIu64 "\n",
                  r->upload_id, r->part_bytes, r->parts, r->created_ms, r->complete);
    sha256_hex_of(strbuf_slice(&b), digest);
    strbuf_printf(&b, "digest %s\n\n", digest);
    assert(!b.overflow); /* all parts have limits, whose sum fits */
    return b.len;
}

/* The value of the next line, which must have this name. */
static bool take_line(Slice *rest, const char *name, Slice *out)
{
    Slice line, got;

    if (!slice_cut(*rest, '\n', &line, rest) || !slice_cut(line, ' ', &got, out))
        return false;
    return slice_eq_cstr(got, name);
}

static bool take_text(Slice *rest, const char *name, char *out, size_t out_bytes)
{
    Slice value;

    if (!take_line(rest, name, &value) || value.len >= out_bytes || memchr(value.ptr, '\0', value.len))
        return false;
    memcpy(out, value.ptr, value.len);
    out[value.len] = '\0';
    return true;
}

static bool take_number(Slice *rest, const char *name, uint64_t *out)
{
    Slice value;

    return take_line(rest, name, &value) && slice_to_uint64(value, out);
}

static bool take_digest(Slice text, Slice *rest)
{
    Slice body = slice_take(text, text.len - rest->len), value;
    char digest[SHA256_HEX_BYTES];

    sha256_hex_of(body, digest);
    return take_line(rest, "digest", &value) && slice_eq_cstr(value, digest);
}

bool blob_record_parse(Slice text, BlobRecord *out, size_t *out_len)
{
    Slice rest = slice_skip(text, sizeof(RECORD_HEAD) - 1), state;
    BlobRecord r = {.parts = 0};

    if (!slice_starts_with(text, SLICE_LIT(RECORD_HEAD)))
        return false;
    if (!take_text(&rest, "key", r.key, sizeof(r.key)) ||
        !take_text(&rest, "type", r.content_type, sizeof(r.content_type)) || !take_number(&rest, "max", &r.max_bytes) ||
        !take_number(&rest, "offset", &r.offset) || !take_line(&rest, "sha256", &state) ||
        !sha256_restore(state, &r.sha))
        return false;
    if (!take_text(&rest, "upload", r.upload_id, sizeof(r.upload_id)) || !take_number(&rest, "part", &r.part_bytes) ||
        !take_number(&rest, "parts", &r.parts) || !take_number(&rest, "created", &r.created_ms) ||
        !take_number(&rest, "complete", &r.complete))
        return false;
    if (!take_digest(text, &rest) || !slice_starts_with(rest, SLICE_LIT("\n")))
        return false;
    /* What does not fit together would make us write to wrong places. */
    if (!blob_key_valid(slice(r.key)) || r.sha.count_bytes != r.offset || r.offset > r.max_bytes)
        return false;
    if (r.part_bytes ? r.parts > r.offset / r.part_bytes : r.parts > 0)
        return false;
    *out = r;
    *out_len = text.len - rest.len + 1;
    return true;
}
