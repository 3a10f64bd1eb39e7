/* sigv4: AWS Signature Version 4 (AWS4-HMAC-SHA256) as S3 has it: the path is encoded once, slashes stay. By ourselves,
 * since libcurl's signs unsorted queries as they are and cannot presign. */
#pragma once
#include "shared/slice.h"

typedef struct SigV4Key {
    const char *access_key, *secret_key, *region, *service; /* service: "s3" */
} SigV4Key;
typedef struct SigV4Pair {
    const char *name, *value;
} SigV4Pair;
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
enum { SIGV4_DATE_BYTES = 17, SIGV4_PAIRS_MAX = 32, SIGV4_EXPIRES_MAX_S = 604800 };

/* Everything in plain form, not yet percent-encoded. */
typedef struct SigV4Request {
    const char *method;
    const char *path;
    const SigV4Pair *query;
    size_t query_count; /* SIGV4_PAIRS_MAX at most, and as many headers */
    /* All that are signed, Host among them; with header signing what S3 demands too: x-amz-date, x-amz-content-sha256.
     */
    const SigV4Pair *headers;
    size_t header_count;
    const char *payload_sha256; /* hex of the body, or SIGV4_UNSIGNED */
    int64_t unix_s;
} SigV4Request;

/* "20130524T000000Z", for x-amz-date. */
void sigv4_date(int64_t unix_s, char out[SIGV4_DATE_BYTES]);
/* The value of the header Authorization. Borrowed from `mem`. */
char *sigv4_authorization(Arena *mem, const SigV4Key *key, const SigV4Request *request);
/* The whole query of a presigned URL, signature last. Borrowed from `mem`; whoever has it may do it. */
char *sigv4_presign(Arena *mem, const SigV4Key *key, const SigV4Request *request, int64_t expires_s);
/* Path and query as they go on the wire: what is not unreserved is percent-encoded; sorted. Borrowed from `mem`. */
char *sigv4_path(Arena *mem, const char *path);
char *sigv4_query(Arena *mem, const SigV4Pair *query, size_t count);

/* What a store does with such a URL. `query` is as it came; of `request`, method, path, headers (those that came) and
 * unix_s (now) count. */
typedef enum SigV4Verdict { SIGV4_GOOD, SIGV4_MALFORMED, SIGV4_EXPIRED, SIGV4_WRONG } SigV4Verdict;
SigV4Verdict sigv4_verify(Arena *mem, const SigV4Key *key, const SigV4Request *request, Slice query);
