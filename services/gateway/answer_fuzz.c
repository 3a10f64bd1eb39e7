/* What a data plane answers, whole and byte by byte: both readings must agree, and strings must end in the buffer. */
#include <stdint.h>

#include "services/gateway/answer.h"

static AnswerResult read_chunks(Slice in, size_t step, size_t *out_body, size_t *out_used)
{
    AnswerChunks c = {.left = 0};
    AnswerResult result = ANSWER_MORE;
    size_t at = 0;

    *out_body = 0;
    while (at < in.len && result == ANSWER_MORE) {
        Slice piece;
        size_t used;

        result = answer_chunk(&c, slice_take(slice_skip(in, at), step), &piece, &used);
        assert(used > 0 && (piece.len == 0 || (piece.ptr >= in.ptr + at && piece.ptr + piece.len <= in.ptr + in.len)));
        at += used;
        *out_body += piece.len;
    }
    *out_used = at;
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len = size, used = 0, body_a, body_b, used_a, used_b;
    char *copy = malloc(len + 1);
    AnswerHead head;

    if (!copy)
        return 0;
    memcpy(copy, data, len);
    if (answer_head(copy, len, len > 0 && data[0] & 1, &head, &used) == ANSWER_DONE) {
        assert(used <= len && head.header_count <= ANSWER_HEADERS_MAX && head.status >= 100 && head.status < 600);
        for (size_t i = 0; i < head.header_count; i++) {
            const char *value = head.headers[i].value;

            assert(value + strlen(value) < copy + used && strlen(head.headers[i].name) > 0);
            (void)answer_is_hop_header(&head, head.headers[i].name);
        }
    }
    free(copy);
    assert(read_chunks(slice_of(data, size), SIZE_MAX, &body_a, &used_a) ==
           read_chunks(slice_of(data, size), 1, &body_b, &used_b));
    assert(body_a == body_b && used_a == used_b);
    return 0;
}
