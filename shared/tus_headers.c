/* The headers of tus. */
#include "atrium/reasons.atrium.h"
#include "shared/tus.h"

/* ---------------------------------------------------------------------------------------- Upload-Metadata */

static bool key_is_good(Slice key)
{
    if (!key.len || key.len > TUS_KEY_MAX_BYTES)
        return false;
    for (size_t i = 0; i < key.len; i++)
        if (key.ptr[i] <= ' ' || key.ptr[i] >= 0x7f || key.ptr[i] == ',')
            return false;
    return true;
}

static bool has_key(const TusMetadata *metadata, Slice key)
{
    for (size_t i = 0; i < metadata->count; i++)
        if (slice_eq(metadata->pairs[i].key, key))
            return true;
    return false;
}

Err tus_read_metadata(Arena *mem, Slice header, TusMetadata *out)
{
    TusMetadata found = {ARENA_ARRAY(mem, TusPair, TUS_METADATA_KEYS_MAX), 0};
    Slice pair, rest = slice_trim(header), key, value;

    if (header.len > TUS_METADATA_MAX_BYTES)
        return err_make(&INVALID_ARGUMENT, "Upload-Metadata: more than %d bytes", TUS_METADATA_MAX_BYTES);
    while (rest.len) {
        bool more = slice_cut(rest, ',', &pair, &rest);

        slice_cut(slice_trim(pair), ' ', &key, &value);
        if (!key_is_good(key) || has_key(&found, key) || (more && !rest.len))
            return err_make(&INVALID_ARGUMENT, "Upload-Metadata: a key is none, or comes twice");
        if (found.count == TUS_METADATA_KEYS_MAX)
            return err_make(&INVALID_ARGUMENT, "Upload-Metadata: more than %d keys", TUS_METADATA_KEYS_MAX);
        if (!base64_decode(mem, slice_trim(value), &value))
            return err_make(&INVALID_ARGUMENT, "Upload-Metadata: a value is no Base64");
        found.pairs[found.count++] = (TusPair){key, value};
    }
    *out = found;
    return OK;
}

Slice tus_metadata_value(const TusMetadata *metadata, const char *key)
{
    for (size_t i = 0; i < metadata->count; i++)
        if (slice_eq_cstr(metadata->pairs[i].key, key))
            return metadata->pairs[i].value;
    return (Slice){"", 0};
}

/* ---------------------------------------------------------------------------------------- Upload-Checksum */

static const struct {
    const char *name;
    size_t len;
} ALGORITHMS[] = {{"sha1", 20}, {"sha256", 32}, {"sha512", 64}, {"md5", 16}}; /* TUS_CHECKSUM_ALGORITHMS */

Err tus_read_checksum(Arena *mem, Slice header, TusChecksum *out)
{
    Slice name, text, digest;

    slice_cut(slice_trim(header), ' ', &name, &text);
    text = slice_trim(text);
    if (text.len > 2 * TUS_DIGEST_MAX_BYTES || !base64_decode(mem, text, &digest))
        return err_make(&INVALID_ARGUMENT, "Upload-Checksum: no Base64 of a digest");
    for (size_t i = 0; i < ARRAY_LEN(ALGORITHMS); i++) {
        if (!slice_eq_cstr(name, ALGORITHMS[i].name))
            continue;
        if (digest.len != ALGORITHMS[i].len)
            return err_make(&INVALID_ARGUMENT, "Upload-Checksum: %s has %zu bytes", ALGORITHMS[i].name,
                            ALGORITHMS[i].len);
        *out = (TusChecksum){.algorithm = ALGORITHMS[i].name, .len = digest.len};
        memcpy(out->digest, digest.ptr, digest.len);
        return OK;
    }
    return err_make(&INVALID_ARGUMENT, "Upload-Checksum: one of " TUS_CHECKSUM_ALGORITHMS);
}

/* ---------------------------------------------------------------------------------------- Upload-Concat and the rest
 */

Err tus_read_concat(Arena *mem, Slice header, TusConcat *out)
{
    Slice text = slice_trim(header), kind, rest, url;
    TusConcat found = {.urls = ARENA_ARRAY(mem, Slice, TUS_CONCAT_PARTS_MAX)};
    bool list = slice_cut(text, ';', &kind, &rest);

    if (text.len > TUS_CONCAT_MAX_BYTES)
        return err_make(&INVALID_ARGUMENT, "Upload-Concat: more than %d bytes", TUS_CONCAT_MAX_BYTES);
    if (!list && slice_eq_cstr(kind, "partial")) {
        found.partial = true;
        *out = found;
        return OK;
    }
    if (!list || !slice_eq_cstr(slice_trim(kind), "final"))
        return err_make(&INVALID_ARGUMENT, "Upload-Concat: partial, or final; and its parts");
    for (rest = slice_trim(rest); rest.len; rest = slice_trim(rest)) {
        slice_cut(rest, ' ', &url, &rest);
        if (found.count == TUS_CONCAT_PARTS_MAX)
            return err_make(&INVALID_ARGUMENT, "Upload-Concat: more than %d parts", TUS_CONCAT_PARTS_MAX);
        found.urls[found.count++] = url;
    }
    if (!found.count)
        return err_make(&INVALID_ARGUMENT, "Upload-Concat: a final one names its parts");
    found.final = true;
    *out = found;
    return OK;
}

bool tus_read_number(Slice header, uint64_t *out)
{
    uint64_t value;

    if (!header.len || header.ptr[0] < '0' || header.ptr[0] > '9') /* no sign */
        return false;
    if (!slice_to_uint64(header, &value) || value > INT64_MAX)
        return false;
    *out = value;
    return true;
}

Slice tus_url_segment(Slice url)
{
    size_t end = 0, begin;

    while (end < url.len && url.ptr[end] != '?' && url.ptr[end] != '#')
        end++;
    for (begin = end; begin > 0 && url.ptr[begin - 1] != '/';)
        begin--;
    return begin ? slice_take(slice_skip(url, begin), end - begin) : (Slice){"", 0};
}
