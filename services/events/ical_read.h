/* ical_read: calendars of the outside (RFC 5545) as a tree of components and lines. Liberal: bare line feeds, a byte
 * order mark, missing VERSION, BEGIN without END, bytes that are no UTF-8. It never fails: what cannot be read is
 * counted. Pure; everything is of `mem`, which the caller's bytes must outlive. */
#pragma once
#include "shared/strbuf.h"

enum {
    ICAL_DEPTH_MAX = 6,
    ICAL_COMPONENTS_MAX = 20000,
    ICAL_LINES_MAX = 400000,
    ICAL_PARAMS_MAX = 16,                /* of a line; further ones are dropped */
    ICAL_UNFOLDED_MAX_BYTES = 128 * 1024 /* of a line; a longer one is dropped */
};

typedef struct IcalParam {
    Slice name, value; /* the value without quotes; of several the text between the first and the last */
} IcalParam;
typedef struct IcalLine {
    Slice name; /* as written */
    Slice value;
    IcalParam *params;
    size_t param_count;
} IcalLine;
typedef struct IcalComponent IcalComponent;
struct IcalComponent {
    Slice name; /* "VEVENT", as written */
    IcalLine *lines;
    size_t line_count, line_room;
    IcalComponent *parent, *first, *last, *next; /* children, siblings */
};

typedef struct IcalFile {
    IcalComponent *root; /* its children are the calendars */
    size_t dropped;      /* lines that say nothing */
    bool cut;            /* more components or lines than there may be: the rest was not read */
} IcalFile;
IcalFile ical_read(Arena *mem, Slice text);

bool ical_is(Slice name, const char *word); /* in any case of letters */
/* The first line of this name; NULL for none. */
const IcalLine *ical_line(const IcalComponent *c, const char *name);
/* A parameter's value; empty for none. */
Slice ical_param(const IcalLine *line, const char *name);
/* What a TEXT value says, without escapes. Of `mem`. */
Slice ical_unescape(Arena *mem, Slice value);
/* "P1DT2H30M" in seconds, at most ten years either way; `out_days`: whole days of it, which are days on the wall. */
bool ical_duration(Slice value, int64_t *out_days, int64_t *out_s);
