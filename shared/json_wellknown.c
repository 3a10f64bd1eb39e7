/* json_wellknown: the text forms of Timestamp, Duration, FieldMask and bytes, without the messages around them. */
#include "shared/json_internal.h"

enum { NANOS_PER_SECOND = 1000000000, SECONDS_PER_DAY = 86400 };

static const int64_t TIMESTAMP_MIN = -62135596800; /* 0001-01-01T00:00:00Z */
static const int64_t TIMESTAMP_MAX = 253402300799; /* 9999-12-31T23:59:59Z */
static const int64_t DURATION_MAX = 315576000000;  /* 10,000 years of 365.25 days */

/* ---------------------------------------------------------------------------------------------------- parsing */

/* Exactly `count` digits. */
static bool take_number(Slice *s, unsigned count, int *out)
{
    int value = 0;

    if (s->len < count)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9')
            return false;
        value = value * 10 + (s->ptr[i] - '0');
    }
    *s = slice_skip(*s, count);
    *out = value;
    return true;
}

static bool take_char(Slice *s, char upper)
{
    if (s->len == 0 || (s->ptr[0] != upper && (s->ptr[0] != (upper | 0x20) || upper < 'A')))
        return false;
    *s = slice_skip(*s, 1);
    return true;
}

/* ".123": one to nine digits; none when there is no point. */
static bool take_fraction(Slice *s, int32_t *nanos)
{
    int32_t unit = NANOS_PER_SECOND;

    *nanos = 0;
    if (!take_char(s, '.'))
        return true;
    if (s->len == 0 || s->ptr[0] < '0' || s->ptr[0] > '9')
        return false;
    for (; s->len && s->ptr[0] >= '0' && s->ptr[0] <= '9'; *s = slice_skip(*s, 1)) {
        unit /= 10;
        if (unit == 0)
            return false;
        *nanos += unit * (s->ptr[0] - '0');
    }
    return true;
}

static int days_in_month(int year, int month)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return DAYS[month - 1] + (month == 2 && leap);
}

/* Days from 1970-01-01. Years are counted from March, so that the leap day is the last of its year. */
static int64_t days_of_date(int year, int month, int day)
{
    int64_t y = year - (month <= 2), since_march = (month + 9) % 12;

    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * since_march + 2) / 5 + day - 1 - 719468;
}

/* "Z", or "+02:00" in seconds. */
static bool take_zone(Slice *s, int *offset)
{
    int hours, minutes, sign;

    *offset = 0;
    if (take_char(s, 'Z'))
        return true;
    if (s->len == 0 || (s->ptr[0] != '+' && s->ptr[0] != '-'))
        return false;
    sign = s->ptr[0] == '-' ? -1 : 1;
    *s = slice_skip(*s, 1);
    if (!take_number(s, 2, &hours) || !take_char(s, ':') || !take_number(s, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *offset = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool json_parse_timestamp(Slice text, JsonTime *out)
{
    int year, month, day, hour, minute, second, offset;
    JsonTime t;

    if (!take_number(&text, 4, &year) || !take_char(&text, '-') || !take_number(&text, 2, &month) ||
        !take_char(&text, '-') || !take_number(&text, 2, &day) || !take_char(&text, 'T') ||
        !take_number(&text, 2, &hour) || !take_char(&text, ':') || !take_number(&text, 2, &minute) ||
        !take_char(&text, ':') || !take_number(&text, 2, &second) || !take_fraction(&text, &t.nanos) ||
        !take_zone(&text, &offset) || text.len != 0)
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 ||
        minute > 59 || second > 59)
        return false;
    t.seconds = days_of_date(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
    if (t.seconds < TIMESTAMP_MIN || t.seconds > TIMESTAMP_MAX)
        return false;
    *out = t;
    return true;
}

bool json_parse_duration(Slice text, JsonTime *out)
{
    JsonTime t = {0};
    bool negative = text.len && text.ptr[0] == '-';

    text = slice_skip(text, negative);
    if (text.len == 0 || text.ptr[0] < '0' || text.ptr[0] > '9')
        return false;
    for (; text.len && text.ptr[0] >= '0' && text.ptr[0] <= '9'; text = slice_skip(text, 1))
        if (t.seconds <= DURATION_MAX)
            t.seconds = t.seconds * 10 + (text.ptr[0] - '0');
    if (!take_fraction(&text, &t.nanos) || !slice_eq_cstr(text, "s"))
        return false;
    if (t.seconds > DURATION_MAX || (t.seconds == DURATION_MAX && t.nanos))
        return false;
    if (negative)
        t = (JsonTime){.seconds = -t.seconds, .nanos = -t.nanos};
    *out = t;
    return true;
}

/* ---------------------------------------------------------------------------------------------------- formatting */

static char *put_digits(char *to, unsigned count, int64_t value)
{
    for (unsigned i = count; i-- > 0; value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + count;
}

/* Nothing, or three, six or nine digits. */
static char *put_fraction(char *to, int32_t nanos)
{
    if (nanos == 0)
        return to;
    *to++ = '.';
    if (nanos % 1000000 == 0)
        return put_digits(to, 3, nanos / 1000000);
    if (nanos % 1000 == 0)
        return put_digits(to, 6, nanos / 1000);
    return put_digits(to, 9, nanos);
}

/* The inverse of days_of_date, for dates of our era. */
static char *put_date(char *to, int64_t days)
{
    int64_t since = days + 719468, era = since / 146097, day_of_era = since % 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t since_march = (5 * day_of_year + 2) / 153;
    int64_t day = day_of_year - (153 * since_march + 2) / 5 + 1;
    int64_t month = since_march < 10 ? since_march + 3 : since_march - 9;

    to = put_digits(to, 4, era * 400 + year_of_era + (month <= 2));
    *to++ = '-';
    to = put_digits(to, 2, month);
    *to++ = '-';
    return put_digits(to, 2, day);
}

size_t json_format_timestamp(JsonTime time, char *to)
{
    const char *start = to;
    int64_t from_year_one, second;

    if (time.seconds < TIMESTAMP_MIN || time.seconds > TIMESTAMP_MAX || time.nanos < 0 ||
        time.nanos >= NANOS_PER_SECOND)
        return 0;
    from_year_one = time.seconds - TIMESTAMP_MIN;
    second = from_year_one % SECONDS_PER_DAY;
    to = put_date(to, from_year_one / SECONDS_PER_DAY + TIMESTAMP_MIN / SECONDS_PER_DAY);
    *to++ = 'T';
    to = put_digits(to, 2, second / 3600);
    *to++ = ':';
    to = put_digits(to, 2, second / 60 % 60);
    *to++ = ':';
    to = put_digits(to, 2, second % 60);
    to = put_fraction(to, time.nanos);
    *to++ = 'Z';
    return (size_t)(to - start);
}

size_t json_format_duration(JsonTime time, char *to)
{
    const char *start = to;
    bool negative = time.seconds < 0 || time.nanos < 0;

    if (time.seconds < -DURATION_MAX || time.seconds > DURATION_MAX || time.nanos <= -NANOS_PER_SECOND ||
        time.nanos >= NANOS_PER_SECOND || (time.seconds < 0 && time.nanos > 0) || (time.seconds > 0 && time.nanos < 0))
        return 0;
    if (negative) {
        *to++ = '-';
        time = (JsonTime){.seconds = -time.seconds, .nanos = -time.nanos};
    }
    to += json_format_uint64((uint64_t)time.seconds, to);
    to = put_fraction(to, time.nanos);
    *to++ = 's';
    return (size_t)(to - start);
}

/* ---------------------------------------------------------------------------------------------------- field masks */

size_t json_mask_path_to_proto(Slice path, char *to)
{
    const char *start = to;

    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        if (c >= 'A' && c <= 'Z') {
            *to++ = '_';
            c |= 0x20;
        }
        *to++ = c;
    }
    return (size_t)(to - start);
}

size_t json_mask_path_to_camel(Slice path, char *to)
{
    char *start = to;
    bool reversible = true;

    for (size_t i = 0; i < path.len && reversible; i++) {
        char c = path.ptr[i];
        if (c == '_') {
            c = ++i < path.len ? path.ptr[i] : '_';
            reversible = c >= 'a' && c <= 'z';
            c = (char)(c & ~0x20);
        } else {
            reversible = c < 'A' || c > 'Z';
        }
        *to++ = c;
    }
    if (reversible)
        return (size_t)(to - start);
    memcpy(start, path.ptr, path.len);
    return path.len;
}

/* ---------------------------------------------------------------------------------------------------- base64 */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool json_base64_decode(Slice text, char *to, size_t *out_len)
{
    const char *start = to;
    uint32_t bits = 0;
    size_t padding = 0;

    while (text.len && text.ptr[text.len - 1] == '=' && padding < 2) {
        text = slice_take(text, text.len - 1);
        padding++;
    }
    if (text.len % 4 == 1 || (padding && (text.len + padding) % 4 != 0))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int value = base64_value(text.ptr[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 == 3) {
            *to++ = (char)(bits >> 16);
            *to++ = (char)(bits >> 8);
            *to++ = (char)bits;
        }
    }
    if (text.len % 4 == 2) {
        *to++ = (char)(bits >> 4);
    } else if (text.len % 4 == 3) {
        *to++ = (char)(bits >> 10);
        *to++ = (char)(bits >> 2);
    }
    *out_len = (size_t)(to - start);
    return true;
}

size_t json_base64_encode(Slice bytes, char *to)
{
    static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    const char *start = to;
    size_t left = bytes.len;

    for (; left >= 3; left -= 3, p += 3) {
        uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        *to++ = ALPHABET[bits >> 18];
        *to++ = ALPHABET[bits >> 12 & 63];
        *to++ = ALPHABET[bits >> 6 & 63];
        *to++ = ALPHABET[bits & 63];
    }
    if (left) {
        uint32_t bits = (uint32_t)p[0] << 16 | (left == 2 ? (uint32_t)p[1] << 8 : 0);
        *to++ = ALPHABET[bits >> 18];
        *to++ = ALPHABET[bits >> 12 & 63];
        *to++ = left == 2 ? ALPHABET[bits >> 6 & 63] : '=';
        *to++ = '=';
    }
    return (size_t)(to - start);
}

/* ---------------------------------------------------------------------------------------------------- to the wire */

enum { TAG_1_VARINT = 0x08, TAG_2_VARINT = 0x10, TAG_1_BYTES = 0x0a };

bool json_append_time(StrBuf *b, JsonTime time)
{
    if (time.seconds && !(json_append_varint(b, TAG_1_VARINT) && json_append_varint(b, (uint64_t)time.seconds)))
        return false;
    return !time.nanos || (json_append_varint(b, TAG_2_VARINT) && json_append_varint(b, (uint64_t)(int64_t)time.nanos));
}

bool json_append_mask(StrBuf *b, Slice text)
{
    while (text.len) {
        Slice path, rest;
        size_t open;
        char *to;
        (void)slice_cut(text, ',', &path, &rest); /* the last one has no comma, and no rest */
        text = rest;
        if (path.len == 0)
            continue; /* no field has no name */
        if (!json_append_varint(b, TAG_1_BYTES) || !json_open(b, &open) || !(to = json_room(b, 2 * path.len)))
            return false;
        b->len += json_mask_path_to_proto(path, to);
        if (!json_close(b, open))
            return false;
    }
    return true;
}

bool json_append_base64(StrBuf *b, Slice text, bool *good)
{
    size_t open, len = 0;
    char *to;

    if (!json_open(b, &open) || !(to = json_room(b, text.len / 4 * 3 + 3)))
        return false;
    *good = json_base64_decode(text, to, &len);
    b->len += len;
    return json_close(b, open);
}
