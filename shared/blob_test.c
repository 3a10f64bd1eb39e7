/* What both drivers promise. Over `fs` always; over `s3` as well when BLOB_TEST_S3 names a store (host:port), with
 * BLOB_TEST_S3_KEY, _SECRET and _BUCKET: tests/s3 starts one. */
#include "shared/blob.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/id.h"
#include "shared/sha256.h"
#include "shared/testing.h"

#define MIB ((size_t)1024 * 1024)
enum { FAR_FUTURE_MS = 60000 };

typedef struct Fixture {
    Arena *mem;
    Blob *b;
    char dir[64]; /* of fs, and for local files */
    char run[20]; /* what all keys of a run begin with: a bucket is shared */
    bool s3;
} Fixture;

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int open_store(void **state, bool s3)
{
    Fixture *f = xcalloc(1, sizeof(*f));
    char dir[128];

    f->mem = arena_new(64 * 1024);
    f->s3 = s3;
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/blob_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->run, sizeof(f->run), "t%016" PRIx64, random_uint64());
    (void)snprintf(dir, sizeof(dir), "%s/store", f->dir);
    assert_ok(blob_open(&(BlobOptions){.driver = s3 ? "s3" : "fs",
                                       .dir = dir,
                                       .s3_endpoint = getenv("BLOB_TEST_S3"),
                                       .s3_access_key = getenv("BLOB_TEST_S3_KEY"),
                                       .s3_secret_key = getenv("BLOB_TEST_S3_SECRET"),
                                       .s3_bucket = getenv("BLOB_TEST_S3_BUCKET"),
                                       .s3_region = "us-east-1"},
                        &f->b));
    *state = f;
    return 0;
}

static int open_fs(void **state)
{
    return open_store(state, false);
}

static int open_s3(void **state)
{
    return open_store(state, true);
}

static int close_store(void **state)
{
    Fixture *f = *state;

    blob_close(f->b);
    (void)nftw(f->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    arena_free(f->mem);
    free(f);
    return 0;
}

static const char *key_of(Fixture *f, const char *name)
{
    return arena_printf(f->mem, "%s/%s", f->run, name);
}

/* Bytes that differ everywhere, the same for the same seed. */
static Slice make_bytes(Fixture *f, size_t len, uint64_t seed)
{
    uint64_t *words = arena_alloc_raw(f->mem, len + 8, 8), x = seed * 2654435761U + 1;

    for (size_t i = 0; i <= len / 8; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        words[i] = x;
    }
    return slice_of(words, len);
}

static const char *hex_of(Fixture *f, Slice bytes)
{
    char hex[SHA256_HEX_BYTES];

    sha256_hex_of(bytes, hex);
    return arena_strdup(f->mem, hex);
}

static BlobInfo put(Fixture *f, const char *key, Slice bytes)
{
    BlobInfo info;

    assert_ok(blob_put_bytes(f->b, &(BlobPut){.key = key, .content_type = "text/plain"}, bytes, &info));
    return info;
}

static void assert_content(Fixture *f, const char *key, Slice wanted)
{
    Slice got;
    BlobInfo info;

    assert_ok(blob_get_bytes(f->b, f->mem, key, wanted.len + 100, &got, &info));
    assert_int_equal(info.size_bytes, wanted.len);
    assert_true(slice_eq(got, wanted));
}

/* ---------------------------------------------------------------------------------------------------- objects */

static void what_is_put_comes_back_with_what_is_known_of_it(void **state)
{
    Fixture *f = *state;
    const char *key = key_of(f, "original/7/åß ü+%&=?#'().txt");
    Slice bytes = make_bytes(f, 100000, 1);
    BlobInfo made = put(f, key, bytes), seen;

    assert_int_equal(made.size_bytes, 100000);
    assert_string_equal(made.sha256, hex_of(f, bytes));
    assert_string_equal(made.content_type, "text/plain");
    assert_true(made.etag[0] && !strchr(made.etag, '"'));
    assert_ok(blob_stat(f->b, key, &seen));
    assert_string_equal(seen.etag, made.etag);
    assert_string_equal(seen.sha256, made.sha256);
    assert_string_equal(seen.content_type, "text/plain");
    assert_true(llabs(seen.modified_ms - clock_unix_ms(&SYSTEM_CLOCK)) < 60000);
    assert_content(f, key, bytes);
}

static void an_object_may_be_empty(void **state)
{
    Fixture *f = *state;
    BlobInfo info = put(f, key_of(f, "empty"), SLICE_LIT(""));

    assert_int_equal(info.size_bytes, 0);
    assert_string_equal(info.sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_content(f, key_of(f, "empty"), SLICE_LIT(""));
}

static void a_put_replaces_and_the_etag_changes(void **state)
{
    Fixture *f = *state;
    const char *key = key_of(f, "a");
    BlobInfo first = put(f, key, SLICE_LIT("one")), second = put(f, key, SLICE_LIT("two"));

    assert_string_not_equal(first.etag, second.etag);
    assert_content(f, key, SLICE_LIT("two"));
}

static void only_if_absent_does_not_replace(void **state)
{
    Fixture *f = *state;
    const char *key = key_of(f, "a");
    BlobPut first = {.key = key, .only_if_absent = true};
    BlobInfo info;

    assert_ok(blob_put_bytes(f->b, &first, SLICE_LIT("one"), &info));
    assert_reason(blob_put_bytes(f->b, &first, SLICE_LIT("two"), &info), &CONFLICT);
    assert_content(f, key, SLICE_LIT("one"));
}

static void what_is_not_there_is_not_found(void **state)
{
    Fixture *f = *state;
    const char *key = key_of(f, "none/at/all");
    BlobInfo info;
    BlobReader *r;
    Slice got;

    assert_reason(blob_stat(f->b, key, &info), &NOT_FOUND);
    assert_reason(blob_reader_new(f->b, key, &r), &NOT_FOUND);
    assert_reason(blob_get_bytes(f->b, f->mem, key, 10, &got, &info), &NOT_FOUND);
    assert_reason(blob_copy(f->b, key, key_of(f, "b"), false), &NOT_FOUND);
    assert_ok(blob_delete(f->b, key));
    (void)put(f, key_of(f, "folder/x"), SLICE_LIT("x"));
    assert_reason(blob_stat(f->b, key_of(f, "folder"), &info), &NOT_FOUND);
    assert_reason(blob_stat(f->b, key_of(f, "folder/x/y"), &info), &NOT_FOUND);
}

static void keys_cannot_escape(void **state)
{
    static const char *const BAD[] = {"",         "/",      "/a",   "a/",     "a//b",    ".",       "..",
                                      "a/..",     "a/./b",  "../a", "a/../b", ".a",      "a\nb",    "a\x7f",
                                      "\xc0\xaf", "a/\xff", "a\tb", "./a",    ".atrium", "a/.././b"};
    Fixture *f = *state;
    BlobInfo info;
    char longest[BLOB_KEY_MAX_BYTES + 2];

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        assert_false(blob_key_valid(slice(BAD[i])));
        assert_reason(blob_stat(f->b, BAD[i], &info), &INVALID_ARGUMENT);
        assert_reason(blob_put_bytes(f->b, &(BlobPut){.key = BAD[i]}, SLICE_LIT("x"), &info), &INVALID_ARGUMENT);
        assert_reason(blob_delete(f->b, BAD[i]), &INVALID_ARGUMENT);
    }
    assert_false(blob_key_valid(slice_of("a\0b", 3)));
    assert_true(blob_key_valid(slice("a/.hidden/..b/c..")));
    memset(longest, 'k', sizeof(longest));
    for (size_t i = 100; i < BLOB_KEY_MAX_BYTES - 1; i += 100)
        longest[i] = '/';
    assert_true(blob_key_valid(slice_of(longest, BLOB_KEY_MAX_BYTES)));
    assert_false(blob_key_valid(slice_of(longest, BLOB_KEY_MAX_BYTES + 1)));
    memset(longest, 'k', sizeof(longest));
    assert_true(blob_key_valid(slice_of(longest, BLOB_SEGMENT_MAX_BYTES)));
    assert_false(blob_key_valid(slice_of(longest, BLOB_SEGMENT_MAX_BYTES + 1)));
}

static void a_deleted_object_is_gone_and_its_neighbour_is_not(void **state)
{
    Fixture *f = *state;
    BlobInfo info;

    (void)put(f, key_of(f, "a/b/c"), SLICE_LIT("c"));
    (void)put(f, key_of(f, "a/d"), SLICE_LIT("d"));
    assert_ok(blob_delete(f->b, key_of(f, "a/b/c")));
    assert_reason(blob_stat(f->b, key_of(f, "a/b/c"), &info), &NOT_FOUND);
    assert_content(f, key_of(f, "a/d"), SLICE_LIT("d"));
    assert_ok(blob_delete(f->b, key_of(f, "a/b/c")));
    (void)put(f, key_of(f, "a/b"), SLICE_LIT("now an object"));
}

static void a_copy_is_an_object_of_its_own(void **state)
{
    Fixture *f = *state;
    const char *from = key_of(f, "from"), *to = key_of(f, "deep/er/to");
    Slice bytes = make_bytes(f, 70000, 2);
    BlobInfo made = put(f, from, bytes), info;

    assert_ok(blob_copy(f->b, from, to, true));
    assert_reason(blob_copy(f->b, from, to, true), &CONFLICT);
    assert_ok(blob_copy(f->b, from, to, false));
    assert_ok(blob_delete(f->b, from));
    assert_content(f, to, bytes);
    assert_ok(blob_stat(f->b, to, &info));
    assert_string_equal(info.sha256, made.sha256);
    assert_string_equal(info.content_type, "text/plain");
    (void)put(f, from, SLICE_LIT("other"));
    assert_content(f, to, bytes);
}

static void lists_come_in_the_order_of_bytes_page_by_page(void **state)
{
    static const char *const NAMES[] = {"a",    "b!/x",  "b-c", "b/a",     "b/a0", "b/b/c",
                                        "b/b0", "b/c/d", "b0",  "c/x/y/z", "ä/ö",  "ﬀ"};
    Fixture *f = *state;
    BlobList page;

    for (size_t i = ARRAY_LEN(NAMES); i-- > 0;)
        (void)put(f, key_of(f, NAMES[i]), slice(NAMES[i]));
    for (size_t limit = 1; limit <= ARRAY_LEN(NAMES) + 1; limit++) {
        const char *after = NULL;
        size_t seen = 0;
        do {
            assert_ok(blob_list(f->b, f->mem, key_of(f, ""), after, limit, &page));
            for (size_t i = 0; i < page.count; i++, seen++) {
                assert_string_equal(page.items[i].key, key_of(f, NAMES[seen]));
                assert_int_equal(page.items[i].size_bytes, strlen(NAMES[seen]));
            }
            after = page.next;
        } while (after);
        assert_int_equal(seen, ARRAY_LEN(NAMES));
    }
    assert_ok(blob_list(f->b, f->mem, key_of(f, "b/"), key_of(f, "b/a"), 100, &page));
    assert_int_equal(page.count, 4);
    assert_string_equal(page.items[0].key, key_of(f, "b/a0"));
    assert_ok(blob_list(f->b, f->mem, key_of(f, "b"), key_of(f, "b/b"), 2, &page));
    assert_string_equal(page.items[0].key, key_of(f, "b/b/c"));
    assert_string_equal(page.next, key_of(f, "b/b0"));
    assert_ok(blob_list(f->b, f->mem, key_of(f, "b/b/c/nothing/"), NULL, 2, &page));
    assert_int_equal(page.count, 0);
    assert_null(page.next);
}

static void a_prefix_is_deleted_in_pages(void **state)
{
    Fixture *f = *state;
    bool more = true;
    int calls = 0;
    BlobList left;

    for (int i = 0; i < 25; i++)
        (void)put(f, key_of(f, arena_printf(f->mem, "derived/1/%d/seg%d", i % 3, i)), SLICE_LIT("x"));
    (void)put(f, key_of(f, "derived/10/x"), SLICE_LIT("x"));
    for (; more; calls++)
        assert_ok(blob_delete_prefix(f->b, key_of(f, "derived/1/"), 10, &more));
    assert_int_equal(calls, 3);
    assert_ok(blob_list(f->b, f->mem, key_of(f, ""), NULL, 100, &left));
    assert_int_equal(left.count, 1);
    assert_reason(blob_delete_prefix(f->b, key_of(f, "derived/1"), 10, &more), &INVALID_ARGUMENT);
}

/* ---------------------------------------------------------------------------------------------------- writers */

static void a_writer_counts_and_compares(void **state)
{
    static const struct {
        uint64_t length, max_bytes;
        const char *sha256; /* of "hello world" cut to 5 */
        const Reason *wanted_write, *wanted_commit;
    } ROWS[] = {
        {BLOB_UNKNOWN, 0, NULL, NULL, NULL},
        {11, 0, NULL, NULL, NULL},
        {11, 11, NULL, NULL, NULL},
        {BLOB_UNKNOWN, 11, NULL, NULL, NULL},
        {BLOB_UNKNOWN, 10, NULL, &PAYLOAD_TOO_LARGE, NULL},
        {10, 0, NULL, &PAYLOAD_TOO_LARGE, NULL},
        {12, 0, NULL, NULL, &INVALID_BODY},
        {11, 0, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9", NULL, NULL},
        {11, 0, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde8", NULL, &CHECKSUM_MISMATCH},
    };
    Fixture *f = *state;
    BlobInfo info;

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const char *key = key_of(f, arena_printf(f->mem, "row%zu", i));
        CLEANUP(blob_writer_free_at) BlobWriter *w = NULL;
        bool good = !ROWS[i].wanted_write && !ROWS[i].wanted_commit;
        assert_ok(blob_writer_new(
            f->b,
            &(BlobPut){.key = key, .length = ROWS[i].length, .max_bytes = ROWS[i].max_bytes, .sha256 = ROWS[i].sha256},
            &w));
        assert_ok(blob_writer_write(w, SLICE_LIT("hello ")));
        assert_ptr_equal(blob_writer_write(w, SLICE_LIT("world")).reason, ROWS[i].wanted_write);
        if (!ROWS[i].wanted_write)
            assert_ptr_equal(blob_writer_commit(w, &info).reason, ROWS[i].wanted_commit);
        assert_ptr_equal(blob_stat(f->b, key, &info).reason, good ? NULL : &NOT_FOUND);
    }
    assert_reason(blob_writer_new(f->b, &(BlobPut){.key = key_of(f, "x"), .length = 11, .max_bytes = 10}, NULL),
                  &PAYLOAD_TOO_LARGE);
    assert_reason(blob_writer_new(f->b, &(BlobPut){.key = key_of(f, "x"), .sha256 = "ABC"}, NULL), &INVALID_ARGUMENT);
    assert_reason(blob_writer_new(f->b, &(BlobPut){.key = key_of(f, "x"), .content_type = "a\r\nb: c"}, NULL),
                  &INVALID_ARGUMENT);
}

static void what_is_not_committed_is_not_there(void **state)
{
    Fixture *f = *state;
    CLEANUP(blob_writer_free_at) BlobWriter *w = NULL;
    Slice bytes = make_bytes(f, 20 * MIB, 3);
    BlobList page;

    assert_ok(blob_writer_new(f->b, &(BlobPut){.key = key_of(f, "a"), .length = BLOB_UNKNOWN}, &w));
    assert_ok(blob_writer_write(w, bytes));
    assert_int_equal(blob_writer_written(w), bytes.len);
    assert_ok(blob_list(f->b, f->mem, key_of(f, ""), NULL, 10, &page));
    assert_int_equal(page.count, 0);
    blob_writer_free(MOVE(w));
    assert_ok(blob_list(f->b, f->mem, key_of(f, ""), NULL, 10, &page));
    assert_int_equal(page.count, 0);
}

/* Beyond a part of s3 and a window of fs, in pieces that fit nothing. */
static void a_large_object_goes_through_in_pieces(void **state)
{
    Fixture *f = *state;
    const char *key = key_of(f, "large");
    CLEANUP(blob_writer_free_at) BlobWriter *w = NULL;
    Slice bytes = make_bytes(f, 37 * MIB + 12345, 4), rest = bytes;
    BlobInfo info;

    assert_ok(blob_writer_new(
        f->b, &(BlobPut){.key = key, .content_type = "video/mp4", .length = bytes.len, .sha256 = hex_of(f, bytes)},
        &w));
    for (size_t piece = 1; rest.len; piece = piece * 3 % 1000003) {
        Slice part = slice_take(rest, piece);
        assert_ok(blob_writer_write(w, part));
        rest = slice_skip(rest, part.len);
    }
    assert_ok(blob_writer_commit(w, &info));
    assert_int_equal(info.size_bytes, bytes.len);
    assert_string_equal(info.sha256, hex_of(f, bytes));
    assert_ok(blob_stat(f->b, key, &info));
    assert_string_equal(info.content_type, "video/mp4");
    assert_content(f, key, bytes);
}

static void files_go_in_and_out(void **state)
{
    Fixture *f = *state;
    const char *key = key_of(f, "file"), *in = arena_printf(f->mem, "%s/in", f->dir);
    const char *out = arena_printf(f->mem, "%s/out", f->dir);
    Slice bytes = make_bytes(f, 3 * MIB + 7, 5), got;
    BlobInfo info;
    BlobPut how = {.key = key, .content_type = "image/png", .length = BLOB_UNKNOWN};
    int fd = open(in, O_WRONLY | O_CREAT, 0600);

    assert_int_equal(write(fd, bytes.ptr, bytes.len), bytes.len);
    (void)close(fd);
    assert_ok(blob_put_file(f->b, &how, in, &info));
    assert_string_equal(info.sha256, hex_of(f, bytes));
    assert_ok(blob_get_file(f->b, key, out, &info));
    assert_string_equal(info.content_type, "image/png");
    assert_reason(blob_get_file(f->b, key, out, NULL), &CONFLICT);
    fd = open(out, O_RDONLY);
    got = slice_of(arena_alloc_raw(f->mem, bytes.len + 1, 1), bytes.len);
    assert_int_equal(read(fd, (char *)got.ptr, bytes.len + 1), bytes.len);
    (void)close(fd);
    assert_true(slice_eq(got, bytes));
    how.length = 5;
    assert_reason(blob_put_file(f->b, &how, in, &info), &INVALID_BODY);
    assert_reason(blob_put_file(f->b, &how, "/nonexistent", &info), &NOT_FOUND);
    assert_reason(blob_put_file(f->b, &how, f->dir, &info), &INVALID_ARGUMENT);
    assert_reason(blob_get_bytes(f->b, f->mem, key, 1000, &got, NULL), &PAYLOAD_TOO_LARGE);
    assert_reason(blob_get_file(f->b, key_of(f, "none"), arena_printf(f->mem, "%s/none", f->dir), NULL), &NOT_FOUND);
    assert_int_not_equal(access(arena_printf(f->mem, "%s/none", f->dir), F_OK), 0);
}

static void objects_are_joined(void **state)
{
    Fixture *f = *state;
    Slice whole = make_bytes(f, 12 * MIB, 6);
    const char *parts[] = {key_of(f, "p1"), key_of(f, "p2"), key_of(f, "p3")};
    BlobPut how = {.key = key_of(f, "joined"), .content_type = "text/plain", .length = BLOB_UNKNOWN};
    BlobInfo info;

    (void)put(f, parts[0], slice_take(whole, 100));
    (void)put(f, parts[1], slice_take(slice_skip(whole, 100), 7 * MIB));
    (void)put(f, parts[2], slice_skip(whole, 100 + 7 * MIB));
    assert_ok(blob_concat(f->b, &how, parts, 3, &info));
    assert_string_equal(info.sha256, hex_of(f, whole));
    assert_content(f, how.key, whole);
    parts[1] = key_of(f, "none");
    how.key = key_of(f, "joined again");
    assert_reason(blob_concat(f->b, &how, parts, 3, &info), &NOT_FOUND);
    assert_reason(blob_stat(f->b, how.key, &info), &NOT_FOUND);
}

/* ---------------------------------------------------------------------------------------------------- readers */

static void ranges_are_read(void **state)
{
    static const struct {
        uint64_t offset, length;
        size_t wanted; /* SIZE_MAX: refused */
    } ROWS[] = {{0, BLOB_TO_END, 1000}, {0, 1000, 1000},     {4, 4, 4},          {999, 1, 1},
                {1000, BLOB_TO_END, 0}, {1000, 0, 0},        {500, 0, 0},        {993, 7, 7},
                {1001, 0, SIZE_MAX},    {0, 1001, SIZE_MAX}, {999, 2, SIZE_MAX}, {5, UINT64_MAX - 3, SIZE_MAX}};
    Fixture *f = *state;
    CLEANUP(blob_reader_free_at) BlobReader *r = NULL;
    Slice bytes = make_bytes(f, 1000, 7);

    (void)put(f, key_of(f, "a"), bytes);
    assert_ok(blob_reader_new(f->b, key_of(f, "a"), &r));
    assert_int_equal(blob_reader_info(r)->size_bytes, 1000);
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        char got[1001];
        size_t have = 0, len = 1;
        if (ROWS[i].wanted == SIZE_MAX) {
            assert_reason(blob_reader_range(r, ROWS[i].offset, ROWS[i].length), &INVALID_ARGUMENT);
            continue;
        }
        assert_ok(blob_reader_range(r, ROWS[i].offset, ROWS[i].length));
        while (len) {
            assert_ok(blob_reader_read(r, got + have, MIN((size_t)300, sizeof(got) - have), &len));
            have += len;
        }
        assert_int_equal(have, ROWS[i].wanted);
        assert_memory_equal(got, bytes.ptr + ROWS[i].offset, have);
    }
}

static void a_reader_never_mixes_versions(void **state)
{
    Fixture *f = *state;
    CLEANUP(blob_reader_free_at) BlobReader *r = NULL;
    const char *key = key_of(f, "a");
    Slice first = make_bytes(f, 12 * MIB, 8);
    char *got = arena_alloc_raw(f->mem, first.len, 1);
    size_t have = 0, len = 1;
    Err e = OK;

    (void)put(f, key, first);
    assert_ok(blob_reader_new(f->b, key, &r));
    assert_ok(blob_reader_read(r, got, 1000, &have));
    (void)put(f, key, make_bytes(f, 12 * MIB, 9));
    while (!err_failed(e) && len) {
        e = blob_reader_read(r, got + have, first.len - have, &len);
        have += err_failed(e) ? 0 : len;
    }
    assert_memory_equal(got, first.ptr, have);
    if (err_failed(e))
        assert_ptr_equal(e.reason, &NOT_FOUND);
    else
        assert_int_equal(have, first.len);
    assert_int_equal(blob_reader_fd(r) >= 0, !f->s3);
}

/* ---------------------------------------------------------------------------------------------------- uploads */

static BlobUpload *open_upload(Fixture *f, const char *state)
{
    BlobUpload *u;

    assert_ok(blob_upload_open(f->b, state, &u));
    return u;
}

static uint64_t durable_offset(Fixture *f, const char *state)
{
    BlobUploadStat st;

    assert_ok(blob_upload_stat(f->b, state, &st));
    return st.offset;
}

static void an_upload_takes_many_sittings(void **state)
{
    Fixture *f = *state;
    const char *key = key_of(f, "up/load");
    Slice bytes = make_bytes(f, 21 * MIB + 77, 10), rest = bytes;
    char text[BLOB_STATE_BYTES];
    BlobUploadStat st;
    BlobInfo info, again;
    size_t sitting = 1;

    assert_ok(blob_upload_create(
        f->b, &(BlobUploadOptions){.key = key, .content_type = "video/webm", .length = bytes.len}, text));
    for (; rest.len; sitting = sitting * 7 + 1) {
        CLEANUP(blob_upload_free_at) BlobUpload *u = open_upload(f, text);
        assert_int_equal(blob_upload_offset(u), bytes.len - rest.len);
        for (int i = 0; i < 3; i++) {
            Slice piece = slice_take(rest, sitting);
            assert_ok(blob_upload_append(u, piece));
            rest = slice_skip(rest, piece.len);
        }
        assert_ok(blob_upload_flush(u));
        assert_int_equal(durable_offset(f, text), bytes.len - rest.len);
    }
    assert_reason(blob_stat(f->b, key, &info), &NOT_FOUND);
    for (int i = 0; i < 2; i++) {
        CLEANUP(blob_upload_free_at) BlobUpload *u = open_upload(f, text);
        assert_ok(blob_upload_complete(u, bytes.len, hex_of(f, bytes), true, i ? &again : &info));
    }
    assert_string_equal(info.etag, again.etag);
    assert_int_equal(info.size_bytes, bytes.len);
    assert_content(f, key, bytes);
    assert_ok(blob_upload_stat(f->b, text, &st));
    assert_true(st.complete);
    assert_ok(blob_stat(f->b, key, &info));
    assert_string_equal(info.content_type, "video/webm");
    assert_ok(blob_upload_forget(f->b, text));
    assert_ok(blob_upload_forget(f->b, text));
    assert_reason(blob_upload_stat(f->b, text, &st), &NOT_FOUND);
    assert_content(f, key, bytes);
}

static void what_was_not_flushed_may_be_lost_and_the_rest_is_not(void **state)
{
    Fixture *f = *state;
    Slice bytes = make_bytes(f, 9 * MIB, 11);
    char text[BLOB_STATE_BYTES];
    BlobUpload *u;
    uint64_t at;
    BlobInfo info;

    assert_ok(blob_upload_create(f->b, &(BlobUploadOptions){.key = key_of(f, "a"), .length = BLOB_UNKNOWN}, text));
    u = open_upload(f, text);
    assert_ok(blob_upload_append(u, slice_take(bytes, 1000)));
    assert_ok(blob_upload_flush(u));
    assert_ok(blob_upload_append(u, slice_skip(bytes, 1000)));
    assert_true(durable_offset(f, text) >= 1000);
    blob_upload_free(u);
    u = open_upload(f, text);
    at = blob_upload_offset(u);
    assert_true(at >= 1000 && at <= bytes.len);
    assert_ok(blob_upload_append(u, slice_skip(bytes, at)));
    assert_ok(blob_upload_complete(u, BLOB_UNKNOWN, hex_of(f, bytes), false, &info));
    assert_reason(blob_upload_append(u, SLICE_LIT("more")), &CONFLICT);
    blob_upload_free(u);
    assert_content(f, key_of(f, "a"), bytes);
    assert_ok(blob_upload_forget(f->b, text));
}

static void a_piece_with_a_wrong_checksum_is_taken_back(void **state)
{
    Fixture *f = *state;
    CLEANUP(blob_upload_free_at) BlobUpload *u = NULL;
    Slice bytes = make_bytes(f, 30 * MIB, 12);
    char text[BLOB_STATE_BYTES];
    BlobInfo info;

    assert_ok(blob_upload_create(f->b, &(BlobUploadOptions){.key = key_of(f, "a"), .length = BLOB_UNKNOWN}, text));
    u = open_upload(f, text);
    assert_ok(blob_upload_append(u, slice_take(bytes, 9 * MIB)));
    assert_ok(blob_upload_hold(u));
    assert_int_equal(durable_offset(f, text), 9 * MIB);
    assert_ok(blob_upload_append(u, make_bytes(f, 20 * MIB, 99)));
    assert_int_equal(durable_offset(f, text), 9 * MIB);
    assert_ok(blob_upload_rollback(u));
    assert_int_equal(blob_upload_offset(u), 9 * MIB);
    assert_ok(blob_upload_append(u, slice_skip(bytes, 9 * MIB)));
    assert_ok(blob_upload_complete(u, bytes.len, hex_of(f, bytes), false, &info));
    assert_content(f, key_of(f, "a"), bytes);
    blob_upload_free(MOVE(u));
    assert_ok(blob_upload_forget(f->b, text));
}

static void an_upload_that_differs_stays_as_it_is(void **state)
{
    Fixture *f = *state;
    CLEANUP(blob_upload_free_at) BlobUpload *u = NULL;
    char text[BLOB_STATE_BYTES];
    BlobInfo info;

    assert_ok(blob_upload_create(
        f->b, &(BlobUploadOptions){.key = key_of(f, "a"), .length = BLOB_UNKNOWN, .max_bytes = 11}, text));
    u = open_upload(f, text);
    assert_ok(blob_upload_append(u, SLICE_LIT("hello ")));
    assert_reason(blob_upload_complete(u, 11, NULL, false, &info), &INVALID_BODY);
    assert_reason(blob_upload_append(u, SLICE_LIT("world!")), &PAYLOAD_TOO_LARGE);
    assert_ok(blob_upload_append(u, SLICE_LIT("world")));
    assert_reason(blob_upload_complete(u, 11, hex_of(f, SLICE_LIT("else")), false, &info), &CHECKSUM_MISMATCH);
    assert_reason(blob_stat(f->b, key_of(f, "a"), &info), &NOT_FOUND);
    (void)put(f, key_of(f, "a"), SLICE_LIT("in the way"));
    assert_reason(blob_upload_complete(u, 11, NULL, true, &info), &CONFLICT);
    assert_ok(blob_upload_complete(u, 11, hex_of(f, SLICE_LIT("hello world")), false, &info));
    assert_content(f, key_of(f, "a"), SLICE_LIT("hello world"));
    blob_upload_free(MOVE(u));
    assert_ok(blob_upload_forget(f->b, text));
}

static void an_upload_of_nothing_completes(void **state)
{
    Fixture *f = *state;
    CLEANUP(blob_upload_free_at) BlobUpload *u = NULL;
    char text[BLOB_STATE_BYTES];
    BlobInfo info;

    assert_ok(blob_upload_create(f->b, &(BlobUploadOptions){.key = key_of(f, "a"), .length = 0}, text));
    u = open_upload(f, text);
    assert_ok(blob_upload_complete(u, 0, NULL, false, &info));
    assert_content(f, key_of(f, "a"), SLICE_LIT(""));
    blob_upload_free(MOVE(u));
    assert_ok(blob_upload_forget(f->b, text));
}

static void one_sitting_at_a_time(void **state)
{
    Fixture *f = *state;
    BlobUpload *first, *second;
    char text[BLOB_STATE_BYTES];
    BlobUploadStat st;

    assert_ok(blob_upload_create(f->b, &(BlobUploadOptions){.key = key_of(f, "a"), .length = 100}, text));
    first = open_upload(f, text);
    assert_reason(blob_upload_open(f->b, text, &second), &CONFLICT);
    assert_reason(blob_upload_forget(f->b, text), &CONFLICT);
    assert_ok(blob_upload_stat(f->b, text, &st));
    blob_upload_free(first);
    second = open_upload(f, text);
    blob_upload_free(second);
    assert_ok(blob_upload_forget(f->b, text));
    assert_reason(blob_upload_open(f->b, text, &second), &NOT_FOUND);
}

static void states_of_others_are_refused(void **state)
{
    static const char *const BAD[] = {"",
                                      "fs",
                                      "xx.0123456789abcdef0123456789abcdef",
                                      "fs.0123456789abcdef0123456789abcde",
                                      "s3.0123456789abcdef0123456789abcdef0",
                                      "fs.../../../../../../../../../../etc",
                                      "s3.0123456789ABCDEF0123456789ABCDEF"};
    Fixture *f = *state;
    BlobUpload *u;
    BlobUploadStat st;

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        assert_reason(blob_upload_open(f->b, BAD[i], &u), &INVALID_ARGUMENT);
        assert_reason(blob_upload_stat(f->b, BAD[i], &st), &INVALID_ARGUMENT);
        assert_reason(blob_upload_forget(f->b, BAD[i]), &INVALID_ARGUMENT);
    }
}

static bool finds(const BlobStale *list, size_t count, const char *text, uint64_t offset)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(list[i].state, text))
            return list[i].offset == offset && list[i].touched_ms > 0;
    }
    return false;
}

static void stale_uploads_are_found(void **state)
{
    Fixture *f = *state;
    char text[3][BLOB_STATE_BYTES];
    int64_t now = clock_unix_ms(&SYSTEM_CLOCK);
    const char *after = NULL;
    size_t count, seen = 0, found = 0;
    BlobUpload *u;
    BlobStale *list;

    for (size_t i = 0; i < 3; i++)
        assert_ok(blob_upload_create(f->b, &(BlobUploadOptions){.key = key_of(f, "a"), .length = 100}, text[i]));
    u = open_upload(f, text[1]);
    assert_ok(blob_upload_append(u, SLICE_LIT("x")));
    assert_ok(blob_upload_flush(u));
    blob_upload_free(u);
    assert_ok(blob_upload_list_stale(f->b, f->mem, now - FAR_FUTURE_MS, NULL, 1000, &list, &count));
    for (size_t i = 0; i < 3; i++)
        assert_false(finds(list, count, text[i], i == 1));
    do {
        assert_ok(blob_upload_list_stale(f->b, f->mem, now + FAR_FUTURE_MS, after, 2, &list, &count));
        for (size_t i = 0; i < 3; i++)
            found += finds(list, count, text[i], i == 1);
        seen += count;
        after = count ? list[count - 1].state : NULL;
    } while (count == 2 && seen < 10000);
    assert_int_equal(found, 3);
    for (size_t i = 0; i < 3; i++)
        assert_ok(blob_upload_forget(f->b, text[i]));
}

static void the_store_says_that_it_is_ready(void **state)
{
    Fixture *f = *state;

    assert_ok(blob_check(f->b));
}

static void *put_and_get(void *data)
{
    Fixture *f = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);

    for (int i = 0; i < 20; i++) {
        char key[100], text[50];
        BlobInfo info;
        Slice got;
        (void)snprintf(key, sizeof(key), "%s/shared/%d/%d", f->run, i % 4, i % 5);
        (void)snprintf(text, sizeof(text), "%016" PRIx64, random_uint64());
        assert_ok(blob_put_bytes(f->b, &(BlobPut){.key = key}, slice(text), &info));
        if (!err_failed(blob_get_bytes(f->b, mem, key, 100, &got, &info)))
            assert_int_equal(got.len, 16);
        if (i % 3 == 0)
            assert_ok(blob_delete(f->b, key));
    }
    return NULL;
}

/* Folders are made and removed under one another's feet. */
static void threads_share_a_store(void **state)
{
    pthread_t threads[4];

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_and_get, *state), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

#define BEHAVIOURS(open)                                                                                               \
    BEHAVIOUR(what_is_put_comes_back_with_what_is_known_of_it, open), BEHAVIOUR(an_object_may_be_empty, open),         \
        BEHAVIOUR(a_put_replaces_and_the_etag_changes, open), BEHAVIOUR(only_if_absent_does_not_replace, open),        \
        BEHAVIOUR(what_is_not_there_is_not_found, open), BEHAVIOUR(keys_cannot_escape, open),                          \
        BEHAVIOUR(a_deleted_object_is_gone_and_its_neighbour_is_not, open),                                            \
        BEHAVIOUR(a_copy_is_an_object_of_its_own, open),                                                               \
        BEHAVIOUR(lists_come_in_the_order_of_bytes_page_by_page, open), BEHAVIOUR(a_prefix_is_deleted_in_pages, open), \
        BEHAVIOUR(a_writer_counts_and_compares, open), BEHAVIOUR(what_is_not_committed_is_not_there, open),            \
        BEHAVIOUR(a_large_object_goes_through_in_pieces, open), BEHAVIOUR(files_go_in_and_out, open),                  \
        BEHAVIOUR(objects_are_joined, open), BEHAVIOUR(ranges_are_read, open),                                         \
        BEHAVIOUR(a_reader_never_mixes_versions, open), BEHAVIOUR(an_upload_takes_many_sittings, open),                \
        BEHAVIOUR(what_was_not_flushed_may_be_lost_and_the_rest_is_not, open),                                         \
        BEHAVIOUR(a_piece_with_a_wrong_checksum_is_taken_back, open),                                                  \
        BEHAVIOUR(an_upload_that_differs_stays_as_it_is, open), BEHAVIOUR(an_upload_of_nothing_completes, open),       \
        BEHAVIOUR(one_sitting_at_a_time, open), BEHAVIOUR(states_of_others_are_refused, open),                         \
        BEHAVIOUR(stale_uploads_are_found, open), BEHAVIOUR(the_store_says_that_it_is_ready, open),                    \
        BEHAVIOUR(threads_share_a_store, open)
#define BEHAVIOUR(name, open) cmocka_unit_test_setup_teardown(name, open, close_store)

int main(void)
{
    const struct CMUnitTest fs[] = {BEHAVIOURS(open_fs)};
    const struct CMUnitTest s3[] = {BEHAVIOURS(open_s3)};
    int failed = cmocka_run_group_tests_name("blob over fs", fs, NULL, NULL);

    if (getenv("BLOB_TEST_S3"))
        failed += cmocka_run_group_tests_name("blob over s3", s3, NULL, NULL);
    return failed;
}
