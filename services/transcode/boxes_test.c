/* Fragments and codecs of files that ffmpeg makes, and of what is left when they are damaged. */
#include "services/transcode/boxes.h"

#include <fcntl.h>

#include "services/transcode/films.h"

enum { FILE_MAX_BYTES = 1 << 20 };

static Slice load(const Bench *b, const char *path)
{
    char *bytes = arena_alloc_raw(b->mem, FILE_MAX_BYTES, 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, bytes, FILE_MAX_BYTES);

    close(fd);
    assert_true(len > 0 && len < FILE_MAX_BYTES);
    return slice_of(bytes, (size_t)len);
}

static bool read_bytes(void *data, uint64_t offset, void *to, size_t len)
{
    const Slice *bytes = data;

    if (offset > bytes->len || len > bytes->len - offset)
        return false;
    memcpy(to, bytes->ptr + offset, len);
    return true;
}

static Err read_slice(Arena *mem, Slice bytes, Cmaf *out)
{
    return cmaf_read(&(BoxFile){.read = read_bytes, .data = &bytes, .size_bytes = bytes.len}, mem, out);
}

/* One behind the other in place and time, from the initialisation to the end. */
static void check_order(const Cmaf *c, uint64_t file_bytes)
{
    uint64_t offset = c->init_bytes, start = c->fragments[0].start, duration = 0;

    for (size_t i = 0; i < c->count; i++) {
        const Fragment *f = &c->fragments[i];
        assert_int_equal(f->offset, offset);
        assert_int_equal(f->start, start);
        assert_true(f->key);
        offset += f->size_bytes;
        start += f->duration;
        duration += f->duration;
    }
    assert_true(offset <= file_bytes && offset > file_bytes / 2); /* an index may stand behind */
    assert_int_equal(c->duration, duration);
}

static void video_of_avc(void **state)
{
    const Bench *b = *state;
    const char *path = film_avc(b);
    Cmaf c;

    assert_ok(cmaf_read_path(path, b->mem, &c));
    assert_true(c.video);
    assert_string_equal(c.codecs, "avc1.64001E");
    assert_int_equal(c.width, 64);
    assert_int_equal(c.height, 48);
    assert_int_equal(c.count, 3);
    for (size_t i = 0; i < c.count; i++)
        assert_int_equal(c.fragments[i].duration, 2 * c.timescale);
    check_order(&c, load(b, path).len);
}

static void video_of_hevc(void **state)
{
    const Bench *b = *state;
    const char *path = film_hevc(b);
    Cmaf c;

    assert_ok(cmaf_read_path(path, b->mem, &c));
    assert_true(c.video);
    assert_string_equal(c.codecs, "hvc1.1.6.L90.90");
    assert_int_equal(c.width, 64);
    assert_int_equal(c.count, 2);
    assert_int_equal(c.duration, 2 * c.timescale);
    check_order(&c, load(b, path).len);
}

static void sound_of_aac(void **state)
{
    const Bench *b = *state;
    const char *path = film_aac(b);
    Cmaf c;

    assert_ok(cmaf_read_path(path, b->mem, &c));
    assert_false(c.video);
    assert_string_equal(c.codecs, "mp4a.40.2");
    assert_int_equal(c.timescale, 48000);
    assert_true(c.count >= 3);
    /* The encoder begins and ends with a frame of 1,024 samples too many, at most. */
    assert_true(c.duration >= UINT64_C(6) * 48000 && c.duration <= UINT64_C(6) * 48000 + 2048);
    check_order(&c, load(b, path).len);
}

/* Wherever a file ends too early, what is still told of lies inside of it. */
static void cut_files(void **state)
{
    const Bench *b = *state;
    Slice whole = load(b, film_avc(b));
    size_t readable = 0;
    Cmaf c;

    for (size_t len = 0; len < whole.len; len += 1 + len / 100) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
        if (err_failed(read_slice(mem, slice_of(whole.ptr, len), &c)))
            continue;
        readable++;
        assert_true(c.fragments[c.count - 1].offset + c.fragments[c.count - 1].size_bytes <= len);
    }
    assert_true(readable < whole.len / 100); /* between two boxes only */
}

/* Every byte of the initialisation, wrong in turn: read or refused, but never believed beyond the file. */
static void wrong_bytes(void **state)
{
    const Bench *b = *state;
    Slice whole = load(b, film_aac(b));
    char *bytes = arena_memdup(b->mem, whole.ptr, whole.len);
    Cmaf c;

    for (size_t i = 0; i < MIN(whole.len, 2000); i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
        bytes[i] = (char)~whole.ptr[i];
        if (!err_failed(read_slice(mem, slice_of(bytes, whole.len), &c)))
            for (size_t k = 0; k < c.count; k++)
                assert_true(c.fragments[k].offset + c.fragments[k].size_bytes <= whole.len);
        bytes[i] = whole.ptr[i];
    }
}

static void files_that_are_no_track(void **state)
{
    const Bench *b = *state;
    Cmaf c;

    film_avc(b);
    film_aac(b);
    film_run(b, (const char *const[]){FILM_QUIET, "-i", "avc.mp4", "-c", "copy", "-f", "mp4", "plain.mp4", NULL});
    film_run(b, (const char *const[]){FILM_QUIET, "-i", "avc.mp4", "-i", "aac.mp4", "-c", "copy", FILM_FRAGMENTS,
                                      "two.mp4", NULL});
    assert_reason(cmaf_read_path(bench_path(b, "plain.mp4"), b->mem, &c), &INVALID_BODY);
    assert_reason(cmaf_read_path(bench_path(b, "two.mp4"), b->mem, &c), &INVALID_BODY);
    assert_reason(cmaf_read_path(bench_path(b, "../secret"), b->mem, &c), &INVALID_BODY);
    assert_reason(cmaf_read_path(bench_path(b, "nothing"), b->mem, &c), &INTERNAL);
    assert_int_equal(symlink("avc.mp4", bench_path(b, "link")), 0);
    assert_reason(cmaf_read_path(bench_path(b, "link"), b->mem, &c), &INTERNAL);
}

static void what_comes_first(void **state)
{
    const Bench *b = *state;
    bool first;

    film_avc(b);
    film_run(b, (const char *const[]){FILM_QUIET, "-i", "avc.mp4", "-c", "copy", "-f", "mp4", "last.mp4", NULL});
    film_run(b, (const char *const[]){FILM_QUIET, "-i", "avc.mp4", "-c", "copy", "-movflags", "+faststart", "-f", "mp4",
                                      "first.mp4", NULL});
    assert_ok(mp4_is_faststart(bench_path(b, "last.mp4"), &first));
    assert_false(first);
    assert_ok(mp4_is_faststart(bench_path(b, "first.mp4"), &first));
    assert_true(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(video_of_avc),     cmocka_unit_test(video_of_hevc), cmocka_unit_test(sound_of_aac),
        cmocka_unit_test(cut_files),        cmocka_unit_test(wrong_bytes),   cmocka_unit_test(files_that_are_no_track),
        cmocka_unit_test(what_comes_first),
    };
    return cmocka_run_group_tests(tests, bench_set_up, bench_tear_down);
}
