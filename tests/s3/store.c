/* store: a store of objects by hand, for tests against a real one that BLOB_TEST_S3 names.
 *   store put KEY FILE TYPE | get KEY FILE
 *   store presign METHOD KEY SECONDS [type=T] [length=N] [sha256=HEX] [disposition=D] [absent]   URL, then headers
 *   store parts KEY COUNT     an upload whose parts others send: prints its state, then a URL for each part
 *   store complete STATE      of what has arrived
 *   store sign                reads requests, a line each, fields in hex between tabs, for comparison with others */
#include <unistd.h>

#include "shared/blob.h"
#include "shared/sigv4.h"

enum { LINE_MAX_BYTES = 64 * 1024, FIELDS_MAX = 64, SIGN_UNIX_S = 1700000000 };

static int fail(Err e)
{
    (void)fprintf(stderr, "%s: %s\n", e.reason->key, e.text);
    return 1;
}

static int presign(Blob *b, Arena *mem, int argc, char **argv)
{
    BlobPresign what = {
        .method = argv[2], .key = argv[3], .expires_s = strtoll(argv[4], NULL, 10), .length = BLOB_UNKNOWN};
    BlobSigned out;
    Err e;

    for (int i = 5; i < argc; i++) {
        Slice name, value;
        (void)slice_cut(slice(argv[i]), '=', &name, &value);
        if (slice_eq_cstr(name, "type"))
            what.content_type = value.ptr;
        else if (slice_eq_cstr(name, "length"))
            what.length = strtoull(value.ptr, NULL, 10);
        else if (slice_eq_cstr(name, "sha256"))
            what.sha256 = value.ptr;
        else if (slice_eq_cstr(name, "disposition"))
            what.response_disposition = value.ptr;
        else
            what.only_if_absent = true;
    }
    e = blob_presign(b, mem, &what, &out);
    if (err_failed(e))
        return fail(e);
    (void)printf("%s\n", out.url);
    for (size_t i = 0; i < out.header_count; i++)
        (void)printf("%s: %s\n", out.headers[i].name, out.headers[i].value);
    return 0;
}

static int begin_parts(Blob *b, Arena *mem, const char *key, int count)
{
    char state[BLOB_STATE_BYTES];
    Err e = blob_upload_create(b, &(BlobUploadOptions){.key = key, .content_type = "video/mp4", .length = BLOB_UNKNOWN},
                               state);

    if (err_failed(e))
        return fail(e);
    (void)printf("%s\n", state);
    for (int i = 1; i <= count; i++) {
        BlobSigned out;
        e = blob_presign_part(b, mem, state, i, BLOB_UNKNOWN, NULL, 600, &out);
        if (err_failed(e))
            return fail(e);
        (void)printf("%s\n", out.url);
    }
    return 0;
}

static int complete_parts(Blob *b, Arena *mem, const char *state)
{
    BlobPart *parts;
    BlobInfo info;
    size_t count;
    Err e = blob_upload_parts(b, mem, state, &parts, &count);

    if (!err_failed(e))
        e = blob_upload_complete_parts(b, state, parts, count, &info);
    if (!err_failed(e))
        e = blob_upload_complete_parts(b, state, parts, count, &info); /* may be repeated */
    if (!err_failed(e))
        e = blob_upload_forget(b, state);
    if (err_failed(e))
        return fail(e);
    (void)printf("%zu %" PRIu64 " %s\n", count, info.size_bytes, info.etag);
    return 0;
}

static char *next_field(Arena *mem, Slice *line)
{
    Slice field, bytes;

    (void)slice_cut(*line, '\t', &field, line);
    return hex_decode(mem, field, &bytes) ? slice_cstr(mem, bytes) : NULL;
}

static size_t read_pairs(Arena *mem, Slice *line, SigV4Pair *out)
{
    size_t count = strtoul(next_field(mem, line), NULL, 10);

    for (size_t i = 0; i < count && i < SIGV4_PAIRS_MAX; i++) {
        const char *name = next_field(mem, line);
        out[i] = (SigV4Pair){name, next_field(mem, line)};
    }
    return count;
}

/* Method, path, payload hash, pairs of the query, pairs of headers; out: Authorization and the presigned query. */
static int sign(Arena *mem)
{
    const SigV4Key key = {"AKID", "a/secret+key", "eu-central-1", "s3"};
    char *text = xmalloc(LINE_MAX_BYTES);

    while (fgets(text, LINE_MAX_BYTES, stdin)) {
        SigV4Pair query[SIGV4_PAIRS_MAX], headers[SIGV4_PAIRS_MAX];
        Slice line = slice_trim(slice(text));
        SigV4Request r = {.query = query, .headers = headers, .unix_s = SIGN_UNIX_S};
        r.method = next_field(mem, &line);
        r.path = next_field(mem, &line);
        r.payload_sha256 = next_field(mem, &line);
        r.query_count = read_pairs(mem, &line, query);
        r.header_count = read_pairs(mem, &line, headers);
        (void)printf("%s\n", sigv4_authorization(mem, &key, &r));
        r.payload_sha256 = SIGV4_UNSIGNED;
        (void)printf("%s\n", sigv4_presign(mem, &key, &r, 3600));
        arena_reset(mem);
    }
    free(text);
    return 0;
}

static int work(Blob *b, Arena *mem, int argc, char **argv)
{
    const char *what = argv[1];
    BlobInfo info;
    Err e;

    if (!strcmp(what, "presign") && argc >= 5)
        return presign(b, mem, argc, argv);
    if (!strcmp(what, "parts") && argc == 4)
        return begin_parts(b, mem, argv[2], (int)strtol(argv[3], NULL, 10));
    if (!strcmp(what, "complete") && argc == 3)
        return complete_parts(b, mem, argv[2]);
    if (!strcmp(what, "get") && argc == 4)
        e = blob_get_file(b, argv[2], argv[3], &info);
    else if (!strcmp(what, "put") && argc == 5)
        e = blob_put_file(b, &(BlobPut){.key = argv[2], .content_type = argv[4], .length = BLOB_UNKNOWN}, argv[3],
                          &info);
    else
        return 2;
    if (err_failed(e))
        return fail(e);
    (void)printf("%" PRIu64 " %s %s\n", info.size_bytes, info.etag, info.sha256);
    return 0;
}

int main(int argc, char **argv)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(64 * 1024);
    CLEANUP(blob_close_at) Blob *b = NULL;
    Err e;

    if (argc < 2)
        return 2;
    if (!strcmp(argv[1], "sign"))
        return sign(mem);
    e = blob_open(&(BlobOptions){.driver = "s3",
                                 .s3_endpoint = getenv("BLOB_TEST_S3"),
                                 .s3_access_key = getenv("BLOB_TEST_S3_KEY"),
                                 .s3_secret_key = getenv("BLOB_TEST_S3_SECRET"),
                                 .s3_bucket = getenv("BLOB_TEST_S3_BUCKET"),
                                 .s3_region = "us-east-1"},
                  &b);
    return err_failed(e) ? fail(e) : work(b, mem, argc, argv);
}
