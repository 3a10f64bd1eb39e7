/* ical_write: the lines of a calendar (RFC 5545): folded at 75 octets, never within a character, ended by CRLF; texts
 * escaped. Pure. */
#pragma once
#include "shared/strbuf.h"
#include "shared/zone.h"

enum { ICAL_LINE_MAX_BYTES = 256 * 1024 }; /* unfolded; what is longer is left out */

typedef struct IcalWriter {
    StrBuf *out;
    StrBuf line; /* the one in the making, unfolded */
} IcalWriter;
/* Into `out`; `mem` is for lines in the making. */
IcalWriter ical_writer(Arena *mem, StrBuf *out);

/* A line at once. `name` is "SUMMARY", or with parameters "DTSTART;TZID=Europe/Berlin". Nothing for an empty value. */
void ical_text(IcalWriter *w, const char *name, Slice text);      /* TEXT: escaped */
void ical_raw(IcalWriter *w, const char *name, Slice value);      /* URIs, numbers, words: without control characters */
void ical_time(IcalWriter *w, const char *name, int64_t unix_us); /* in UTC: "DTSTART:20260309T000000Z" */
void ical_wall(IcalWriter *w, const char *name, const Zone *zone, int64_t unix_s); /* with TZID, or in UTC */
/* Several texts, comma-separated: CATEGORIES. */
void ical_texts(IcalWriter *w, const char *name, const Slice *list, size_t count);
/* "ORGANIZER;CN=…:mailto:…": a parameter whose value may be anything (RFC 6868). */
void ical_with_param(IcalWriter *w, const char *name, const char *param, Slice param_value, Slice value);

/* The VTIMEZONE of a zone, for times from this instant on: each change that the rules of today do not repeat by itself,
 * those of today as yearly rules. */
void ical_zone(IcalWriter *w, const Zone *zone, int64_t from_unix_s);
