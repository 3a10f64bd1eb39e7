/* seed: see seed.h. */
#include "services/events/seed.h"

#include <math.h>

#include "services/events/entity.h"

int64_t seed_day(int day)
{
    return (INT64_C(1893456000) + (int64_t)(day - 1) * 86400) * 1000000; /* 2030-01-01 */
}

static Uuid seed_place(const EntityWriter *w, const char *name, const char *locality, double latitude, double longitude)
{
    PlaceEntity place;
    Node *address = node_new(w->mem, CLASS_POSTAL_ADDRESS, SLICE_LIT("")),
         *geo = node_new(w->mem, CLASS_GEO_COORDINATES, SLICE_LIT(""));

    place_init(w->mem, &place);
    node_add_text(w->mem, place.head.node, TERM_NAME, slice(name));
    node_add_text(w->mem, address, TERM_ADDRESS_LOCALITY, slice(locality));
    node_add_node(w->mem, place.head.node, TERM_ADDRESS, address);
    node_add_number(w->mem, geo, TERM_LATITUDE, latitude);
    node_add_number(w->mem, geo, TERM_LONGITUDE, longitude);
    node_add_node(w->mem, place.head.node, TERM_GEO, geo);
    assert_ok(place_save(w, &place, "", NULL));
    return place.head.id;
}

static Occurrence seed_occurrence(int day)
{
    return (Occurrence){.start_us = seed_day(day),
                        .end_us = seed_day(day) + INT64_C(3600000000),
                        .timezone = "America/Toronto",
                        .virtual_url = "",
                        .ticket_url = "",
                        .price_min = day % 5 ? day : 0,
                        .price_max = NAN,
                        .price_currency = "CAD",
                        .availability = ""};
}

void seed_events(Fixture *f, int count)
{
    static const char *const DOMAINS[] = {"music", "arts", "community", "sports", "education", "culture", "general"};
    static const char *const NAMES[] = {"Jazz at the Café", "Night of Jazz", "Sale: 100% off", "Three evenings",
                                        "Fiji"};
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = fixture_request(f, 1);
    EntityWriter w;
    Uuid places[3], fiji;

    assert_ok(db_tx_begin(&rq, &tx));
    w = entity_writer(&rq, &tx);
    places[0] = seed_place(&w, "Hall", "Montréal", 45.5, -73.6);
    places[1] = seed_place(&w, "Barn", "Québec", 46.8, -71.2);
    places[2] = seed_place(&w, "Quay", "Toronto", 43.6, -79.4);
    fiji = seed_place(&w, "Beach", "Taveuni", -17, -179.95);
    for (int i = 0; i < count; i++) {
        bool named = i < (int)ARRAY_LEN(NAMES), series = i == 3;
        EventEntity event;

        event_init(w.mem, &event);
        node_add_text(w.mem, event.head.node, TERM_NAME,
                      named ? slice(NAMES[i]) : slice(arena_printf(w.mem, "Meeting %d", i)));
        node_add_text(w.mem, event.head.node, TERM_DESCRIPTION, SLICE_LIT("People meet."));
        node_add_text(w.mem, event.head.node, TERM_KEYWORDS, i % 3 ? SLICE_LIT("talk") : SLICE_LIT("jazz"));
        event.domain = DOMAINS[i % (int)ARRAY_LEN(DOMAINS)];
        event.place_id = i == 4 ? fiji : i % 8 == 7 ? (Uuid){{0}} : places[i % 2 ? 2 : 0];
        event.virtual_url = i % 4 == 3 && !series ? "https://meet.example.org/x" : "";
        event.head.lifecycle = i % 11 == 10 ? LIFECYCLE_CANCELLED : LIFECYCLE_PUBLISHED;
        event.occurrences = ARENA_ARRAY(w.mem, Occurrence, 3);
        event.occurrence_count = series ? 3 : 1;
        for (int k = 0; k < (int)event.occurrence_count; k++)
            event.occurrences[k] = seed_occurrence(series ? 5 + 7 * k : i % 28 + 1);
        if (series)
            event.occurrences[2].place_id = places[1];
        assert_ok(event_save(&w, &event, "", NULL));
    }
    assert_ok(db_tx_commit(&tx));
}
