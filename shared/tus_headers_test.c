#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"
#include "shared/testing.h"
#include "shared/tus.h"

static void metadata_is_keys_with_base64(void **state)
{
    static const struct {
        const char *header;
        bool good;
        size_t count;
        const char *filename;
    } CASES[] = {
        {"", true, 0, ""},
        {"filename d29ybGQ=", true, 1, "world"},
        {"filename d29ybGQ=,private", true, 2, "world"},
        {"private, filename  d29ybGQ ", true, 2, "world"}, /* blanks, no padding */
        {"filename ", true, 1, ""},
        {"filename 0YTQvtGC0L4=", true, 1, "фото"},
        {"filename d29ybGQ=,filename d29ybGQ=", false, 0, NULL},
        {"filename d29y bGQ=", false, 0, NULL},
        {"filename *", false, 0, NULL},
        {",filename d29ybGQ=", false, 0, NULL},
        {"filename d29ybGQ=,", false, 0, NULL},
        {"\xd0\xb8 d29ybGQ=", false, 0, NULL},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        TusMetadata metadata;
        Err e = tus_read_metadata(mem, slice(CASES[i].header), &metadata);

        if (err_failed(e) == CASES[i].good)
            fail_msg("%s: %s", CASES[i].header, err_failed(e) ? e.text : "OK");
        if (!CASES[i].good) {
            assert_ptr_equal(e.reason, &INVALID_ARGUMENT);
            continue;
        }
        assert_int_equal(metadata.count, CASES[i].count);
        assert_slice_equal(tus_metadata_value(&metadata, "filename"), slice(CASES[i].filename));
    }
}

static void metadata_is_bounded(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    StrBuf text = strbuf_new(mem, 1 << 16);
    TusMetadata metadata;
    (void)state;

    for (int i = 0; i < TUS_METADATA_KEYS_MAX; i++)
        strbuf_printf(&text, "%skey%d", i ? "," : "", i);
    assert_ok(tus_read_metadata(mem, strbuf_slice(&text), &metadata));
    assert_int_equal(metadata.count, TUS_METADATA_KEYS_MAX);
    strbuf_append_cstr(&text, ",more");
    assert_reason(tus_read_metadata(mem, strbuf_slice(&text), &metadata), &INVALID_ARGUMENT);
    strbuf_truncate(&text, 0);
    strbuf_printf(&text, "key %0*d", TUS_METADATA_MAX_BYTES, 0);
    assert_reason(tus_read_metadata(mem, strbuf_slice(&text), &metadata), &INVALID_ARGUMENT);
}

static void checksums_are_of_known_algorithms_and_whole(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    TusChecksum checksum;
    (void)state;

    assert_ok(tus_read_checksum(mem, SLICE_LIT("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="), &checksum));
    assert_string_equal(checksum.algorithm, "sha1");
    assert_int_equal(checksum.len, 20);
    assert_int_equal(checksum.digest[0], 0x2a);
    assert_reason(tus_read_checksum(mem, SLICE_LIT("sha1 Kq5sNclP"), &checksum), &INVALID_ARGUMENT);
    assert_reason(tus_read_checksum(mem, SLICE_LIT("sha1"), &checksum), &INVALID_ARGUMENT);
    assert_reason(tus_read_checksum(mem, SLICE_LIT("crc32 AAAAAA=="), &checksum), &INVALID_ARGUMENT);
    assert_reason(tus_read_checksum(mem, SLICE_LIT("sha1 ?"), &checksum), &INVALID_ARGUMENT);
    assert_reason(tus_read_checksum(mem, SLICE_LIT(""), &checksum), &INVALID_ARGUMENT);
}

static void concatenations_are_partial_or_final(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    StrBuf many = strbuf_new(mem, 4096);
    TusConcat concat;
    (void)state;

    assert_ok(tus_read_concat(mem, SLICE_LIT("partial"), &concat));
    assert_true(concat.partial && !concat.final && !concat.count);
    assert_ok(tus_read_concat(mem, SLICE_LIT("final;/files/a  https://b/c/d?e/f "), &concat));
    assert_true(concat.final && !concat.partial);
    assert_int_equal(concat.count, 2);
    assert_slice_equal(tus_url_segment(concat.urls[0]), SLICE_LIT("a"));
    assert_slice_equal(tus_url_segment(concat.urls[1]), SLICE_LIT("d"));
    assert_reason(tus_read_concat(mem, SLICE_LIT("final;"), &concat), &INVALID_ARGUMENT);
    assert_reason(tus_read_concat(mem, SLICE_LIT("final"), &concat), &INVALID_ARGUMENT);
    assert_reason(tus_read_concat(mem, SLICE_LIT("partial;/a"), &concat), &INVALID_ARGUMENT);
    assert_reason(tus_read_concat(mem, SLICE_LIT("whole"), &concat), &INVALID_ARGUMENT);
    strbuf_append_cstr(&many, "final;");
    for (int i = 0; i < TUS_CONCAT_PARTS_MAX; i++)
        strbuf_append_cstr(&many, "/a ");
    assert_ok(tus_read_concat(mem, strbuf_slice(&many), &concat));
    strbuf_append_cstr(&many, "/a");
    assert_reason(tus_read_concat(mem, strbuf_slice(&many), &concat), &INVALID_ARGUMENT);
    assert_slice_equal(tus_url_segment(SLICE_LIT("a")), SLICE_LIT(""));
    assert_slice_equal(tus_url_segment(SLICE_LIT("/a/")), SLICE_LIT(""));
}

static void numbers_are_digits(void **state)
{
    uint64_t number;
    (void)state;

    assert_true(tus_read_number(SLICE_LIT("0"), &number) && number == 0);
    assert_true(tus_read_number(SLICE_LIT("9223372036854775807"), &number) && number == INT64_MAX);
    assert_false(tus_read_number(SLICE_LIT("9223372036854775808"), &number));
    assert_false(tus_read_number(SLICE_LIT("-1"), &number));
    assert_false(tus_read_number(SLICE_LIT("+1"), &number));
    assert_false(tus_read_number(SLICE_LIT(" 1"), &number));
    assert_false(tus_read_number(SLICE_LIT("1.0"), &number));
    assert_false(tus_read_number(slice(NULL), &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_is_keys_with_base64),
        cmocka_unit_test(metadata_is_bounded),
        cmocka_unit_test(checksums_are_of_known_algorithms_and_whole),
        cmocka_unit_test(concatenations_are_partial_or_final),
        cmocka_unit_test(numbers_are_digits),
    };

    return RUN(tests);
}
