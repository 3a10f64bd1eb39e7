/* text: see text.h. Entities are libxml2's table, Unicode is ICU's. */
#include "services/events/text.h"

#include <libxml/HTMLparser.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#include "shared/strbuf.h"

enum {
    ENTITY_NAME_MAX_BYTES = 10, /* "thetasym" is the longest of HTML 4, and a few to spare */
    ENTITY_DIGITS_MAX = 8,
    STRIP_PASSES_MAX = 8, /* of markup that comes to light when markup in it is gone */
    COURSE_COUNT_MIN = 2
};

/* --- characters -------------------------------------------------------------------------------------------------- */
static uint32_t decode(Slice s, size_t len)
{
    static const unsigned char FIRST[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (unsigned char)s.ptr[0] & FIRST[len];

    for (size_t i = 1; i < len; i++)
        code = code << 6 | ((unsigned char)s.ptr[i] & 0x3f);
    return code;
}

static void append_code(StrBuf *out, uint32_t code)
{
    if (code < 0x80) {
        strbuf_append_char(out, (char)code);
    } else if (code < 0x800) {
        strbuf_append_char(out, (char)(0xc0 | code >> 6));
        strbuf_append_char(out, (char)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        strbuf_append_char(out, (char)(0xe0 | code >> 12));
        strbuf_append_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
        strbuf_append_char(out, (char)(0x80 | (code & 0x3f)));
    } else {
        strbuf_append_char(out, (char)(0xf0 | code >> 18));
        strbuf_append_char(out, (char)(0x80 | (code >> 12 & 0x3f)));
        strbuf_append_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
        strbuf_append_char(out, (char)(0x80 | (code & 0x3f)));
    }
}

static bool code_is_space(uint32_t code)
{
    return (code >= 0x09 && code <= 0x0d) || code == 0x20 || code == 0x85 || code == 0xa0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f ||
           code == 0x3000;
}

/* Invisible, and of no use in a line: marks of where to break and not to, deprecated ones, and overrides of direction,
 * which have a text read otherwise than it is. Joiners and isolates are letters' business and stay. */
static bool code_is_hidden(uint32_t code)
{
    return code == 0xfeff || code == 0x200b || code == 0xad || code == 0x180e || (code >= 0x202a && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x2065) || (code >= 0x206a && code <= 0x206f) ||
           (code >= 0xfff9 && code <= 0xfffb);
}

/* Of XML 1.0, less the controls of C1 and what is hidden: texts go into feeds and pages. */
static bool code_is_kept(uint32_t code)
{
    return (code >= 0x20 && code < 0x7f) ||
           (code >= 0xa0 && code <= 0x10ffff && !code_is_hidden(code) && (code & 0xfffe) != 0xfffe &&
            !(code >= 0xd800 && code < 0xe000) && !(code >= 0xfdd0 && code <= 0xfdef));
}

/* --- entities ---------------------------------------------------------------------------------------------------- */
/* What 0x80 to 0x9f mean in numeric entities, since those who write them think of windows-1252 (HTML's own rule). */
static const uint16_t OF_WINDOWS[32] = {0x20ac, 0x81,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
                                        0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d,   0x017d, 0x8f,
                                        0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                        0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d,   0x017e, 0x0178};

static int digit_value(char c, int base)
{
    int value = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : 99;

    return value < base ? value : -1;
}

/* "#233;" or "#xE9;", behind the "&". The bytes it takes, 0 for none. */
static size_t read_number(Slice s, uint32_t *out)
{
    bool hex = s.len > 1 && (s.ptr[1] == 'x' || s.ptr[1] == 'X');
    size_t start = hex ? 2 : 1, at = start;
    uint32_t code = 0;

    while (at < s.len && at - start < ENTITY_DIGITS_MAX && digit_value(s.ptr[at], hex ? 16 : 10) >= 0)
        code = code * (hex ? 16 : 10) + (uint32_t)digit_value(s.ptr[at++], hex ? 16 : 10);
    if (at == start || at == s.len || s.ptr[at] != ';')
        return 0;
    *out = code >= 0x80 && code < 0xa0 ? OF_WINDOWS[code - 0x80] : code;
    return at + 1;
}

/* "eacute;", behind the "&". */
static size_t read_name(Slice s, uint32_t *out)
{
    char name[ENTITY_NAME_MAX_BYTES + 1];
    const htmlEntityDesc *entity;
    size_t len = 0;

    while (len < s.len && len < ENTITY_NAME_MAX_BYTES && s.ptr[len] != ';') {
        name[len] = s.ptr[len];
        len++;
    }
    if (len == 0 || len == s.len || s.ptr[len] != ';' || memchr(name, 0, len))
        return 0;
    name[len] = 0;
    entity = htmlEntityLookup((const xmlChar *)name);
    if (!entity)
        return 0;
    *out = entity->value;
    return len + 1;
}

static Slice decode_entities(Arena *mem, Slice raw)
{
    StrBuf out = strbuf_new(mem, raw.len + 1);
    Slice rest = raw;

    if (slice_find_char(raw, '&') < 0)
        return raw;
    while (rest.len) {
        ptrdiff_t at = slice_find_char(rest, '&');
        uint32_t code = 0;
        size_t used;

        strbuf_append(&out, at < 0 ? rest : slice_take(rest, (size_t)at));
        if (at < 0)
            break;
        rest = slice_skip(rest, (size_t)at + 1);
        used = rest.len && rest.ptr[0] == '#' ? read_number(rest, &code) : read_name(rest, &code);
        if (!used) {
            strbuf_append_char(&out, '&');
            continue;
        }
        rest = slice_skip(rest, used);
        if (code_is_kept(code) || code_is_space(code))
            append_code(&out, code);
    }
    return strbuf_slice(&out);
}

/* --- markup ------------------------------------------------------------------------------------------------------ */
static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* "I <3 you" and "a < b" are no markup. */
static bool begins_tag(Slice s)
{
    return s.len > 1 && s.ptr[0] == '<' && (is_letter(s.ptr[1]) || strchr("/!?", s.ptr[1]) != NULL) && s.ptr[1] != 0;
}

static bool name_is(Slice name, const char *const *names)
{
    for (; *names; names++)
        if (slice_eq_nocase(name, slice(*names)))
            return true;
    return false;
}

static Slice tag_name(Slice tag)
{
    size_t start = tag.len > 1 && tag.ptr[1] == '/' ? 2 : 1, end = start;

    while (end < tag.len && (is_letter(tag.ptr[end]) || (tag.ptr[end] >= '0' && tag.ptr[end] <= '9')))
        end++;
    return slice_take(slice_skip(tag, start), end - start);
}

/* The length of the tag or comment that `s` begins with; all of `s` when it does not end. */
static size_t tag_length(Slice s)
{
    char quote = 0;

    if (slice_starts_with(s, SLICE_LIT("<!--"))) {
        ptrdiff_t end = slice_find(slice_skip(s, 4), SLICE_LIT("-->"));

        return end < 0 ? s.len : (size_t)end + 7;
    }
    for (size_t i = 1; i < s.len; i++) {
        char c = s.ptr[i];

        if (quote)
            quote = c == quote ? 0 : quote;
        else if (c == '>')
            return i + 1;
        else if ((c == '"' || c == '\'') && s.ptr[i - 1] == '=')
            quote = c;
    }
    return s.len;
}

/* What stands between the tags of these is no text. */
static size_t skip_content(Slice s, Slice name)
{
    for (size_t i = 0; i + name.len + 2 <= s.len; i++)
        if (s.ptr[i] == '<' && s.ptr[i + 1] == '/' && slice_eq_nocase(slice_of(s.ptr + i + 2, name.len), name))
            return i;
    return s.len;
}

static Slice strip_once(Arena *mem, Slice text, bool *out_found)
{
    static const char *const SILENT[] = {"script", "style", "template", "noscript", "iframe", "object", NULL};
    static const char *const BLOCKS[] = {"p",  "div", "li", "ul",    "ol",         "h1",      "h2",      "h3", "h4",
                                         "h5", "h6",  "tr", "table", "blockquote", "section", "article", "hr", NULL};
    StrBuf out = strbuf_new(mem, text.len * 2 + 1);

    while (text.len) {
        ptrdiff_t at = slice_find_char(text, '<');
        Slice tag, name;

        strbuf_append(&out, at < 0 ? text : slice_take(text, (size_t)at));
        if (at < 0)
            break;
        text = slice_skip(text, (size_t)at);
        if (!begins_tag(text)) {
            strbuf_append_char(&out, '<');
            text = slice_skip(text, 1);
            continue;
        }
        *out_found = true;
        tag = slice_take(text, tag_length(text));
        name = tag_name(tag);
        text = slice_skip(text, tag.len);
        if (tag.ptr[1] != '/' && name_is(name, SILENT))
            text = slice_skip(text, skip_content(text, name));
        if (name_is(name, BLOCKS))
            strbuf_append_cstr(&out, "\n\n");
        else if (slice_eq_nocase(name, SLICE_LIT("br")))
            strbuf_append_char(&out, '\n');
    }
    return strbuf_slice(&out);
}

/* "<<b>script>" has a tag in it that shows only when the inner one is gone. Who nests deeper loses every "<". */
static Slice strip_markup(Arena *mem, Slice text)
{
    StrBuf out;
    bool found = slice_find_char(text, '<') >= 0;

    for (int pass = 0; found && pass < STRIP_PASSES_MAX; pass++) {
        found = false;
        text = strip_once(mem, text, &found);
    }
    if (!found)
        return text;
    out = strbuf_new(mem, text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '<')
            strbuf_append_char(&out, text.ptr[i]);
    return strbuf_slice(&out);
}

/* --- white space ------------------------------------------------------------------------------------------------- */
static Slice collapse(Arena *mem, Slice text, TextShape shape)
{
    StrBuf out = strbuf_new(mem, text.len * 2 + 1);
    int breaks = 0;
    bool space = false;

    while (text.len) {
        size_t len = utf8_first(text);
        uint32_t code;

        if (len == 0) { /* callers give valid text; nothing else passes */
            text = slice_skip(text, 1);
            continue;
        }
        code = decode(text, len);
        if (shape != TEXT_MARKUP_KEPT && code_is_space(code)) {
            space = true;
            breaks += code == '\n' || code == 0x85 || code == 0x2028 ? 1 : code == 0x2029 ? 2 : 0;
        } else if (code_is_kept(code) || code_is_space(code)) {
            if (space && out.len)
                strbuf_append_cstr(&out, shape == TEXT_PARAGRAPHS && breaks > 1 ? "\n\n" : " ");
            space = false;
            breaks = 0;
            strbuf_append(&out, slice_take(text, len));
        }
        text = slice_skip(text, len);
    }
    return strbuf_slice(&out);
}

/* Joiners and marks of direction without a letter that they could be for. */
static bool shows_nothing(Slice text)
{
    while (text.len) {
        size_t len = utf8_first(text);
        uint32_t code = decode(text, len);

        if (!code_is_space(code) && u_charType((UChar32)code) != U_FORMAT_CHAR)
            return false;
        text = slice_skip(text, len);
    }
    return true;
}

Slice text_clean(Arena *mem, Slice raw, TextShape shape)
{
    Slice text = collapse(mem, raw, TEXT_MARKUP_KEPT); /* what is dropped must not join a tag afterwards */

    if (shape == TEXT_MARKUP_KEPT)
        return text;
    text = collapse(mem, strip_markup(mem, decode_entities(mem, text)), shape);
    return shows_nothing(text) ? SLICE_LIT("") : text;
}

/* --- comparing --------------------------------------------------------------------------------------------------- */
static bool is_ascii(Slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] >= 0x80)
            return false;
    return true;
}

static Slice lower_ascii(Arena *mem, Slice s)
{
    char *out = arena_strndup(mem, s.ptr, s.len);

    for (size_t i = 0; i < s.len; i++)
        if (out[i] >= 'A' && out[i] <= 'Z')
            out[i] = (char)(out[i] | 0x20);
    return slice_of(out, s.len);
}

Slice text_lower(Arena *mem, Slice text)
{
    UErrorCode status = U_ZERO_ERROR;
    int32_t room = (int32_t)text.len * 3 + 1, len = 0, bytes = 0; /* one letter may become three */
    UChar *wide, *low;
    char *out;

    if (is_ascii(text))
        return lower_ascii(mem, text);
    wide = ARENA_ARRAY(mem, UChar, room);
    low = ARENA_ARRAY(mem, UChar, room);
    out = arena_alloc_raw(mem, (size_t)room * 3, 1);
    u_strFromUTF8(wide, room, &len, text.ptr, (int32_t)text.len, &status);
    len = u_strToLower(low, room, wide, len, "", &status);
    u_strToUTF8(out, room * 3, &bytes, low, len, &status);
    return U_SUCCESS(status) ? slice_of(out, (size_t)bytes) : lower_ascii(mem, text);
}

/* Letters with a stroke, which Unicode does not decompose. */
static const char *plain_letter(uint32_t code)
{
    switch (code) {
    case 0xe6:
        return "ae";
    case 0xf0:
    case 0x111:
        return "d";
    case 0xf8:
        return "o";
    case 0x127:
        return "h";
    case 0x131:
        return "i";
    case 0x142:
        return "l";
    case 0x153:
        return "oe";
    default:
        return NULL;
    }
}

static UChar *normalized(Arena *mem, const UNormalizer2 *by, const UChar *in, int32_t len, int32_t *out_len)
{
    UErrorCode status = U_ZERO_ERROR;
    int32_t room = len * 4 + 32;

    for (int attempt = 0; attempt < 2; attempt++) {
        UChar *out = ARENA_ARRAY(mem, UChar, (size_t)room + 1);
        int32_t got = unorm2_normalize(by, in, len, out, room, &status);

        if (U_SUCCESS(status)) {
            *out_len = got;
            return out;
        }
        if (status != U_BUFFER_OVERFLOW_ERROR)
            break;
        room = got; /* a letter may become eighteen */
        status = U_ZERO_ERROR;
    }
    return NULL;
}

static Slice without_marks(Arena *mem, const UChar *in, int32_t len)
{
    StrBuf out = strbuf_new(mem, (size_t)len * 4 + 1);
    Slice text;

    for (int32_t i = 0; i < len;) {
        UChar32 code;
        const char *plain;

        U16_NEXT(in, i, len, code);
        if (u_charType(code) == U_NON_SPACING_MARK || U_IS_SURROGATE(code))
            continue;
        plain = plain_letter((uint32_t)code);
        if (plain)
            strbuf_append_cstr(&out, plain);
        else
            append_code(&out, (uint32_t)code);
    }
    return strbuf_finish(&out, &text) ? text : SLICE_LIT("");
}

Slice text_fold(Arena *mem, Slice text)
{
    UErrorCode status = U_ZERO_ERROR;
    const UNormalizer2 *fold, *apart;
    UChar *wide, *folded;
    int32_t wide_len = 0, len = 0;

    if (is_ascii(text))
        return lower_ascii(mem, text);
    fold = unorm2_getNFKCCasefoldInstance(&status);
    apart = unorm2_getNFKDInstance(&status);
    wide = ARENA_ARRAY(mem, UChar, text.len + 1);
    u_strFromUTF8(wide, (int32_t)text.len + 1, &wide_len, text.ptr, (int32_t)text.len, &status);
    if (U_FAILURE(status))
        return lower_ascii(mem, text);
    folded = normalized(mem, fold, wide, wide_len, &len);
    folded = folded ? normalized(mem, apart, folded, len, &len) : NULL;
    return folded ? without_marks(mem, folded, len) : lower_ascii(mem, text);
}

Slice text_key(Arena *mem, Slice name)
{
    Slice folded = text_fold(mem, name), rest = folded, key;
    StrBuf out = strbuf_new(mem, folded.len * 3 + 8);
    bool space = false;

    while (rest.len) {
        size_t len = utf8_first(rest);
        uint32_t code = len ? decode(rest, len) : 0;
        bool word = len && (u_isalnum((UChar32)code) || u_charType((UChar32)code) == U_COMBINING_SPACING_MARK ||
                            u_charType((UChar32)code) == U_OTHER_SYMBOL);

        if (word || code == '&') {
            if ((space || code == '&') && out.len)
                strbuf_append_char(&out, ' ');
            if (code == '&')
                strbuf_append_cstr(&out, "and");
            else
                strbuf_append(&out, slice_take(rest, len));
        }
        space = !word;
        rest = slice_skip(rest, len ? len : 1);
    }
    key = strbuf_slice(&out);
    return key.len ? key : slice_trim(folded);
}

bool text_key_is_course(Slice key)
{
    static const char *const UNITS[] = {"week",   "weeks",   "session",  "sessions", "class", "classes",
                                        "lesson", "lessons", "semaines", "seances",  NULL};
    Slice rest = key, word, before = SLICE_LIT("");

    while (rest.len) {
        int64_t count;

        (void)slice_cut(rest, ' ', &word, &rest);
        if (slice_eq_cstr(word, "weekly") || slice_eq_cstr(word, "biweekly"))
            return true;
        if (slice_eq_cstr(word, "series") && (slice_eq_cstr(before, "workshop") || slice_eq_cstr(before, "class") ||
                                              slice_eq_cstr(before, "course") || slice_eq_cstr(before, "lecture")))
            return true;
        if (name_is(word, UNITS) && slice_to_int64(before, &count) && count >= COURSE_COUNT_MIN)
            return true;
        before = word;
    }
    return false;
}
