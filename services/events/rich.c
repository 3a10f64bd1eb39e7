#include "services/events/rich.h"

typedef struct Report {
    RichFinding *list;
    size_t count;
} Report;

static void report(Report *r, bool is_error, const char *pointer, const char *message)
{
    if (r->count < RICH_FINDINGS_MAX)
        r->list[r->count++] = (RichFinding){.is_error = is_error, .pointer = pointer, .message = message};
}

static void wish(Report *r, const Node *node, TermId term, const char *pointer, const char *message)
{
    if (!node_get(node, term))
        report(r, false, pointer, message);
}

static void check_place(Report *r, Arena *mem, const Node *place, size_t at)
{
    bool is_virtual = place->type->family == FAMILY_VIRTUAL;
    const Node *address = node_node(place, TERM_ADDRESS);

    if (is_virtual && !node_get(place, TERM_URL))
        report(r, true, arena_printf(mem, "/location/%zu/url", at), "an online event needs its address");
    if (!is_virtual && (!address || address->count == 0))
        report(r, true, arena_printf(mem, "/location/%zu/address", at), "a place needs an address");
    if (!is_virtual && !node_get(place, TERM_NAME))
        report(r, false, arena_printf(mem, "/location/%zu/name", at), "a place should have a name");
}

static void check_offer(Report *r, Arena *mem, const Node *offer, size_t at)
{
    static const TermId WISHED[] = {TERM_URL, TERM_PRICE_CURRENCY, TERM_AVAILABILITY, TERM_VALID_FROM};

    if (!node_get(offer, TERM_PRICE) && !node_get(offer, TERM_LOW_PRICE))
        report(r, false, arena_printf(mem, "/offers/%zu/price", at), "an offer should have a price");
    for (size_t i = 0; i < ARRAY_LEN(WISHED); i++)
        wish(r, offer, WISHED[i], arena_printf(mem, "/offers/%zu/" SLICE_FMT, at, SLICE_ARG(TERMS[WISHED[i]].json)),
             "an offer should have it");
}

static void check_musts(Report *r, Arena *mem, const Node *event)
{
    const Property *places = node_get(event, TERM_LOCATION);

    if (!node_get(event, TERM_NAME))
        report(r, true, "/name", "an event needs a name");
    if (!node_get(event, TERM_START_DATE))
        report(r, true, "/startDate", "an event needs a start with its offset");
    if (!places)
        report(r, true, "/location", "an event needs a place");
    for (size_t i = 0; places && i < places->count; i++)
        check_place(r, mem, places->values[i].node, i);
}

size_t rich_check(Arena *mem, const Node *event, RichFinding **out)
{
    static const TermId WISHED[] = {TERM_END_DATE,  TERM_DESCRIPTION, TERM_IMAGE,        TERM_OFFERS,
                                    TERM_ORGANIZER, TERM_PERFORMER,   TERM_EVENT_STATUS, TERM_EVENT_ATTENDANCE_MODE};
    const Property *offers = node_get(event, TERM_OFFERS);
    const Node *organizer = node_node(event, TERM_ORGANIZER);
    Report r = {.list = ARENA_ARRAY(mem, RichFinding, RICH_FINDINGS_MAX)};

    check_musts(&r, mem, event);
    for (size_t i = 0; i < ARRAY_LEN(WISHED); i++)
        wish(&r, event, WISHED[i], arena_printf(mem, "/" SLICE_FMT, SLICE_ARG(TERMS[WISHED[i]].json)),
             "an event should have it");
    for (size_t i = 0; offers && i < offers->count; i++)
        check_offer(&r, mem, offers->values[i].node, i);
    if (organizer) {
        wish(&r, organizer, TERM_NAME, "/organizer/name", "an organiser should have a name");
        wish(&r, organizer, TERM_URL, "/organizer/url", "an organiser should have an address on the web");
    }
    if (slice_eq_cstr(node_text(event, TERM_EVENT_STATUS), SCHEMA_IRI "EventRescheduled"))
        wish(&r, event, TERM_PREVIOUS_START_DATE, "/previousStartDate", "a rescheduled event should say when it was");
    *out = r.list;
    return r.count;
}
