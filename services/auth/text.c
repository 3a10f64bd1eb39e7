/* text: what usernames and e-mail addresses may look like. */
#include "services/auth/text.h"

#include "services/auth/auth.h"
#include "shared/id.h"

enum { LOCAL_PART_MAX_BYTES = 64, LABEL_MAX_BYTES = 63, USERNAME_STEM_CHARS = 23 };

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool username_valid(Slice name)
{
    if (name.len < USERNAME_MIN_CHARS || name.len > USERNAME_MAX_CHARS)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_alphanumeric(name.ptr[i]) && name.ptr[i] != '_')
            return false;
    return true;
}

/* RFC 5322 atoms between dots; quoted local parts and anything outside ASCII are not taken. */
static const char *check_local_part(Slice local)
{
    if (local.len == 0)
        return "There must be something before the @-sign.";
    if (local.len > LOCAL_PART_MAX_BYTES)
        return "The email address is too long before the @-sign.";
    if (local.ptr[0] == '.' || local.ptr[local.len - 1] == '.')
        return "An email address cannot start with a period, nor have one right before the @-sign.";
    for (size_t i = 0; i < local.len; i++) {
        char c = local.ptr[i];
        if (c == '.' && local.ptr[i + 1] == '.')
            return "An email address cannot have two periods in a row.";
        if (c != '.' && !is_alphanumeric(c) && (c == '\0' || !strchr("!#$%&'*+-/=?^_`{|}~", c)))
            return "The email address contains invalid characters before the @-sign.";
    }
    return NULL;
}

static bool label_valid(Slice label)
{
    if (label.len == 0 || label.len > LABEL_MAX_BYTES || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_alphanumeric(label.ptr[i]) && label.ptr[i] != '-')
            return false;
    return true;
}

/* Names that are special by RFC 6761, 6762 and 7686: no mail arrives there. */
static bool name_is_reserved(Slice top)
{
    static const char *const NAMES[] = {"arpa", "invalid", "local", "localhost", "onion", "test"};

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (slice_eq_nocase(top, slice(NAMES[i])))
            return true;
    return false;
}

static const char *check_domain(Slice domain, bool allow_reserved)
{
    Slice label, rest = domain;
    size_t labels = 0;

    if (domain.len == 0)
        return "There must be something after the @-sign.";
    for (bool more = true; more; labels++) {
        more = slice_cut(rest, '.', &label, &rest);
        if (!label_valid(label))
            return "The part after the @-sign is not a valid domain name.";
    }
    if (!allow_reserved && name_is_reserved(label))
        return "The part after the @-sign is a special-use or reserved name that cannot be used with email.";
    if (labels < 2 && !allow_reserved)
        return "The part after the @-sign is not valid. It should have a period.";
    return NULL;
}

const char *email_parse(Slice text, bool allow_reserved, Slice *out)
{
    Slice address = slice_trim(text), local, domain;
    const char *problem;

    if (slice_ends_with(address, SLICE_LIT(">"))) {
        ptrdiff_t open = slice_find_char(address, '<');
        if (open >= 0)
            address = slice_of(address.ptr + open + 1, address.len - (size_t)open - 2);
    }
    if (address.len > EMAIL_MAX_BYTES)
        return "The email address is too long.";
    if (!slice_cut(address, '@', &local, &domain))
        return "An email address must have an @-sign.";
    problem = check_local_part(local);
    if (!problem)
        problem = check_domain(domain, allow_reserved);
    if (!problem)
        *out = address;
    return problem;
}

char *username_for_email(Arena *mem, Slice email, int attempt)
{
    char stem[USERNAME_STEM_CHARS + 1];
    size_t len = 0;

    for (size_t i = 0; i < email.len && email.ptr[i] != '@' && email.ptr[i] != '+' && len < USERNAME_STEM_CHARS; i++)
        stem[len++] = is_alphanumeric(email.ptr[i]) ? email.ptr[i] : '_';
    stem[len] = '\0';
    if (attempt == 0 && len >= USERNAME_MIN_CHARS)
        return arena_strdup(mem, stem);
    return arena_printf(mem, "%s_%08" PRIx32, stem, (uint32_t)random_uint64());
}

char *text_of_header(Arena *mem, const char *value, size_t max_bytes)
{
    Slice text = slice(value);
    char *copy;

    copy = arena_strndup(mem, text.ptr ? text.ptr : "", MIN(text.len, max_bytes));
    /* Headers are bytes; a cut letter or another encoding would be refused by the database. */
    if (!utf8_valid(slice(copy)))
        for (char *c = copy; *c; c++)
            if ((unsigned char)*c >= 0x80)
                *c = '?';
    return copy;
}
