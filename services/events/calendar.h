/* calendar: occurrences as iCalendar (RFC 5545, RFC 7986; contract 11.1). An entry for each occurrence, named by its
 * event, itself and our host, the same wherever it is written; or, with rules, one for a series and one for each of its
 * occurrences that differs. What did not change gives the same bytes. */
#pragma once
#include "services/events/store_calendar.h"

enum {
    CALENDAR_MAX_BYTES = 8 * 1024 * 1024,
    CALENDAR_EVENTS_MAX = 1000 /* entries, where no limit is asked for */
};

typedef struct CalendarHead {
    const char *name;   /* shown by clients */
    const char *source; /* its own address; "" none */
    bool rules;         /* series by their rules */
} CalendarHead;
/* Rows of one event need not stand together. */
void calendar_write(StrBuf *out, const Events *events, const CalendarHead *head, const CalendarRow *rows, size_t count);
/* The same piece by piece, without rules: what comes before the entries, some of them, and the end. */
void calendar_write_beginning(StrBuf *out, const Events *events, const CalendarHead *head);
void calendar_write_entries(StrBuf *out, const Events *events, const CalendarRow *rows, size_t count);
void calendar_write_end(StrBuf *out);

/* ETag, Content-Disposition (file name `name`.ics) and the body; 304 when the caller has it. */
Err calendar_answer(Request *rq, const CalendarHead *head, const char *file, const CalendarRow *rows, size_t count,
                    Atrium__HttpBody *out) MUST_CHECK;
/* Of one event as it was found: 410 when it is gone. For its page's .ics, too. */
Err calendar_of_event(Request *rq, const char *id, bool rules, Atrium__HttpBody *out) MUST_CHECK;
Err calendar_of_series(Request *rq, const char *id, bool rules, Atrium__HttpBody *out) MUST_CHECK;
