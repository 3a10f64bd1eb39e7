/* Fuzz target: usernames, e-mail addresses and header texts of strangers. */
#include "services/auth/text.h"

#include "services/auth/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    Slice text = slice_of(arena_memdup(mem, data, len), len), address, again;

    if (username_valid(text))
        check(text.len >= USERNAME_MIN_CHARS && text.len <= USERNAME_MAX_CHARS && utf8_valid(text));
    if (utf8_valid(text) && !email_parse(text, len & 1, &address)) {
        check(address.len > 2 && address.len <= EMAIL_MAX_BYTES && slice_find_char(address, '@') > 0);
        check(address.ptr >= text.ptr && address.ptr + address.len <= text.ptr + text.len);
        check(!email_parse(address, len & 1, &again) && slice_eq(address, again));
        for (int attempt = 0; attempt < 3; attempt++)
            check(username_valid(slice(username_for_email(mem, address, attempt))));
    }
    check(utf8_valid(slice(text_of_header(mem, slice_cstr(mem, text), USER_AGENT_MAX_BYTES))));
    return 0;
}
