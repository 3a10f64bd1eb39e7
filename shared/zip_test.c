/* What other programs think of the archives: tests/integration/test_uploads.py. */
#include "shared/zip.h"

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"
#include "shared/testing.h"

/* Contents of one letter each, `longer` bytes more or less than they should be. */
typedef struct Letters {
    const ZipEntry *open;
    uint64_t given, longer;
    int opened, closed;
} Letters;

static Err open_letters(void *at, const ZipEntry *entry)
{
    Letters *l = at;

    assert_null(l->open);
    l->open = entry;
    l->given = 0;
    l->opened++;
    return OK;
}

static Err read_letters(void *at, char *into, size_t len, size_t *out_len)
{
    Letters *l = at;

    *out_len = (size_t)MIN(len, l->open->size_bytes + l->longer - l->given);
    memset(into, 'a' + (int)(l->open->size_bytes % 26), *out_len);
    l->given += *out_len;
    return OK;
}

static void close_letters(void *at)
{
    Letters *l = at;

    l->open = NULL;
    l->closed++;
}

static const ZipSource LETTERS = {open_letters, read_letters, close_letters};

/* Reads it all, and keeps it unless `out` is NULL. */
static Err read_all(Zip *z, size_t piece_bytes, StrBuf *out, uint64_t *out_total)
{
    static char piece[1 << 20];
    size_t len;

    *out_total = 0;
    do {
        TRY(zip_read(z, piece, piece_bytes, &len));
        assert_true(len <= piece_bytes);
        if (out)
            strbuf_append(out, slice_of(piece, len));
        *out_total += len;
    } while (len);
    return OK;
}

static const ZipEntry FEW[] = {
    {.name = {"a.txt", 5}, .size_bytes = 11, .modified_ms = 1764460800000},
    {.name = {"empty", 5}},
    {.name = {"\xd0\xb8\xd0\xbc\xd1\x8f/\xe5\x86\x99\xe7\x9c\x9f.jpg", 17}, .size_bytes = 100000},
};

static void an_archive_is_as_long_as_it_was_said_and_the_same_in_any_pieces(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 20);
    StrBuf whole = strbuf_new(mem, 1 << 20);
    uint64_t total;
    (void)state;

    for (size_t piece = 1 << 20; piece; piece = piece > 7 ? piece / 7 : piece - 1) {
        StrBuf text = strbuf_new(mem, 1 << 20);
        Letters letters = {0};
        CLEANUP(zip_free_at) Zip *z = zip_new(FEW, ARRAY_LEN(FEW), &LETTERS, &letters);

        assert_ok(read_all(z, piece, &text, &total));
        assert_int_equal(total, zip_size(FEW, ARRAY_LEN(FEW)));
        assert_int_equal(letters.opened, 3);
        assert_int_equal(letters.closed, 3);
        if (!whole.len)
            whole = text;
        assert_slice_equal(strbuf_slice(&text), strbuf_slice(&whole));
    }
    assert_memory_equal(whole.ptr, "PK\3\4", 4);
    assert_memory_equal(whole.ptr + whole.len - 22, "PK\5\6", 4);
}

static void an_archive_of_nothing_is_its_end(void **state)
{
    Letters letters = {0};
    CLEANUP(zip_free_at) Zip *z = zip_new(NULL, 0, &LETTERS, &letters);
    uint64_t total;
    (void)state;

    assert_ok(read_all(z, 100, NULL, &total));
    assert_int_equal(total, 22);
    assert_int_equal(zip_size(NULL, 0), 22);
}

/* More entries than 16 bits count, and one more than 32 bits do: as long as it was said, too. */
static void large_archives_are_zip64(void **state)
{
    enum { MANY = 70000 };
    ZipEntry *many = xcalloc(MANY, sizeof(*many)), large[2] = {FEW[0], FEW[0]};
    Letters letters = {0};
    Zip *z;
    uint64_t total;
    (void)state;

    for (int i = 0; i < MANY; i++)
        many[i] = FEW[1];
    z = zip_new(many, MANY, &LETTERS, &letters);
    assert_ok(read_all(z, 1 << 20, NULL, &total));
    assert_int_equal(total, zip_size(many, MANY));
    zip_free(z);
    free(many);

    large[0].size_bytes = UINT32_MAX;
    z = zip_new(large, 2, &LETTERS, &letters);
    assert_ok(read_all(z, 1 << 20, NULL, &total));
    assert_int_equal(total, zip_size(large, 2));
    assert_true(total > (uint64_t)UINT32_MAX + 20 + 24 + 56 + 20);
    zip_free(z);
}

static void what_is_not_as_long_as_it_was_breaks_the_archive(void **state)
{
    (void)state;

    for (int i = 0; i < 2; i++) {
        Letters letters = {.longer = i ? 1 : (uint64_t)-1};
        CLEANUP(zip_free_at) Zip *z = zip_new(FEW, 1, &LETTERS, &letters);
        uint64_t total;

        assert_reason(read_all(z, 100, NULL, &total), &INTERNAL);
        assert_true(total < zip_size(FEW, 1));
        zip_free(MOVE(z));
        assert_int_equal(letters.closed, 1);
    }
}

static void what_no_archive_can_hold_has_no_size(void **state)
{
    static char name[ZIP_NAME_MAX_BYTES + 1];
    ZipEntry e = {.name = {name, sizeof(name)}};
    (void)state;

    assert_true(zip_size(&e, 1) == UINT64_MAX);
    e.name.len--;
    assert_true(zip_size(&e, 1) != UINT64_MAX);
    e.name.len = 0;
    assert_true(zip_size(&e, 1) == UINT64_MAX);
    assert_true(zip_size(FEW, (size_t)ZIP_ENTRIES_MAX + 1) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_archive_is_as_long_as_it_was_said_and_the_same_in_any_pieces),
        cmocka_unit_test(an_archive_of_nothing_is_its_end),
        cmocka_unit_test(large_archives_are_zip64),
        cmocka_unit_test(what_is_not_as_long_as_it_was_breaks_the_archive),
        cmocka_unit_test(what_no_archive_can_hold_has_no_size),
    };

    return RUN(tests);
}
