/* tus_client: the sending side of a resumable upload (tus 1.0.0), for `atrium media put`. */
#pragma once
#include "tools/atrium/tool.h"

enum {
    WEB_REPLY_MAX_BYTES = 1 << 20,
    WEB_TIMEOUT_MS = 30000,
    WEB_STALL_S = 60, /* an upload that moves no byte for so long has failed */
};

/* A server and who we are there. One thread. */
typedef struct Web {
    Tool *tool;
    const char *base;  /* "https://host", no slash at its end */
    const char *token; /* bearer; NULL none */
    void *curl;        /* its connection is kept */
} Web;
Err web_open(Tool *tool, const char *base, const char *token, Web *out) MUST_CHECK;
void web_done(Web *web);
/* The same as who ATRIUM_TOKEN says; or as `user` (NULL: none), with the password in ATRIUM_PASSWORD or on standard
 * input. web_done in any case. */
Err web_log_in(Tool *tool, const char *server, const char *user, Web *out) MUST_CHECK;

typedef struct WebReply {
    int status;
    Slice body;
    const char *location, *offset, *media_id; /* headers; NULL absent */
} WebReply;
/* With a small body or none (`body.ptr` NULL). `headers` end with NULL. Any status is a success of the call. `path` may
 * be a whole URL. */
Err web_call(Web *web, const char *method, const char *path, const char *const *headers, Slice body,
             WebReply *out) MUST_CHECK;

/* GET, of any size, into `to`; of an answer that is not 200 nothing is written. */
Err web_save(Web *web, const char *path, FILE *to, int *out_status) MUST_CHECK;

/* Told now and then while bytes go out; false stops it. */
typedef bool (*TusProgress)(void *at, int64_t sent_bytes);
typedef struct TusFile {
    FILE *file;
    int64_t size_bytes;
    const char *filename;
    TusProgress progress;
    void *at;
} TusFile;
typedef struct TusRemote {
    const char *url; /* of the upload */
    const char *media_id;
} TusRemote;
Err tus_client_create(Web *web, const TusFile *file, TusRemote *out) MUST_CHECK;
/* How far it is. NOT_FOUND: it is no more. */
Err tus_client_offset(Web *web, const TusRemote *remote, int64_t *out) MUST_CHECK;
/* Everything from `offset` on in one request. UNAVAILABLE, or CONFLICT (somebody else sends, or the offset is another):
 * ask for the offset and go on. */
Err tus_client_send(Web *web, const TusFile *file, const TusRemote *remote, int64_t offset) MUST_CHECK;
