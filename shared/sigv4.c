#include "shared/sigv4.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "shared/sha256.h"
#include "shared/strbuf.h"

enum { TEXT_MAX_BYTES = 64 * 1024, SCOPE_BYTES = 256, DAY_BYTES = 9 };
#define ALGORITHM "AWS4-HMAC-SHA256"

void sigv4_date(int64_t unix_s, char out[SIGV4_DATE_BYTES])
{
    time_t t = (time_t)unix_s;
    struct tm parts;

    out[0] = '\0';
    if (gmtime_r(&t, &parts))
        (void)strftime(out, SIGV4_DATE_BYTES, "%Y%m%dT%H%M%SZ", &parts);
}

/* ---------------------------------------------------------------------------------------------------- canonical forms
 */

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
}

static void put_encoded(StrBuf *b, Slice text, bool keep_slashes)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (is_unreserved(c) || (keep_slashes && c == '/'))
            strbuf_append_char(b, c);
        else
            strbuf_printf(b, "%%%02X", (unsigned char)c);
    }
}

static char *finish(StrBuf *b)
{
    Slice text = SLICE_LIT("");

    if (!strbuf_finish(b, &text))
        abort(); /* keys, headers and queries have limits far below */
    return (char *)text.ptr;
}

static char *encode(Arena *mem, Slice text, bool keep_slashes)
{
    StrBuf b = strbuf_new(mem, TEXT_MAX_BYTES);

    put_encoded(&b, text, keep_slashes);
    return finish(&b);
}

char *sigv4_path(Arena *mem, const char *path)
{
    return encode(mem, slice(path), true);
}

static int compare_pairs(const void *a, const void *b)
{
    const SigV4Pair *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : strcmp(x->value, y->value);
}

/* Sorted by the encoded forms, as the rule is. */
char *sigv4_query(Arena *mem, const SigV4Pair *query, size_t count)
{
    SigV4Pair *sorted = ARENA_ARRAY(mem, SigV4Pair, count + 1);
    StrBuf b = strbuf_new(mem, TEXT_MAX_BYTES);

    for (size_t i = 0; i < count; i++)
        sorted[i] = (SigV4Pair){encode(mem, slice(query[i].name), false), encode(mem, slice(query[i].value), false)};
    qsort(sorted, count, sizeof(*sorted), compare_pairs);
    for (size_t i = 0; i < count; i++)
        strbuf_printf(&b, "%s%s=%s", i ? "&" : "", sorted[i].name, sorted[i].value);
    return finish(&b);
}

typedef struct Header {
    const char *name; /* lower case */
    const char *value;
    size_t index; /* those of one name stay in their order */
} Header;

static int compare_headers(const void *a, const void *b)
{
    const Header *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x->index > y->index) - (x->index < y->index);
}

static const char *lower_case(Arena *mem, const char *text)
{
    char *copy = arena_strdup(mem, text);

    for (char *c = copy; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c |= 0x20;
    }
    return copy;
}

static Header *sort_headers(Arena *mem, const SigV4Request *r)
{
    Header *sorted = ARENA_ARRAY(mem, Header, r->header_count + 1);

    for (size_t i = 0; i < r->header_count; i++)
        sorted[i] = (Header){lower_case(mem, r->headers[i].name), r->headers[i].value, i};
    qsort(sorted, r->header_count, sizeof(*sorted), compare_headers);
    return sorted;
}

/* Trimmed, runs of blanks as one. */
static void put_value(StrBuf *b, const char *value)
{
    Slice v = slice_trim(slice(value));

    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] != ' ' || v.ptr[i - 1] != ' ')
            strbuf_append_char(b, v.ptr[i]);
    }
}

/* "name:value\n" for each; those of one name in one line. */
static void put_headers(StrBuf *b, const Header *sorted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i && !strcmp(sorted[i].name, sorted[i - 1].name)) {
            strbuf_append_char(b, ',');
        } else {
            if (i)
                strbuf_append_char(b, '\n');
            strbuf_printf(b, "%s:", sorted[i].name);
        }
        put_value(b, sorted[i].value);
    }
    if (count)
        strbuf_append_char(b, '\n');
}

static char *signed_headers(Arena *mem, const Header *sorted, size_t count)
{
    StrBuf b = strbuf_new(mem, TEXT_MAX_BYTES);

    for (size_t i = 0; i < count; i++) {
        if (!i || strcmp(sorted[i].name, sorted[i - 1].name) != 0)
            strbuf_printf(&b, "%s%s", i ? ";" : "", sorted[i].name);
    }
    return finish(&b);
}

/* ---------------------------------------------------------------------------------------------------- the signature */

static void hmac(const void *key, size_t key_len, Slice text, uint8_t out[SHA256_BYTES])
{
    unsigned len = SHA256_BYTES;

    if (!HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text.ptr, text.len, out, &len))
        abort(); /* for want of memory only */
}

static void scope_of(const SigV4Key *key, const char *date, char out[SCOPE_BYTES])
{
    (void)snprintf(out, SCOPE_BYTES, "%.8s/%s/%s/aws4_request", date, key->region, key->service);
}

static void sign(Arena *mem, const SigV4Key *key, const char *date, const char *canonical, char out[SHA256_HEX_BYTES])
{
    char scope[SCOPE_BYTES], hash[SHA256_HEX_BYTES];
    char *first = arena_printf(mem, "AWS4%s", key->secret_key), *hex;
    uint8_t k[SHA256_BYTES];

    sha256_hex_of(slice(canonical), hash);
    scope_of(key, date, scope);
    hmac(first, strlen(first), slice_of(date, DAY_BYTES - 1), k);
    OPENSSL_cleanse(first, strlen(first));
    hmac(k, sizeof(k), slice(key->region), k);
    hmac(k, sizeof(k), slice(key->service), k);
    hmac(k, sizeof(k), SLICE_LIT("aws4_request"), k);
    hmac(k, sizeof(k), slice(arena_printf(mem, ALGORITHM "\n%s\n%s\n%s", date, scope, hash)), k);
    hex = hex_encode(mem, slice_of(k, sizeof(k)));
    memcpy(out, hex, SHA256_HEX_BYTES);
}

/* `query` is canonical. */
static char *canonical_request(Arena *mem, const SigV4Request *r, const char *query, const Header *sorted,
                               const char *names)
{
    StrBuf b = strbuf_new(mem, TEXT_MAX_BYTES);

    strbuf_printf(&b, "%s\n%s\n%s\n", r->method, sigv4_path(mem, r->path), query);
    put_headers(&b, sorted, r->header_count);
    strbuf_printf(&b, "\n%s\n%s", names, r->payload_sha256);
    return finish(&b);
}

char *sigv4_authorization(Arena *mem, const SigV4Key *key, const SigV4Request *request)
{
    const Header *sorted = sort_headers(mem, request);
    const char *names = signed_headers(mem, sorted, request->header_count);
    char date[SIGV4_DATE_BYTES], scope[SCOPE_BYTES], signature[SHA256_HEX_BYTES];

    sigv4_date(request->unix_s, date);
    scope_of(key, date, scope);
    sign(mem, key, date,
         canonical_request(mem, request, sigv4_query(mem, request->query, request->query_count), sorted, names),
         signature);
    return arena_printf(mem, ALGORITHM " Credential=%s/%s, SignedHeaders=%s, Signature=%s", key->access_key, scope,
                        names, signature);
}

char *sigv4_presign(Arena *mem, const SigV4Key *key, const SigV4Request *request, int64_t expires_s)
{
    const Header *sorted = sort_headers(mem, request);
    char date[SIGV4_DATE_BYTES], scope[SCOPE_BYTES], signature[SHA256_HEX_BYTES];
    SigV4Pair *all = ARENA_ARRAY(mem, SigV4Pair, request->query_count + 5);
    size_t count = 0;
    char *query;

    sigv4_date(request->unix_s, date);
    scope_of(key, date, scope);
    all[count++] = (SigV4Pair){"X-Amz-Algorithm", ALGORITHM};
    all[count++] = (SigV4Pair){"X-Amz-Credential", arena_printf(mem, "%s/%s", key->access_key, scope)};
    all[count++] = (SigV4Pair){"X-Amz-Date", date};
    all[count++] = (SigV4Pair){"X-Amz-Expires", arena_printf(mem, "%" PRId64, expires_s)};
    all[count++] = (SigV4Pair){"X-Amz-SignedHeaders", signed_headers(mem, sorted, request->header_count)};
    for (size_t i = 0; i < request->query_count; i++)
        all[count++] = request->query[i];
    query = sigv4_query(mem, all, count);
    sign(mem, key, date, canonical_request(mem, request, query, sorted, all[4].value), signature);
    return arena_printf(mem, "%s&X-Amz-Signature=%s", query, signature);
}

/* ---------------------------------------------------------------------------------------------------- verification */

static int digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* NULL: a broken escape, or a NUL. */
static const char *decode(Arena *mem, Slice text)
{
    char *out = arena_alloc_raw(mem, text.len + 1, 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++, len++) {
        out[len] = text.ptr[i];
        if (text.ptr[i] == '%') {
            int high = i + 2 < text.len ? digit(text.ptr[i + 1]) : -1, low = high < 0 ? -1 : digit(text.ptr[i + 2]);
            if (low < 0)
                return NULL;
            out[len] = (char)(high * 16 + low);
            i += 2;
        }
        if (!out[len])
            return NULL;
    }
    out[len] = '\0';
    return out;
}

/* All pairs but the signature, which is set apart. */
static bool parse_query(Arena *mem, Slice query, SigV4Pair *pairs, size_t *out_count, const char **out_signature)
{
    size_t count = 0;
    bool more = query.len > 0;

    *out_signature = NULL;
    while (more) {
        Slice item, name, value;
        SigV4Pair p;
        more = slice_cut(query, '&', &item, &query);
        if (!slice_cut(item, '=', &name, &value)) {
            name = item;
            value = SLICE_LIT("");
        }
        p = (SigV4Pair){decode(mem, name), decode(mem, value)};
        if (!p.name || !p.value || count == SIGV4_PAIRS_MAX)
            return false;
        if (!strcmp(p.name, "X-Amz-Signature"))
            *out_signature = p.value;
        else
            pairs[count++] = p;
    }
    *out_count = count;
    return *out_signature != NULL;
}

static const char *find(const SigV4Pair *pairs, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(pairs[i].name, name))
            return pairs[i].value;
    }
    return "";
}

/* "20130524T000000Z" */
static bool parse_date(const char *text, int64_t *out)
{
    struct tm parts = {0};
    const char *end = strlen(text) == SIGV4_DATE_BYTES - 1 ? strptime(text, "%Y%m%dT%H%M%SZ", &parts) : NULL;
    char again[SIGV4_DATE_BYTES];

    if (!end || *end)
        return false;
    *out = (int64_t)timegm(&parts);
    sigv4_date(*out, again);
    return !strcmp(again, text);
}

/* Of the headers that came, those that the URL names; false when one is missing, or Host is not among them. */
static bool pick_headers(Arena *mem, const SigV4Request *r, const char *names, SigV4Pair *out, size_t *out_count)
{
    Slice rest = slice(names), name;
    size_t count = 0;
    bool more = true, host = false;

    while (more) {
        size_t before = count;
        more = slice_cut(rest, ';', &name, &rest);
        host = host || slice_eq_cstr(name, "host");
        for (size_t i = 0; i < r->header_count && count < SIGV4_PAIRS_MAX; i++) {
            if (slice_eq_cstr(name, lower_case(mem, r->headers[i].name)))
                out[count++] = r->headers[i];
        }
        if (count == before)
            return false;
    }
    *out_count = count;
    return host;
}

SigV4Verdict sigv4_verify(Arena *mem, const SigV4Key *key, const SigV4Request *request, Slice query)
{
    SigV4Pair *pairs = ARENA_ARRAY(mem, SigV4Pair, SIGV4_PAIRS_MAX),
              *headers = ARENA_ARRAY(mem, SigV4Pair, SIGV4_PAIRS_MAX);
    SigV4Request r = *request;
    const char *signature, *date;
    char scope[SCOPE_BYTES], wanted[SHA256_HEX_BYTES];
    int64_t begun_s, expires_s;
    size_t count;

    if (query.len > TEXT_MAX_BYTES / 4 || !parse_query(mem, query, pairs, &count, &signature))
        return SIGV4_MALFORMED;
    date = find(pairs, count, "X-Amz-Date");
    if (strcmp(find(pairs, count, "X-Amz-Algorithm"), ALGORITHM) != 0 || !parse_date(date, &begun_s) ||
        !slice_to_int64(slice(find(pairs, count, "X-Amz-Expires")), &expires_s) || expires_s < 1 ||
        expires_s > SIGV4_EXPIRES_MAX_S)
        return SIGV4_MALFORMED;
    scope_of(key, date, scope);
    if (strcmp(find(pairs, count, "X-Amz-Credential"), arena_printf(mem, "%s/%s", key->access_key, scope)) != 0 ||
        !pick_headers(mem, request, find(pairs, count, "X-Amz-SignedHeaders"), headers, &r.header_count))
        return SIGV4_WRONG;
    r.headers = headers;
    r.payload_sha256 = SIGV4_UNSIGNED;
    sign(mem, key, date,
         canonical_request(mem, &r, sigv4_query(mem, pairs, count), sort_headers(mem, &r),
                           find(pairs, count, "X-Amz-SignedHeaders")),
         wanted);
    if (!slice_eq_secret(slice(wanted), slice(signature)))
        return SIGV4_WRONG;
    return request->unix_s > begun_s + expires_s ? SIGV4_EXPIRED : SIGV4_GOOD;
}
