/* Fuzz target: the headers of tus. The first byte chooses which. What was read of metadata is written again, and must
 * be read as the same. */
#include "shared/strbuf.h"
#include "shared/tus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void try_metadata(Arena *mem, Slice header)
{
    StrBuf text = strbuf_new(mem, 1 << 16);
    TusMetadata read, again;

    if (err_failed(tus_read_metadata(mem, header, &read)))
        return;
    check(read.count <= TUS_METADATA_KEYS_MAX);
    for (size_t i = 0; i < read.count; i++) {
        char *value = base64_encode(mem, read.pairs[i].value);

        check(slice_eq(tus_metadata_value(&read, slice_cstr(mem, read.pairs[i].key)), read.pairs[i].value));
        strbuf_printf(&text, "%s" SLICE_FMT " %s", i ? "," : "", SLICE_ARG(read.pairs[i].key), value);
    }
    if (text.len > TUS_METADATA_MAX_BYTES) /* padding was left out */
        return;
    check(!err_failed(tus_read_metadata(mem, strbuf_slice(&text), &again)) && again.count == read.count);
    for (size_t i = 0; i < read.count; i++)
        check(slice_eq(again.pairs[i].key, read.pairs[i].key) && slice_eq(again.pairs[i].value, read.pairs[i].value));
}

static void try_concat(Arena *mem, Slice header)
{
    TusConcat concat;

    if (err_failed(tus_read_concat(mem, header, &concat)))
        return;
    check(concat.partial != concat.final && concat.count <= TUS_CONCAT_PARTS_MAX);
    check(concat.final == (concat.count > 0));
    for (size_t i = 0; i < concat.count; i++) {
        check(concat.urls[i].len > 0);
        check(slice_find_char(tus_url_segment(concat.urls[i]), '/') < 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 14);
    Slice header = slice_skip(slice_of(data, len), 1);
    TusChecksum checksum;
    uint64_t number;

    if (len == 0)
        return 0;
    if (data[0] % 4 == 0)
        try_metadata(mem, header);
    else if (data[0] % 4 == 1)
        try_concat(mem, header);
    else if (data[0] % 4 == 2 && !err_failed(tus_read_checksum(mem, header, &checksum)))
        check(checksum.len > 0 && checksum.len <= TUS_DIGEST_MAX_BYTES && checksum.algorithm);
    else if (tus_read_number(header, &number))
        check(number <= INT64_MAX);
    return 0;
}
