/* geo: where something is, and what is somewhere, by our own places (contract 17). No geocoder is asked: what people
 * look for here is where events are, and whom they look for is nobody else's business. */
#include "atrium/events/v1/geo.service.h"
#include "services/events/filters.h"
#include "services/events/node.h"
#include "services/events/store_places.h"

enum { COUNTRIES_MAX_CHARS = 100, NAME_MAX_BYTES = 2048 };
#define NEAREST_KM 1.0 /* further away an address says nothing of a point */
#define SOURCE "places"

static void refuse(Request *rq, const char *name, const char *rule)
{
    request_add_violation(rq, ATRIUM__PART__QUERY, name, "invalid", "%s", rule);
}

static Err judge(const Request *rq)
{
    return request_has_violations(rq) ? err_make(&INVALID_ARGUMENT, "the query is not valid") : OK;
}

static char *attribution(Request *rq)
{
    const Events *events = rq->service;

    request_set_header(rq, "Cache-Control", "public, max-age=300");
    return arena_printf(rq->mem, "Places of %s, CC0", events->settings->site_name);
}

Err events_v1_geocode(Request *rq, const Events__V1__GeocodeRequest *in, Events__V1__GeocodeReply *out)
{
    Slice q = slice_trim(slice(in->q));
    NamedPoint point;
    bool found;

    if (q.len == 0 || utf8_length(q) > QUERY_MAX_CHARS)
        refuse(rq, "q", "must be 1 to 200 characters");
    if (utf8_length(slice(in->countrycodes)) > COUNTRIES_MAX_CHARS)
        refuse(rq, "countrycodes", "must be at most 100 characters");
    TRY(judge(rq));
    TRY(events_store_point_of(rq, slice_cstr(rq->mem, q), in->countrycodes, &found, &point));
    if (!found)
        return err_make(&NOT_FOUND, "nothing is known of a place of that name");
    SET(out, latitude, point.latitude);
    SET(out, longitude, point.longitude);
    out->display_name = (char *)(uintptr_t)point.name;
    out->source = arena_strdup(rq->mem, SOURCE);
    out->attribution = attribution(rq);
    return OK;
}

/* NULL where there is none: the member is left out. */
static char *part(StrBuf *name, const Node *of, TermId term)
{
    Slice text = of ? node_text(of, term) : SLICE_LIT("");

    if (!text.len)
        return NULL;
    if (name->len)
        strbuf_append_cstr(name, ", ");
    strbuf_append(name, text);
    return slice_cstr(name->mem, text);
}

static Err tell(Request *rq, const Node *place, Events__V1__ReverseGeocodeReply *out)
{
    const Node *at = node_node(place, TERM_ADDRESS), *geo = node_node(place, TERM_GEO);
    Events__V1__GeocodedAddress *address =
        MESSAGE_NEW(rq->mem, Events__V1__GeocodedAddress, events__v1__geocoded_address__init);
    StrBuf name = strbuf_new(rq->mem, NAME_MAX_BYTES);
    Slice whole;

    (void)part(&name, place, TERM_NAME); /* it has no member of its own */
    address->road = part(&name, at, TERM_STREET_ADDRESS);
    address->city = part(&name, at, TERM_ADDRESS_LOCALITY);
    address->state = part(&name, at, TERM_ADDRESS_REGION);
    address->postcode = part(&name, at, TERM_POSTAL_CODE);
    address->country = part(&name, at, TERM_ADDRESS_COUNTRY);
    if (!strbuf_finish(&name, &whole))
        return err_make(&INTERNAL, "an address is too large");
    out->display_name = (char *)(uintptr_t)whole.ptr;
    out->address = address;
    if (geo) {
        SET(out, latitude, node_number(geo, TERM_LATITUDE));
        SET(out, longitude, node_number(geo, TERM_LONGITUDE));
    }
    out->source = arena_strdup(rq->mem, SOURCE);
    out->attribution = attribution(rq);
    return OK;
}

static void read_degrees(Request *rq, const char *name, const char *text, double most, double *out)
{
    if (!text || !filter_number(slice(text), out) || *out < -most || *out > most)
        refuse(rq, name, arena_printf(rq->mem, "must be a number from %g to %g", -most, most));
}

Err events_v1_reverse_geocode(Request *rq, const Events__V1__ReverseGeocodeRequest *in,
                              Events__V1__ReverseGeocodeReply *out)
{
    EntityFilter filter = {
        .kind = ENTITY_PLACE, .q = "", .city = "", .sort = ENTITY_BY_DISTANCE, .radius_km = NEAREST_KM, .limit = 1};
    EntityListRow *rows;
    size_t count;
    Node *place;

    read_degrees(rq, "lat", in->lat, 90, &filter.latitude);
    read_degrees(rq, "lon", in->lon, 180, &filter.longitude);
    TRY(judge(rq));
    TRY(events_store_entities(rq, &filter, &rows, &count));
    if (!count)
        return err_make(&NOT_FOUND, "no place is known within a kilometre");
    if (!node_read(rq->mem, rows[0].doc, &place))
        return err_make(&INTERNAL, "a stored document cannot be read");
    return tell(rq, place, out);
}
