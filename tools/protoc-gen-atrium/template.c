#include "model.h"

/* Reads a path template by the grammar of google.api.http:
 *   Template = "/" Segments [ ":" verb ];  Segments = Segment { "/" Segment };
 *   Segment = "*" | "**" | literal | "{" path [ "=" Segments ] "}"
 * and beyond it, an ending of names behind a variable that is last: "{sheet}.jpg". */
typedef struct Reader {
    Arena *mem;
    const char *at;
    Template *out;
    const char *variable; /* inside braces */
} Reader;

static void fail(Reader *r, const char *problem)
{
    if (!r->out->problem)
        r->out->problem = problem;
}

static void add_segment(Reader *r, SegmentKind kind, const char *text)
{
    r->out->segments[r->out->segment_count++] = (Segment){.kind = kind, .text = text, .variable = r->variable};
}

static const char *read_word(Reader *r, const char *stop)
{
    size_t len = strcspn(r->at, stop);
    const char *word = arena_strndup(r->mem, r->at, len);
    if (len == 0)
        fail(r, "an empty segment");
    r->at += len;
    return word;
}

static void read_segments(Reader *r);

static void read_variable(Reader *r)
{
    if (r->variable) {
        fail(r, "a variable within a variable");
        return;
    }
    r->at++;
    r->variable = read_word(r, "=}/{*:");
    r->out->variables[r->out->variable_count++] = r->variable;
    if (*r->at == '=') {
        r->at++;
        read_segments(r);
    } else {
        add_segment(r, SEGMENT_ONE, NULL);
    }
    if (*r->at == '}')
        r->at++;
    else
        fail(r, "a variable that is not closed");
    r->variable = NULL;
}

static void read_segment(Reader *r)
{
    if (*r->at == '{') {
        read_variable(r);
    } else if (strncmp(r->at, "**", 2) == 0) {
        add_segment(r, SEGMENT_REST, NULL);
        r->at += 2;
    } else if (*r->at == '*') {
        add_segment(r, SEGMENT_ONE, NULL);
        r->at++;
    } else {
        add_segment(r, SEGMENT_LITERAL, read_word(r, "/:{}*="));
    }
}

static void read_segments(Reader *r)
{
    read_segment(r);
    while (!r->out->problem && *r->at == '/') {
        r->at++;
        read_segment(r);
    }
}

static const char *shape_of(Arena *mem, const Template *t)
{
    const char *shape = "";
    for (size_t i = 0; i < t->segment_count; i++) {
        const Segment *s = &t->segments[i];
        const char *text = s->kind == SEGMENT_LITERAL ? s->text : s->kind == SEGMENT_ONE ? "*" : "**";
        shape = arena_printf(mem, "%s/%s", shape, text);
    }
    return t->suffix ? arena_printf(mem, "%s%s", shape, t->suffix) : shape;
}

Template template_parse(Arena *mem, const char *path)
{
    Template out = {0};
    size_t room = strlen(path) + 1; /* a segment or variable takes a character at least */
    Reader r = {.mem = mem, .at = path, .out = &out};

    out.segments = ARENA_ARRAY(mem, Segment, room);
    out.variables = ARENA_ARRAY(mem, const char *, room);
    out.shape = "/";
    if (*path != '/') {
        out.problem = "no / at its start";
        return out;
    }
    r.at++;
    if (*r.at) /* "/" alone is a template without segments */
        read_segments(&r);
    if (!out.problem && (*r.at == ':' || (*r.at == '.' && r.at[-1] == '}'))) {
        char sign = *r.at++;
        out.suffix = arena_printf(mem, "%c%s", sign, read_word(&r, "/:{}*="));
    }
    if (!out.problem && *r.at)
        out.problem = "something after its end";
    for (size_t i = 0; i + 1 < out.segment_count; i++)
        if (out.segments[i].kind == SEGMENT_REST)
            fail(&r, "** before its end");
    if (out.segment_count > 0)
        out.shape = shape_of(mem, &out);
    return out;
}
