/* config: settings from the environment, from NAME_FILE files and from one KEY = VALUE file.
 *
 * A service's settings stand in services/<name>/settings.def, one row each; the shared ones in
 * shared/settings.def. The rows make the struct, the table, --help, .env.example and the union that a
 * configuration file is checked against:
 *
 *   SETTING(INT, pool_size, "DB_POOL_SIZE", "4", 1, 64, 0, "Database connections of this service.")
 *
 *   typedef struct AuthSettings {
 *   #define SETTING CONFIG_MEMBER
 *   #include "services/auth/settings.def"
 *   #undef SETTING
 *   } AuthSettings;
 *
 * Order of precedence: environment (NAME, then NAME_FILE), the file (the same), the default. An empty environment
 * variable counts as unset; an empty value in the file is a value. The file is the first that can be read of
 * $ATRIUM_CONFIG (must exist when set), ./atrium.toml, /etc/atrium/config.toml; `#` and `[` lines are skipped, values
 * may stand in double quotes. Variables of the replaced systems that nothing uses are known too, and noted. */
#pragma once
#include "shared/err.h"
#include "shared/slice.h"

typedef enum SettingKind {
    CONFIG_TEXT,     /* const char *, "" when empty; min..max is its length in bytes */
    CONFIG_INT,      /* int64_t in min..max */
    CONFIG_BOOL,     /* true/false, yes/no, on/off, 1/0 */
    CONFIG_DURATION, /* int64_t milliseconds; "250ms", "30s", "15m", "24h", "7d", bare number is seconds */
    CONFIG_BYTES,    /* int64_t; "16", "64K", "10M", "2G" (powers of 1024) */
    CONFIG_LIST      /* const char *, comma-separated; see config_list_next */
} SettingKind;

enum {
    SETTING_SECRET = 1,  /* never printed */
    SETTING_REQUIRED = 2 /* an empty value stops the start */
};

typedef struct Setting {
    const char *name; /* "DB_POOL_SIZE" */
    SettingKind kind;
    size_t offset;
    const char *fallback;
    int64_t min, max;
    int flags;
    const char *help;
} Setting;

#define CONFIG_TYPE_TEXT const char *
#define CONFIG_TYPE_LIST const char *
#define CONFIG_TYPE_INT int64_t
#define CONFIG_TYPE_DURATION int64_t
#define CONFIG_TYPE_BYTES int64_t
#define CONFIG_TYPE_BOOL bool
#define CONFIG_MEMBER(kind, field, name, fallback, min, max, flags, help) CONFIG_TYPE_##kind field;
/* Use with `#define CONFIG_STRUCT AuthSettings` in force. */
#define CONFIG_ROW(kind, field, name, fallback, min, max, flags, help)                                                 \
    {name, CONFIG_##kind, offsetof(CONFIG_STRUCT, field), fallback, min, max, flags, help},

/* Fills `into` (the struct of the table); texts are borrowed from `mem`. Reports the first wrong value with its name
 * and why, and where it stood. A key of the file that no service knows is an error with file and line. */
Err config_load(const Setting *table, size_t count, Arena *mem, void *into) MUST_CHECK;

/* For --help: name, default, range, help, one setting a paragraph. */
void config_print_help(const Setting *table, size_t count, FILE *to);
/* For `config dump`: NAME = value, secrets as "(set)" or "(empty)". */
void config_print(const Setting *table, size_t count, const void *from, FILE *to);
/* The union of all services' settings as .env.example. */
void config_print_example(FILE *to);
/* Is `name` a setting of any service (or one with _FILE), or a known variable of the originals? */
bool config_name_known(Slice name);
/* Calls `note` for each environment variable that is known from an original and does nothing here; `why` says what
 * takes its place. For a line in the log at start. */
void config_note_originals(void (*note)(void *data, const char *name, const char *why), void *data);

/* Next item of a CONFIG_LIST value, trimmed; false at the end. Start with *rest = slice(value). */
bool config_list_next(Slice *rest, Slice *out);
