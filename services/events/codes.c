/* codes: see codes.h. Countries and their names are ICU's. */
#include "services/events/codes.h"

#include <unicode/uloc.h>
#include <unicode/ustring.h>

#include "services/events/text.h"

enum { COUNTRY_NAME_MAX_BYTES = 100, COUNTRY_NAME_CHARS = 128, LANGUAGE_MAX_BYTES = 35, REGION_CODE_BYTES = 2 };

static const char *upper(Arena *mem, Slice s)
{
    char *out = arena_strndup(mem, s.ptr, s.len);

    for (char *c = out; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c & ~0x20);
    return out;
}

static bool is_letters(Slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((s.ptr[i] | 0x20) < 'a' || (s.ptr[i] | 0x20) > 'z')
            return false;
    return s.len > 0;
}

/* --- countries --------------------------------------------------------------------------------------------------- */
/* What ICU calls otherwise, by key. */
static const struct {
    const char *key, *code;
} COUNTRY_NAMES[] = {{"usa", "US"},      {"u s a", "US"}, {"u s", "US"},           {"united states of america", "US"},
                     {"uk", "GB"},       {"u k", "GB"},   {"great britain", "GB"}, {"england", "GB"},
                     {"scotland", "GB"}, {"wales", "GB"}, {"holland", "NL"},       {"czech republic", "CZ"},
                     {"turkiye", "TR"}};

static const char *country_of_code(Arena *mem, Slice code)
{
    const char *const *list = uloc_getISOCountries();
    char locale[8];

    for (; *list; list++) {
        if (code.len == 2 && slice_eq_nocase(slice(*list), code))
            return upper(mem, code);
        snprintf(locale, sizeof(locale), "und_%s", *list);
        if (code.len == 3 && slice_eq_nocase(slice(uloc_getISO3Country(locale)), code))
            return arena_strdup(mem, *list);
    }
    return NULL;
}

static Slice display_key(Arena *mem, const char *country, const char *language)
{
    UChar wide[COUNTRY_NAME_CHARS];
    char narrow[COUNTRY_NAME_CHARS * 3 + 1], locale[8];
    UErrorCode status = U_ZERO_ERROR;
    int32_t len, bytes = 0;

    snprintf(locale, sizeof(locale), "und_%s", country);
    len = uloc_getDisplayCountry(locale, language, wide, ARRAY_LEN(wide), &status);
    u_strToUTF8(narrow, sizeof(narrow), &bytes, wide, len, &status);
    return U_SUCCESS(status) ? text_key(mem, slice_of(narrow, (size_t)bytes)) : SLICE_LIT("");
}

static const char *country_of_name(Arena *mem, Slice key)
{
    static const char *const LANGUAGES[] = {"en", "fr", "de", "es"};

    for (size_t i = 0; i < ARRAY_LEN(COUNTRY_NAMES); i++)
        if (slice_eq_cstr(key, COUNTRY_NAMES[i].key))
            return COUNTRY_NAMES[i].code;
    if (slice_eq_cstr(key, "canada"))
        return "CA";
    for (size_t i = 0; i < ARRAY_LEN(LANGUAGES); i++)
        for (const char *const *code = uloc_getISOCountries(); *code; code++)
            if (slice_eq(display_key(mem, *code, LANGUAGES[i]), key))
                return arena_strdup(mem, *code);
    return NULL;
}

const char *code_country(Arena *mem, Slice name)
{
    const char *code = NULL;

    if (name.len == 0 || name.len > COUNTRY_NAME_MAX_BYTES)
        return slice_cstr(mem, name);
    if (name.len <= 3 && is_letters(name))
        code = country_of_code(mem, name);
    if (!code)
        code = country_of_name(mem, text_key(mem, name));
    return code ? code : slice_cstr(mem, name);
}

/* --- regions ----------------------------------------------------------------------------------------------------- */
static const struct {
    const char *country, *code, *key;
} REGIONS[] = {
    {"CA", "AB", "alberta"},
    {"CA", "BC", "british columbia"},
    {"CA", "BC", "colombie britannique"},
    {"CA", "MB", "manitoba"},
    {"CA", "NB", "new brunswick"},
    {"CA", "NB", "nouveau brunswick"},
    {"CA", "NL", "newfoundland and labrador"},
    {"CA", "NL", "newfoundland"},
    {"CA", "NS", "nova scotia"},
    {"CA", "NS", "nouvelle ecosse"},
    {"CA", "NT", "northwest territories"},
    {"CA", "NU", "nunavut"},
    {"CA", "ON", "ontario"},
    {"CA", "PE", "prince edward island"},
    {"CA", "QC", "quebec"},
    {"CA", "SK", "saskatchewan"},
    {"CA", "YT", "yukon"},
    {"US", "AL", "alabama"},
    {"US", "AK", "alaska"},
    {"US", "AZ", "arizona"},
    {"US", "AR", "arkansas"},
    {"US", "CA", "california"},
    {"US", "CO", "colorado"},
    {"US", "CT", "connecticut"},
    {"US", "DE", "delaware"},
    {"US", "DC", "district of columbia"},
    {"US", "FL", "florida"},
    {"US", "GA", "georgia"},
    {"US", "HI", "hawaii"},
    {"US", "ID", "idaho"},
    {"US", "IL", "illinois"},
    {"US", "IN", "indiana"},
    {"US", "IA", "iowa"},
    {"US", "KS", "kansas"},
    {"US", "KY", "kentucky"},
    {"US", "LA", "louisiana"},
    {"US", "ME", "maine"},
    {"US", "MD", "maryland"},
    {"US", "MA", "massachusetts"},
    {"US", "MI", "michigan"},
    {"US", "MN", "minnesota"},
    {"US", "MS", "mississippi"},
    {"US", "MO", "missouri"},
    {"US", "MT", "montana"},
    {"US", "NE", "nebraska"},
    {"US", "NV", "nevada"},
    {"US", "NH", "new hampshire"},
    {"US", "NJ", "new jersey"},
    {"US", "NM", "new mexico"},
    {"US", "NY", "new york"},
    {"US", "NC", "north carolina"},
    {"US", "ND", "north dakota"},
    {"US", "OH", "ohio"},
    {"US", "OK", "oklahoma"},
    {"US", "OR", "oregon"},
    {"US", "PA", "pennsylvania"},
    {"US", "RI", "rhode island"},
    {"US", "SC", "south carolina"},
    {"US", "SD", "south dakota"},
    {"US", "TN", "tennessee"},
    {"US", "TX", "texas"},
    {"US", "UT", "utah"},
    {"US", "VT", "vermont"},
    {"US", "VA", "virginia"},
    {"US", "WA", "washington"},
    {"US", "WV", "west virginia"},
    {"US", "WI", "wisconsin"},
    {"US", "WY", "wyoming"},
};

const char *code_region(Arena *mem, Slice name, const char *country)
{
    Slice key;

    if (name.len == 0 || name.len > COUNTRY_NAME_MAX_BYTES)
        return slice_cstr(mem, name);
    key = text_key(mem, name);
    for (size_t i = 0; i < ARRAY_LEN(REGIONS); i++) {
        if (country[0] && strcmp(country, REGIONS[i].country) != 0)
            continue;
        if (slice_eq_cstr(key, REGIONS[i].key) ||
            (name.len == REGION_CODE_BYTES && slice_eq_nocase(name, slice(REGIONS[i].code))))
            return REGIONS[i].code;
    }
    return slice_cstr(mem, name);
}

/* --- languages and currencies ------------------------------------------------------------------------------------ */
const char *code_language(Arena *mem, Slice tag)
{
    char out[LANGUAGE_MAX_BYTES * 2 + 1], locale[LANGUAGE_MAX_BYTES * 2 + 1];
    UErrorCode status = U_ZERO_ERROR;
    int32_t used = 0;

    if (tag.len < 2 || tag.len > LANGUAGE_MAX_BYTES || !is_letters(slice_take(tag, 2)))
        return NULL;
    (void)uloc_forLanguageTag(slice_cstr(mem, tag), locale, sizeof(locale), &used, &status);
    if (U_FAILURE(status) || (size_t)used != tag.len)
        return NULL;
    (void)uloc_toLanguageTag(locale, out, sizeof(out), 1, &status);
    return U_SUCCESS(status) ? arena_strdup(mem, out) : NULL;
}

const char *code_currency(Arena *mem, Slice name)
{
    return name.len == 3 && is_letters(name) ? upper(mem, name) : NULL;
}
