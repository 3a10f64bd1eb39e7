/* Tests of the engine of resumable uploads: its handlers, called alone, over a store of files. What a service would
 * have in its tables stands in an array here. */
#include "shared/tus.h"

#include <ftw.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "atrium/options.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

enum { UPLOADS_MAX = 16, SIZE_MAX_BYTES = 1000, LIFE_MS = 60000, NEVER_FAILS = SIZE_MAX_BYTES + 1 };
#define TYPE "application/offset+octet-stream"

typedef struct Row {
    TusUpload upload;
    char state[BLOB_STATE_BYTES];
    char url[32], key[32], metadata[128], concat[256];
    bool there;
} Row;

typedef struct Fixture {
    Arena *mem;
    Blob *b;
    char dir[40];
    Row rows[UPLOADS_MAX];
    size_t count;
    int completions, touches;
    uint64_t fails_at;      /* asking for room for more than that fails, as a broken connection would */
    bool elsewhere;         /* another instance has what is asked for */
    bool lost;              /* ours is another one's by now */
    int taken;              /* sittings that last */
    bool completion_ends;   /* the object is made, and then nothing is written down: a crash */
    int64_t unix_us, speed; /* of the clock that waiting goes by */
    RequestHeader headers[8];
    size_t header_count;
} Fixture;

/* ---------------------------------------------------------------------------------------- a service */

static Fixture *fixture_of(const Request *rq)
{
    return (Fixture *)(uintptr_t)rq->service; /* a test's own: nothing else runs */
}

static Blob *blob_of(const Request *rq)
{
    return fixture_of(rq)->b;
}

static uint64_t max_bytes_of(const Request *rq)
{
    (void)rq;
    return SIZE_MAX_BYTES;
}

static Err find_row(BytesExchange *x, Slice name, TusUpload *out)
{
    Fixture *f = fixture_of(bytes_request(x));
    uint64_t number;

    if (!slice_to_uint64(name, &number) || number >= f->count || !f->rows[number].there ||
        f->rows[number].upload.expires_ms <= f->unix_us / 1000)
        return err_make(&NOT_FOUND, "no such upload");
    *out = f->rows[number].upload;
    return OK;
}

static Err find(BytesExchange *x, TusUpload *out)
{
    return find_row(x, bytes_variable(x, "id"), out);
}

static Err concatenate(Fixture *f, const TusCreation *what, Row *row)
{
    const char *keys[UPLOADS_MAX];
    BlobInfo info;

    for (size_t i = 0; i < what->part_count; i++)
        keys[i] = ((Row *)what->parts[i].own)->key;
    row->upload.final = row->upload.complete = true;
    f->completions++;
    return blob_concat(f->b, &(BlobPut){.key = row->key, .length = what->length}, keys, what->part_count, &info);
}

static void copy_text(char *into, size_t size, Slice text)
{
    (void)snprintf(into, size, SLICE_FMT, SLICE_ARG(text));
}

static Err create(BytesExchange *x, const TusCreation *what, TusUpload *out)
{
    Fixture *f = fixture_of(bytes_request(x));
    Row *row = &f->rows[f->count];
    BlobUploadOptions options = {.key = row->key, .length = what->length, .max_bytes = SIZE_MAX_BYTES};

    assert_true(f->count < UPLOADS_MAX);
    (void)snprintf(row->url, sizeof(row->url), "/up/%zu", f->count);
    (void)snprintf(row->key, sizeof(row->key), "made/%zu", f->count);
    copy_text(row->metadata, sizeof(row->metadata), what->metadata_header);
    copy_text(row->concat, sizeof(row->concat), what->concat_header);
    row->upload = (TusUpload){.url = row->url,
                              .state = row->state,
                              .length = what->length,
                              .granted = 0,
                              .metadata = row->metadata,
                              .concat = row->concat,
                              .partial = what->partial,
                              .expires_ms = f->unix_us / 1000 + LIFE_MS,
                              .own = row};
    if (what->part_count)
        TRY(concatenate(f, what, row));
    else
        TRY(blob_upload_create(f->b, &options, row->state));
    row->there = true;
    f->count++;
    *out = row->upload;
    return OK;
}

static Err take(BytesExchange *x, TusUpload *u)
{
    Fixture *f = fixture_of(bytes_request(x));

    (void)u;
    if (f->elsewhere)
        return err_make(&CONFLICT, "elsewhere");
    f->taken++;
    return OK;
}

static Err check(BytesExchange *x, TusUpload *u)
{
    (void)u;
    return fixture_of(bytes_request(x))->lost ? err_make(&UNAVAILABLE, "another one's by now") : OK;
}

static void leave(BytesExchange *x, TusUpload *u)
{
    (void)u;
    fixture_of(bytes_request(x))->taken--;
}

static Err set_length(BytesExchange *x, TusUpload *u, uint64_t length)
{
    (void)x;
    u->length = ((Row *)u->own)->upload.length = length;
    return OK;
}

static Err grant(BytesExchange *x, TusUpload *u, uint64_t up_to)
{
    if (up_to > fixture_of(bytes_request(x))->fails_at)
        return err_make(&UNAVAILABLE, "no room can be asked for");
    u->granted = ((Row *)u->own)->upload.granted = up_to;
    return OK;
}

static Err touch(BytesExchange *x, TusUpload *u, uint64_t offset)
{
    Fixture *f = fixture_of(bytes_request(x));

    (void)offset;
    f->touches++;
    u->expires_ms = ((Row *)u->own)->upload.expires_ms = f->unix_us / 1000 + LIFE_MS;
    return OK;
}

static Err complete(BytesExchange *x, TusUpload *u, BlobUpload *sitting)
{
    Fixture *f = fixture_of(bytes_request(x));
    BlobInfo info;

    TRY(blob_upload_complete(sitting, u->length, NULL, false, &info));
    if (f->completion_ends)
        return err_make(&UNAVAILABLE, "the database is gone");
    ((Row *)u->own)->upload.complete = true;
    f->completions++;
    return OK;
}

static Err remove_upload(BytesExchange *x, TusUpload *u)
{
    (void)x;
    ((Row *)u->own)->there = false;
    return OK;
}

static const TusRules RULES = {blob_of, max_bytes_of, create, find,  find_row, take,         check,
                               leave,   set_length,   grant,  touch, complete, remove_upload};

static Err begin_above(BytesExchange *x)
{
    return tus_begin(&RULES, x, false);
}

static Err begin_below(BytesExchange *x)
{
    return tus_begin(&RULES, x, true);
}

static const BytesHandler ABOVE = {begin_above, tus_data, tus_end, tus_done},
                          BELOW = {begin_below, tus_data, tus_end, tus_done};
static const BytesRow ROWS[] = {
    {"POST", "/up", "test.v1.Create", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &ABOVE},
    {"OPTIONS", "/up", "test.v1.Options", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &ABOVE},
    {"HEAD", "/up/{id}", "test.v1.Head", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &BELOW},
    {"PATCH", "/up/{id}", "test.v1.Append", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &BELOW},
    {"DELETE", "/up/{id}", "test.v1.Delete", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &BELOW},
    {"POST", "/up/{id}", "test.v1.Override", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &BELOW},
};
static const BytesService SERVICE = {"atrium.test.v1.TestService", "test", ROWS, ARRAY_LEN(ROWS)};

/* ---------------------------------------------------------------------------------------- a client */

static int64_t fixture_unix_us(void *context)
{
    return ((Fixture *)context)->unix_us;
}

static int64_t fixture_monotonic_us(void *context)
{
    return clock_monotonic_us(&SYSTEM_CLOCK) * ((Fixture *)context)->speed;
}

static void with(Fixture *f, const char *name, const char *value)
{
    assert_true(f->header_count < ARRAY_LEN(f->headers));
    f->headers[f->header_count++] = (RequestHeader){name, value};
}

/* With Tus-Resumable, and what was set by with() since the last call. */
static BytesReply call_in_pieces(Fixture *f, const char *method, const char *path, const char *body, size_t piece_bytes)
{
    Clock *clock = ARENA_NEW(f->mem, Clock);
    Request rq = {.mem = f->mem, .service = f, .clock = clock, .headers = f->headers, .id = "", .client_address = ""};
    TicketKeys *tickets = ticket_keys_random();
    BytesReply reply;

    *clock = (Clock){fixture_unix_us, fixture_monotonic_us, f};
    with(f, "tus-resumable", "1.0.0");
    rq.header_count = f->header_count;
    reply = bytes_call(&SERVICE, &rq, tickets, method, path, slice(body), piece_bytes);
    f->header_count = 0;
    ticket_keys_free(tickets);
    return reply;
}

static BytesReply call(Fixture *f, const char *method, const char *path, const char *body)
{
    return call_in_pieces(f, method, path, body, 0);
}

static const char *header_of(const BytesReply *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (slice_eq_nocase(slice(r->headers[i].name), slice(name)))
            return r->headers[i].value;
    return "";
}

/* The new upload's path. */
static const char *make(Fixture *f, const char *length)
{
    BytesReply r;

    with(f, "upload-length", length);
    r = call(f, "POST", "/up", "");
    assert_int_equal(r.status, 201);
    return header_of(&r, "Location");
}

static BytesReply append(Fixture *f, const char *path, const char *offset, const char *body)
{
    with(f, "content-type", TYPE);
    with(f, "upload-offset", offset);
    return call(f, "PATCH", path, body);
}

#define assert_status(expression, wanted)                                                                              \
    do {                                                                                                               \
        BytesReply assert_reply_ = (expression);                                                                       \
        if (assert_reply_.status != (wanted) || assert_reply_.e.reason)                                                \
            fail_msg("%s: got %d " SLICE_FMT " %s", #expression, assert_reply_.status, SLICE_ARG(assert_reply_.body),  \
                     assert_reply_.e.text);                                                                            \
    } while (0)
#define assert_offset(f, path, wanted)                                                                                 \
    do {                                                                                                               \
        BytesReply head_ = call(f, "HEAD", path, "");                                                                  \
        assert_int_equal(head_.status, 200);                                                                           \
        assert_string_equal(header_of(&head_, "Upload-Offset"), wanted);                                               \
    } while (0)

static void assert_made(Fixture *f, const char *key, const char *wanted)
{
    Slice got;

    assert_ok(blob_get_bytes(f->b, f->mem, key, SIZE_MAX_BYTES, &got, NULL));
    assert_slice_equal(got, slice(wanted));
}

static int set_up(void **state)
{
    Fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->mem = arena_new(65536);
    f->unix_us = INT64_C(784111777) * 1000000; /* Sun, 06 Nov 1994 08:49:37 GMT */
    f->speed = 1;
    f->fails_at = NEVER_FAILS;
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/tus_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_ok(blob_open(&(BlobOptions){.driver = "fs", .dir = f->dir}, &f->b));
    *state = f;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    assert_int_equal(f->taken, 0);
    blob_close(f->b);
    (void)nftw(f->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    arena_free(f->mem);
    free(f);
    return 0;
}

/* ---------------------------------------------------------------------------------------- appending */

static void pieces_become_an_object(void **state)
{
    Fixture *f = *state;
    BytesReply r;

    with(f, "upload-length", "10");
    with(f, "upload-metadata", "filename YS5iaW4=,private");
    r = call(f, "POST", "/up", "");
    assert_int_equal(r.status, 201);
    assert_string_equal(header_of(&r, "Location"), "/up/0");
    assert_string_equal(header_of(&r, "Tus-Resumable"), "1.0.0");
    r = append(f, "/up/0", "0", "0123");
    assert_int_equal(r.status, 204);
    assert_string_equal(header_of(&r, "Upload-Offset"), "4");
    r = call(f, "HEAD", "/up/0", "");
    assert_string_equal(header_of(&r, "Upload-Offset"), "4");
    assert_string_equal(header_of(&r, "Upload-Length"), "10");
    assert_string_equal(header_of(&r, "Upload-Metadata"), "filename YS5iaW4=,private");
    assert_string_equal(header_of(&r, "Cache-Control"), "no-store");
    r = append(f, "/up/0", "4", "456789");
    assert_int_equal(r.status, 204);
    assert_string_equal(header_of(&r, "Upload-Offset"), "10");
    assert_int_equal(f->completions, 1);
    assert_int_equal(f->touches, 1);
    assert_made(f, "made/0", "0123456789");
    assert_offset(f, "/up/0", "10");
    assert_status(append(f, "/up/0", "10", ""), 204); /* the answer to the last one was lost */
    assert_status(append(f, "/up/0", "10", "x"), 409);
    assert_int_equal(f->completions, 1);
}

static void bytes_may_come_with_the_creation(void **state)
{
    Fixture *f = *state;
    BytesReply r;

    with(f, "upload-length", "5");
    with(f, "content-type", TYPE);
    r = call(f, "POST", "/up", "012");
    assert_int_equal(r.status, 201);
    assert_string_equal(header_of(&r, "Upload-Offset"), "3");
    with(f, "upload-length", "2");
    with(f, "content-type", TYPE);
    assert_status(call(f, "POST", "/up", "01"), 201);
    assert_made(f, "made/1", "01");
    (void)make(f, "0"); /* nothing is complete at once */
    assert_made(f, "made/2", "");
    assert_int_equal(f->completions, 2);
}

static void appends_that_cannot_be_change_nothing(void **state)
{
    Fixture *f = *state;
    const char *path = make(f, "5");

    assert_status(append(f, path, "0", "01"), 204);
    assert_status(append(f, path, "0", "x"), 409);
    assert_status(append(f, path, "3", "x"), 409);
    assert_status(append(f, path, "-2", "x"), 400);
    with(f, "content-type", TYPE);
    assert_status(call(f, "PATCH", path, "x"), 400); /* no offset */
    with(f, "content-type", "application/octet-stream");
    with(f, "upload-offset", "2");
    assert_status(call(f, "PATCH", path, "x"), 415);
    assert_status(append(f, path, "2", "2345"), 413);
    with(f, "upload-length", "6");
    assert_status(append(f, path, "2", "2"), 400); /* it was 5 */
    assert_reason(append(f, "/up/9", "0", "x").e, &NOT_FOUND);
    assert_offset(f, path, "2");
    assert_status(append(f, path, "2", "234"), 204);
}

static void creations_that_cannot_be_leave_nothing(void **state)
{
    static const struct {
        const char *name, *value, *other_name, *other_value, *body;
        int status;
    } CASES[] = {
        {"x", "", "x", "", "", 400},
        {"upload-length", "-1", "x", "", "", 400},
        {"upload-length", "1e3", "x", "", "", 400},
        {"upload-length", "1001", "x", "", "", 413},
        {"upload-length", "5", "upload-defer-length", "1", "", 400},
        {"upload-defer-length", "2", "x", "", "", 400},
        {"upload-length", "5", "content-type", "text/plain", "01", 415},
        {"upload-length", "1", "content-type", TYPE, "01", 413},
        {"upload-length", "5", "upload-concat", "final;/up/0", "", 400},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        with(f, CASES[i].name, CASES[i].value);
        with(f, CASES[i].other_name, CASES[i].other_value);
        assert_status(call(f, "POST", "/up", CASES[i].body), CASES[i].status);
    }
    with(f, "upload-length", "5");
    with(f, "upload-metadata", "filename ?");
    assert_reason(call(f, "POST", "/up", "").e, &INVALID_ARGUMENT);
    assert_int_equal(f->count, 0);
}

static void the_version_is_asked_for_first(void **state)
{
    Fixture *f = *state;
    const char *path = make(f, "5");
    BytesReply r;

    with(f, "tus-resumable", "0.2.2");
    r = call(f, "PATCH", path, "01");
    assert_int_equal(r.status, 412);
    assert_string_equal(header_of(&r, "Tus-Version"), "1.0.0");
    with(f, "tus-resumable", "0.2.2");
    r = call(f, "OPTIONS", "/up", "");
    assert_int_equal(r.status, 204);
    assert_string_equal(header_of(&r, "Tus-Max-Size"), "1000");
    assert_non_null(strstr(header_of(&r, "Tus-Extension"), "concatenation"));
    assert_offset(f, path, "0");
}

static void a_method_may_be_said_in_a_header(void **state)
{
    Fixture *f = *state;
    const char *path = make(f, "2");

    with(f, "x-http-method-override", "PATCH");
    with(f, "content-type", TYPE);
    with(f, "upload-offset", "0");
    assert_status(call(f, "POST", path, "01"), 204);
    assert_int_equal(f->completions, 1);
    assert_status(call(f, "POST", path, ""), 405);
}

/* ---------------------------------------------------------------------------------------- checksums */

static void a_wrong_checksum_leaves_the_offset(void **state)
{
    Fixture *f = *state;
    const char *path = make(f, "10");

    assert_status(append(f, path, "0", "01"), 204);
    with(f, "upload-checksum", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="); /* of "hello world" */
    assert_status(append(f, path, "2", "hello"), 460);
    assert_offset(f, path, "2");
    with(f, "upload-checksum", "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00="); /* of "hello" */
    assert_status(append(f, path, "2", "hello"), 204);
    assert_offset(f, path, "7");
    with(f, "upload-checksum", "md5 XUFAKrxLKna5cZ2REBfFkg==");
    assert_status(append(f, path, "7", "abc"), 460); /* of "hello": it would have been complete */
    assert_int_equal(f->completions, 0);
    with(f, "upload-checksum", "crc32 AAAAAA==");
    assert_reason(append(f, path, "7", "abc").e, &INVALID_ARGUMENT);
    assert_status(append(f, path, "7", "abc"), 204);
    assert_made(f, "made/0", "01helloabc");
}

static void what_came_before_a_failure_stays_unless_a_checksum_vouches(void **state)
{
    Fixture *f = *state;
    const char *path = make(f, "10");

    f->fails_at = 4;
    with(f, "content-type", TYPE);
    with(f, "upload-offset", "0");
    assert_reason(call_in_pieces(f, "PATCH", path, "012345", 2).e, &UNAVAILABLE);
    assert_offset(f, path, "4");
    f->fails_at = 6;
    with(f, "content-type", TYPE);
    with(f, "upload-offset", "4");
    with(f, "upload-checksum", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=");
    assert_reason(call_in_pieces(f, "PATCH", path, "456789", 1).e, &UNAVAILABLE);
    assert_offset(f, path, "4");
    f->fails_at = NEVER_FAILS;
    assert_status(append(f, path, "4", "456789"), 204);
    assert_made(f, "made/0", "0123456789");
}

/* ---------------------------------------------------------------------------------------- deferred, concatenated */

static void a_length_may_be_said_later(void **state)
{
    Fixture *f = *state;
    const char *path;
    BytesReply r;

    with(f, "upload-defer-length", "1");
    r = call(f, "POST", "/up", "");
    assert_int_equal(r.status, 201);
    path = header_of(&r, "Location");
    assert_status(append(f, path, "0", "0123"), 204);
    r = call(f, "HEAD", path, "");
    assert_string_equal(header_of(&r, "Upload-Defer-Length"), "1");
    assert_string_equal(header_of(&r, "Upload-Length"), "");
    with(f, "upload-length", "3");
    assert_status(append(f, path, "4", ""), 400);
    with(f, "upload-length", "1001");
    assert_status(append(f, path, "4", ""), 413);
    with(f, "upload-length", "6");
    assert_status(append(f, path, "4", "4"), 204);
    r = call(f, "HEAD", path, "");
    assert_string_equal(header_of(&r, "Upload-Length"), "6");
    assert_status(append(f, path, "5", "5"), 204);
    assert_made(f, "made/0", "012345");
}

static void an_unknown_length_has_a_limit(void **state)
{
    Fixture *f = *state;
    char body[SIZE_MAX_BYTES + 2];
    BytesReply r;

    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    with(f, "upload-defer-length", "1");
    r = call(f, "POST", "/up", "");
    assert_status(append(f, header_of(&r, "Location"), "0", body), 413);
    assert_offset(f, "/up/0", "0");
}

static const char *make_part(Fixture *f, const char *length, const char *body)
{
    BytesReply r;

    with(f, "upload-length", length);
    with(f, "upload-concat", "partial");
    with(f, "content-type", TYPE);
    r = call(f, "POST", "/up", body);
    assert_int_equal(r.status, 201);
    return header_of(&r, "Location");
}

static void parts_are_put_together(void **state)
{
    Fixture *f = *state;
    const char *whole;
    BytesReply r;

    (void)make_part(f, "3", "012");
    (void)make_part(f, "2", "3"); /* not complete */
    with(f, "upload-concat", "final;/up/0 https://atrium.example/up/1");
    assert_status(call(f, "POST", "/up", ""), 400);
    assert_status(append(f, "/up/1", "1", "4"), 204);
    with(f, "upload-concat", "final;/up/0 /up/7");
    assert_reason(call(f, "POST", "/up", "").e, &NOT_FOUND);
    with(f, "upload-concat", "final;/up/0 https://atrium.example/up/1");
    r = call(f, "POST", "/up", "");
    assert_int_equal(r.status, 201);
    whole = header_of(&r, "Location");
    assert_made(f, "made/2", "01234");
    r = call(f, "HEAD", whole, "");
    assert_string_equal(header_of(&r, "Upload-Length"), "5");
    assert_string_equal(header_of(&r, "Upload-Concat"), "final;/up/0 https://atrium.example/up/1");
    r = call(f, "HEAD", "/up/0", "");
    assert_string_equal(header_of(&r, "Upload-Concat"), "partial");
    assert_status(append(f, whole, "5", ""), 403);
    (void)make(f, "4"); /* no part */
    with(f, "upload-concat", "final;/up/3");
    assert_status(call(f, "POST", "/up", ""), 400);
}

/* ---------------------------------------------------------------------------------------- ends */

static void an_upload_expires_later_when_something_came(void **state)
{
    Fixture *f = *state;
    BytesReply r;

    with(f, "upload-length", "5");
    r = call(f, "POST", "/up", "");
    assert_string_equal(header_of(&r, "Upload-Expires"), "Sun, 06 Nov 1994 08:50:37 GMT");
    f->unix_us += INT64_C(30) * 1000000;
    r = append(f, "/up/0", "0", "01");
    assert_string_equal(header_of(&r, "Upload-Expires"), "Sun, 06 Nov 1994 08:51:07 GMT");
    f->unix_us += INT64_C(60) * 1000000;
    assert_reason(call(f, "HEAD", "/up/0", "").e, &NOT_FOUND);
    assert_reason(append(f, "/up/0", "2", "2").e, &NOT_FOUND);
    f->unix_us -= 1000;
    r = append(f, "/up/0", "2", "234");
    assert_int_equal(r.status, 204);
    assert_string_equal(header_of(&r, "Upload-Expires"), ""); /* an object does not */
}

static void an_upload_can_be_given_up(void **state)
{
    Fixture *f = *state;
    const char *path = make(f, "5"), *whole = make(f, "1");
    BlobUploadStat stat;

    assert_status(append(f, path, "0", "01"), 204);
    assert_status(call(f, "DELETE", path, ""), 204);
    assert_reason(call(f, "HEAD", path, "").e, &NOT_FOUND);
    assert_reason(blob_upload_stat(f->b, f->rows[0].state, &stat), &NOT_FOUND);
    assert_status(append(f, whole, "0", "0"), 204);
    assert_status(call(f, "DELETE", whole, ""), 403);
    assert_made(f, "made/1", "0");
}

static void a_completion_that_a_crash_ended_is_made_good(void **state)
{
    Fixture *f = *state;
    const char *path = make(f, "3");

    f->completion_ends = true;
    assert_reason(append(f, path, "0", "012").e, &UNAVAILABLE);
    assert_reason(call(f, "HEAD", path, "").e, &UNAVAILABLE); /* 3 of 3 would pass for success */
    f->completion_ends = false;
    assert_offset(f, path, "3");
    assert_int_equal(f->completions, 1);
    assert_made(f, "made/0", "012");
}

/* ---------------------------------------------------------------------------------------- one writer at a time */

static void a_second_writer_is_told_so(void **state)
{
    Fixture *f = *state;
    const char *path = make(f, "5");
    CLEANUP(blob_upload_free_at) BlobUpload *other = NULL;

    f->speed = 100;
    assert_ok(blob_upload_open(f->b, f->rows[0].state, &other));
    assert_status(append(f, path, "0", "01"), 423);
    assert_status(call(f, "DELETE", path, ""), 423);
    assert_offset(f, path, "0"); /* to look is no writing */
    blob_upload_free(MOVE(other));
    assert_status(append(f, path, "0", "01"), 204);
}

static void nothing_is_written_where_another_instance_writes(void **state)
{
    Fixture *f = *state;
    const char *path = make(f, "5");

    f->speed = 100;
    f->elsewhere = true;
    assert_status(append(f, path, "0", "01"), 423);
    assert_status(call(f, "DELETE", path, ""), 423);
    f->elsewhere = false;
    f->lost = true;
    assert_reason(append(f, path, "0", "01").e, &UNAVAILABLE);
    f->lost = false;
    assert_offset(f, path, "0");
    assert_status(append(f, path, "0", "01234"), 204);
    assert_made(f, "made/0", "01234");
}

static void *go_away(void *upload)
{
    const struct timespec a_while = {.tv_nsec = 100 * 1000000};

    nanosleep(&a_while, NULL); /* the other side is waiting by then; when it is not, the test passes all the same */
    blob_upload_free(upload);
    return NULL;
}

static void who_comes_back_waits_for_his_own_last_try(void **state)
{
    Fixture *f = *state;
    const char *path = make(f, "5");
    BlobUpload *other;
    pthread_t thread;

    assert_ok(blob_upload_open(f->b, f->rows[0].state, &other));
    assert_ok(blob_upload_append(other, SLICE_LIT("01")));
    assert_ok(blob_upload_flush(other));
    assert_int_equal(pthread_create(&thread, NULL, go_away, other), 0);
    assert_status(append(f, path, "2", "234"), 204);
    pthread_join(thread, NULL);
    assert_made(f, "made/0", "01234");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(pieces_become_an_object),
        TEST(bytes_may_come_with_the_creation),
        TEST(appends_that_cannot_be_change_nothing),
        TEST(creations_that_cannot_be_leave_nothing),
        TEST(the_version_is_asked_for_first),
        TEST(a_method_may_be_said_in_a_header),
        TEST(a_wrong_checksum_leaves_the_offset),
        TEST(what_came_before_a_failure_stays_unless_a_checksum_vouches),
        TEST(a_length_may_be_said_later),
        TEST(an_unknown_length_has_a_limit),
        TEST(parts_are_put_together),
        TEST(an_upload_expires_later_when_something_came),
        TEST(an_upload_can_be_given_up),
        TEST(a_completion_that_a_crash_ended_is_made_good),
        TEST(a_second_writer_is_told_so),
        TEST(nothing_is_written_where_another_instance_writes),
        TEST(who_comes_back_waits_for_his_own_last_try),
#undef TEST
    };

    return RUN(tests);
}
