/* The framing: a delimiter is CR LF "--" boundary, and a boundary holds no CR. So a delimiter that turns out to be none
 * holds no beginning of another one but at the byte that broke it: what was taken for it is known from the delimiter
 * itself, and nothing of the content has to be kept. */
#include "shared/multipart.h"

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"

typedef enum State {
    PREAMBLE,  /* before the first delimiter */
    DELIMITED, /* behind a delimiter: "--", or blanks and a line end */
    CLOSING,   /* behind the first "-" of it */
    LINE_END,  /* behind the CR of a delimiter's line */
    BLANKS,    /* behind a delimiter and a blank */
    HEAD,      /* header lines, into `head` */
    CONTENT,   /* of a part */
    EPILOGUE,  /* behind the closing delimiter */
} State;

struct Multipart {
    const MultipartEvents *events;
    void *at;
    State state;
    Err failure;
    char delimiter[4 + MULTIPART_BOUNDARY_MAX_BYTES + 1];
    size_t delimiter_len;
    size_t matched;  /* bytes of it that the content just ended with */
    size_t supposed; /* of those, what did not come: the line end at the start of the body and behind a head */
    char head[MULTIPART_HEAD_MAX_BYTES];
    size_t head_len;
    size_t skipped_bytes;
    int parts;
};

/* ---------------------------------------------------------------------------------------- values with parameters */

static bool is_token_char(char c)
{
    return c > ' ' && c < 0x7f && !strchr("()<>@,;:\\\"/[]?=", c);
}

static Slice take_token(Slice *s)
{
    size_t len = 0;
    Slice token;

    while (len < s->len && is_token_char(s->ptr[len]))
        len++;
    token = slice_take(*s, len);
    *s = slice_skip(*s, len);
    return token;
}

static void skip_blanks(Slice *s)
{
    while (s->len && (s->ptr[0] == ' ' || s->ptr[0] == '\t'))
        *s = slice_skip(*s, 1);
}

/* Of backslashes only those before a quote or another one escape: old browsers send C:\folder\file as it is. */
static bool take_quoted(Arena *mem, Slice *s, Slice *out)
{
    char *text = arena_alloc_raw(mem, s->len, 1);
    size_t len = 0;

    for (size_t i = 1; i < s->len; i++) {
        char c = s->ptr[i];

        if (c == '"') {
            *s = slice_skip(*s, i + 1);
            *out = slice_of(text, len);
            return true;
        }
        if (c == '\\' && i + 1 < s->len && (s->ptr[i + 1] == '"' || s->ptr[i + 1] == '\\'))
            c = s->ptr[++i];
        text[len++] = c;
    }
    return false;
}

/* The next `; name=value`. False at the end, and on what is none: then `s` is not empty. */
static bool take_parameter(Arena *mem, Slice *s, Slice *name, Slice *value)
{
    Slice rest = *s;

    skip_blanks(&rest);
    if (!rest.len || rest.ptr[0] != ';') {
        *s = rest;
        return false;
    }
    rest = slice_skip(rest, 1);
    skip_blanks(&rest);
    if (!rest.len) { /* a semicolon at the end, as some clients have it */
        *s = rest;
        return false;
    }
    *name = take_token(&rest);
    if (!name->len || !rest.len || rest.ptr[0] != '=')
        return false;
    rest = slice_skip(rest, 1);
    if (rest.len && rest.ptr[0] == '"') {
        if (!take_quoted(mem, &rest, value))
            return false;
    } else {
        *value = take_token(&rest);
        if (!value->len)
            return false;
    }
    *s = rest;
    return true;
}

static bool boundary_is_good(Slice boundary)
{
    if (!boundary.len || boundary.len > MULTIPART_BOUNDARY_MAX_BYTES || boundary.ptr[boundary.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < boundary.len; i++) {
        char c = boundary.ptr[i];

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              (c && strchr("'()+_,-./:=? ", c))))
            return false;
    }
    return true;
}

Err multipart_boundary(Arena *mem, Slice content_type, Slice *out)
{
    Slice rest = slice_trim(content_type), name, value, boundary = {NULL, 0};
    Slice type = take_token(&rest);

    if (!slice_eq_nocase(type, SLICE_LIT("multipart")) || !slice_starts_with(rest, SLICE_LIT("/")))
        return err_make(&UNSUPPORTED_MEDIA_TYPE, "Content-Type: multipart/form-data is wanted");
    rest = slice_skip(rest, 1);
    if (!slice_eq_nocase(take_token(&rest), SLICE_LIT("form-data")))
        return err_make(&UNSUPPORTED_MEDIA_TYPE, "Content-Type: multipart/form-data is wanted");
    while (take_parameter(mem, &rest, &name, &value)) {
        if (!slice_eq_nocase(name, SLICE_LIT("boundary")))
            continue;
        if (boundary.len)
            return err_make(&INVALID_BODY, "Content-Type names two boundaries");
        boundary = value;
    }
    if (rest.len || !boundary_is_good(boundary))
        return err_make(&INVALID_BODY, "Content-Type names no boundary of 1 to %d characters",
                        MULTIPART_BOUNDARY_MAX_BYTES);
    *out = slice(slice_cstr(mem, boundary));
    return OK;
}

/* ---------------------------------------------------------------------------------------- heads */

/* Browsers write quotes and line ends of a name as %22, %0D and %0A (WHATWG), and a per cent sign as itself. A line end
 * has no place in a name: it stays as it was written. */
static Slice unescape_quotes(Arena *mem, Slice s)
{
    char *text = arena_alloc_raw(mem, s.len + 1, 1);
    size_t len = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (slice_starts_with(slice_skip(s, i), SLICE_LIT("%22"))) {
            text[len++] = '"';
            i += 2;
        } else {
            text[len++] = s.ptr[i];
        }
    }
    return slice_of(text, len);
}

static Err read_name(Arena *mem, const char *what, Slice sent, Slice *out)
{
    Slice name = unescape_quotes(mem, sent);

    if (name.len > MULTIPART_NAME_MAX_BYTES)
        return err_make(&INVALID_ARGUMENT, "%s: more than %d bytes", what, MULTIPART_NAME_MAX_BYTES);
    if (!utf8_valid(name))
        return err_make(&INVALID_BODY, "%s: not UTF-8", what);
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < ' ' || name.ptr[i] == 0x7f)
            return err_make(&INVALID_BODY, "%s: control characters", what);
    *out = name;
    return OK;
}

static Slice last_component(Slice path)
{
    for (size_t i = path.len; i > 0; i--)
        if (path.ptr[i - 1] == '/' || path.ptr[i - 1] == '\\')
            return slice_skip(path, i);
    return path;
}

static Err read_disposition(Arena *mem, Slice line, MultipartPart *part, bool *named)
{
    Slice name, value, sent;

    if (*named)
        return err_make(&INVALID_BODY, "a part has two Content-Disposition lines");
    if (!slice_eq_nocase(take_token(&line), SLICE_LIT("form-data")))
        return err_make(&INVALID_BODY, "a part's Content-Disposition is not form-data");
    while (take_parameter(mem, &line, &name, &value)) {
        if (slice_eq_nocase(name, SLICE_LIT("name")) && !*named) {
            TRY(read_name(mem, "name of a part", value, &part->name));
            *named = true;
        } else if (slice_eq_nocase(name, SLICE_LIT("filename")) && !part->is_file) {
            TRY(read_name(mem, "filename of a part", last_component(value), &sent));
            part->filename = sent;
            part->is_file = true;
        } else if (slice_eq_nocase(name, SLICE_LIT("name")) || slice_eq_nocase(name, SLICE_LIT("filename"))) {
            return err_make(&INVALID_BODY, "a part is named twice");
        }
    }
    if (line.len)
        return err_make(&INVALID_BODY, "a part's Content-Disposition cannot be read");
    return OK;
}

/* RFC 7578, 4.7: nobody sends another one any more; decoding it here would hide what the bytes are. */
static bool encoding_is_none(Slice value)
{
    return slice_eq_nocase(value, SLICE_LIT("binary")) || slice_eq_nocase(value, SLICE_LIT("8bit")) ||
           slice_eq_nocase(value, SLICE_LIT("7bit"));
}

static Err read_head_line(Arena *mem, Slice line, MultipartPart *part, bool *named)
{
    Slice rest = line, name = take_token(&rest), value;

    if (!name.len || !rest.len || rest.ptr[0] != ':')
        return err_make(&INVALID_BODY, "a part has a header line that is none");
    value = slice_trim(slice_skip(rest, 1));
    if (slice_eq_nocase(name, SLICE_LIT("Content-Disposition")))
        return read_disposition(mem, value, part, named);
    if (slice_eq_nocase(name, SLICE_LIT("Content-Type")))
        part->content_type = value;
    else if (slice_eq_nocase(name, SLICE_LIT("Content-Transfer-Encoding")) && !encoding_is_none(value))
        return err_make(&INVALID_BODY, "a part has an encoding (Content-Transfer-Encoding)");
    return OK;
}

static Err begin_part(Multipart *m)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice rest = slice_of(m->head, m->head_len);
    MultipartPart *part = ARENA_NEW(mem, MultipartPart);
    bool named = false;

    if (m->parts++ == MULTIPART_PARTS_MAX)
        return err_make(&PAYLOAD_TOO_LARGE, "more than %d parts", MULTIPART_PARTS_MAX);
    while (rest.len) {
        ptrdiff_t end = slice_find(rest, SLICE_LIT("\r\n"));

        if (end == 0)
            break;
        TRY(read_head_line(mem, slice_take(rest, (size_t)end), part, &named));
        rest = slice_skip(rest, (size_t)end + 2);
    }
    if (!named)
        return err_make(&INVALID_BODY, "a part has no name");
    m->state = CONTENT;
    m->matched = m->supposed = 2; /* the empty line's end may be the delimiter's, of a part without content */
    return m->events->part(m->at, part);
}

/* Takes header lines up to the empty one. */
static Err read_head(Multipart *m, Slice *piece)
{
    while (piece->len) {
        char c = piece->ptr[0];

        if (m->head_len == sizeof(m->head))
            return err_make(&PAYLOAD_TOO_LARGE, "the head of a part: more than %d bytes", MULTIPART_HEAD_MAX_BYTES);
        if ((c == '\n') != (m->head_len && m->head[m->head_len - 1] == '\r') || !c)
            return err_make(&INVALID_BODY, "a part has a header line that is none");
        m->head[m->head_len++] = c;
        *piece = slice_skip(*piece, 1);
        if (c == '\n' && (m->head_len == 2 ||
                          (m->head_len >= 4 && m->head[m->head_len - 4] == '\r' && m->head[m->head_len - 3] == '\n')))
            return begin_part(m);
    }
    return OK;
}

/* ---------------------------------------------------------------------------------------- content */

static Err emit(Multipart *m, Slice content)
{
    if (!content.len)
        return OK;
    if (m->state == CONTENT)
        return m->events->data(m->at, content);
    m->skipped_bytes += content.len;
    if (m->skipped_bytes > MULTIPART_SKIP_MAX_BYTES)
        return err_make(&INVALID_BODY, "no delimiter within %d bytes", MULTIPART_SKIP_MAX_BYTES);
    return OK;
}

/* The delimiter that had begun is none, and content after all: but for the line end that was only supposed. */
static Err give_back(Multipart *m)
{
    Slice taken = slice_of(m->delimiter + m->supposed, m->matched - m->supposed);

    m->matched = m->supposed = 0;
    return emit(m, taken);
}

static Err end_content(Multipart *m)
{
    bool in_part = m->state == CONTENT;

    m->matched = m->supposed = 0;
    m->state = DELIMITED;
    return in_part ? m->events->part_end(m->at) : OK;
}

/* Where a delimiter begins, whole or cut off by the end of the piece; its length when there is none. */
static size_t find_delimiter(const Multipart *m, Slice piece)
{
    size_t at = 0;

    while (at < piece.len) {
        const char *cr = memchr(piece.ptr + at, '\r', piece.len - at);

        if (!cr)
            return piece.len;
        at = (size_t)(cr - piece.ptr);
        if (memcmp(cr, m->delimiter, MIN(piece.len - at, m->delimiter_len)) == 0)
            return at;
        at++;
    }
    return at;
}

/* Content up to the next delimiter, or to the end of the piece. */
static Err read_content(Multipart *m, Slice *piece)
{
    while (piece->len) {
        if (m->matched && piece->ptr[0] == m->delimiter[m->matched]) {
            *piece = slice_skip(*piece, 1);
            if (++m->matched == m->delimiter_len)
                return end_content(m);
        } else if (m->matched) {
            TRY(give_back(m));
        } else {
            size_t at = find_delimiter(m, *piece);

            TRY(emit(m, slice_take(*piece, at)));
            *piece = slice_skip(*piece, at);
            if (piece->len) {
                *piece = slice_skip(*piece, 1);
                m->matched = 1;
            }
        }
    }
    return OK;
}

/* ---------------------------------------------------------------------------------------- the whole */

/* What stands behind a delimiter in its line. */
static Err read_delimiter_line(Multipart *m, char c)
{
    if (m->state == LINE_END && c == '\n') {
        m->head_len = 0;
        m->state = HEAD;
    } else if (m->state == CLOSING && c == '-') {
        m->state = EPILOGUE;
    } else if (m->state == DELIMITED && c == '-') {
        m->state = CLOSING;
    } else if ((m->state == DELIMITED || m->state == BLANKS) && c == '\r') {
        m->state = LINE_END;
    } else if ((m->state == DELIMITED || m->state == BLANKS) && (c == ' ' || c == '\t')) {
        m->state = BLANKS;
        return emit(m, slice_of(&c, 1));
    } else {
        return err_make(&INVALID_BODY, "a delimiter does not end its line");
    }
    return OK;
}

static Err push(Multipart *m, Slice piece)
{
    while (piece.len) {
        switch (m->state) {
        case PREAMBLE:
        case CONTENT:
            TRY(read_content(m, &piece));
            break;
        case DELIMITED:
        case CLOSING:
        case LINE_END:
        case BLANKS:
            TRY(read_delimiter_line(m, piece.ptr[0]));
            piece = slice_skip(piece, 1);
            break;
        case HEAD:
            TRY(read_head(m, &piece));
            break;
        case EPILOGUE:
            TRY(emit(m, piece));
            return OK;
        }
    }
    return OK;
}

Err multipart_push(Multipart *m, Slice piece)
{
    if (!err_failed(m->failure))
        m->failure = push(m, piece);
    return m->failure;
}

Err multipart_finish(const Multipart *m)
{
    if (err_failed(m->failure))
        return m->failure;
    return m->state == EPILOGUE ? OK : err_make(&INVALID_BODY, "the body ends before its closing delimiter");
}

Multipart *multipart_new(Arena *mem, Slice boundary, const MultipartEvents *events, void *at)
{
    Multipart *m = ARENA_NEW(mem, Multipart);
    StrBuf delimiter = strbuf_over(m->delimiter, sizeof(m->delimiter));

    strbuf_append(&delimiter, SLICE_LIT("\r\n--"));
    strbuf_append(&delimiter, boundary);
    m->delimiter_len = delimiter.len;
    m->events = events;
    m->at = at;
    m->state = PREAMBLE;
    m->matched = m->supposed = 2; /* the first delimiter may be the first line */
    return m;
}
