/* admin_lists: what administrators look through: events in any state, counts, suspected pairs. */
#include "services/events/admin_events.h"
#include "services/events/context.h"
#include "services/events/store_admin.h"

/* ---------------------------------------------------------------------------------------------------- events */
static Err refuse(Request *rq, const char *field, const char *kind, const char *text)
{
    request_add_violation(rq, ATRIUM__PART__QUERY, field, kind, "%s", text);
    return err_make(&INVALID_ARGUMENT, "%s: %s", field, text);
}

static Err read_filter(Request *rq, const Events__V1__AdminListEventsRequest *in, AdminEventFilter *out)
{
    Lifecycle state;

    *out = (AdminEventFilter){.state = in->state ? in->state : "", .q = in->q ? in->q : ""};
    TRY(admin_page_parse(rq, in->has_limit, in->limit, in->after, &out->page));
    if (out->state[0] && !lifecycle_parse(slice(out->state), &state))
        return refuse(rq, "state", "enum", "not a state of events");
    if (utf8_length(slice(out->q)) > QUERY_MAX_CHARS)
        return refuse(rq, "q", "too_long", "too long");
    if (in->source && in->source[0] && !uuid_parse(slice(in->source), &out->source))
        return refuse(rq, "source", "uuid", "not the id of a source");
    return OK;
}

static Events__V1__ShortEvent *answer_row(Request *rq, const AdminEventRow *row)
{
    const Events *events = rq->service;
    Events__V1__ShortEvent *out = MESSAGE_NEW(rq->mem, Events__V1__ShortEvent, events__v1__short_event__init);

    out->context = arena_printf(rq->mem, "%s" CONTEXT_PATH, events->settings->base_url);
    out->type = arena_strdup(rq->mem, "Event");
    out->uri = entity_uri(rq->mem, events, ENTITY_EVENT, row->id);
    out->name = arena_strdup(rq->mem, row->name);
    out->description = text_or_absent(rq->mem, row->description);
    SET(out, confidence, row->confidence);
    out->lifecycle_state = arena_strdup(rq->mem, row->lifecycle);
    out->start_date = timestamp_of(rq->mem, row->start_us);
    SET(out, version, row->version);
    return out;
}

static void answer_rows(Request *rq, const AdminPage *page, const AdminEventRow *rows, size_t count, bool timed,
                        Events__V1__AdminListEventsReply *out)
{
    const AdminEventRow *last;

    out->n_items = admin_page_shown(page, count);
    out->items = ARENA_ARRAY(rq->mem, Events__V1__ShortEvent *, out->n_items + 1);
    for (size_t i = 0; i < out->n_items; i++)
        out->items[i] = answer_row(rq, &rows[i]);
    last = out->n_items ? &rows[out->n_items - 1] : NULL;
    out->next_cursor =
        admin_page_next(rq->mem, page, count, timed && last ? last->start_us : 0, last ? last->id : (Uuid){{0}});
}

Err events_v1_admin_list_events(Request *rq, const Events__V1__AdminListEventsRequest *in,
                                Events__V1__AdminListEventsReply *out)
{
    AdminEventFilter filter;
    AdminEventRow *rows;
    size_t count;

    TRY(read_filter(rq, in, &filter));
    TRY(events_store_admin_events(rq, &filter, &rows, &count));
    answer_rows(rq, &filter.page, rows, count, false, out);
    return OK;
}

Err events_v1_admin_list_pending(Request *rq, const Events__V1__AdminListEventsRequest *in,
                                 Events__V1__AdminListEventsReply *out)
{
    AdminEventFilter filter;
    AdminEventRow *rows;
    size_t count;

    TRY(read_filter(rq, in, &filter));
    TRY(events_store_admin_pending(rq, &filter, &rows, &count));
    answer_rows(rq, &filter.page, rows, count, true, out);
    return OK;
}

Err events_v1_admin_stats(Request *rq, const Events__V1__AdminStatsRequest *in, Events__V1__AdminStatsReply *out)
{
    AdminCounts counts;

    (void)in; /* it asks for nothing */
    TRY(events_store_admin_counts(rq, &counts));
    SET(out, pending_count, counts.waiting);
    SET(out, published_count, counts.published);
    SET(out, draft_count, counts.drafts);
    SET(out, total_count, counts.all);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- pairs */
enum { CURSOR_MAX_BYTES = 256, REASONS_MAX = 4 };

/* base64url of "<score>:<ULID>:<ULID>"; the score with all its digits. */
static bool read_cursor(Arena *mem, Slice text, PairCursor *out)
{
    Slice plain, score, left, right, rest;
    char *end;

    if (text.len > CURSOR_MAX_BYTES || !base64_decode(mem, text, &plain) || !slice_cut(plain, ':', &score, &rest) ||
        !slice_cut(rest, ':', &left, &right) || score.len == 0)
        return false;
    out->score = strtod(slice_cstr(mem, score), &end);
    return *end == '\0' && out->score >= 0 && out->score <= 1 && ulid_parse(left, &out->left) &&
           ulid_parse(right, &out->right);
}

static char *write_cursor(Arena *mem, const PairRow *row)
{
    char *plain = arena_printf(mem, "%.17g:%s:%s", row->score, ulid_text(mem, row->left), ulid_text(mem, row->right));

    return base64url_encode(mem, slice(plain));
}

static Events__V1__DuplicateSide *answer_side(Request *rq, EntityKind kind, Uuid id, const char *name, int64_t start_us)
{
    Events__V1__DuplicateSide *out = MESSAGE_NEW(rq->mem, Events__V1__DuplicateSide, events__v1__duplicate_side__init);

    out->ulid = ulid_text(rq->mem, id);
    out->uri = entity_uri(rq->mem, rq->service, kind, id);
    out->name = arena_strdup(rq->mem, name);
    out->start_date = timestamp_of(rq->mem, start_us);
    return out;
}

static Events__V1__DuplicatePair *answer_pair(Request *rq, EntityKind kind, const PairRow *row)
{
    Events__V1__DuplicatePair *out = MESSAGE_NEW(rq->mem, Events__V1__DuplicatePair, events__v1__duplicate_pair__init);
    Slice rest = slice(row->reasons), one;

    out->left = answer_side(rq, kind, row->left, row->left_name, row->left_us);
    out->right = answer_side(rq, kind, row->right, row->right_name, row->right_us);
    out->kind = arena_strdup(rq->mem, entity_word(kind));
    SET(out, score, row->score);
    out->reasons = ARENA_ARRAY(rq->mem, char *, REASONS_MAX);
    while (out->n_reasons < REASONS_MAX && slice_cut(rest, ',', &one, &rest))
        out->reasons[out->n_reasons++] = slice_cstr(rq->mem, one);
    return out;
}

static bool kind_parse(const char *word, EntityKind *out)
{
    for (EntityKind kind = ENTITY_EVENT; kind <= ENTITY_ORGANIZATION; kind++)
        if (strcmp(entity_word(kind), word) == 0) {
            *out = kind;
            return true;
        }
    return false;
}

Err events_v1_list_duplicates(Request *rq, const Events__V1__ListDuplicatesRequest *in,
                              Events__V1__ListDuplicatesReply *out)
{
    PairCursor cursor = {.score = 2};
    EntityKind kind = ENTITY_EVENT;
    AdminPage page;
    PairRow *rows;
    size_t count;

    TRY(admin_page_parse(rq, in->has_limit, in->limit, NULL, &page));
    if (in->kind && in->kind[0] && !kind_parse(in->kind, &kind))
        return refuse(rq, "kind", "enum", "event, place or organization");
    if (in->after && in->after[0] && !read_cursor(rq->mem, slice(in->after), &cursor))
        return refuse(rq, "after", "cursor", "not a cursor of this list");
    TRY(events_store_pairs(rq, kind, &cursor, page.limit + 1, &rows, &count));
    out->n_items = admin_page_shown(&page, count);
    out->items = ARENA_ARRAY(rq->mem, Events__V1__DuplicatePair *, out->n_items + 1);
    for (size_t i = 0; i < out->n_items; i++)
        out->items[i] = answer_pair(rq, kind, &rows[i]);
    out->next_cursor =
        count > out->n_items ? write_cursor(rq->mem, &rows[out->n_items - 1]) : arena_strdup(rq->mem, "");
    return OK;
}
