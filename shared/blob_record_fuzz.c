/* Fuzz target: records of uploads, as they lie in a folder or a bucket that others may write to. */
#include "shared/blob_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* The digest at the end would keep all but copies out: a bit of the input lets it be made here. */
static size_t make_good(char *text, size_t len)
{
    char hex[SHA256_HEX_BYTES];

    sha256_hex_of(slice_of(text, len), hex);
    return len + (size_t)snprintf(text + len, 80, "digest %s\n\n", hex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text, again[BLOB_RECORD_MAX_BYTES];
    BlobRecord r, same;
    size_t end, end_again;

    if (!len || len > 2 * BLOB_RECORD_MAX_BYTES)
        return 0;
    text = xmalloc(len + 80);
    memcpy(text, data + 1, len - 1);
    len = data[0] & 1 ? make_good(text, len - 1) : len - 1;
    if (blob_record_parse(slice_of(text, len), &r, &end)) {
        check(end <= len && blob_key_valid(slice(r.key)) && r.sha.count_bytes == r.offset);
        check(r.parts * r.part_bytes <= r.offset);
        check(blob_record_parse(slice_of(again, blob_record_format(&r, again)), &same, &end_again));
        check(!strcmp(r.key, same.key) && !strcmp(r.upload_id, same.upload_id) && r.offset == same.offset);
        check(!memcmp(r.sha.words, same.sha.words, sizeof(r.sha.words)));
    }
    free(text);
    return 0;
}
