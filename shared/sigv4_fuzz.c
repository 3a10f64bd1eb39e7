/* Fuzz target: queries of presigned URLs. What is good must be one that was signed here. */
#include "shared/sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const SigV4Key key = {"AKID", "secret", "us-east-1", "s3"};
    const SigV4Pair headers[] = {{"Host", "store"}, {"Content-Type", "text/plain"}};
    SigV4Request r = {.method = "PUT",
                      .path = "/b/k",
                      .headers = headers,
                      .header_count = 2,
                      .payload_sha256 = SIGV4_UNSIGNED,
                      .unix_s = 1700000000};
    Slice text = slice_of(arena_memdup(mem, data, len), len);
    SigV4Pair extra[1];
    char *query;

    check(sigv4_verify(mem, &key, &r, text) != SIGV4_GOOD);
    /* Anything may be a value of the query: what is signed is good. */
    extra[0] = (SigV4Pair){"response-content-disposition", slice_cstr(mem, slice_take(text, 2000))};
    r.query = extra;
    r.query_count = 1;
    query = sigv4_presign(mem, &key, &r, 60);
    check(sigv4_verify(mem, &key, &r, slice(query)) == SIGV4_GOOD);
    return 0;
}
