/* Heads and chunks of data planes, good and broken. */
#include "services/gateway/answer.h"

#include "shared/strbuf.h"
#include "shared/testing.h"

static AnswerResult head_of(const char *text, bool to_head, AnswerHead *out)
{
    static char buffer[2 * ANSWER_HEAD_MAX_BYTES];
    size_t used = 0, len = strlen(text);
    AnswerResult result;

    memcpy(buffer, text, len);
    result = answer_head(buffer, len, to_head, out, &used);
    if (result == ANSWER_DONE)
        assert_true(used <= len);
    return result;
}

static void a_head_says_where_its_body_ends(void **state)
{
    static const struct {
        const char *text;
        bool to_head;
        int status;
        AnswerBody body;
        uint64_t length;
        bool keep_alive;
    } CASES[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", false, 200, ANSWER_LENGTH, 12, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", true, 200, ANSWER_NO_BODY, 12, true},
        {"HTTP/1.1 206\r\ncontent-length:0\r\nConnection: close\r\n\r\n", false, 206, ANSWER_LENGTH, 0, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", false, 200, ANSWER_CHUNKED, 0, true},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, 304, ANSWER_NO_BODY, 5, true},
        {"HTTP/1.1 204 No Content\r\n\r\n", false, 204, ANSWER_NO_BODY, 0, true},
        {"HTTP/1.1 100 Continue\r\n\r\n", false, 100, ANSWER_NO_BODY, 0, true},
        {"HTTP/1.0 200 OK\r\n\r\n", false, 200, ANSWER_TO_CLOSE, 0, false},
        {"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\n", false, 200, ANSWER_LENGTH, 1, false},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        AnswerHead head;

        assert_int_equal(head_of(CASES[i].text, CASES[i].to_head, &head), ANSWER_DONE);
        assert_int_equal(head.status, CASES[i].status);
        assert_int_equal(head.body, CASES[i].body);
        assert_int_equal(head.length, CASES[i].length);
        assert_int_equal(head.keep_alive, CASES[i].keep_alive);
    }
}

static void a_head_may_come_in_pieces(void **state)
{
    static const char TEXT[] = "HTTP/1.1 200 OK\r\nETag:  \"a b\" \t\r\nConnection: X-Own\r\nX-Own: 1\r\n\r\nbody";
    AnswerHead head;
    (void)state;

    for (size_t len = 0; len < sizeof(TEXT) - 5; len++) {
        char buffer[sizeof(TEXT)];
        size_t used;

        memcpy(buffer, TEXT, len);
        assert_int_equal(answer_head(buffer, len, false, &head, &used), ANSWER_MORE);
    }
    assert_int_equal(head_of(TEXT, false, &head), ANSWER_DONE);
    assert_int_equal(head.header_count, 3);
    assert_string_equal(head.headers[0].name, "ETag");
    assert_string_equal(head.headers[0].value, "\"a b\"");
    assert_true(answer_is_hop_header(&head, "x-own") && answer_is_hop_header(&head, "TRANSFER-encoding"));
    assert_false(answer_is_hop_header(&head, "etag"));
}

static void what_is_ambiguous_or_too_much_is_broken(void **state)
{
    static const char *const BROKEN[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 2000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nName : value\r\n\r\n",
        "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        "\r\n\r\n",
    };
    AnswerHead head;
    StrBuf text;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(BROKEN); i++)
        assert_int_equal(head_of(BROKEN[i], false, &head), ANSWER_BROKEN);
    text = strbuf_new(mem, ANSWER_HEAD_MAX_BYTES * 2);
    strbuf_append_cstr(&text, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i <= ANSWER_HEADERS_MAX; i++)
        strbuf_append_cstr(&text, "A: b\r\n");
    strbuf_append_cstr(&text, "\r\n");
    assert_int_equal(head_of(slice_cstr(mem, strbuf_slice(&text)), false, &head), ANSWER_BROKEN);
    text = strbuf_new(mem, ANSWER_HEAD_MAX_BYTES * 2);
    strbuf_append_cstr(&text, "HTTP/1.1 200 OK\r\nA: ");
    while (text.len < ANSWER_HEAD_MAX_BYTES)
        strbuf_append_char(&text, 'a');
    assert_int_equal(head_of(slice_cstr(mem, strbuf_slice(&text)), false, &head), ANSWER_BROKEN);
}

/* The body of `text`, given in pieces of `step`; NULL when it is broken or not complete. */
static const char *body_of(Arena *mem, const char *text, size_t step, size_t *out_used)
{
    AnswerChunks c = {.left = 0};
    AnswerResult result = ANSWER_MORE;
    StrBuf body = strbuf_new(mem, 4096);
    Slice in = slice(text), piece;
    size_t at = 0, used;

    while (result == ANSWER_MORE && at < in.len) {
        result = answer_chunk(&c, slice_take(slice_skip(in, at), step), &piece, &used);
        at += used;
        strbuf_append(&body, piece);
    }
    *out_used = at;
    return result == ANSWER_DONE ? slice_cstr(mem, strbuf_slice(&body)) : NULL;
}

static void chunks_are_joined_and_trailers_dropped(void **state)
{
    static const char TEXT[] = "5\r\nhello\r\n0C;name=\"x\" \r\n, many words\r\n0\r\nTrailer: x\r\n\r\nHTTP/1.1";
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    size_t used;
    (void)state;

    for (size_t step = 1; step < sizeof(TEXT); step++) {
        assert_string_equal(body_of(mem, TEXT, step, &used), "hello, many words");
        assert_int_equal(used, sizeof(TEXT) - 1 - strlen("HTTP/1.1"));
    }
    assert_string_equal(body_of(mem, "0\r\n\r\n", 1, &used), "");
}

static void broken_chunks_are_noticed(void **state)
{
    static const char *const BROKEN[] = {
        "\r\n",     "g\r\n",       "5\nhello",     "5\r\nhelloX\r\n", "-1\r\n",
        "5\rhello", " 5\r\nhello", "5\r\nhello\n", "0\r\n\rx",        "10000000000000000\r\n"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(BROKEN); i++) {
        AnswerChunks c = {.left = 0};
        AnswerResult result = ANSWER_MORE;
        Slice rest = slice(BROKEN[i]), piece;

        while (result == ANSWER_MORE && rest.len) {
            size_t used;

            result = answer_chunk(&c, rest, &piece, &used);
            rest = slice_skip(rest, used);
        }
        assert_int_equal(result, ANSWER_BROKEN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_says_where_its_body_ends),
        cmocka_unit_test(a_head_may_come_in_pieces),
        cmocka_unit_test(what_is_ambiguous_or_too_much_is_broken),
        cmocka_unit_test(chunks_are_joined_and_trailers_dropped),
        cmocka_unit_test(broken_chunks_are_noticed),
    };

    return RUN(tests);
}
