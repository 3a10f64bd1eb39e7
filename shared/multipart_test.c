#include "shared/multipart.h"

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"
#include "shared/testing.h"

/* What happened, as text: "[name|filename|type]content." per part. */
typedef struct Told {
    StrBuf text;
    Err refuse; /* answered by `data` */
} Told;

static Err tell_part(void *at, const MultipartPart *part)
{
    Told *t = at;

    strbuf_printf(&t->text, "[" SLICE_FMT, SLICE_ARG(part->name));
    if (part->is_file)
        strbuf_printf(&t->text, "|" SLICE_FMT, SLICE_ARG(part->filename));
    if (part->content_type.len)
        strbuf_printf(&t->text, "|" SLICE_FMT, SLICE_ARG(part->content_type));
    strbuf_append_char(&t->text, ']');
    return OK;
}

static Err tell_data(void *at, Slice piece)
{
    Told *t = at;

    assert_true(piece.len > 0);
    strbuf_append(&t->text, piece);
    return t->refuse;
}

static Err tell_end(void *at)
{
    Told *t = at;

    strbuf_append_char(&t->text, '.');
    return OK;
}

static const MultipartEvents TELL = {tell_part, tell_data, tell_end};

/* Reads `body` in pieces of at most `piece_bytes`, the first of `first_bytes`. */
static Err read_all(Arena *mem, const char *boundary, Slice body, size_t first_bytes, size_t piece_bytes, Slice *out)
{
    Told told = {.text = strbuf_new(mem, 1 << 20)};
    Multipart *m = multipart_new(mem, slice(boundary), &TELL, &told);
    Err e = OK;

    for (size_t size = first_bytes; body.len && !err_failed(e); size = piece_bytes) {
        e = multipart_push(m, slice_take(body, size));
        body = slice_skip(body, size);
    }
    if (!err_failed(e))
        e = multipart_finish(m);
    *out = strbuf_slice(&told.text);
    return e;
}

#define FIELD(rest) "Content-Disposition: form-data; name=" rest "\r\n\r\n"

static const struct {
    const char *about, *body, *told; /* NULL: INVALID_BODY */
} CASES[] = {
    {"one field", "--b\r\n" FIELD("a") "1\r\n--b--\r\n", "[a]1."},
    {"no line end behind the last delimiter", "--b\r\n" FIELD("\"a\"") "1\r\n--b--", "[a]1."},
    {"nothing but the end", "--b--\r\n", ""},
    {"a preamble and an epilogue", "hello\r\n--b\r\n" FIELD("a") "1\r\n--b--\r\nbye --b\r\n", "[a]1."},
    {"two fields", "--b\r\n" FIELD("a") "1\r\n--b\r\n" FIELD("b") "2\r\n--b--", "[a]1.[b]2."},
    {"an empty one", "--b\r\n" FIELD("a") "\r\n--b--", "[a]."},
    {"an empty one whose line end is the delimiter's", "--b\r\n" FIELD("a") "--b--", "[a]."},
    {"line ends in the content", "--b\r\n" FIELD("a") "\r\n\r\n1\r\n\r\n--b--", "[a]\r\n\r\n1\r\n."},
    {"what begins like a delimiter", "--b\r\n" FIELD("a") "\r\r\n-\r\n--\r\n-b\r\n--c--b\r\n--b--",
     "[a]\r\r\n-\r\n--\r\n-b\r\n--c--b."},
    {"a delimiter with blanks", "--b \t\r\n" FIELD("a") "1\r\n--b  \r\n" FIELD("b") "2\r\n--b--", "[a]1.[b]2."},
    {"a file",
     "--b\r\nContent-Type: image/png\r\nContent-Disposition: form-data; name=\"f\"; "
     "filename=\"x.png\"\r\n\r\n\1\r\n--b--",
     "[f|x.png|image/png]\1."},
    {"a field of files, none chosen", "--b\r\n" FIELD("f; filename=\"\"") "\r\n--b--", "[f|]."},
    {"a folder of another system", "--b\r\n" FIELD("f; filename=\"C:\\dir\\x y.png\"") "\r\n--b--", "[f|x y.png]."},
    {"a folder", "--b\r\n" FIELD("f; filename=\"../../etc/passwd\"") "\r\n--b--", "[f|passwd]."},
    {"quotes, as curl and as browsers write them", "--b\r\n" FIELD("\"a\\\"%22\"") "1\r\n--b--", "[a\"\"]1."},
    {"letters of any script", "--b\r\n" FIELD("\"имя\"; filename=\"写真.jpg\"") "1\r\n--b--", "[имя|写真.jpg]1."},
    {"names in any case", "--b\r\ncontent-disposition:FORM-DATA;NAME=a\r\n\r\n1\r\n--b--", "[a]1."},
    {"other headers", "--b\r\nX-Y: z\r\n" FIELD("a;") "1\r\n--b--", "[a]1."},
    {"an encoding that is none", "--b\r\nContent-Transfer-Encoding: BINARY\r\n" FIELD("a") "1\r\n--b--", "[a]1."},
    {"parameters that nobody knows", "--b\r\n" FIELD("a; filename*=UTF-8''x; x=\"y\"") "1\r\n--b--", "[a]1."},

    {"an encoding", "--b\r\nContent-Transfer-Encoding: base64\r\n" FIELD("a") "MQ==\r\n--b--", NULL},
    {"nothing", "", NULL},
    {"cut off in the content", "--b\r\n" FIELD("a") "1", NULL},
    {"cut off before the end of the delimiter", "--b\r\n" FIELD("a") "1\r\n--b", NULL},
    {"cut off in the last delimiter", "--b\r\n" FIELD("a") "1\r\n--b-", NULL},
    {"cut off in a head", "--b\r\nContent-Disposition: form-data; name=a\r\n", NULL},
    {"a delimiter that goes on", "--b\r\n" FIELD("a") "1\r\n--bc\r\n", NULL},
    {"a delimiter with a line feed", "--b\n" FIELD("a") "1\r\n--b--", NULL},
    {"a head with a line feed", "--b\r\nContent-Disposition: form-data; name=a\n\n1\r\n--b--", NULL},
    {"a head with a carriage return", "--b\r\nContent-Disposition: form-data; na\rme=a\r\n\r\n1\r\n--b--", NULL},
    {"no head", "--b\r\n\r\n1\r\n--b--", NULL},
    {"no name", "--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--", NULL},
    {"not of a form", "--b\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--b--", NULL},
    {"two names", "--b\r\n" FIELD("a; name=b") "1\r\n--b--", NULL},
    {"two filenames", "--b\r\n" FIELD("a; filename=b; filename=c") "1\r\n--b--", NULL},
    {"two dispositions", "--b\r\nContent-Disposition: form-data; name=a\r\n" FIELD("b") "1\r\n--b--", NULL},
    {"a quote that is not closed", "--b\r\n" FIELD("\"a") "1\r\n--b--", NULL},
    {"a folded line", "--b\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\n1\r\n--b--", NULL},
    {"a name that is no UTF-8", "--b\r\n" FIELD("\"\xff\"") "1\r\n--b--", NULL},
    {"a name with a tab", "--b\r\n" FIELD("\"a\tb\"") "1\r\n--b--", NULL},
};

/* Every cut into two, every size of pieces: the same events, the same error. */
static void forms_are_read_wherever_they_are_cut(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 16);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Slice body = slice(CASES[i].body), whole, told;
        Err e = read_all(mem, "b", body, body.len, 1, &whole);

        if (err_failed(e) != !CASES[i].told || (CASES[i].told && !slice_eq_cstr(whole, CASES[i].told)))
            fail_msg("%s: %s, \"%.*s\"", CASES[i].about, err_failed(e) ? e.text : "OK", SLICE_ARG(whole));
        if (err_failed(e))
            assert_ptr_equal(e.reason, &INVALID_BODY);
        for (size_t cut = 0; cut <= body.len; cut++) {
            assert_ptr_equal(read_all(mem, "b", body, cut, body.len, &told).reason, e.reason);
            assert_slice_equal(told, whole);
            if (cut == 0)
                continue;
            assert_ptr_equal(read_all(mem, "b", body, cut, cut, &told).reason, e.reason);
            assert_slice_equal(told, whole);
        }
        arena_reset(mem);
    }
}

/* Content that is full of beginnings of the delimiter, over several buffers. */
static void content_of_many_bytes_comes_through(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 20);
    StrBuf body = strbuf_new(mem, 1 << 20), want = strbuf_new(mem, 1 << 20);
    Slice told;
    (void)state;

    strbuf_append_cstr(&body, "----x\r\n" FIELD("a"));
    strbuf_append_cstr(&want, "[a]");
    for (int i = 0; i < 20000; i++) {
        Slice noise = slice_take(SLICE_LIT("\r\n----xy"), (size_t)(i * 7919 % 7));

        strbuf_append(&body, noise);
        strbuf_append(&want, noise);
        strbuf_append_char(&body, (char)(i % 100));
        strbuf_append_char(&want, (char)(i % 100));
    }
    strbuf_append_cstr(&body, "\r\n----x--\r\n");
    strbuf_append_char(&want, '.');
    for (size_t piece = 1; piece <= 4096; piece = piece * 3 + 1) {
        assert_ok(read_all(mem, "--x", strbuf_slice(&body), piece, piece, &told));
        assert_slice_equal(told, strbuf_slice(&want));
    }
}

static void limits_hold(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 20);
    StrBuf body = strbuf_new(mem, 1 << 20);
    Slice told;
    (void)state;

    for (int i = 0; i < MULTIPART_PARTS_MAX; i++)
        strbuf_append_cstr(&body, "\r\n--b\r\n" FIELD("a") "1");
    strbuf_append_cstr(&body, "\r\n--b--");
    assert_ok(read_all(mem, "b", strbuf_slice(&body), 4096, 4096, &told));
    strbuf_truncate(&body, body.len - 2);
    strbuf_append_cstr(&body, "\r\n" FIELD("a") "1\r\n--b--");
    assert_reason(read_all(mem, "b", strbuf_slice(&body), 4096, 4096, &told), &PAYLOAD_TOO_LARGE);

    strbuf_truncate(&body, 0);
    strbuf_printf(&body, "--b\r\n" FIELD("\"%0*d\"") "1\r\n--b--", MULTIPART_NAME_MAX_BYTES, 1);
    assert_ok(read_all(mem, "b", strbuf_slice(&body), 1, 1, &told));
    strbuf_truncate(&body, 0);
    strbuf_printf(&body, "--b\r\n" FIELD("\"%0*d\"") "1\r\n--b--", MULTIPART_NAME_MAX_BYTES + 1, 1);
    assert_reason(read_all(mem, "b", strbuf_slice(&body), 1, 1, &told), &INVALID_ARGUMENT);

    strbuf_truncate(&body, 0);
    strbuf_printf(&body, "--b\r\nX: %0*d\r\n" FIELD("a") "1\r\n--b--", MULTIPART_HEAD_MAX_BYTES, 1);
    assert_reason(read_all(mem, "b", strbuf_slice(&body), 999, 999, &told), &PAYLOAD_TOO_LARGE);

    strbuf_truncate(&body, 0);
    strbuf_printf(&body, "%0*d\r\n--b\r\n" FIELD("a") "1\r\n--b--", MULTIPART_SKIP_MAX_BYTES + 1, 1);
    assert_reason(read_all(mem, "b", strbuf_slice(&body), 999, 999, &told), &INVALID_BODY);

    strbuf_truncate(&body, 0);
    strbuf_printf(&body, "--b--\r\n%0*d", MULTIPART_SKIP_MAX_BYTES, 1);
    assert_reason(read_all(mem, "b", strbuf_slice(&body), 999, 999, &told), &INVALID_BODY);
}

static void what_an_event_refuses_ends_the_reading(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 16);
    Told told = {.text = strbuf_new(mem, 1 << 16), .refuse = err_make(&PAYLOAD_TOO_LARGE, "enough")};
    Multipart *m = multipart_new(mem, SLICE_LIT("b"), &TELL, &told);
    (void)state;

    assert_reason(multipart_push(m, SLICE_LIT("--b\r\n" FIELD("a") "1")), &PAYLOAD_TOO_LARGE);
    assert_reason(multipart_push(m, SLICE_LIT("2\r\n--b--")), &PAYLOAD_TOO_LARGE);
    assert_reason(multipart_finish(m), &PAYLOAD_TOO_LARGE);
    assert_slice_equal(strbuf_slice(&told.text), SLICE_LIT("[a]1"));
}

static void boundaries_are_read_from_the_type(void **state)
{
    static const struct {
        const char *type, *boundary;
        const Reason *reason;
    } TYPES[] = {
        {"multipart/form-data; boundary=abc", "abc", NULL},
        {"Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b:c\"", "a b:c", NULL},
        {" multipart/form-data ; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW;",
         "----WebKitFormBoundary7MA4YWxkTrZu0gW", NULL},
        {"multipart/form-data; boundary=1234567890123456789012345678901234567890123456789012345678901234567890",
         "1234567890123456789012345678901234567890123456789012345678901234567890", NULL},
        {"multipart/form-data; boundary=12345678901234567890123456789012345678901234567890123456789012345678901", NULL,
         &INVALID_BODY},
        {"multipart/form-data", NULL, &INVALID_BODY},
        {"multipart/form-data; boundary=", NULL, &INVALID_BODY},
        {"multipart/form-data; boundary=\"\"", NULL, &INVALID_BODY},
        {"multipart/form-data; boundary=\"a \"", NULL, &INVALID_BODY},
        {"multipart/form-data; boundary=\"a\r\nb\"", NULL, &INVALID_BODY},
        {"multipart/form-data; boundary=a; boundary=b", NULL, &INVALID_BODY},
        {"multipart/form-data; boundary=a b", NULL, &INVALID_BODY},
        {"multipart/mixed; boundary=a", NULL, &UNSUPPORTED_MEDIA_TYPE},
        {"multipart/form-data-more; boundary=a", NULL, &UNSUPPORTED_MEDIA_TYPE},
        {"application/json", NULL, &UNSUPPORTED_MEDIA_TYPE},
        {"", NULL, &UNSUPPORTED_MEDIA_TYPE},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        Slice boundary;
        Err e = multipart_boundary(mem, slice(TYPES[i].type), &boundary);

        if (e.reason != TYPES[i].reason)
            fail_msg("%s: %s", TYPES[i].type, err_failed(e) ? e.text : "OK");
        if (TYPES[i].boundary)
            assert_slice_equal(boundary, slice(TYPES[i].boundary));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_read_wherever_they_are_cut),
        cmocka_unit_test(content_of_many_bytes_comes_through),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(what_an_event_refuses_ends_the_reading),
        cmocka_unit_test(boundaries_are_read_from_the_type),
    };

    return RUN(tests);
}
