/* Fuzz target: configuration files of any content, read as the auth service reads its own. */
#include <sys/mman.h>
#include <unistd.h>

#include "shared/config.h"

typedef struct Settings {
#define SETTING CONFIG_MEMBER
#include "services/auth/settings.def"
#include "shared/settings.def"
#undef SETTING
} Settings;

#define CONFIG_STRUCT Settings
static const Setting TABLE[] = {
#define SETTING CONFIG_ROW
#include "services/auth/settings.def"

#include "shared/settings.def"
#undef SETTING
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* What was taken must keep to the table's range. */
static void check_settings(const Settings *settings)
{
    for (size_t i = 0; i < ARRAY_LEN(TABLE); i++) {
        const char *member = (const char *)settings + TABLE[i].offset;
        int64_t number;

        if (TABLE[i].kind == CONFIG_TEXT || TABLE[i].kind == CONFIG_LIST) {
            check(*(const char *const *)(const void *)member != NULL);
        } else if (TABLE[i].kind != CONFIG_BOOL) {
            memcpy(&number, member, sizeof(number));
            check(number >= TABLE[i].min && number <= TABLE[i].max);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static int fd = -1;
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    Settings settings;
    char path[32];
    Err e;

    if (slice_find(slice_of(data, len), SLICE_LIT("_FILE")) >= 0)
        return 0; /* would open any file of this machine */
    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
        check(fd >= 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        check(setenv("ATRIUM_CONFIG", path, 1) == 0);
    }
    check(ftruncate(fd, 0) == 0 && pwrite(fd, data, len, 0) == (ssize_t)len);
    e = config_load(TABLE, ARRAY_LEN(TABLE), mem, &settings);
    if (err_failed(e))
        check(e.text[0] != '\0' && strlen(e.text) < sizeof(e.text));
    else
        check_settings(&settings);
    return 0;
}
