/* The cases are facts of AWS's published test suite for signature version 4 and of S3's documentation of it, written
 * down by hand. tests/s3 compares with another implementation. */
#include "shared/sigv4.h"

#include "shared/sha256.h"
#include "shared/testing.h"

static const SigV4Key SUITE = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "service"};
static const SigV4Key S3_EXAMPLE = {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1",
                                    "s3"};
enum { SUITE_UNIX_S = 1440938160, S3_UNIX_S = 1369353600 };
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

#define SUITE_HEADERS                                                                                                  \
    {"Host", "example.amazonaws.com"},                                                                                 \
    {                                                                                                                  \
        "X-Amz-Date", "20150830T123600Z"                                                                               \
    }
typedef struct Case {
    const char *name, *method, *path;
    SigV4Pair query[4], headers[6];
    const char *body, *signature;
} Case;
static const Case CASES[] = {
    {"get-vanilla",
     "GET",
     "/",
     {{0}},
     {SUITE_HEADERS},
     "",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-query-order-key-case",
     "GET",
     "/",
     {{"Param2", "value2"}, {"Param1", "value1"}},
     {SUITE_HEADERS},
     "",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-unreserved",
     "GET",
     "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     {{0}},
     {SUITE_HEADERS},
     "",
     "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"get-utf8",
     "GET",
     "/\u1234",
     {{0}},
     {SUITE_HEADERS},
     "",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-header-value-trim",
     "GET",
     "/",
     {{0}},
     {{"Host", "example.amazonaws.com"},
      {"My-Header1", " value1"},
      {"My-Header2", " \"a   b   c\""},
      {"X-Amz-Date", "20150830T123600Z"}},
     "",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-header-key-duplicate",
     "GET",
     "/",
     {{0}},
     {{"Host", "example.amazonaws.com"},
      {"My-Header1", "value2"},
      {"My-Header1", "value2"},
      {"My-Header1", "value1"},
      {"X-Amz-Date", "20150830T123600Z"}},
     "",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"post-vanilla",
     "POST",
     "/",
     {{0}},
     {SUITE_HEADERS},
     "",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-x-www-form-urlencoded",
     "POST",
     "/",
     {{0}},
     {{"Content-Type", "application/x-www-form-urlencoded"}, SUITE_HEADERS},
     "Param1=value1",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
};

static size_t count_pairs(const SigV4Pair *pairs, size_t max)
{
    size_t count = 0;

    while (count < max && pairs[count].name)
        count++;
    return count;
}

static void the_published_suite_comes_out(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const Case *c = &CASES[i];
        char sha256[SHA256_HEX_BYTES];
        const char *got;
        SigV4Request r = {.method = c->method,
                          .path = c->path,
                          .query = c->query,
                          .query_count = count_pairs(c->query, ARRAY_LEN(c->query)),
                          .headers = c->headers,
                          .header_count = count_pairs(c->headers, ARRAY_LEN(c->headers)),
                          .payload_sha256 = sha256,
                          .unix_s = SUITE_UNIX_S};
        sha256_hex_of(slice(c->body), sha256);
        got = sigv4_authorization(mem, &SUITE, &r);
        if (!slice_ends_with(slice(got), slice(arena_printf(mem, "Signature=%s", c->signature))))
            fail_msg("%s: %s", c->name, got);
    }
}

static void the_header_has_the_published_form(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const SigV4Request r = {.method = "GET",
                            .path = "/test.txt",
                            .headers = (SigV4Pair[]){{"Host", "examplebucket.s3.amazonaws.com"},
                                                     {"Range", "bytes=0-9"},
                                                     {"x-amz-content-sha256", EMPTY_SHA256},
                                                     {"x-amz-date", "20130524T000000Z"}},
                            .header_count = 4,
                            .payload_sha256 = EMPTY_SHA256,
                            .unix_s = S3_UNIX_S};
    (void)state;

    assert_string_equal(sigv4_authorization(mem, &S3_EXAMPLE, &r),
                        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
                        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
                        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

/* PUT test$file.text, GET ?lifecycle, GET ?max-keys&prefix, as S3's documentation has them. */
static void s3s_own_examples_come_out(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const char *body_sha256 = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    const SigV4Pair put[] = {{"Host", "examplebucket.s3.amazonaws.com"},
                             {"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                             {"x-amz-content-sha256", body_sha256},
                             {"x-amz-date", "20130524T000000Z"},
                             {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
    const SigV4Pair get[] = {{"Host", "examplebucket.s3.amazonaws.com"},
                             {"x-amz-content-sha256", EMPTY_SHA256},
                             {"x-amz-date", "20130524T000000Z"}};
    const SigV4Pair lifecycle[] = {{"lifecycle", ""}}, list[] = {{"prefix", "J"}, {"max-keys", "2"}};
    SigV4Request r = {.method = "PUT",
                      .path = "/test$file.text",
                      .headers = put,
                      .header_count = 5,
                      .payload_sha256 = body_sha256,
                      .unix_s = S3_UNIX_S};
    (void)state;

    assert_non_null(strstr(sigv4_authorization(mem, &S3_EXAMPLE, &r),
                           "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
    r = (SigV4Request){.method = "GET",
                       .path = "/",
                       .query = lifecycle,
                       .query_count = 1,
                       .headers = get,
                       .header_count = 3,
                       .payload_sha256 = EMPTY_SHA256,
                       .unix_s = S3_UNIX_S};
    assert_non_null(strstr(sigv4_authorization(mem, &S3_EXAMPLE, &r),
                           "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
    r.query = list;
    r.query_count = 2;
    assert_non_null(strstr(sigv4_authorization(mem, &S3_EXAMPLE, &r),
                           "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

static const SigV4Pair PRESIGN_HOST[] = {{"Host", "examplebucket.s3.amazonaws.com"}};
static const SigV4Request PRESIGN = {.method = "GET",
                                     .path = "/test.txt",
                                     .headers = PRESIGN_HOST,
                                     .header_count = 1,
                                     .payload_sha256 = SIGV4_UNSIGNED,
                                     .unix_s = S3_UNIX_S};

static void the_presigned_example_comes_out(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    assert_string_equal(sigv4_presign(mem, &S3_EXAMPLE, &PRESIGN, 86400),
                        "X-Amz-Algorithm=AWS4-HMAC-SHA256"
                        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
                        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
                        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

static SigV4Verdict verify(Arena *mem, const SigV4Request *r, int64_t now_s, const char *query)
{
    SigV4Request came = *r;

    came.unix_s = now_s;
    return sigv4_verify(mem, &S3_EXAMPLE, &came, slice(query));
}

static void a_presigned_url_is_good_for_what_it_says_only(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const SigV4Pair headers[] = {{"Host", "store"}, {"Content-Type", "video/mp4"}, {"Content-Length", "77"}};
    const SigV4Pair others[] = {{"Host", "store"}, {"Content-Type", "video/mp4"}, {"Content-Length", "78"}};
    SigV4Request r = {.method = "PUT",
                      .path = "/bucket/a key/\u00e4+b",
                      .headers = headers,
                      .header_count = 3,
                      .payload_sha256 = SIGV4_UNSIGNED,
                      .unix_s = S3_UNIX_S},
                 other = r;
    char *query = sigv4_presign(mem, &S3_EXAMPLE, &r, 900), *changed = arena_strdup(mem, query);
    (void)state;

    assert_int_equal(verify(mem, &r, S3_UNIX_S + 900, query), SIGV4_GOOD);
    assert_int_equal(verify(mem, &r, S3_UNIX_S + 901, query), SIGV4_EXPIRED);
    other.method = "GET";
    assert_int_equal(verify(mem, &other, S3_UNIX_S, query), SIGV4_WRONG);
    other = r;
    other.path = "/bucket/a key/\u00e4+c";
    assert_int_equal(verify(mem, &other, S3_UNIX_S, query), SIGV4_WRONG);
    other = r;
    other.headers = others;
    assert_int_equal(verify(mem, &other, S3_UNIX_S, query), SIGV4_WRONG);
    other.header_count = 2;
    assert_int_equal(verify(mem, &other, S3_UNIX_S, query), SIGV4_WRONG);
    changed[strlen(changed) - 1] ^= 1;
    assert_int_equal(verify(mem, &r, S3_UNIX_S, changed), SIGV4_WRONG);
    assert_int_equal(verify(mem, &r, S3_UNIX_S, ""), SIGV4_MALFORMED);
    assert_int_equal(verify(mem, &r, S3_UNIX_S, "X-Amz-Signature=%"), SIGV4_MALFORMED);
}

static void dates_are_written(void **state)
{
    char text[SIGV4_DATE_BYTES];
    (void)state;

    sigv4_date(S3_UNIX_S, text);
    assert_string_equal(text, "20130524T000000Z");
    sigv4_date(SUITE_UNIX_S, text);
    assert_string_equal(text, "20150830T123600Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_suite_comes_out),
        cmocka_unit_test(the_header_has_the_published_form),
        cmocka_unit_test(s3s_own_examples_come_out),
        cmocka_unit_test(the_presigned_example_comes_out),
        cmocka_unit_test(a_presigned_url_is_good_for_what_it_says_only),
        cmocka_unit_test(dates_are_written),
    };
    return RUN(tests);
}
