/* answer: see answer.h. */
#include "services/gateway/answer.h"

/* --- the head ---------------------------------------------------------------------------------------------------- */
static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~' || strchr("\"(),/:;<=>?@[\\]{}", text[i]))
            return false;
    return len > 0;
}

static bool has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
            return true;
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* "HTTP/1.1 206 Partial Content"; the text is not looked at. */
static bool read_status_line(const char *line, size_t len, AnswerHead *out)
{
    if (len < strlen("HTTP/1.1 200") || memcmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') ||
        line[8] != ' ' || (len > 12 && line[12] != ' ') || has_control(line, len))
        return false;
    out->keep_alive = line[7] == '1';
    for (size_t i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return false;
        out->status = out->status * 10 + (line[i] - '0');
    }
    return out->status >= 100 && out->status <= 599;
}

/* Ends name and value with NULs where colon, white space and line end were. */
static bool read_header(char *line, size_t len, AnswerHead *out)
{
    char *colon = memchr(line, ':', len), *value, *end = line + len;

    if (!colon || !is_token(line, (size_t)(colon - line)) || out->header_count == ANSWER_HEADERS_MAX)
        return false;
    value = colon + 1;
    while (value < end && is_space(*value))
        value++;
    while (end > value && is_space(end[-1]))
        end--;
    if (has_control(value, (size_t)(end - value)))
        return false;
    *colon = *end = '\0';
    out->headers[out->header_count++] = (AnswerHeader){line, value};
    return true;
}

bool header_list_has(Slice list, Slice name)
{
    Slice item, rest = list;
    bool more;

    do {
        more = slice_cut(rest, ',', &item, &rest);
        if (slice_eq_nocase(slice_trim(item), name))
            return true;
    } while (more);
    return false;
}

bool answer_is_hop_header(const AnswerHead *head, const char *name)
{
    static const char *const HOP[] = {
        "connection", "keep-alive",        "proxy-connection", "proxy-authenticate", "proxy-authorization", "te",
        "trailer",    "transfer-encoding", "upgrade"};

    for (size_t i = 0; i < ARRAY_LEN(HOP); i++)
        if (slice_eq_nocase(slice(name), slice(HOP[i])))
            return true;
    for (size_t i = 0; i < head->header_count; i++)
        if (slice_eq_nocase(slice(head->headers[i].name), SLICE_LIT("connection")) &&
            header_list_has(slice(head->headers[i].value), slice(name)))
            return true;
    return false;
}

/* Where the body ends; false when that can be read in two ways. */
static bool find_body(AnswerHead *out, bool to_head)
{
    size_t encodings = 0;

    for (size_t i = 0; i < out->header_count; i++) {
        Slice name = slice(out->headers[i].name), value = slice(out->headers[i].value);

        if (slice_eq_nocase(name, SLICE_LIT("content-length"))) {
            if (out->has_length || value.len == 0 || value.ptr[0] < '0' || value.ptr[0] > '9' ||
                !slice_to_uint64(value, &out->length) || out->length > INT64_MAX)
                return false;
            out->has_length = true;
        } else if (slice_eq_nocase(name, SLICE_LIT("transfer-encoding"))) {
            if (encodings++ > 0 || !slice_eq_nocase(value, SLICE_LIT("chunked")))
                return false;
        } else if (slice_eq_nocase(name, SLICE_LIT("connection"))) {
            if (header_list_has(value, SLICE_LIT("close")))
                out->keep_alive = false;
        }
    }
    if (encodings && out->has_length)
        return false;
    if (to_head || out->status < 200 || out->status == 204 || out->status == 304)
        out->body = ANSWER_NO_BODY;
    else
        out->body = encodings ? ANSWER_CHUNKED : out->has_length ? ANSWER_LENGTH : ANSWER_TO_CLOSE;
    if (out->body == ANSWER_TO_CLOSE)
        out->keep_alive = false;
    return true;
}

AnswerResult answer_head(char *buffer, size_t len, bool to_head, AnswerHead *out, size_t *out_used)
{
    const char *end = memmem(buffer, MIN(len, (size_t)ANSWER_HEAD_MAX_BYTES), "\r\n\r\n", 4);
    bool first = true;

    if (!end)
        return len >= ANSWER_HEAD_MAX_BYTES ? ANSWER_BROKEN : ANSWER_MORE;
    *out = (AnswerHead){.status = 0};
    for (char *line = buffer; line < end + 2; first = false) {
        char *line_end = memmem(line, (size_t)(end + 4 - line), "\r\n", 2);
        size_t line_len = (size_t)(line_end - line);

        if (!(first ? read_status_line(line, line_len, out) : read_header(line, line_len, out)))
            return ANSWER_BROKEN;
        line = line_end + 2;
    }
    if (!find_body(out, to_head))
        return ANSWER_BROKEN;
    *out_used = (size_t)(end + 4 - buffer);
    return ANSWER_DONE;
}

/* --- chunks ------------------------------------------------------------------------------------------------------ */
static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static void begin_line(AnswerChunks *c)
{
    c->line = 0;
    c->left = 0;
    c->digits = c->extension = c->cr = false;
}

/* One byte of "1a;name=value\r\n". */
static bool read_size(AnswerChunks *c, char byte)
{
    int value = hex_value(byte);

    if (++c->line > ANSWER_CHUNK_LINE_MAX_BYTES || (c->cr && byte != '\n'))
        return false;
    if (c->cr) {
        c->state = c->left ? CHUNK_DATA : CHUNK_TRAILERS;
        c->line = 0;
        c->cr = false;
        return true;
    }
    if (byte == '\r') {
        c->cr = true;
        return c->digits;
    }
    if (c->extension)
        return (unsigned char)byte >= ' ' || byte == '\t';
    if (value < 0) {
        c->extension = true;
        return c->digits && (byte == ';' || is_space(byte));
    }
    if (c->left > (uint64_t)INT64_MAX >> 4)
        return false;
    c->left = c->left << 4 | (uint64_t)value;
    c->digits = true;
    return true;
}

/* The line end behind a chunk. */
static bool read_data_end(AnswerChunks *c, char byte)
{
    if (byte != (c->cr ? '\n' : '\r'))
        return false;
    if (c->cr) {
        begin_line(c);
        c->state = CHUNK_SIZE;
    } else {
        c->cr = true;
    }
    return true;
}

/* Lines up to an empty one. */
static bool read_trailers(AnswerChunks *c, char byte)
{
    if (++c->read > ANSWER_TRAILERS_MAX_BYTES || (c->cr && byte != '\n'))
        return false;
    if (byte == '\r') {
        c->cr = true;
    } else if (c->cr) {
        if (c->line == 0)
            c->state = CHUNK_END;
        c->line = 0;
        c->cr = false;
    } else {
        c->line++;
    }
    return true;
}

AnswerResult answer_chunk(AnswerChunks *c, Slice in, Slice *out_piece, size_t *out_used)
{
    size_t at = 0;
    bool fine = true;

    *out_piece = slice_take(in, 0);
    while (at < in.len && fine && c->state != CHUNK_END) {
        if (c->state == CHUNK_DATA) {
            size_t len = (size_t)MIN(c->left, (uint64_t)(in.len - at));

            *out_piece = slice_of(in.ptr + at, len);
            *out_used = at + len;
            c->left -= len;
            if (c->left == 0)
                c->state = CHUNK_DATA_END;
            return ANSWER_MORE;
        }
        fine = c->state == CHUNK_SIZE       ? read_size(c, in.ptr[at])
               : c->state == CHUNK_DATA_END ? read_data_end(c, in.ptr[at])
                                            : read_trailers(c, in.ptr[at]);
        at++;
    }
    *out_used = at;
    return !fine ? ANSWER_BROKEN : c->state == CHUNK_END ? ANSWER_DONE : ANSWER_MORE;
}
