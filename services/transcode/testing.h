/* testing: what the tests of transcode share: a private folder, and children as main.c makes them. */
#pragma once
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "services/transcode/child.h"
#include "shared/clock.h"
#include "shared/testing.h"

typedef struct Bench {
    Arena *mem;
    char home[64], dir[80]; /* a private folder, the children's folder in it; beside that a file "secret" */
    char *confine, *hostile;
    Children children;
} Bench;

/* Programs beside this test: build/test/transcode/x_test → build/bin. */
static inline char *bench_program(Arena *mem, const char *relative)
{
    char self[1024];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

    assert_true(len > 0);
    self[len] = 0;
    *strrchr(self, '/') = 0;
    return arena_printf(mem, "%s/%s", self, relative);
}

static inline char *bench_path(const Bench *b, const char *name)
{
    return arena_printf(b->mem, "%s/%s", b->dir, name);
}

static inline int bench_set_up(void **state)
{
    Bench *b = xcalloc(1, sizeof *b);
    FILE *f;

    b->mem = arena_new(65536);
    snprintf(b->home, sizeof b->home, "/tmp/transcode-test-XXXXXX");
    assert_non_null(mkdtemp(b->home));
    snprintf(b->dir, sizeof b->dir, "%s/work", b->home);
    assert_int_equal(mkdir(b->dir, 0700), 0);
    f = fopen(bench_path(b, "../secret"), "we");
    assert_non_null(f);
    fputs("canary", f);
    fclose(f);
    b->hostile = bench_program(b->mem, "hostile");
    b->children = (Children){.confine = bench_program(b->mem, "../../bin/transcode-confine"),
                             .wall_ms = 60000,
                             .cpu_ms = 60000,
                             .memory_bytes = INT64_C(8) << 30,
                             .file_bytes = INT64_C(1) << 30};
    *state = b;
    return 0;
}

static inline void bench_remove(Arena *mem, const char *path)
{
    DIR *folder = opendir(path);

    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            bench_remove(mem, arena_printf(mem, "%s/%s", path, entry->d_name));
    if (folder)
        closedir(folder);
    (void)remove(path);
}

static inline int bench_tear_down(void **state)
{
    Bench *b = *state;

    bench_remove(b->mem, b->home);
    arena_free(b->mem);
    free(b);
    return 0;
}

#define BENCH_TEST(f) cmocka_unit_test_setup_teardown(f, bench_set_up, bench_tear_down)
