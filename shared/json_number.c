/* json_number: decimal text to the wire's bits and back, exactly. Integers never pass through a double; doubles come
 * out as the shortest text that reads back the same. */
#include "shared/json_internal.h"

#include <math.h>

/* ---------------------------------------------------------------------------------------------------- integers */

/* The integer that a number stands for, sign apart: 5.0 and 1e3 are integers, 5.5 is not. */
static JsonOutcome to_magnitude(const JsonNumber *n, uint64_t *out)
{
    uint64_t digits = n->digits;
    int32_t exponent = n->exponent;

    if (!n->exact) /* nothing is left out below 2^64 */
        return exponent > 0 ? JSON_BAD(JSON_OUT_OF_RANGE) : JSON_BAD(JSON_WRONG_TYPE);
    for (; exponent < 0 && digits % 10 == 0 && digits; exponent++)
        digits /= 10;
    if (digits == 0)
        exponent = 0;
    if (exponent < 0)
        return JSON_BAD(JSON_WRONG_TYPE);
    for (; exponent > 0; exponent--)
        if (__builtin_mul_overflow(digits, 10, &digits))
            return JSON_BAD(JSON_OUT_OF_RANGE);
    *out = digits;
    return JSON_GOOD;
}

static JsonOutcome to_signed(const JsonNumber *n, int64_t min, int64_t max, int64_t *out)
{
    uint64_t magnitude = n->digits;

    if (n->exponent != 0 || !n->exact) {
        JsonOutcome bad = to_magnitude(n, &magnitude);
        if (bad)
            return bad;
    }
    if (magnitude > (n->negative ? 0 - (uint64_t)min : (uint64_t)max))
        return JSON_BAD(JSON_OUT_OF_RANGE);
    *out = (int64_t)(n->negative ? 0 - magnitude : magnitude);
    return JSON_GOOD;
}

static JsonOutcome to_unsigned(const JsonNumber *n, uint64_t max, uint64_t *out)
{
    uint64_t magnitude = 0;
    JsonOutcome bad = to_magnitude(n, &magnitude);

    if (bad)
        return bad;
    if (magnitude > max || (n->negative && magnitude > 0))
        return JSON_BAD(JSON_OUT_OF_RANGE);
    *out = magnitude;
    return JSON_GOOD;
}

/* ---------------------------------------------------------------------------------------------------- floats */

static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static double parse_text(const char *text, bool single)
{
    /* The C locale is never left, so the point is a point. */
    return single ? (double)strtof(text, NULL) : strtod(text, NULL);
}

/* strtod wants an end mark, which a slice has not. */
static double parse_slowly(const JsonNumber *n, bool single)
{
    char text[128], *copy = text;
    double value;

    if (n->text.len >= sizeof(text))
        copy = xmalloc(n->text.len + 1);
    memcpy(copy, n->text.ptr, n->text.len);
    copy[n->text.len] = '\0';
    value = parse_text(copy, single);
    if (copy != text)
        free(copy);
    return value;
}

static JsonOutcome to_double(const JsonNumber *n, double *out)
{
    double value;

    /* Both factors are exact, so that one rounding is left: the right one. */
    if (n->exact && n->digits <= UINT64_C(1) << 53 && n->exponent >= -22 && n->exponent <= 22) {
        value = (double)n->digits;
        value = n->exponent < 0 ? value / TENS[-n->exponent] : value * TENS[n->exponent];
        *out = n->negative ? -value : value;
        return JSON_GOOD;
    }
    value = parse_slowly(n, false);
    if (isinf(value))
        return JSON_BAD(JSON_OUT_OF_RANGE);
    *out = value;
    return JSON_GOOD;
}

static JsonOutcome to_float(const JsonNumber *n, float *out)
{
    float value;

    if (n->exact && n->digits <= 1u << 24 && n->exponent >= -10 && n->exponent <= 10) {
        value = (float)n->digits;
        value = n->exponent < 0 ? value / (float)TENS[-n->exponent] : value * (float)TENS[n->exponent];
        *out = n->negative ? -value : value;
        return JSON_GOOD;
    }
    value = (float)parse_slowly(n, true);
    if (isinf(value))
        return JSON_BAD(JSON_OUT_OF_RANGE);
    *out = value;
    return JSON_GOOD;
}

static uint64_t double_bits(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static uint64_t float_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* ---------------------------------------------------------------------------------------------------- to the wire */

static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

JsonOutcome json_number_to_bits(FieldKind kind, const JsonNumber *number, uint64_t *out)
{
    int64_t value = 0;
    double real = 0;
    float single = 0;
    JsonOutcome bad;

    switch (kind) {
    case FIELD_INT64:
    case FIELD_SFIXED64:
    case FIELD_SINT64:
        bad = to_signed(number, INT64_MIN, INT64_MAX, &value);
        *out = kind == FIELD_SINT64 ? zigzag(value) : (uint64_t)value;
        return bad;
    case FIELD_INT32:
    case FIELD_SFIXED32:
    case FIELD_SINT32:
        bad = to_signed(number, INT32_MIN, INT32_MAX, &value);
        *out = kind == FIELD_SINT32 ? zigzag(value) : (uint64_t)value;
        return bad;
    case FIELD_UINT64:
    case FIELD_FIXED64:
        return to_unsigned(number, UINT64_MAX, out);
    case FIELD_UINT32:
    case FIELD_FIXED32:
        return to_unsigned(number, UINT32_MAX, out);
    case FIELD_DOUBLE:
        bad = to_double(number, &real);
        *out = double_bits(real);
        return bad;
    case FIELD_FLOAT:
        bad = to_float(number, &single);
        *out = float_bits(single);
        return bad;
    default:
        return JSON_BAD(JSON_WRONG_TYPE);
    }
}

static bool special_to_bits(FieldKind kind, Slice text, uint64_t *out)
{
    float value;

    if (kind != FIELD_DOUBLE && kind != FIELD_FLOAT)
        return false;
    if (slice_eq_cstr(text, "NaN"))
        value = NAN;
    else if (slice_eq_cstr(text, "Infinity"))
        value = INFINITY;
    else if (slice_eq_cstr(text, "-Infinity"))
        value = -INFINITY;
    else
        return false;
    *out = kind == FIELD_FLOAT ? float_bits(value) : double_bits((double)value);
    return true;
}

/* What FastAPI reads as a number and JSON does not: one plus sign, leading zeros, spaces around. */
static Slice strip_leniently(Slice text)
{
    text = slice_trim(text);
    if (text.len > 1 && text.ptr[0] == '+' && text.ptr[1] != '-')
        text = slice_skip(text, 1);
    return text;
}

static bool scan_whole(Slice text, JsonNumber *out)
{
    const char *at = text.ptr, *end = text.ptr + text.len;

    return text.len && json_scan_number(&at, end, out) && at == end;
}

JsonOutcome json_string_to_bits(FieldKind kind, Slice text, bool lenient, uint64_t *out)
{
    JsonNumber number;
    bool negative = false;
    JsonOutcome outcome;

    if (special_to_bits(kind, text, out))
        return JSON_GOOD;
    if (lenient) {
        text = strip_leniently(text);
        negative = text.len > 2 && text.ptr[0] == '-' && text.ptr[1] == '0';
        text = slice_skip(text, negative);
        while (text.len > 1 && text.ptr[0] == '0' && text.ptr[1] >= '0' && text.ptr[1] <= '9')
            text = slice_skip(text, 1);
    }
    if (!scan_whole(text, &number))
        return JSON_BAD(JSON_WRONG_TYPE);
    number.negative = number.negative || negative;
    outcome = json_number_to_bits(kind, &number, out);
    /* The sign that was taken off above is not in number.text. */
    if (outcome == JSON_GOOD && negative && kind == FIELD_DOUBLE)
        *out |= UINT64_C(1) << 63;
    if (outcome == JSON_GOOD && negative && kind == FIELD_FLOAT)
        *out |= UINT64_C(1) << 31;
    return outcome;
}

JsonOutcome json_number_to_enum(const EnumType *e, const JsonNumber *number, uint64_t *out)
{
    int64_t value = 0;
    JsonOutcome bad = to_signed(number, INT32_MIN, INT32_MAX, &value);

    if (bad == JSON_BAD(JSON_OUT_OF_RANGE) || (!bad && !enum_type_value(e, (int32_t)value)))
        return JSON_BAD(JSON_UNKNOWN_ENUM);
    *out = (uint64_t)value;
    return bad;
}

bool json_string_to_bool(Slice text, bool words, bool lenient, uint64_t *out)
{
    static const struct {
        const char *word;
        bool value, strict;
    } WORDS[] = {
        {"true", true, true}, {"false", false, true}, {"1", true, true},   {"0", false, true},
        {"yes", true, false}, {"no", false, false},   {"on", true, false}, {"off", false, false},
        {"t", true, false},   {"f", false, false},    {"y", true, false},  {"n", false, false},
    };

    for (size_t i = 0; words && i < ARRAY_LEN(WORDS); i++) {
        Slice word = slice(WORDS[i].word);
        if (lenient ? slice_eq_nocase(text, word) : WORDS[i].strict && slice_eq(text, word)) {
            *out = WORDS[i].value;
            return true;
        }
    }
    return false;
}

const char *json_expected(const FieldType *f)
{
    switch (f->kind) {
    case FIELD_STRING:
        return "string";
    case FIELD_BYTES:
        return "base64";
    case FIELD_BOOL:
        return "boolean";
    case FIELD_ENUM:
        return "enum value";
    case FIELD_DOUBLE:
    case FIELD_FLOAT:
        return "number";
    case FIELD_MESSAGE:
        break;
    default:
        return "integer";
    }
    switch (f->message->well_known) {
    case ATRIUM__WELL_KNOWN__TIMESTAMP:
        return "Timestamp";
    case ATRIUM__WELL_KNOWN__DURATION:
        return "Duration";
    case ATRIUM__WELL_KNOWN__FIELD_MASK:
        return "FieldMask";
    case ATRIUM__WELL_KNOWN__WRAPPER:
        return json_expected(&f->message->fields[0]);
    case ATRIUM__WELL_KNOWN__LIST_VALUE:
        return "array";
    default:
        return "object";
    }
}

void json_scratch_grow(JsonScratch *s, size_t count)
{
    size_t cap = MAX(s->cap * 2, s->used + count);
    uint64_t *words = arena_alloc_raw(s->mem, cap * sizeof(*words), _Alignof(uint64_t));

    memcpy(words, s->words, s->used * sizeof(*words));
    s->words = words;
    s->cap = cap;
}

/* ---------------------------------------------------------------------------------------------------- to text */

size_t json_format_uint64(uint64_t value, char *to)
{
    static const char PAIRS[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243"
        "4445464748495051525354555657585960616263646566676869707172737475767778798081828384858687"
        "888990919293949596979899";
    char text[20];
    size_t at = sizeof(text);

    for (; value >= 100; value /= 100)
        memcpy(text + (at -= 2), PAIRS + value % 100 * 2, 2);
    if (value >= 10)
        memcpy(text + (at -= 2), PAIRS + value * 2, 2);
    else
        text[--at] = (char)('0' + value);
    memcpy(to, text + at, sizeof(text) - at);
    return sizeof(text) - at;
}

/* digits / 10^decimals, with a digit before the point. */
static size_t format_decimal(bool negative, uint64_t digits, unsigned decimals, char *to)
{
    char text[24];
    size_t len, at = 0, whole;

    len = json_format_uint64(digits, text);
    if (negative)
        to[at++] = '-';
    whole = len > decimals ? len - decimals : 0;
    if (whole)
        memcpy(to + at, text, whole);
    else
        to[at] = '0';
    at += whole ? whole : 1;
    if (decimals == 0)
        return at;
    to[at++] = '.';
    for (size_t zeros = decimals > len ? decimals - len : 0; zeros; zeros--)
        to[at++] = '0';
    memcpy(to + at, text + whole, len - whole);
    return at + len - whole;
}

static size_t format_not_finite(double value, char *to)
{
    const char *text = isnan(value) ? "\"NaN\"" : value < 0 ? "\"-Infinity\"" : "\"Infinity\"";
    size_t len = strlen(text);

    memcpy(to, text, len);
    return len;
}

/* "-0" would do in JSON, but many readers take it for an integer and lose the sign. */
static size_t format_negative_zero(char *to)
{
    memcpy(to, "-0.0", 4);
    return 4;
}

/* Most values that people write have few decimals: the first count of them that divides back exactly is the shortest.
 * Only the others pay for printf. */
size_t json_format_double(double value, char *to)
{
    const double magnitude = fabs(value), most = 1e15; /* up to 15 digits no two decimals read as one double */
    char text[32];
    int len;

    if (!isfinite(value))
        return format_not_finite(value, to);
    if (magnitude == 0 && signbit(value))
        return format_negative_zero(to);
    for (unsigned decimals = 0; decimals <= 9; decimals++) {
        double scaled = magnitude * TENS[decimals], digits;
        if (scaled > most)
            break;
        digits = (double)(uint64_t)(scaled + 0.5);
        if (digits / TENS[decimals] == magnitude)
            return format_decimal(signbit(value), (uint64_t)digits, decimals, to);
    }
    for (int precision = 15;; precision++) {
        len = snprintf(text, sizeof(text), "%.*g", precision, value);
        if (precision == 17 || strtod(text, NULL) == value)
            break;
    }
    memcpy(to, text, (size_t)len);
    return (size_t)len;
}

/* Of two decimals that are equally near, printf takes the even one. */
static uint32_t nearest_even(double value)
{
    uint32_t floor = (uint32_t)value;
    double rest = value - floor;

    return floor + (rest > 0.5 || (rest == 0.5 && floor % 2));
}

size_t json_format_float(float value, char *to)
{
    const float magnitude = fabsf(value);
    char text[32];
    int len;

    if (!isfinite(value))
        return format_not_finite((double)value, to);
    if (magnitude == 0 && signbit(value))
        return format_negative_zero(to);
    for (unsigned decimals = 0; decimals <= 7; decimals++) {
        double scaled = (double)magnitude * TENS[decimals]; /* exact: 24 bits times 24 bits */
        float digits;
        if (scaled > 16777216) /* 2^24: above it not every integer is a float */
            break;
        digits = (float)nearest_even(scaled);
        if (digits / (float)TENS[decimals] == magnitude)
            return format_decimal(signbit(value), (uint64_t)digits, decimals, to);
    }
    for (int precision = 6;; precision++) {
        len = snprintf(text, sizeof(text), "%.*g", precision, (double)value);
        if (precision == 9 || strtof(text, NULL) == value)
            break;
    }
    memcpy(to, text, (size_t)len);
    return (size_t)len;
}
