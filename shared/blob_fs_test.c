/* What only files can do wrong: crashes, links, full disks, lost attributes. Children are killed at random moments;
 * what the kernel has written down survives that as it does not survive a power cut, so what is tested is the order of
 * steps. */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/blob_internal.h"
#include "shared/id.h"
#include "shared/testing.h"

enum { KILLS = 40, OBJECT_BYTES = 3 * 1024 * 1024, UPLOAD_BYTES = 24 * 1024 * 1024, PIECE_BYTES = 64 * 1024 };

typedef struct Fixture {
    Arena *mem;
    Blob *b;
    char dir[64];
} Fixture;

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static Err open_dir(const char *dir, int64_t min_free_bytes, Blob **out)
{
    return blob_open(&(BlobOptions){.driver = "fs", .dir = dir, .min_free_bytes = min_free_bytes}, out);
}

static int setup(void **state)
{
    Fixture *f = xcalloc(1, sizeof(*f));

    f->mem = arena_new(64 * 1024);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/blob_fs_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_ok(open_dir(f->dir, 0, &f->b));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;

    blob_close(f->b);
    (void)nftw(f->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    arena_free(f->mem);
    free(f);
    return 0;
}

static const char *path_of(Fixture *f, const char *below)
{
    return arena_printf(f->mem, "%s/%s", f->dir, below);
}

static size_t count_files(const char *path)
{
    DIR *dir = opendir(path);
    size_t count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count - 2;
}

static BlobInfo put(Fixture *f, const char *key, Slice bytes)
{
    BlobInfo info;

    assert_ok(blob_put_bytes(f->b, &(BlobPut){.key = key}, bytes, &info));
    return info;
}

/* All bytes of an object are the same: a mixture shows. */
static void fill(char *bytes, size_t len, int version)
{
    memset(bytes, 'a' + version % 26, len);
}

/* ---------------------------------------------------------------------------------------------------- crashes */

static void must(Err e)
{
    if (err_failed(e)) {
        (void)fprintf(stderr, "child: %s: %s\n", e.reason->key, e.text);
        _exit(1);
    }
}

/* random_bytes() has a pool, which a fork copies (id.h): a child that goes on without exec would take the names that
 * its siblings took. */
static void draw_own_randomness(void)
{
    for (int i = 0; i <= 64; i++)
        (void)random_uint64();
}

static void write_for_ever(const char *dir)
{
    char *bytes = xmalloc(OBJECT_BYTES);
    Blob *b;

    draw_own_randomness();
    must(open_dir(dir, 0, &b));
    for (int version = 1;; version++) {
        BlobInfo info;
        fill(bytes, OBJECT_BYTES, version);
        must(blob_put_bytes(b, &(BlobPut){.key = "the/object"}, slice_of(bytes, OBJECT_BYTES - (size_t)version % 7),
                            &info));
        must(blob_copy(b, "the/object", "the/copy", false));
        must(blob_delete(b, "the/copy"));
    }
}

static void kill_at_random(pid_t child)
{
    int status;

    (void)nanosleep(&(struct timespec){.tv_nsec = (long)(random_uint64() % 40000000)},
                    NULL); /* the moment is the test */
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void assert_whole(Fixture *f, const char *key)
{
    char hex[SHA256_HEX_BYTES];
    BlobInfo info;
    Slice got;

    assert_ok(blob_get_bytes(f->b, f->mem, key, OBJECT_BYTES, &got, &info));
    assert_true(got.len > OBJECT_BYTES - 7);
    sha256_hex_of(got, hex);
    assert_string_equal(info.sha256, hex);
    for (size_t i = 1; i < got.len; i++) {
        if (got.ptr[i] != got.ptr[0])
            fail_msg("%s: a mixture", key);
    }
}

static void a_killed_writer_leaves_the_old_or_the_new(void **state)
{
    Fixture *f = *state;
    char *bytes = arena_alloc(f->mem, OBJECT_BYTES, 1);
    BlobInfo info;
    size_t swept;

    fill(bytes, OBJECT_BYTES, 0);
    (void)put(f, "the/object", slice_of(bytes, OBJECT_BYTES));
    for (int i = 0; i < KILLS; i++) {
        CLEANUP(arena_free_at) Arena *before = f->mem;
        pid_t child = fork();
        f->mem = arena_new(64 * 1024);
        if (child == 0)
            write_for_ever(f->dir);
        kill_at_random(child);
        assert_whole(f, "the/object");
        if (!err_failed(blob_stat(f->b, "the/copy", &info)))
            assert_whole(f, "the/copy");
    }
    assert_ok(blob_sweep(f->b, INT64_MAX, &swept));
    assert_int_equal(count_files(path_of(f, "staging")), 0);
}

static void make_piece(uint64_t offset, char *out)
{
    for (size_t i = 0; i < PIECE_BYTES; i += 8) {
        uint64_t word = (offset + i) * 0x9E3779B97F4A7C15U;
        memcpy(out + i, &word, 8);
    }
}

static const char *upload_digest(Fixture *f)
{
    Sha256 s;
    char piece[PIECE_BYTES], hex[SHA256_HEX_BYTES];

    sha256_init(&s);
    for (uint64_t at = 0; at < UPLOAD_BYTES; at += PIECE_BYTES) {
        make_piece(at, piece);
        sha256_update(&s, slice_of(piece, PIECE_BYTES));
    }
    sha256_hex(&s, hex);
    return arena_strdup(f->mem, hex);
}

/* What the child knows to be durable it tells; the parent holds the store to it. */
static void go_on_with_upload(const char *dir, const char *text, const char *digest, int tell)
{
    char piece[PIECE_BYTES];
    BlobUpload *u;
    BlobInfo info;
    Blob *b;

    must(open_dir(dir, 0, &b));
    must(blob_upload_open(b, text, &u));
    for (int i = 0; blob_upload_offset(u) < UPLOAD_BYTES; i++) {
        uint64_t at = blob_upload_offset(u), base = at / PIECE_BYTES * PIECE_BYTES;
        make_piece(base, piece);
        must(blob_upload_append(u, slice_of(piece + (at - base), PIECE_BYTES - (at - base))));
        if (i % 5 == 0)
            must(blob_upload_flush(u));
        at = i % 5 == 0 ? blob_upload_offset(u) : 0;
        if (at && write(tell, &at, sizeof(at)) != sizeof(at))
            _exit(1);
    }
    must(blob_upload_complete(u, UPLOAD_BYTES, digest, true, &info));
    _exit(0);
}

static uint64_t last_told(int from)
{
    uint64_t at = 0, next;

    while (read(from, &next, sizeof(next)) == (ssize_t)sizeof(next))
        at = next;
    return at;
}

static void an_upload_survives_being_killed(void **state)
{
    Fixture *f = *state;
    const char *digest = upload_digest(f);
    char text[BLOB_STATE_BYTES];
    BlobUploadStat st = {.complete = false};
    uint64_t promised = 0;
    BlobInfo info;
    int sittings = 0, status;

    assert_ok(blob_upload_create(f->b, &(BlobUploadOptions){.key = "up/load", .length = UPLOAD_BYTES}, text));
    for (; !st.complete; sittings++) {
        int ends[2];
        pid_t child;
        uint64_t told;
        assert_true(sittings < 10000);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        child = fork();
        if (child == 0)
            go_on_with_upload(f->dir, text, digest, ends[1]);
        (void)close(ends[1]);
        (void)nanosleep(&(struct timespec){.tv_nsec = 3000000 + (long)(random_uint64() % 30000000)}, NULL);
        (void)kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        told = last_told(ends[0]);
        promised = MAX(promised, told);
        (void)close(ends[0]);
        assert_ok(blob_upload_stat(f->b, text, &st));
        assert_true(st.offset >= promised);
    }
    assert_ok(blob_stat(f->b, "up/load", &info));
    assert_int_equal(info.size_bytes, UPLOAD_BYTES);
    assert_string_equal(info.sha256, digest);
    assert_ok(blob_upload_forget(f->b, text));
    assert_int_equal(count_files(path_of(f, "uploads")), 0);
}

static void what_crashes_left_is_swept_and_what_lives_is_not(void **state)
{
    Fixture *f = *state;
    CLEANUP(blob_writer_free_at) BlobWriter *w = NULL;
    char text[BLOB_STATE_BYTES];
    BlobUploadStat st;
    BlobInfo info;
    size_t count;
    static const char *const LEFT[] = {"staging/0123456789abcdef0123456789abcdef",
                                       "uploads/0123456789abcdef0123456789abcdef",
                                       "uploads/0123456789abcdef0123456789abcdef.new"};

    for (size_t i = 0; i < ARRAY_LEN(LEFT); i++)
        (void)close(open(path_of(f, LEFT[i]), O_CREAT | O_WRONLY, 0600));
    assert_ok(blob_writer_new(f->b, &(BlobPut){.key = "a", .length = BLOB_UNKNOWN}, &w));
    assert_ok(blob_upload_create(f->b, &(BlobUploadOptions){.key = "b", .length = 7}, text));
    assert_ok(blob_sweep(f->b, 0, &count));
    assert_int_equal(count, 0);
    assert_ok(blob_sweep(f->b, INT64_MAX, &count));
    assert_int_equal(count, 3);
    assert_ok(blob_writer_write(w, SLICE_LIT("x")));
    assert_ok(blob_writer_commit(w, &info));
    assert_ok(blob_upload_stat(f->b, text, &st));
}

static void a_completed_upload_answers_again_after_a_crash_between_link_and_unlink(void **state)
{
    Fixture *f = *state;
    char text[BLOB_STATE_BYTES];
    BlobUpload *u;
    BlobInfo info;

    assert_ok(blob_upload_create(f->b, &(BlobUploadOptions){.key = "a", .length = 5}, text));
    assert_ok(blob_upload_open(f->b, text, &u));
    assert_ok(blob_upload_append(u, SLICE_LIT("hello")));
    assert_ok(blob_upload_flush(u));
    blob_upload_free(u);
    assert_int_equal(link(path_of(f, arena_printf(f->mem, "uploads/%s", text + 3)), path_of(f, "objects/a")), 0);
    assert_ok(blob_upload_open(f->b, text, &u));
    assert_ok(blob_upload_complete(u, 5, NULL, true, &info));
    blob_upload_free(u);
    assert_string_equal(info.sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_int_equal(count_files(path_of(f, "uploads")), 1);
}

static void a_damaged_record_is_no_record(void **state)
{
    Fixture *f = *state;
    char text[BLOB_STATE_BYTES];
    BlobUploadStat st;
    BlobUpload *u;
    int fd;

    assert_ok(blob_upload_create(f->b, &(BlobUploadOptions){.key = "a", .length = 5}, text));
    fd = open(path_of(f, arena_printf(f->mem, "uploads/%s.record", text + 3)), O_WRONLY);
    assert_int_equal(pwrite(fd, "9", 1, 80), 1);
    (void)close(fd);
    assert_reason(blob_upload_stat(f->b, text, &st), &INTERNAL);
    assert_reason(blob_upload_open(f->b, text, &u), &INTERNAL);
    assert_ok(blob_upload_forget(f->b, text));
}

/* ---------------------------------------------------------------------------------------------------- folders, links
 */

static void links_lead_nowhere(void **state)
{
    Fixture *f = *state;
    BlobInfo info;
    BlobList page;

    (void)put(f, "a/real", SLICE_LIT("x"));
    assert_int_equal(symlink("/etc", path_of(f, "objects/out")), 0);
    assert_int_equal(symlink("/etc/passwd", path_of(f, "objects/a/file")), 0);
    assert_int_equal(mkfifo(path_of(f, "objects/a/pipe"), 0600), 0);
    assert_reason(blob_stat(f->b, "out/passwd", &info), &NOT_FOUND);
    assert_reason(blob_stat(f->b, "a/file", &info), &NOT_FOUND);
    assert_reason(blob_stat(f->b, "a/pipe", &info), &NOT_FOUND);
    assert_true(err_failed(blob_put_bytes(f->b, &(BlobPut){.key = "out/new"}, SLICE_LIT("x"), &info)));
    assert_int_not_equal(access("/etc/new", F_OK), 0);
    assert_ok(blob_list(f->b, f->mem, "", NULL, 10, &page));
    assert_int_equal(page.count, 1);
    (void)put(f, "a/file", SLICE_LIT("replaces the link"));
    assert_int_equal(unlink(path_of(f, "objects/out")), 0);
}

static void a_key_is_no_folder_of_another(void **state)
{
    Fixture *f = *state;
    BlobInfo info;

    (void)put(f, "a/b", SLICE_LIT("x"));
    assert_reason(blob_put_bytes(f->b, &(BlobPut){.key = "a/b/c"}, SLICE_LIT("x"), &info), &CONFLICT);
    assert_reason(blob_put_bytes(f->b, &(BlobPut){.key = "a"}, SLICE_LIT("x"), &info), &CONFLICT);
    assert_reason(blob_copy(f->b, "a/b", "a/b/c", false), &CONFLICT);
    assert_ok(blob_delete(f->b, "a"));
    assert_ok(blob_stat(f->b, "a/b", &info));
    assert_int_equal(count_files(path_of(f, "staging")), 0);
}

static void empty_folders_go(void **state)
{
    Fixture *f = *state;
    bool more;

    (void)put(f, "a/b/c/d", SLICE_LIT("x"));
    (void)put(f, "a/e", SLICE_LIT("x"));
    assert_ok(blob_delete(f->b, "a/b/c/d"));
    assert_int_not_equal(access(path_of(f, "objects/a/b"), F_OK), 0);
    assert_ok(blob_delete_prefix(f->b, "a/", 10, &more));
    assert_int_equal(count_files(path_of(f, "objects")), 0);
}

/* A restored backup may have lost them. */
static void without_attributes_an_object_is_still_served(void **state)
{
    Fixture *f = *state;
    BlobInfo info;
    Slice got;

    assert_int_equal(strlen(put(f, "a", SLICE_LIT("hello")).sha256), 64);
    assert_int_equal(removexattr(path_of(f, "objects/a"), "user.atrium"), 0);
    assert_ok(blob_get_bytes(f->b, f->mem, "a", 10, &got, &info));
    assert_slice_equal(got, SLICE_LIT("hello"));
    assert_string_equal(info.sha256, "");
    assert_string_equal(info.content_type, "application/octet-stream");
    assert_true(info.etag[0] != '\0');
    assert_int_equal(setxattr(path_of(f, "objects/a"), "user.atrium", "nonsense", 8, 0), 0);
    assert_ok(blob_stat(f->b, "a", &info));
    assert_string_equal(info.sha256, "");
}

/* ---------------------------------------------------------------------------------------------------- full disks */

static void the_guard_keeps_space_free(void **state)
{
    Fixture *f = *state;
    CLEANUP(blob_close_at) Blob *tight = NULL;
    char text[BLOB_STATE_BYTES];
    BlobWriter *w;
    BlobInfo info;

    assert_ok(open_dir(f->dir, (int64_t)1 << 50, &tight));
    assert_reason(blob_check(tight), &INSUFFICIENT_STORAGE);
    assert_reason(blob_put_bytes(tight, &(BlobPut){.key = "a"}, SLICE_LIT("x"), &info), &INSUFFICIENT_STORAGE);
    assert_reason(blob_upload_create(tight, &(BlobUploadOptions){.key = "a", .length = 1}, text),
                  &INSUFFICIENT_STORAGE);
    assert_reason(blob_writer_new(f->b, &(BlobPut){.key = "a", .length = (uint64_t)1 << 55}, &w),
                  &INSUFFICIENT_STORAGE);
    assert_int_equal(count_files(path_of(f, "staging")) + count_files(path_of(f, "uploads")), 0);
}

/* The limit on the size of files stands for a disk that is full: the write fails in the middle. */
static void a_write_that_fails_leaves_nothing(void **state)
{
    Fixture *f = *state;
    const struct rlimit small = {.rlim_cur = 1024 * 1024, .rlim_max = RLIM_INFINITY};
    struct rlimit before;
    char *bytes = arena_alloc(f->mem, 2 * 1024 * 1024, 1);
    BlobInfo info;
    Err e;

    (void)put(f, "a", SLICE_LIT("old"));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    e = blob_put_bytes(f->b, &(BlobPut){.key = "a"}, slice_of(bytes, 2 * 1024 * 1024), &info);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_reason(e, &INSUFFICIENT_STORAGE);
    assert_ok(blob_stat(f->b, "a", &info));
    assert_int_equal(info.size_bytes, 3);
    assert_int_equal(count_files(path_of(f, "staging")), 0);
}

/* A file with a hole goes through whole; memory stays what it is. 10 GB of it with BLOB_TEST_LARGE set, as test-long
 * does. */
static void a_large_file_needs_no_memory(void **state)
{
    Fixture *f = *state;
    const int64_t size = getenv("BLOB_TEST_LARGE") ? (int64_t)10 << 30 : (int64_t)256 << 20;
    const char *in = path_of(f, "in"), *out = path_of(f, "out");
    struct rusage before, after;
    BlobInfo info;
    Slice tail;
    BlobReader *r;
    char last[1];
    int fd = open(in, O_CREAT | O_WRONLY, 0600);

    assert_int_equal(ftruncate(fd, size - 1), 0);
    assert_int_equal(pwrite(fd, "!", 1, size - 1), 1);
    (void)close(fd);
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    assert_ok(blob_put_file(f->b, &(BlobPut){.key = "large", .length = BLOB_UNKNOWN}, in, &info));
    assert_int_equal(info.size_bytes, size);
    assert_int_equal(unlink(in), 0);
    assert_ok(blob_get_file(f->b, "large", out, NULL));
    assert_int_equal(unlink(out), 0);
    assert_ok(blob_reader_new(f->b, "large", &r));
    assert_ok(blob_reader_range(r, (uint64_t)size - 1, 1));
    assert_ok(blob_reader_read(r, last, 1, &tail.len));
    assert_int_equal(last[0], '!');
    blob_reader_free(r);
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    assert_true(after.ru_maxrss - before.ru_maxrss < 16 * 1024); /* KiB */
}

static void another_file_system_below_is_refused(void **state)
{
    Fixture *f = *state;
    const char *dir = path_of(f, "other");
    Blob *b;

    assert_reason(open_dir(path_of(f, "none/below"), 0, &b), &INVALID_ARGUMENT);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(symlink("/dev/shm", path_of(f, "other/staging")), 0);
    assert_reason(open_dir(dir, 0, &b), &INVALID_ARGUMENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_killed_writer_leaves_the_old_or_the_new),
        TEST(an_upload_survives_being_killed),
        TEST(what_crashes_left_is_swept_and_what_lives_is_not),
        TEST(a_completed_upload_answers_again_after_a_crash_between_link_and_unlink),
        TEST(a_damaged_record_is_no_record),
        TEST(links_lead_nowhere),
        TEST(a_key_is_no_folder_of_another),
        TEST(empty_folders_go),
        TEST(without_attributes_an_object_is_still_served),
        TEST(the_guard_keeps_space_free),
        TEST(a_write_that_fails_leaves_nothing),
        TEST(a_large_file_needs_no_memory),
        TEST(another_file_system_below_is_refused),
    };
    return RUN(tests);
}
