/* submission_parts: the objects within a submission: where, who, for how much, when, and from whom (7.1). */
#include "services/events/codes.h"
#include "services/events/submission_read.h"

static const double PRICE_MAX = 1e9;

/* --- where ------------------------------------------------------------------------------------------------------- */
static void read_address(Reading *r, const json_t *address, const char *at, PlaceInput *place)
{
    const json_t *country = json_object_get(address, "addressCountry");

    place->street = read_text(r, address, "streetAddress", at, TEXT_LINE, TERM_CHARS(STREET_ADDRESS));
    place->locality = read_text(r, address, "addressLocality", at, TEXT_LINE, TERM_CHARS(ADDRESS_LOCALITY));
    place->region = read_text(r, address, "addressRegion", at, TEXT_LINE, TERM_CHARS(ADDRESS_REGION));
    place->postal_code = read_text(r, address, "postalCode", at, TEXT_LINE, TERM_CHARS(POSTAL_CODE));
    place->country = json_is_object(country)
                         ? read_text(r, country, "name", path_join(r->mem, at, "addressCountry"), TEXT_LINE,
                                     TERM_CHARS(ADDRESS_COUNTRY))
                         : read_text(r, address, "addressCountry", at, TEXT_LINE, TERM_CHARS(ADDRESS_COUNTRY));
    place->country = code_country(r->mem, slice(place->country));
    place->region = code_region(r->mem, slice(place->region), place->country);
}

static void read_point(Reading *r, const json_t *object, const char *at, PlaceInput *place)
{
    double latitude, longitude;

    if (!read_number(json_object_get(object, "latitude"), &latitude) ||
        !read_number(json_object_get(object, "longitude"), &longitude))
        return;
    if (latitude < -90 || latitude > 90 || longitude < -180 || longitude > 180) {
        findings_add(r->faults, at, "out_of_range", "latitude is -90 to 90, longitude -180 to 180");
        return;
    }
    place->has_point = true;
    place->latitude = latitude;
    place->longitude = longitude;
}

/* The ULID of one of ours; "" when none was given, or with a fault. */
static const char *read_ours(Reading *r, Slice uri, const char *collection, const char *field)
{
    char ulid[ULID_TEXT_BYTES];

    if (slice_trim(uri).len == 0)
        return "";
    if (uri_read(r->rules->base_url, collection, false, uri, ulid) == URI_OURS)
        return arena_strdup(r->mem, ulid);
    findings_add(r->faults, field, "not_ours", "must be a URI of this node's %s", collection);
    return "";
}

static void read_place(Reading *r, const json_t *object)
{
    PlaceInput *place = &r->out->place;
    const json_t *address = json_object_get(object, "address"), *geo = json_object_get(object, "geo");

    place->ulid = read_ours(r, slice(json_string_value(json_object_get(object, "@id"))), "places", "location.@id");
    place->name = read_text(r, object, "name", "location", TEXT_LINE, TERM_CHARS(NAME));
    place->telephone = read_text(r, object, "telephone", "location", TEXT_LINE, TERM_CHARS(TELEPHONE));
    place->url = read_url(r, object, "url", "location");
    if (json_is_object(address)) {
        read_address(r, address, "location.address", place);
    } else {
        read_address(r, object, "location", place);
        if (json_is_string(address))
            place->street = read_text(r, object, "address", "location", TEXT_LINE, TERM_CHARS(NAME));
    }
    if (json_is_object(geo))
        read_point(r, geo, "location.geo", place);
    else
        read_point(r, object, "location", place);
}

static void read_virtual(Reading *r, const json_t *object)
{
    r->out->virtual_url = read_url(r, object, "url", "virtualLocation");
    r->out->virtual_name = read_text(r, object, "name", "virtualLocation", TEXT_LINE, TERM_CHARS(NAME));
}

static void read_location_text(Reading *r, const char *text)
{
    char ulid[ULID_TEXT_BYTES];
    PlaceInput *place = &r->out->place;

    switch (uri_read(r->rules->base_url, "places", false, slice(text), ulid)) {
    case URI_OURS:
        place->ulid = arena_strdup(r->mem, ulid);
        break;
    case URI_FOREIGN:
        r->out->virtual_url = url_or_fault(r, slice(text), "location");
        break;
    case URI_MALFORMED:
        if (slice_find(slice(text), SLICE_LIT("://")) > 0) {
            findings_add(r->faults, "location", "not_ours", "must be a name, or a URI of this node's places");
            break;
        }
        place->name = slice_cstr(r->mem, text_clean(r->mem, slice(text), TEXT_LINE));
        if (utf8_length(slice(place->name)) > TERM_CHARS(NAME))
            findings_add(r->faults, "location", "too_long", "a name has at most %zu characters", TERM_CHARS(NAME));
        break;
    }
}

/* Of a list, the last place and the last virtual location. */
void read_location(Reading *r, const json_t *location)
{
    if (json_is_array(location)) {
        for (size_t i = 0; i < json_array_size(location) && i < SUBMISSION_SAME_AS_MAX; i++)
            if (!json_is_array(json_array_get(location, i)))
                read_location(r, json_array_get(location, i));
    } else if (json_is_string(location)) {
        read_location_text(r, json_string_value(location));
    } else if (json_is_object(location)) {
        if (slice_eq_cstr(read_type(location), "VirtualLocation"))
            read_virtual(r, location);
        else
            read_place(r, location);
    }
}

void read_virtual_location(Reading *r, const json_t *location)
{
    const json_t *value = first_of(location);

    if (json_is_string(value))
        r->out->virtual_url = url_or_fault(r, slice(json_string_value(value)), "virtualLocation");
    else if (json_is_object(value))
        read_virtual(r, value);
}

/* --- who --------------------------------------------------------------------------------------------------------- */
/* A URI: one of ours, or somebody's own, which is then an address of theirs. */
static void read_organizer_uri(Reading *r, Slice uri, const char *field)
{
    char ulid[ULID_TEXT_BYTES];
    OrganizerInput *who = &r->out->organizer;
    const char *url;

    switch (uri_read(r->rules->base_url, "organizations", false, uri, ulid)) {
    case URI_OURS:
        who->ulid = arena_strdup(r->mem, ulid);
        break;
    case URI_FOREIGN:
        url = url_or_fault(r, uri, field);
        who->same_as = url;
        who->url = who->url[0] ? who->url : url;
        if (!who->name[0] && url[0])
            who->name = slice_cstr(r->mem, url_host(url));
        break;
    case URI_MALFORMED:
        findings_add(r->faults, field, "not_ours", "must be a URI of this node's organizations, or of elsewhere");
        break;
    }
}

static bool is_email(const char *text)
{
    const char *at = strchr(text, '@');

    return at && at > text && strchr(at, '.') && !strpbrk(text, " <>\"'(),;:\\");
}

void read_organizer(Reading *r, const json_t *organizer)
{
    const json_t *value = first_of(organizer), *id = json_object_get(value, "@id");
    OrganizerInput *who = &r->out->organizer;

    if (json_is_string(value)) {
        Slice text = slice_trim(slice(json_string_value(value)));

        if (slice_find(text, SLICE_LIT("://")) > 0)
            read_organizer_uri(r, text, "organizer");
        else
            who->name = slice_cstr(r->mem, text_clean(r->mem, text, TEXT_LINE));
    } else if (json_is_object(value)) {
        who->name = read_text(r, value, "name", "organizer", TEXT_LINE, TERM_CHARS(NAME));
        who->url = read_url(r, value, "url", "organizer");
        who->telephone = read_text(r, value, "telephone", "organizer", TEXT_LINE, TERM_CHARS(TELEPHONE));
        who->email = read_text(r, value, "email", "organizer", TEXT_LINE, TERM_CHARS(EMAIL));
        if (!is_email(who->email))
            who->email = "";
        if (json_is_string(id))
            read_organizer_uri(r, slice_trim(slice(json_string_value(id))), "organizer.@id");
    }
    if (utf8_length(slice(who->name)) > TERM_CHARS(NAME) && !findings_have(r->faults, "too_long"))
        findings_add(r->faults, "organizer", "too_long", "a name has at most %zu characters", TERM_CHARS(NAME));
}

static void add_performer(Reading *r, const json_t *value, const char *at)
{
    Submission *s = r->out;
    PerformerInput who = {.type = CLASS_PERSON, .url = ""};

    if (json_is_string(value)) {
        who.name = slice_cstr(r->mem, text_clean(r->mem, slice(json_string_value(value)), TEXT_LINE));
        if (utf8_length(slice(who.name)) > TERM_CHARS(NAME))
            findings_add(r->faults, at, "too_long", "a name has at most %zu characters", TERM_CHARS(NAME));
    } else {
        const Class *type = class_find(read_type(value));

        who.name = read_text(r, value, "name", at, TEXT_LINE, TERM_CHARS(NAME));
        who.url = read_url(r, value, "url", at);
        if (type && (type->family & TERMS[TERM_PERFORMER].range))
            who.type = type->id;
    }
    if (who.name[0] && s->performer_count < SUBMISSION_PERFORMERS_MAX)
        s->performers[s->performer_count++] = who;
    else if (who.name[0] && !findings_have(r->faults, "too_many"))
        findings_add(r->faults, "performer", "too_many", "at most %d", SUBMISSION_PERFORMERS_MAX);
}

void read_performers(Reading *r, const json_t *performers)
{
    if (json_is_array(performers))
        for (size_t i = 0; i < json_array_size(performers) && i <= SUBMISSION_PERFORMERS_MAX; i++)
            add_performer(r, json_array_get(performers, i), arena_printf(r->mem, "performer.%zu", i));
    else if (performers)
        add_performer(r, performers, "performer");
}

/* --- for how much ------------------------------------------------------------------------------------------------ */
/* "25,50", "1,200.00", "1.200,50": which of the two marks is the decimal one shows by where they stand. */
static double read_amount(Slice digits)
{
    ptrdiff_t comma = -1, point = -1, decimal;
    double value = 0, unit = 1;

    for (size_t i = 0; i < digits.len; i++) {
        comma = digits.ptr[i] == ',' ? (ptrdiff_t)i : comma;
        point = digits.ptr[i] == '.' ? (ptrdiff_t)i : point;
    }
    decimal = MAX(comma, point);
    if (decimal == comma && point < 0 && digits.len - (size_t)decimal - 1 == 3)
        decimal = (ptrdiff_t)digits.len; /* "1,200" */
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.ptr[i];

        if (c < '0' || c > '9')
            continue;
        if (decimal >= 0 && (ptrdiff_t)i > decimal) {
            unit /= 10;
            value += unit * (c - '0');
        } else {
            value = value * 10 + (c - '0');
        }
    }
    return value;
}

static bool read_price_text(Reading *r, Slice text, OfferInput *offer)
{
    static const char *const FREE[] = {"free", "gratuit", "gratis"};
    Slice folded = text_fold(r->mem, text), digits = SLICE_LIT("");

    for (size_t i = 0; i < text.len && !digits.len; i++)
        if (text.ptr[i] >= '0' && text.ptr[i] <= '9')
            digits = slice_of(text.ptr + i, strspn(slice_cstr(r->mem, slice_skip(text, i)), "0123456789.,"));
    while (digits.len && (digits.ptr[digits.len - 1] == '.' || digits.ptr[digits.len - 1] == ','))
        digits.len--;
    if (!offer->currency[0] && slice_find(text, SLICE_LIT("\xe2\x82\xac")) >= 0)
        offer->currency = "EUR";
    if (!offer->currency[0] && slice_find(text, SLICE_LIT("\xc2\xa3")) >= 0)
        offer->currency = "GBP";
    if (digits.len) {
        offer->price = read_amount(digits);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(FREE); i++)
        if (slice_starts_with(folded, slice(FREE[i])))
            return true;
    return false;
}

static const char *read_availability(Reading *r, const json_t *value)
{
    static const char *const KNOWN[] = {"InStock",    "SoldOut",    "PreOrder",    "LimitedAvailability",
                                        "OutOfStock", "OnlineOnly", "InStoreOnly", "Discontinued",
                                        "PreSale",    "BackOrder"};
    Slice text = slice_trim(slice(json_string_value(value)));

    for (size_t i = 0; i < ARRAY_LEN(KNOWN); i++)
        if (slice_eq_nocase(text, slice(KNOWN[i])) ||
            (slice_ends_with(text, slice(KNOWN[i])) &&
             slice_find(text, SLICE_LIT("schema.org/")) + 11 == (ptrdiff_t)(text.len - strlen(KNOWN[i]))))
            return arena_printf(r->mem, "https://schema.org/%s", KNOWN[i]);
    return "";
}

static void add_offer(Reading *r, const json_t *value, const char *at)
{
    Submission *s = r->out;
    const json_t *price = json_object_get(value, "price"), *currency = json_object_get(value, "priceCurrency");
    const char *code = code_currency(r->mem, slice_trim(slice(json_string_value(currency))));
    OfferInput offer = {.currency = code ? code : ""};

    if (!json_is_object(value))
        return;
    if (s->offer_count == SUBMISSION_OFFERS_MAX) {
        findings_add(r->faults, "offers", "too_many", "at most %d", SUBMISSION_OFFERS_MAX);
        return;
    }
    price = price ? price : json_object_get(value, "lowPrice"); /* an AggregateOffer */
    offer.has_price = json_is_string(price) ? read_price_text(r, slice_trim(slice(json_string_value(price))), &offer)
                                            : read_number(price, &offer.price);
    offer.has_price = offer.has_price && offer.price >= 0 && offer.price <= PRICE_MAX;
    offer.name = read_text(r, value, "name", at, TEXT_LINE, TERM_CHARS(NAME));
    offer.url = read_url(r, value, "url", at);
    offer.availability = read_availability(r, json_object_get(value, "availability"));
    (void)when_read(slice(json_string_value(json_object_get(value, "validFrom"))), s->zone, &offer.valid_from);
    if (offer.has_price || offer.url[0] || offer.name[0] || offer.availability[0])
        s->offers[s->offer_count++] = offer;
}

void read_offers(Reading *r, const json_t *offers)
{
    if (json_is_array(offers))
        for (size_t i = 0; i < json_array_size(offers) && i <= SUBMISSION_OFFERS_MAX; i++)
            add_offer(r, json_array_get(offers, i), arena_printf(r->mem, "offers.%zu", i));
    else
        add_offer(r, offers, "offers");
}

/* --- when -------------------------------------------------------------------------------------------------------- */
static const Zone *read_zone(Reading *r, const json_t *object, const char *name, const char *at, const Zone *otherwise)
{
    Slice text = slice_trim(slice(json_string_value(json_object_get(object, name))));
    const Zone *zone = text.len ? zones_find(r->rules->zones, text) : otherwise;

    if (zone || !text.len)
        return zone;
    findings_add(r->faults, path_join(r->mem, at, name), "invalid_zone", "must be an IANA zone, as America/Toronto");
    return otherwise;
}

static void read_occurrence(Reading *r, const json_t *value, const char *at, OccurrenceInput *out)
{
    const Zone *zone = read_zone(r, value, "timezone", at, r->out->zone);

    *out = (OccurrenceInput){.zone = zone};
    read_when(r, value, "startDate", at, zone, &out->start);
    read_when(r, value, "endDate", at, zone, &out->end);
    read_when(r, value, "doorTime", at, zone, &out->door);
    out->place_ulid = read_ours(r, slice(json_string_value(json_object_get(value, "venueId"))), "places",
                                path_join(r->mem, at, "venueId"));
    out->virtual_url = read_url(r, value, "virtualUrl", at);
}

void read_occurrences(Reading *r, const json_t *occurrences)
{
    Submission *s = r->out;
    size_t count = json_array_size(occurrences);

    s->occurrences = ARENA_ARRAY(r->mem, OccurrenceInput, MIN(count, (size_t)SUBMISSION_OCCURRENCES_MAX) + 1);
    s->occurrences_given = count > 0;
    if (count > SUBMISSION_OCCURRENCES_MAX)
        findings_add(r->faults, "occurrences", "too_many", "at most %d", SUBMISSION_OCCURRENCES_MAX);
    for (size_t i = 0; i < count && i < SUBMISSION_OCCURRENCES_MAX; i++)
        read_occurrence(r, json_array_get(occurrences, i), arena_printf(r->mem, "occurrences.%zu", i),
                        &s->occurrences[s->occurrence_count++]);
}

static const char *const *read_dates(Reading *r, const json_t *list, const char *field, size_t *out_count)
{
    size_t count = MIN(json_array_size(list), (size_t)SUBMISSION_DATES_MAX);
    const char **out = ARENA_ARRAY(r->mem, const char *, count + 1);

    if (json_array_size(list) > SUBMISSION_DATES_MAX)
        findings_add(r->faults, field, "too_many", "at most %d", SUBMISSION_DATES_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));

        if (text && *text)
            out[(*out_count)++] = arena_strdup(r->mem, text);
    }
    return out;
}

void read_recurrence(Reading *r, const json_t *recurrence)
{
    RecurrenceInput *out = &r->out->recurrence;
    const char *at = "recurrence";

    if (!json_is_object(recurrence))
        return;
    out->given = true;
    out->external_key = read_text(r, recurrence, "external_key", at, TEXT_LINE, SUBMISSION_TEXT_MAX_CHARS);
    out->series_name = read_text(r, recurrence, "series_name", at, TEXT_LINE, TERM_CHARS(NAME));
    out->rrule = read_text(r, recurrence, "rrule", at, TEXT_LINE, SUBMISSION_TEXT_MAX_CHARS);
    out->zone = read_zone(r, recurrence, "tzid", at, NULL);
    read_when(r, recurrence, "series_start", at, out->zone ? out->zone : r->rules->default_zone, &out->series_start);
    read_when(r, recurrence, "series_end", at, out->zone ? out->zone : r->rules->default_zone, &out->series_end);
    out->exdates = read_dates(r, json_object_get(recurrence, "exdates"), "recurrence.exdates", &out->exdate_count);
    out->rdates = read_dates(r, json_object_get(recurrence, "rdates"), "recurrence.rdates", &out->rdate_count);
}

/* --- from whom --------------------------------------------------------------------------------------------------- */
void read_source(Reading *r, const json_t *source)
{
    SourceInput *out = &r->out->source;

    if (!json_is_object(source))
        return;
    out->url = read_url(r, source, "url", "source");
    out->event_id = read_text(r, source, "eventId", "source", TEXT_MARKUP_KEPT, SUBMISSION_TEXT_MAX_CHARS);
    out->name = read_text(r, source, "name", "source", TEXT_LINE, TERM_CHARS(NAME));
    out->license = read_text(r, source, "license", "source", TEXT_MARKUP_KEPT, TERM_CHARS(LICENSE));
    if (out->url[0] && !out->event_id[0])
        findings_add(r->faults, "source.eventId", "missing", "source.url needs source.eventId");
}
