#include "tools/atrium/tus_client.h"

#include <curl/curl.h>

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"

#define TUS_HEADER "Tus-Resumable: 1.0.0"

Err web_open(Tool *tool, const char *base, const char *token, Web *out)
{
    Slice trimmed = slice(base);

    while (slice_ends_with(trimmed, SLICE_LIT("/")))
        trimmed.len--;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_make(&INTERNAL, "libcurl cannot be used");
    *out = (Web){.tool = tool, .base = slice_cstr(tool->mem, trimmed), .token = token, .curl = curl_easy_init()};
    return out->curl ? OK : err_make(&INTERNAL, "libcurl cannot be used");
}

void web_done(Web *web)
{
    if (web->curl)
        curl_easy_cleanup(web->curl);
    web->curl = NULL;
    curl_global_cleanup();
}

/* What one transfer reads and writes. */
typedef struct Transfer {
    Web *web;
    StrBuf body;
    WebReply reply;
    const TusFile *file; /* NULL: no body of a file */
    int64_t offset;
} Transfer;

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    Transfer *t = data;

    strbuf_append(&t->body, slice_of(bytes, size * count));
    return size * count;
}

static void take_named(Transfer *t, Slice line, Slice name, const char **out)
{
    if (slice_starts_with(line, SLICE_LIT("HTTP/"))) /* of a new answer, behind 100 Continue */
        *out = NULL;
    if (slice_eq_nocase(slice_take(line, name.len), name) &&
        slice_starts_with(slice_skip(line, name.len), SLICE_LIT(":")))
        *out = slice_cstr(t->web->tool->mem, slice_trim(slice_skip(line, name.len + 1)));
}

static size_t take_header(char *bytes, size_t size, size_t count, void *data)
{
    Transfer *t = data;
    Slice line = slice_of(bytes, size * count);

    take_named(t, line, SLICE_LIT("Location"), &t->reply.location);
    take_named(t, line, SLICE_LIT("Upload-Offset"), &t->reply.offset);
    take_named(t, line, SLICE_LIT("Media-Id"), &t->reply.media_id);
    return size * count;
}

static size_t give_file(char *into, size_t size, size_t count, void *data)
{
    Transfer *t = data;
    size_t got = fread(into, 1, size * count, t->file->file);

    return got || feof(t->file->file) ? got : CURL_READFUNC_ABORT;
}

static int tell_progress(void *data, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    const Transfer *t = data;

    (void)down_total, (void)down, (void)up_total;
    return t->file && !t->file->progress(t->file->at, t->offset + (int64_t)up);
}

static char *whole_url(Web *web, const char *path)
{
    return path[0] == '/' ? arena_printf(web->tool->mem, "%s%s", web->base, path) : arena_strdup(web->tool->mem, path);
}

static void set_common(Web *web, Transfer *t, const char *method, const char *path, struct curl_slist *headers)
{
    curl_easy_reset(web->curl);
    curl_easy_setopt(web->curl, CURLOPT_URL, whole_url(web, path));
    curl_easy_setopt(web->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(web->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(web->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(web->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(web->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(web->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(web->curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(web->curl, CURLOPT_HEADERDATA, t);
}

static Err perform(Web *web, Transfer *t, WebReply *out)
{
    CURLcode code = curl_easy_perform(web->curl);
    long status = 0;

    if (code == CURLE_ABORTED_BY_CALLBACK)
        return err_make(&CANCELLED, "stopped");
    if (code != CURLE_OK)
        return err_make(&UNAVAILABLE, "%s", curl_easy_strerror(code));
    curl_easy_getinfo(web->curl, CURLINFO_RESPONSE_CODE, &status);
    t->reply.status = (int)status;
    if (!strbuf_finish(&t->body, &t->reply.body))
        return err_make(&PAYLOAD_TOO_LARGE, "the answer is larger than %d bytes", WEB_REPLY_MAX_BYTES);
    *out = t->reply;
    return OK;
}

static struct curl_slist *add_headers(Web *web, const char *const *headers, bool with_token)
{
    struct curl_slist *list = NULL;

    if (with_token && web->token)
        list = curl_slist_append(list, arena_printf(web->tool->mem, "Authorization: Bearer %s", web->token));
    for (size_t i = 0; headers && headers[i]; i++)
        list = curl_slist_append(list, headers[i]);
    return list;
}

/* The token goes to the server that it was meant for, and to no other. */
static bool is_ours(const Web *web, const char *path)
{
    return path[0] == '/' || slice_starts_with(slice(path), slice(arena_printf(web->tool->mem, "%s/", web->base)));
}

Err web_call(Web *web, const char *method, const char *path, const char *const *headers, Slice body, WebReply *out)
{
    Transfer t = {.web = web, .body = strbuf_new(web->tool->mem, WEB_REPLY_MAX_BYTES)};
    struct curl_slist *list = add_headers(web, headers, is_ours(web, path));
    Err e;

    set_common(web, &t, method, path, list);
    curl_easy_setopt(web->curl, CURLOPT_TIMEOUT_MS, (long)WEB_TIMEOUT_MS);
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(web->curl, CURLOPT_NOBODY, 1L);
    if (body.ptr) {
        curl_easy_setopt(web->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        curl_easy_setopt(web->curl, CURLOPT_POSTFIELDS, body.ptr);
    }
    e = perform(web, &t, out);
    curl_slist_free_all(list);
    return e;
}

typedef struct Saving {
    CURL *curl;
    FILE *to;
} Saving;

static size_t save_body(char *bytes, size_t size, size_t count, void *data)
{
    const Saving *saving = data;
    long status = 0;

    curl_easy_getinfo(saving->curl, CURLINFO_RESPONSE_CODE, &status);
    return status != 200 || fwrite(bytes, size, count, saving->to) == count ? size * count : 0;
}

Err web_save(Web *web, const char *path, FILE *to, int *out_status)
{
    Transfer t = {.web = web, .body = strbuf_new(web->tool->mem, WEB_REPLY_MAX_BYTES)};
    Saving saving = {.curl = web->curl, .to = to};
    struct curl_slist *list = add_headers(web, NULL, is_ours(web, path));
    WebReply reply;
    Err e;

    set_common(web, &t, "GET", path, list);
    curl_easy_setopt(web->curl, CURLOPT_WRITEFUNCTION, save_body);
    curl_easy_setopt(web->curl, CURLOPT_WRITEDATA, &saving);
    curl_easy_setopt(web->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(web->curl, CURLOPT_LOW_SPEED_TIME, (long)WEB_STALL_S);
    e = perform(web, &t, &reply);
    curl_slist_free_all(list);
    if (!err_failed(e))
        *out_status = reply.status;
    return e;
}

/* ---------------------------------------------------------------------------------------- tus */

/* By the statuses of tus, and what else servers and proxies answer. */
static Err judge(const WebReply *reply, int wanted, const char *what)
{
    const Reason *reason = &INVALID_ARGUMENT;

    if (reply->status == wanted)
        return OK;
    if (reply->status == 401)
        return err_make(&UNAUTHENTICATED, "%s: the server refuses the token: set ATRIUM_TOKEN anew, or give --user",
                        what);
    if (reply->status == 404 || reply->status == 410)
        reason = &NOT_FOUND;
    else if (reply->status == 403)
        reason = &PERMISSION_DENIED;
    else if (reply->status == 409 || reply->status == 423)
        reason = &CONFLICT;
    else if (reply->status == 413)
        reason = &PAYLOAD_TOO_LARGE;
    else if (reply->status >= 500)
        reason = &UNAVAILABLE;
    return err_make(reason, "%s: the server answers %d", what, reply->status);
}

Err tus_client_create(Web *web, const TusFile *file, TusRemote *out)
{
    Arena *mem = web->tool->mem;
    const char *headers[] = {
        TUS_HEADER, arena_printf(mem, "Upload-Length: %" PRId64, file->size_bytes),
        arena_printf(mem, "Upload-Metadata: filename %s", base64_encode(mem, slice(file->filename))), NULL};
    WebReply reply;

    TRY(web_call(web, "POST", "/media/upload/tus", headers, SLICE_LIT(""), &reply));
    TRY(judge(&reply, 201, "new upload"));
    if (!reply.location || !reply.media_id)
        return err_make(&UNAVAILABLE, "new upload: the answer lacks Location or Media-Id");
    *out = (TusRemote){whole_url(web, reply.location), reply.media_id};
    return OK;
}

Err tus_client_offset(Web *web, const TusRemote *remote, int64_t *out)
{
    static const char *const HEADERS[] = {TUS_HEADER, NULL};
    WebReply reply;

    TRY(web_call(web, "HEAD", remote->url, HEADERS, (Slice){NULL, 0}, &reply));
    TRY(judge(&reply, 200, "upload"));
    if (!reply.offset || !slice_to_int64(slice(reply.offset), out) || *out < 0)
        return err_make(&UNAVAILABLE, "upload: the answer lacks Upload-Offset");
    return OK;
}

Err tus_client_send(Web *web, const TusFile *file, const TusRemote *remote, int64_t offset)
{
    Arena *mem = web->tool->mem;
    const char *headers[] = {TUS_HEADER, "Content-Type: application/offset+octet-stream",
                             arena_printf(mem, "Upload-Offset: %" PRId64, offset), NULL};
    Transfer t = {.web = web, .body = strbuf_new(mem, WEB_REPLY_MAX_BYTES), .file = file, .offset = offset};
    struct curl_slist *list;
    WebReply reply;
    Err e;

    if (fseeko(file->file, (off_t)offset, SEEK_SET) != 0)
        return err_errno(&INVALID_ARGUMENT, file->filename);
    list = add_headers(web, headers, is_ours(web, remote->url));
    set_common(web, &t, "PATCH", remote->url, list);
    curl_easy_setopt(web->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(web->curl, CURLOPT_UPLOAD_BUFFERSIZE, 262144L);
    curl_easy_setopt(web->curl, CURLOPT_READFUNCTION, give_file);
    curl_easy_setopt(web->curl, CURLOPT_READDATA, &t);
    curl_easy_setopt(web->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)(file->size_bytes - offset));
    curl_easy_setopt(web->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(web->curl, CURLOPT_XFERINFOFUNCTION, tell_progress);
    curl_easy_setopt(web->curl, CURLOPT_XFERINFODATA, &t);
    curl_easy_setopt(web->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)WEB_TIMEOUT_MS);
    curl_easy_setopt(web->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(web->curl, CURLOPT_LOW_SPEED_TIME, (long)WEB_STALL_S);
    e = perform(web, &t, &reply);
    curl_slist_free_all(list);
    TRY(e);
    return judge(&reply, 204, "upload");
}
