#include "shared/config.h"

#include <sys/stat.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"
#include "shared/testing.h"

/* What a configuration file may hold are names of the shared settings; the others here are set by environment. */
#define TEST_SETTINGS                                                                                                  \
    SETTING(LIST, urls, "NATS_URL", "nats://127.0.0.1:4222", 1, 64, 0, "Servers.")                                     \
    SETTING(TEXT, level, "LOG_LEVEL", "info", 1, 8, 0, "Level.")                                                       \
    SETTING(INT, pool, "DB_POOL_SIZE", "4", 1, 64, 0, "Connections.")                                                  \
    SETTING(DURATION, stop_ms, "SHUTDOWN_TIMEOUT", "30s", 0, 600000, 0, "Patience.")                                   \
    SETTING(TEXT, database, "DATABASE_URL", "", 8, 64, SETTING_SECRET, "Database.")                                    \
    SETTING(TEXT, required, "TEST_REQUIRED", "", 4, 16, SETTING_REQUIRED, "Needed.")                                   \
    SETTING(BYTES, size, "TEST_SIZE", "64K", 1, 1073741824, 0, "Size.")                                                \
    SETTING(BOOL, on, "TEST_ON", "no", 0, 0, 0, "Switch.")

typedef struct TestSettings {
#define SETTING CONFIG_MEMBER
    TEST_SETTINGS
#undef SETTING
} TestSettings;

static const Setting TABLE[] = {
#define SETTING CONFIG_ROW
#define CONFIG_STRUCT TestSettings
    TEST_SETTINGS
#undef CONFIG_STRUCT
#undef SETTING
};

static const char *const VARIABLES[] = {"NATS_URL",      "LOG_LEVEL",         "DB_POOL_SIZE", "SHUTDOWN_TIMEOUT",
                                        "DATABASE_URL",  "DATABASE_URL_FILE", "TEST_SIZE",    "TEST_ON",
                                        "ATRIUM_CONFIG", "MINIO_ENDPOINT"};

/* Each test begins in an empty directory of its own, with nothing set but what must be. */
static int begin(void **state)
{
    static char directory[] = "/tmp/atrium-config-test-XXXXXX";

    for (size_t i = 0; i < ARRAY_LEN(VARIABLES); i++)
        (void)unsetenv(VARIABLES[i]); /* names are good */
    (void)setenv("TEST_REQUIRED", "there", 1);
    memcpy(directory + sizeof(directory) - 7, "XXXXXX", 6);
    *state = mkdtemp(directory);
    return *state ? chdir(directory) : -1;
}

static int end(void **state)
{
    static const char *const FILES[] = {"atrium.toml", "other.toml", "secret"};

    for (size_t i = 0; i < ARRAY_LEN(FILES); i++)
        (void)unlink(FILES[i]); /* not all are there */
    return chdir("/") == 0 ? rmdir(*state) : -1;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void set(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static Err load(Arena *mem, TestSettings *out)
{
    *out = (TestSettings){0};
    return config_load(TABLE, ARRAY_LEN(TABLE), mem, out);
}

/* Loading must fail with a text that has `wanted` in it. */
static void assert_refused(const char *wanted)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    TestSettings s;
    Err e = load(mem, &s);

    assert_ptr_equal(e.reason, &INVALID_ARGUMENT);
    if (!strstr(e.text, wanted))
        fail_msg("\"%s\" does not say \"%s\"", e.text, wanted);
}

static void defaults_hold_where_nothing_is_set(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    TestSettings s;
    (void)state;

    assert_ok(load(mem, &s));
    assert_string_equal(s.urls, "nats://127.0.0.1:4222");
    assert_string_equal(s.database, "");
    assert_int_equal(s.pool, 4);
    assert_int_equal(s.stop_ms, 30000);
    assert_int_equal(s.size, 65536);
    assert_false(s.on);
    assert_string_equal(s.required, "there");
}

static void the_environment_wins_over_the_file(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    TestSettings s;
    (void)state;

    write_text("atrium.toml",
               "# comment\n[section]\n\n  DB_POOL_SIZE = 7  \r\nLOG_LEVEL=\"debug\"\nNATS_URL = nats://a=b");
    set("DB_POOL_SIZE", "9");
    set("LOG_LEVEL", ""); /* as compose passes what is not set */
    assert_ok(load(mem, &s));
    assert_int_equal(s.pool, 9);
    assert_string_equal(s.level, "debug");
    assert_string_equal(s.urls, "nats://a=b");
}

static void atrium_config_names_the_file(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    TestSettings s;
    (void)state;

    write_text("atrium.toml", "DB_POOL_SIZE = 7\n");
    write_text("other.toml", "DB_POOL_SIZE = 8\n");
    set("ATRIUM_CONFIG", "other.toml");
    assert_ok(load(mem, &s));
    assert_int_equal(s.pool, 8);
    set("ATRIUM_CONFIG", "missing.toml");
    assert_refused("missing.toml: No such file");
}

static void a_secret_may_come_from_a_file(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    TestSettings s;
    (void)state;

    write_text("secret", "postgres://secret\n");
    set("DATABASE_URL_FILE", "secret");
    assert_ok(load(mem, &s));
    assert_string_equal(s.database, "postgres://secret");
    set("DATABASE_URL", "postgres://direct");
    assert_ok(load(mem, &s));
    assert_string_equal(s.database, "postgres://direct");
    assert_int_equal(unsetenv("DATABASE_URL"), 0);
    assert_int_equal(unsetenv("DATABASE_URL_FILE"), 0);
    write_text("atrium.toml", "DATABASE_URL_FILE = secret\n");
    write_text("secret", "two lines\n\n");
    assert_ok(load(mem, &s));
    assert_string_equal(s.database, "two lines\n");
    assert_int_equal(unlink("secret"), 0);
    assert_refused("DATABASE_URL_FILE (atrium.toml:1): secret: No such file");
}

static void values_have_units_and_words(void **state)
{
    static const struct {
        const char *name, *text;
        int64_t value;
    } CASES[] = {
        {"SHUTDOWN_TIMEOUT", "250ms", 250},
        {"SHUTDOWN_TIMEOUT", "5", 5000},
        {"SHUTDOWN_TIMEOUT", "2m", 120000},
        {"SHUTDOWN_TIMEOUT", "0", 0},
        {"TEST_SIZE", "16", 16},
        {"TEST_SIZE", "10M", 10 << 20},
        {"TEST_SIZE", "1G", 1 << 30},
        {"TEST_SIZE", "2k", 2048},
        {"TEST_ON", "TRUE", 1},
        {"TEST_ON", "on", 1},
        {"TEST_ON", "1", 1},
        {"TEST_ON", "off", 0},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        TestSettings s;
        set(CASES[i].name, CASES[i].text);
        assert_ok(load(mem, &s));
        assert_int_equal(!strcmp(CASES[i].name, "TEST_ON")     ? s.on
                         : !strcmp(CASES[i].name, "TEST_SIZE") ? s.size
                                                               : s.stop_ms,
                         CASES[i].value);
        assert_int_equal(unsetenv(CASES[i].name), 0);
    }
}

static void a_wrong_value_says_its_name_its_place_and_why(void **state)
{
    static const struct {
        const char *name, *text, *wanted;
    } CASES[] = {
        {"DB_POOL_SIZE", "65", "DB_POOL_SIZE (environment): \"65\": not in 1 to 64"},
        {"DB_POOL_SIZE", "0", "not in 1 to 64"},
        {"DB_POOL_SIZE", "four", "not a whole number"},
        {"DB_POOL_SIZE", "4 ", "not a whole number"},
        {"SHUTDOWN_TIMEOUT", "11m", "not in 0 to 600000 ms"},
        {"SHUTDOWN_TIMEOUT", "soon", "not a duration"},
        {"SHUTDOWN_TIMEOUT", "s", "not a duration"},
        {"SHUTDOWN_TIMEOUT", "99999999999999999d", "not a duration"},
        {"TEST_SIZE", "10T", "not a size"},
        {"TEST_ON", "maybe", "TEST_ON (environment): \"maybe\": not true or false"},
        {"LOG_LEVEL", "very verbose", "is 12 bytes long, not 1 to 8"},
        {"TEST_REQUIRED", "", "TEST_REQUIRED (default): must be set: Needed."},
        {"TEST_REQUIRED", "abc", "is 3 bytes long, not 4 to 16"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        set(CASES[i].name, CASES[i].text);
        assert_refused(CASES[i].wanted);
        if (strcmp(CASES[i].name, "TEST_REQUIRED") != 0)
            assert_int_equal(unsetenv(CASES[i].name), 0);
        else
            set("TEST_REQUIRED", "there");
    }
    write_text("atrium.toml", "\nDB_POOL_SIZE = 65\n");
    assert_refused("DB_POOL_SIZE (atrium.toml:2): \"65\": not in 1 to 64");
    write_text("atrium.toml", "\nDB_POOL_SIZE =\n");
    assert_refused("DB_POOL_SIZE (atrium.toml:2): \"\": not a whole number");
}

static void a_secrets_value_is_never_told(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    TestSettings s;
    Err e;
    (void)state;

    set("DATABASE_URL", "hush");
    e = load(mem, &s);
    assert_true(err_failed(e));
    assert_null(strstr(e.text, "hush"));
    assert_non_null(strstr(e.text, "DATABASE_URL (environment): is 4 bytes long, not 8 to 64"));
}

static void a_file_must_make_sense(void **state)
{
    static const struct {
        const char *text, *wanted;
    } CASES[] = {
        {"DB_POOL_SIZE = 4\nDB_POOL_SIZ = 4\n", "atrium.toml:2: unknown setting DB_POOL_SIZ"},
        {"DB_POOL_SIZE\n", "atrium.toml:1: not KEY = VALUE"},
        {"= 4\n", "atrium.toml:1: unknown setting "},
        {"LOG_LEVEL = info\n# x\nLOG_LEVEL = warn\n", "atrium.toml:3: LOG_LEVEL stands in line 1 too"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        write_text("atrium.toml", CASES[i].text);
        assert_refused(CASES[i].wanted);
    }
}

static void a_file_is_bounded(void **state)
{
    FILE *file = fopen("atrium.toml", "w");
    (void)state;

    assert_non_null(file);
    for (int i = 0; i < 40000; i++)
        assert_true(fputs("# filler\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_refused("atrium.toml: larger than 262144 bytes");
}

static void other_services_and_originals_settings_are_known(void **state)
{
    static const char *const KNOWN[] = {"ADMIN_ADDR", "REDIS_URL_FILE",    "MINIO_ENDPOINT",    "SMTP_HOST",
                                        "JWT_SECRET", "DISCORD_CLIENT_ID", "LANGSMITH_TRACING", "SUPADATA_BASE_URL"};
    static const char *const UNKNOWN[] = {"", "ADMIN_ADD", "ADMIN_ADDR_FILES", "_FILE", "SMTP", "admin_addr"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    TestSettings s;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(KNOWN); i++)
        assert_true(config_name_known(slice(KNOWN[i])));
    for (size_t i = 0; i < ARRAY_LEN(UNKNOWN); i++)
        assert_false(config_name_known(slice(UNKNOWN[i])));
    write_text("atrium.toml", "ADMIN_ADDR = 127.0.0.1:1\nMINIO_ENDPOINT = minio:9000\n");
    assert_ok(load(mem, &s));
}

static void count_note(void *data, const char *name, const char *why)
{
    int *count = data;

    if (!strcmp(name, "MINIO_ENDPOINT") && why[0])
        ++*count;
    assert_string_not_equal(name, "DB_POOL_SIZE");
}

static void variables_that_do_nothing_are_noted(void **state)
{
    int count = 0;
    (void)state;

    set("MINIO_ENDPOINT", "minio:9000");
    set("DB_POOL_SIZE", "4");
    config_note_originals(count_note, &count);
    assert_int_equal(count, 1);
}

static char *printed(void (*print)(FILE *to, const TestSettings *s), const TestSettings *s)
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    assert_non_null(to);
    print(to, s);
    assert_int_equal(fclose(to), 0);
    return text;
}

static void print_dump(FILE *to, const TestSettings *s)
{
    config_print(TABLE, ARRAY_LEN(TABLE), s, to);
}

static void print_help(FILE *to, const TestSettings *s)
{
    (void)s;
    config_print_help(TABLE, ARRAY_LEN(TABLE), to);
}

static void print_example(FILE *to, const TestSettings *s)
{
    (void)s;
    config_print_example(to);
}

static void settings_are_printed_without_secrets(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    TestSettings s;
    char *text;
    (void)state;

    set("DATABASE_URL", "postgres://hush");
    assert_ok(load(mem, &s));
    text = printed(print_dump, &s);
    assert_string_equal(text, "NATS_URL = nats://127.0.0.1:4222\nLOG_LEVEL = info\nDB_POOL_SIZE = 4\n"
                              "SHUTDOWN_TIMEOUT = 30000ms\nDATABASE_URL = (set)\nTEST_REQUIRED = there\n"
                              "TEST_SIZE = 65536\nTEST_ON = false\n");
    free(text);
    text = printed(print_help, &s);
    assert_non_null(strstr(text, "  DB_POOL_SIZE=4\n      Connections. 1 to 64.\n"));
    assert_non_null(strstr(text, "      Needed. At least 4 bytes. Required.\n"));
    free(text);
}

/* .env.example has each setting once, with its default, and is a configuration file that loads. */
static void the_example_is_a_configuration_that_loads(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    char *text = printed(print_example, NULL);
    TestSettings s;
    (void)state;

    assert_non_null(strstr(text, "\nDB_POOL_SIZE=4\n"));
    assert_non_null(strstr(text, "\nDATABASE_URL=\n"));
    assert_non_null(strstr(text, "\n# MINIO_ENDPOINT (chat): "));
    assert_null(strstr(text, "CHANGE_ME"));
    write_text("atrium.toml", text);
    assert_ok(load(mem, &s));
    assert_int_equal(s.stop_ms, 30000);
    free(text);
}

static void lists_are_taken_apart(void **state)
{
    Slice rest = SLICE_LIT(" a, b ,,c,"), item;
    (void)state;

    assert_true(config_list_next(&rest, &item));
    assert_slice_equal(item, SLICE_LIT("a"));
    assert_true(config_list_next(&rest, &item));
    assert_slice_equal(item, SLICE_LIT("b"));
    assert_true(config_list_next(&rest, &item));
    assert_slice_equal(item, SLICE_LIT("c"));
    assert_false(config_list_next(&rest, &item));
    rest = slice("");
    assert_false(config_list_next(&rest, &item));
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(defaults_hold_where_nothing_is_set),
        IN_DIRECTORY(the_environment_wins_over_the_file),
        IN_DIRECTORY(atrium_config_names_the_file),
        IN_DIRECTORY(a_secret_may_come_from_a_file),
        IN_DIRECTORY(values_have_units_and_words),
        IN_DIRECTORY(a_wrong_value_says_its_name_its_place_and_why),
        IN_DIRECTORY(a_secrets_value_is_never_told),
        IN_DIRECTORY(a_file_must_make_sense),
        IN_DIRECTORY(a_file_is_bounded),
        IN_DIRECTORY(other_services_and_originals_settings_are_known),
        IN_DIRECTORY(variables_that_do_nothing_are_noted),
        IN_DIRECTORY(settings_are_printed_without_secrets),
        IN_DIRECTORY(the_example_is_a_configuration_that_loads),
        cmocka_unit_test(lists_are_taken_apart),
    };
    return RUN(tests);
}
