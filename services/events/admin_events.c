/* admin_events: events as administrators change them (contract 12). */
#include "services/events/admin_events.h"

#include "services/events/audit.h"
#include "services/events/context.h"
#include "services/events/provenance.h"
#include "services/events/review.h"
#include "services/events/store_feed.h"
#include "services/events/text.h"
#include "services/events/urls.h"

/* ---------------------------------------------------------------------------------------------------- what is shared
 */
Slice node_text_of(Arena *mem, const Node *node)
{
    StrBuf out = strbuf_new(mem, NODE_MAX_BYTES);

    node_write_json(&out, node, &(NodeWriting){.shown = SHOWN_DETAIL});
    return strbuf_slice(&out);
}

void edit_done(EventEdit *edit)
{
    db_tx_done(&edit->tx);
}

static Err load(Request *rq, const char *id, EventEdit *edit)
{
    Uuid event_id;

    TRY(ulid_of_path(rq, id, &event_id));
    TRY(db_tx_begin(rq, &edit->tx));
    edit->writer = entity_writer(rq, &edit->tx);
    TRY(event_load(&edit->writer, event_id, &edit->event));
    edit->before = node_text_of(rq->mem, edit->event.head.node);
    return OK;
}

Err edit_begin(Request *rq, const char *id, bool has_version, int64_t version, EventEdit *edit)
{
    TRY(load(rq, id, edit));
    if (edit->event.head.deleted_us)
        return err_make(&EVENT_DELETED, "the event is deleted");
    return version_check(rq, has_version, version, edit->event.head.version);
}

void answer_short_event(Request *rq, const EventEntity *event, Events__V1__ShortEvent *out)
{
    const Events *events = rq->service;

    out->context = arena_printf(rq->mem, "%s" CONTEXT_PATH, events->settings->base_url);
    out->type = arena_strdup(rq->mem, "Event");
    out->uri = entity_uri(rq->mem, events, ENTITY_EVENT, event->head.id);
    out->name = slice_cstr(rq->mem, node_text(event->head.node, TERM_NAME));
    out->description = text_or_absent(rq->mem, slice_cstr(rq->mem, node_text(event->head.node, TERM_DESCRIPTION)));
    SET(out, confidence, event->head.confidence);
    out->lifecycle_state = arena_strdup(rq->mem, lifecycle_word(event->head.lifecycle));
    out->start_date = event->occurrence_count ? timestamp_of(rq->mem, event->occurrences[0].start_us) : NULL;
    SET(out, version, event->head.version);
}

Err edit_finish(Request *rq, EventEdit *edit, const char *action, Events__V1__ShortEvent *out)
{
    EventEntity *event = &edit->event;

    TRY(event_save(&edit->writer, event, edit->note ? edit->note : action, NULL));
    TRY(audit_note(rq, &edit->tx,
                   &(AuditNote){.action = action,
                                .kind = ENTITY_EVENT,
                                .target = event->head.id,
                                .before = edit->before,
                                .after = node_text_of(rq->mem, event->head.node)}));
    TRY(db_tx_commit(&edit->tx));
    entity_settled(rq->service);
    answer_short_event(rq, event, out);
    request_set_header(rq, "ETag", etag_make(rq->mem, event->head.version, "", "json"));
    return OK;
}

Err event_check_public(const EventEntity *event)
{
    return event->occurrence_count || !lifecycle_is_public(event->head.lifecycle)
               ? OK
               : err_make(&UNPROCESSABLE, "an event without an occurrence cannot be published");
}

void check_length(Request *rq, const char *field, const char *text, size_t max_chars)
{
    if (utf8_length(slice(text)) > max_chars)
        request_add_violation(rq, ATRIUM__PART__BODY, field, "too_long", "at most %zu characters", max_chars);
}

/* ---------------------------------------------------------------------------------------------------- editing */
typedef struct Edit {
    Slice name, description;
    const char *image, *url; /* NULL: as it is, "": none */
    bool has_lifecycle, clears_keywords;
    Lifecycle lifecycle;
} Edit;

static const char *checked_url(Request *rq, const char *field, const char *text)
{
    const char *url;

    if (!text || !text[0])
        return text;
    url = url_clean(rq->mem, slice(text));
    if (!url)
        request_add_violation(rq, ATRIUM__PART__BODY, field, "url", "an http(s) address");
    return url;
}

static bool is_cleared(const Google__Protobuf__FieldMask *mask, const char *field)
{
    for (size_t i = 0; mask && i < mask->n_paths; i++)
        if (strcmp(mask->paths[i], field) == 0)
            return true;
    return false;
}

/* All faults at once. */
static Err check_edit(Request *rq, const Events__V1__AdminUpdateEventRequest *in, Edit *out)
{
    *out = (Edit){.name = text_clean(rq->mem, slice(in->name), TEXT_LINE),
                  .description = text_clean(rq->mem, slice(in->description), TEXT_PARAGRAPHS),
                  .image = checked_url(rq, "image_url", in->image_url),
                  .url = checked_url(rq, "public_url", in->public_url),
                  .has_lifecycle = in->lifecycle_state && in->lifecycle_state[0],
                  .clears_keywords = is_cleared(in->cleared, "keywords")};
    if (in->name && out->name.len == 0)
        request_add_violation(rq, ATRIUM__PART__BODY, "name", "missing", "a name");
    if (utf8_length(out->name) > NAME_MAX_CHARS)
        request_add_violation(rq, ATRIUM__PART__BODY, "name", "too_long", "at most %d characters", NAME_MAX_CHARS);
    if (utf8_length(out->description) > DESCRIPTION_MAX_CHARS)
        request_add_violation(rq, ATRIUM__PART__BODY, "description", "too_long", "at most %d characters",
                              DESCRIPTION_MAX_CHARS);
    if (out->has_lifecycle && !lifecycle_parse(slice(in->lifecycle_state), &out->lifecycle))
        request_add_violation(rq, ATRIUM__PART__BODY, "lifecycle_state", "enum", "not a state of events");
    if (in->event_domain && in->event_domain[0] && !domain_is_known(slice(in->event_domain)))
        request_add_violation(rq, ATRIUM__PART__BODY, "event_domain", "enum",
                              "arts, music, culture, sports, community, education or general");
    if (in->n_keywords > KEYWORDS_MAX)
        request_add_violation(rq, ATRIUM__PART__BODY, "keywords", "too_long", "at most %d", KEYWORDS_MAX);
    for (size_t i = 0; i < in->n_keywords; i++)
        check_length(rq, "keywords", in->keywords[i], TERMS[TERM_KEYWORDS].max_chars);
    return request_has_violations(rq) ? err_make(&INVALID_ARGUMENT, "the event cannot be changed so") : OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In small letters, each once, in order. */
static void add_keywords(Arena *mem, Node *node, char *const *keywords, size_t count)
{
    char **list = ARENA_ARRAY(mem, char *, count + 1);

    for (size_t i = 0; i < count; i++)
        list[i] = slice_cstr(mem, text_lower(mem, text_clean(mem, slice(keywords[i]), TEXT_LINE)));
    qsort(list, count, sizeof(*list), by_text);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(list[i], list[i - 1]) != 0)
            node_add_text(mem, node, TERM_KEYWORDS, slice(list[i]));
}

static void clear_where_empty(Node *node, TermId term, bool given, bool empty)
{
    if (given && empty)
        node_clear(node, term);
}

Err events_v1_admin_update_event(Request *rq, const Events__V1__AdminUpdateEventRequest *in,
                                 Events__V1__ShortEvent *out)
{
    CLEANUP(edit_done) EventEdit edit = {0};
    EventEntity *event = &edit.event;
    Node *said = node_new(rq->mem, CLASS_EVENT, SLICE_LIT(""));
    Edit change;

    TRY(check_edit(rq, in, &change));
    TRY(edit_begin(rq, in->id, in->has_version, in->version, &edit));
    node_add_text(rq->mem, said, TERM_NAME, change.name);
    node_add_text(rq->mem, said, TERM_DESCRIPTION, change.description);
    node_add_text(rq->mem, said, TERM_IMAGE, slice(change.image));
    node_add_text(rq->mem, said, TERM_URL, slice(change.url));
    add_keywords(rq->mem, said, in->keywords, in->n_keywords);
    TRY(provenance_hear(&edit.writer, event,
                        &(Observation){.source = ADMINISTRATION_SOURCE, .confidence = 1, .said = said}));
    clear_where_empty(event->head.node, TERM_DESCRIPTION, in->description, change.description.len == 0);
    clear_where_empty(event->head.node, TERM_IMAGE, in->image_url, !slice(change.image).len);
    clear_where_empty(event->head.node, TERM_URL, in->public_url, !slice(change.url).len);
    clear_where_empty(event->head.node, TERM_KEYWORDS, change.clears_keywords, in->n_keywords == 0);
    if (in->event_domain && in->event_domain[0])
        event->domain = in->event_domain;
    event->domain_edited |= in->event_domain && in->event_domain[0];
    if (change.has_lifecycle)
        event_edit_status(event, change.lifecycle);
    TRY(event_check_public(event));
    return edit_finish(rq, &edit, "event.updated", out);
}

/* ---------------------------------------------------------------------------------------------------- states */
/* What waits for a decision has it by this. */
static Err close_reviews(EventEdit *edit, const char *status)
{
    int64_t *ids;
    size_t count;

    return review_dismiss(&edit->writer, &edit->event.head.id, 1, status, (Uuid){{0}}, &ids, &count);
}

static Err set_lifecycle(Request *rq, const char *id, Lifecycle lifecycle, const char *action,
                         Events__V1__ShortEvent *out)
{
    CLEANUP(edit_done) EventEdit edit = {0};

    TRY(edit_begin(rq, id, false, 0, &edit));
    event_edit_status(&edit.event, lifecycle);
    TRY(event_check_public(&edit.event));
    if (lifecycle_is_public(lifecycle))
        TRY(close_reviews(&edit, "approved"));
    return edit_finish(rq, &edit, action, out);
}

Err events_v1_admin_publish_event(Request *rq, const Events__V1__AdminEventId *in, Events__V1__ShortEvent *out)
{
    return set_lifecycle(rq, in->id, LIFECYCLE_PUBLISHED, "event.published", out);
}

Err events_v1_admin_unpublish_event(Request *rq, const Events__V1__AdminEventId *in, Events__V1__ShortEvent *out)
{
    return set_lifecycle(rq, in->id, LIFECYCLE_DRAFT, "event.unpublished", out);
}

static Err check_reason(Request *rq, const Events__V1__Because *because, const char **out)
{
    *out = because && because->reason ? slice_cstr(rq->mem, slice_trim(slice(because->reason))) : "";
    check_length(rq, "because.reason", *out, REASON_MAX_CHARS);
    return request_has_violations(rq) ? err_make(&INVALID_ARGUMENT, "reason: at most %d characters", REASON_MAX_CHARS)
                                      : OK;
}

/* A second time it changes nothing, whatever the version. */
Err events_v1_admin_delete_event(Request *rq, const Events__V1__AdminDeleteRequest *in, Events__V1__Nothing *out)
{
    CLEANUP(edit_done) EventEdit edit = {0};
    Events__V1__ShortEvent unused = EVENTS__V1__SHORT_EVENT__INIT;
    const char *reason;

    (void)out; /* 204 */
    TRY(check_reason(rq, in->because, &reason));
    TRY(load(rq, in->id, &edit));
    if (edit.event.head.deleted_us)
        return OK;
    TRY(version_check(rq, false, 0, edit.event.head.version));
    entity_delete(&edit.writer, &edit.event.head, reason, (Uuid){{0}});
    TRY(close_reviews(&edit, "dismissed"));
    return edit_finish(rq, &edit, "event.deleted", &unused);
}

/* ---------------------------------------------------------------------------------------------------- takedown */
Err events_v1_request_takedown(Request *rq, const Events__V1__TakedownRequest *in, Events__V1__ShortEvent *out)
{
    CLEANUP(edit_done) EventEdit edit = {.note = in->reason};

    check_length(rq, "reason", in->reason, REASON_MAX_CHARS);
    if (request_has_violations(rq))
        return err_make(&INVALID_ARGUMENT, "reason: at most %d characters", REASON_MAX_CHARS);
    TRY(edit_begin(rq, in->id, false, 0, &edit));
    if (!edit.event.takedown_us)
        edit.event.takedown_us = edit.writer.now_us;
    TRY(events_store_withhold(&edit.tx, edit.event.head.id));
    return edit_finish(rq, &edit, "event.takedown_requested", out);
}

Err events_v1_lift_takedown(Request *rq, const Events__V1__AdminEventId *in, Events__V1__ShortEvent *out)
{
    CLEANUP(edit_done) EventEdit edit = {0};

    TRY(edit_begin(rq, in->id, false, 0, &edit));
    edit.event.takedown_us = 0;
    return edit_finish(rq, &edit, "event.takedown_lifted", out);
}
