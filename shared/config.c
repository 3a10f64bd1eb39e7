#include "shared/config.h"

#include <errno.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"

enum { CONFIG_FILE_MAX_BYTES = 256 * 1024, CONFIG_VALUE_MAX_BYTES = 64 * 1024 };

/* ---------------------------------------------------------------------------------------------------- the union
 * A row knows the file it stands in: that tells the services apart. */

typedef struct UnionRow {
    Setting setting;
    const char *file;
} UnionRow;

static const UnionRow UNION[] = {
#define SETTING(kind, field, name, fallback, min, max, flags, help)                                                    \
    {{name, CONFIG_##kind, 0, fallback, min, max, flags, help}, __FILE__},
#include "shared/settings.def"
#include "shared/settings_bytes.def"

#include "settings_all.h"
#undef SETTING
};

typedef struct Original {
    const char *name, *from, *note;
} Original;

static const Original ORIGINALS[] = {
#define ORIGINAL(name, from, note) {name, from, note},
#include "shared/settings_originals.def"
#undef ORIGINAL
};

static bool is_setting(Slice name)
{
    Slice suffix = SLICE_LIT("_FILE");

    for (size_t i = 0; i < ARRAY_LEN(UNION); i++) {
        if (slice_eq_cstr(name, UNION[i].setting.name))
            return true;
    }
    return slice_ends_with(name, suffix) && is_setting(slice_take(name, name.len - suffix.len));
}

static const Original *find_original(Slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(ORIGINALS); i++) {
        Slice known = slice(ORIGINALS[i].name);
        if (slice_ends_with(known, SLICE_LIT("*")) ? slice_starts_with(name, slice_take(known, known.len - 1))
                                                   : slice_eq(name, known))
            return &ORIGINALS[i];
    }
    return NULL;
}

bool config_name_known(Slice name)
{
    return is_setting(name) || find_original(name);
}

void config_note_originals(void (*note)(void *data, const char *name, const char *why), void *data)
{
    for (char **entry = environ; entry && *entry; entry++) {
        Slice name, value;
        const Original *original;
        if (!slice_cut(slice(*entry), '=', &name, &value) || is_setting(name))
            continue;
        original = find_original(name);
        if (original) {
            CLEANUP(arena_free_at) Arena *mem = arena_new(256);
            note(data, slice_cstr(mem, name), original->note);
        }
    }
}

/* ---------------------------------------------------------------------------------------------------- the file */

typedef struct FileRow {
    Slice key, value;
    int line;
} FileRow;

typedef struct ConfigFile {
    const char *path; /* NULL: there is none */
    FileRow *rows;
    size_t count;
} ConfigFile;

/* Whole content of a small text file. */
static Err read_file(Arena *mem, const char *path, size_t max_bytes, Slice *out)
{
    StrBuf text = strbuf_new(mem, max_bytes);
    FILE *file = fopen(path, "re");
    char *at;
    size_t got;

    if (!file)
        return err_errno(&INVALID_ARGUMENT, path);
    while ((at = strbuf_reserve(&text, 1)) && (got = fread(at, 1, MIN(text.cap - text.len, max_bytes), file)) > 0)
        strbuf_advance(&text, got);
    if (ferror(file)) {
        Err e = err_errno(&INVALID_ARGUMENT, path);
        (void)fclose(file); /* only read from */
        return e;
    }
    (void)fclose(file); /* only read from */
    if (!strbuf_finish(&text, out))
        return err_make(&INVALID_ARGUMENT, "%s: larger than %zu bytes", path, max_bytes);
    if (slice_find_char(*out, '\0') >= 0)
        return err_make(&INVALID_ARGUMENT, "%s: has a NUL byte", path);
    return OK;
}

static const FileRow *find_in_file(const ConfigFile *file, const char *name)
{
    for (size_t i = 0; i < file->count; i++) {
        if (slice_eq_cstr(file->rows[i].key, name))
            return &file->rows[i];
    }
    return NULL;
}

static Err parse_line(Arena *mem, ConfigFile *file, Slice line, int number)
{
    FileRow row = {.line = number};
    const FileRow *earlier;

    line = slice_trim(line);
    if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == '[')
        return OK;
    if (!slice_cut(line, '=', &row.key, &row.value))
        return err_make(&INVALID_ARGUMENT, "%s:%d: not KEY = VALUE", file->path, number);
    row.key = slice_trim(row.key);
    row.value = slice_trim(row.value);
    if (row.value.len >= 2 && row.value.ptr[0] == '"' && row.value.ptr[row.value.len - 1] == '"')
        row.value = slice_of(row.value.ptr + 1, row.value.len - 2);
    if (!config_name_known(row.key))
        return err_make(&INVALID_ARGUMENT, "%s:%d: unknown setting " SLICE_FMT, file->path, number, SLICE_ARG(row.key));
    earlier = find_in_file(file, slice_cstr(mem, row.key));
    if (earlier)
        return err_make(&INVALID_ARGUMENT, "%s:%d: " SLICE_FMT " stands in line %d too", file->path, number,
                        SLICE_ARG(row.key), earlier->line);
    file->rows = arena_grow(mem, file->rows, file->count * sizeof(row), (file->count + 1) * sizeof(row));
    file->rows[file->count++] = row;
    return OK;
}

static const char *file_path(void)
{
    static const char *const PLACES[] = {"atrium.toml", "/etc/atrium/config.toml"};
    const char *named = getenv("ATRIUM_CONFIG");

    if (named && named[0])
        return named;
    for (size_t i = 0; i < ARRAY_LEN(PLACES); i++) {
        if (access(PLACES[i], R_OK) == 0)
            return PLACES[i];
    }
    return NULL;
}

static Err load_file(Arena *mem, ConfigFile *out)
{
    ConfigFile file = {.path = file_path()};
    Slice text, line;
    bool more = true;

    if (file.path) {
        TRY(read_file(mem, file.path, CONFIG_FILE_MAX_BYTES, &text));
        for (int number = 1; more; number++) {
            more = slice_cut(text, '\n', &line, &text);
            TRY(parse_line(mem, &file, line, number));
        }
    }
    *out = file;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- values */

typedef struct Found {
    Slice value;
    const char *where; /* "environment", "atrium.toml:3" … */
} Found;

static Err from_named_file(Arena *mem, const char *name, const char *path, const char *where, Found *out)
{
    Slice value;
    Err e = read_file(mem, path, CONFIG_VALUE_MAX_BYTES, &value);

    if (err_failed(e))
        return err_make(&INVALID_ARGUMENT, "%s_FILE (%s): %s", name, where, e.text);
    if (slice_ends_with(value, SLICE_LIT("\n")))
        value.len--;
    if (slice_ends_with(value, SLICE_LIT("\r")))
        value.len--;
    *out = (Found){value, path};
    return OK;
}

static Err find_value(Arena *mem, const ConfigFile *file, const Setting *s, Found *out)
{
    const char *by_file = arena_printf(mem, "%s_FILE", s->name), *value;
    const FileRow *row;

    if ((value = getenv(s->name)) && value[0]) {
        *out = (Found){slice(arena_strdup(mem, value)), "environment"};
        return OK;
    }
    if ((value = getenv(by_file)) && value[0])
        return from_named_file(mem, s->name, value, "environment", out);
    if ((row = find_in_file(file, s->name))) {
        *out = (Found){row->value, arena_printf(mem, "%s:%d", file->path, row->line)};
        return OK;
    }
    if ((row = find_in_file(file, by_file)))
        return from_named_file(mem, s->name, slice_cstr(mem, row->value),
                               arena_printf(mem, "%s:%d", file->path, row->line), out);
    *out = (Found){slice(s->fallback), "default"};
    return OK;
}

static bool parse_bool(Slice text, bool *out)
{
    static const char *const WORDS[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        if (slice_eq_nocase(text, slice(WORDS[i]))) {
            *out = i % 2;
            return true;
        }
    }
    return false;
}

typedef struct Unit {
    const char *suffix;
    int64_t factor;
} Unit;

static const Unit DURATIONS[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
static const Unit SIZES[] = {{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}};

/* A number with one of the units, or none, which is worth `bare`. "ms" stands before "s", which it also ends in. */
static bool parse_with_unit(Slice text, const Unit *units, size_t count, int64_t bare, int64_t *out)
{
    int64_t factor = bare, number;

    for (size_t i = 0; i < count; i++) {
        Slice suffix = slice(units[i].suffix);
        if (text.len > suffix.len && slice_eq_nocase(slice_skip(text, text.len - suffix.len), suffix)) {
            text.len -= suffix.len;
            factor = units[i].factor;
            break;
        }
    }
    return slice_to_int64(text, &number) && !__builtin_mul_overflow(number, factor, out);
}

static bool parse_number(const Setting *s, Slice text, int64_t *out)
{
    if (s->kind == CONFIG_DURATION)
        return parse_with_unit(text, DURATIONS, ARRAY_LEN(DURATIONS), 1000, out);
    if (s->kind == CONFIG_BYTES)
        return parse_with_unit(text, SIZES, ARRAY_LEN(SIZES), 1, out);
    return slice_to_int64(text, out);
}

static const char *unit_name(SettingKind kind)
{
    return kind == CONFIG_DURATION ? " ms" : kind == CONFIG_BYTES ? " bytes" : "";
}

static Err wrong(const Setting *s, const Found *found, const char *why)
{
    Slice shown = utf8_take(found->value, 32);

    if (s->flags & SETTING_SECRET)
        return err_make(&INVALID_ARGUMENT, "%s (%s): %s", s->name, found->where, why);
    return err_make(&INVALID_ARGUMENT, "%s (%s): \"" SLICE_FMT "\": %s", s->name, found->where, SLICE_ARG(shown), why);
}

static Err store_text(Arena *mem, const Setting *s, const Found *found, const char **out)
{
    bool may_be_empty = s->min == 0 || !s->fallback[0];
    char why[80];

    if (found->value.len == 0 && (s->flags & SETTING_REQUIRED))
        return err_make(&INVALID_ARGUMENT, "%s (%s): must be set: %s", s->name, found->where, s->help);
    if (!(found->value.len == 0 && may_be_empty) &&
        ((int64_t)found->value.len < s->min || (int64_t)found->value.len > s->max)) {
        (void)snprintf(why, sizeof(why), "is %zu bytes long, not %" PRId64 " to %" PRId64, found->value.len, s->min,
                       s->max);
        return wrong(s, found, why);
    }
    *out = slice_cstr(mem, found->value);
    return OK;
}

static Err store_number(const Setting *s, const Found *found, int64_t *out)
{
    static const char *const WANTED[] = {
        [CONFIG_INT] = "not a whole number",
        [CONFIG_DURATION] = "not a duration such as 250ms, 30s, 15m, 24h, 7d",
        [CONFIG_BYTES] = "not a size such as 512, 64K, 10M, 2G",
    };
    char why[80];
    int64_t value;

    if (!parse_number(s, found->value, &value))
        return wrong(s, found, WANTED[s->kind]);
    if (value < s->min || value > s->max) {
        (void)snprintf(why, sizeof(why), "not in %" PRId64 " to %" PRId64 "%s", s->min, s->max, unit_name(s->kind));
        return wrong(s, found, why);
    }
    *out = value;
    return OK;
}

static Err store_value(Arena *mem, const Setting *s, const Found *found, void *into)
{
    void *member = (char *)into + s->offset;

    switch (s->kind) {
    case CONFIG_TEXT:
    case CONFIG_LIST:
        return store_text(mem, s, found, member);
    case CONFIG_BOOL:
        return parse_bool(found->value, member) ? OK : wrong(s, found, "not true or false");
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_BYTES:
        return store_number(s, found, member);
    }
    return err_make(&INTERNAL, "%s: unknown kind of setting", s->name);
}

Err config_load(const Setting *table, size_t count, Arena *mem, void *into)
{
    ConfigFile file;

    TRY(load_file(mem, &file));
    for (size_t i = 0; i < count; i++) {
        Found found;
        TRY(find_value(mem, &file, &table[i], &found));
        TRY(store_value(mem, &table[i], &found, into));
    }
    return OK;
}

bool config_list_next(Slice *rest, Slice *out)
{
    while (rest->len) {
        Slice item;
        (void)slice_cut(*rest, ',', &item, rest); /* no comma: the last item */
        item = slice_trim(item);
        if (item.len) {
            *out = item;
            return true;
        }
    }
    return false;
}

/* ---------------------------------------------------------------------------------------------------- printing */

static void print_range(const Setting *s, FILE *to)
{
    switch (s->kind) {
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_BYTES:
        (void)fprintf(to, " %" PRId64 " to %" PRId64 "%s.", s->min, s->max, unit_name(s->kind));
        break;
    case CONFIG_BOOL:
        (void)fputs(" true or false.", to);
        break;
    case CONFIG_LIST:
        (void)fputs(" Comma-separated.", to);
        break;
    case CONFIG_TEXT:
        if (s->min > 1)
            (void)fprintf(to, " At least %" PRId64 " bytes.", s->min);
        break;
    }
    if (s->flags & SETTING_REQUIRED)
        (void)fputs(" Required.", to);
    if (s->flags & SETTING_SECRET)
        (void)fprintf(to, " A secret: better a file, named by %s_FILE.", s->name);
}

void config_print_help(const Setting *table, size_t count, FILE *to)
{
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(to, "  %s=%s\n      %s", table[i].name, table[i].fallback, table[i].help);
        print_range(&table[i], to);
        (void)fputc('\n', to);
    }
}

static void print_value(const Setting *s, const void *member, FILE *to)
{
    switch (s->kind) {
    case CONFIG_TEXT:
    case CONFIG_LIST:
        (void)fputs(*(const char *const *)member, to);
        break;
    case CONFIG_BOOL:
        (void)fputs(*(const bool *)member ? "true" : "false", to);
        break;
    case CONFIG_INT:
    case CONFIG_BYTES:
        (void)fprintf(to, "%" PRId64, *(const int64_t *)member);
        break;
    case CONFIG_DURATION:
        (void)fprintf(to, "%" PRId64 "ms", *(const int64_t *)member);
        break;
    }
}

void config_print(const Setting *table, size_t count, const void *from, FILE *to)
{
    for (size_t i = 0; i < count; i++) {
        const void *member = (const char *)from + table[i].offset;
        (void)fprintf(to, "%s = ", table[i].name);
        if (table[i].flags & SETTING_SECRET)
            (void)fputs(**(const char *const *)member ? "(set)" : "(empty)", to);
        else
            print_value(&table[i], member, to);
        (void)fputc('\n', to);
    }
}

/* "services/auth/settings.def" is auth's section, shared/settings.def everybody's. */
static Slice section_of(const UnionRow *row)
{
    Slice path = slice(row->file), part = SLICE_LIT("services/");
    ptrdiff_t at = slice_find(path, part);

    if (slice_ends_with(path, SLICE_LIT("settings_bytes.def")))
        return SLICE_LIT("services with a data plane");
    if (at < 0)
        return SLICE_LIT("all services");
    path = slice_skip(path, (size_t)at + part.len);
    return slice_take(path, (size_t)MAX(slice_find_char(path, '/'), 0));
}

static bool stands_before(size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (!strcmp(UNION[i].setting.name, UNION[index].setting.name))
            return true;
    }
    return false;
}

/* A setting that several services share is explained in the first one's section. */
static void print_other_users(size_t index, FILE *to)
{
    const char *lead = " Also of ";

    for (size_t i = index + 1; i < ARRAY_LEN(UNION); i++) {
        if (!strcmp(UNION[i].setting.name, UNION[index].setting.name)) {
            (void)fprintf(to, "%s" SLICE_FMT, lead, SLICE_ARG(section_of(&UNION[i])));
            lead = ", ";
        }
    }
    if (lead[0] == ',')
        (void)fputc('.', to);
}

static void print_heading(Slice title, FILE *to)
{
    (void)fprintf(to, "\n# ---- " SLICE_FMT " ----\n", SLICE_ARG(title));
}

void config_print_example(FILE *to)
{
    Slice section = {NULL, 0};

    (void)fputs("# Every setting with its default, made from the settings.def files: not edited by hand.\n"
                "# Values from here go into the environment, or into the file that ATRIUM_CONFIG names.\n",
                to);
    for (size_t i = 0; i < ARRAY_LEN(UNION); i++) {
        const Setting *s = &UNION[i].setting;
        if (stands_before(i))
            continue;
        if (!slice_eq(section, section_of(&UNION[i]))) {
            section = section_of(&UNION[i]);
            print_heading(section, to);
        }
        (void)fprintf(to, "\n# %s", s->help);
        print_range(s, to);
        print_other_users(i, to);
        (void)fprintf(to, "\n%s=%s\n", s->name, s->flags & SETTING_SECRET ? "" : s->fallback);
    }
    print_heading(SLICE_LIT("known from the systems that Atrium replaces; nothing reads these"), to);
    for (size_t i = 0; i < ARRAY_LEN(ORIGINALS); i++) {
        if (!is_setting(slice(ORIGINALS[i].name)))
            (void)fprintf(to, "# %s (%s): %s\n", ORIGINALS[i].name, ORIGINALS[i].from, ORIGINALS[i].note);
    }
}
