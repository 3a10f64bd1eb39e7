/* Fuzz target: what a store answers, as lists of keys, parts and uploads, and as errors. */
#include "shared/blob_s3.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_row(const S3Row *row)
{
    check(row->count <= S3_XML_FIELDS_MAX);
    for (size_t i = 0; i < row->count; i++)
        check(strlen(row->fields[i].name) < 64 && strlen(row->fields[i].value) <= S3_XML_VALUE_MAX_BYTES);
    (void)s3_xml_number(row, "Size");
    (void)s3_xml_time_ms(row, "LastModified");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const ROWS[] = {"Contents", "Part", "Upload", NULL};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    S3Xml xml;
    Slice text;

    if (!len)
        return 0;
    text = slice_of(arena_memdup(mem, data + 1, len - 1), len - 1);
    if (s3_xml_parse(mem, text, ROWS[data[0] % ARRAY_LEN(ROWS)], &xml)) {
        check(xml.root && xml.count <= S3_XML_ROWS_MAX);
        check_row(&xml.top);
        for (size_t i = 0; i < xml.count; i++)
            check_row(&xml.rows[i]);
    }
    check(err_failed(s3_error(400 + data[0] % 200, text)));
    return 0;
}
