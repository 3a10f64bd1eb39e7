/* submission_read: what the files that read a submission share. */
#pragma once
#include <jansson.h>

#include "services/events/submission.h"
#include "services/events/text.h"

#define TERM_CHARS(term) (TERMS[TERM_##term].max_chars)

typedef struct Reading {
    Arena *mem;
    const WritingRules *rules;
    Submission *out;
    Findings *faults;
} Reading;

/* A text, or a whole number as text; "" for anything else. Cleaned; a fault when longer than `max_chars`. `at` is the
 * dotted path of the object, "" for the body. */
const char *read_text(Reading *r, const json_t *object, const char *name, const char *at, TextShape shape,
                      size_t max_chars);
/* A cleaned http(s) URL; "" when absent or no text; a fault when it is none. */
const char *read_url(Reading *r, const json_t *object, const char *name, const char *at);
const char *url_or_fault(Reading *r, Slice text, const char *field);
/* A time; a fault when it cannot be read. Absent when the member is none, or no text. */
void read_when(Reading *r, const json_t *object, const char *name, const char *at, const Zone *zone, When *out);
/* A number, or a text that is one. */
bool read_number(const json_t *value, double *out);
/* "occurrences.0" and "startDate": "occurrences.0.startDate". */
const char *path_join(Arena *mem, const char *at, const char *name);
/* The value, or the first element of a list. */
const json_t *first_of(const json_t *value);
/* The last part of "https://schema.org/MusicEvent", "schema:MusicEvent" or "MusicEvent"; of a list, its first. */
Slice read_type(const json_t *object);

void read_location(Reading *r, const json_t *location);
void read_virtual_location(Reading *r, const json_t *location);
void read_organizer(Reading *r, const json_t *organizer);
void read_performers(Reading *r, const json_t *performers);
void read_offers(Reading *r, const json_t *offers);
void read_recurrence(Reading *r, const json_t *recurrence);
void read_occurrences(Reading *r, const json_t *occurrences);
void read_source(Reading *r, const json_t *source);
