/* admin_testing: places, events and what two sources say of them, for tests of administration. */
#pragma once
#include <math.h>

#include "services/events/fixture.h"
#include "services/events/provenance.h"

#define TEST_DAY_US INT64_C(86400000000)

typedef struct Work {
    Request rq;
    DbTx tx;
    EntityWriter w;
} Work;

static inline void work_begin(Fixture *f, Work *work)
{
    *work = (Work){.rq = fixture_request(f, 7)};
    assert_ok(db_tx_begin(&work->rq, &work->tx));
    work->w = entity_writer(&work->rq, &work->tx);
}

static inline void work_end(Work *work)
{
    assert_ok(db_tx_commit(&work->tx));
    db_tx_done(&work->tx);
}

static inline Uuid test_place(Fixture *f, const char *name, const char *locality)
{
    PlaceEntity place;
    Node *address;
    Work work;

    work_begin(f, &work);
    place_init(work.w.mem, &place);
    node_add_text(work.w.mem, place.head.node, TERM_NAME, slice(name));
    address = node_new(work.w.mem, CLASS_POSTAL_ADDRESS, SLICE_LIT(""));
    node_add_text(work.w.mem, address, TERM_ADDRESS_LOCALITY, slice(locality));
    node_add_node(work.w.mem, place.head.node, TERM_ADDRESS, address);
    assert_ok(place_save(&work.w, &place, "", NULL));
    work_end(&work);
    return place.head.id;
}

static inline Occurrence test_occurrence(int64_t start_us)
{
    return (Occurrence){.start_us = start_us,
                        .end_us = start_us + INT64_C(3600000000),
                        .timezone = "America/Toronto",
                        .virtual_url = "",
                        .ticket_url = "",
                        .price_min = NAN,
                        .price_max = NAN,
                        .price_currency = "",
                        .availability = ""};
}

/* With one occurrence, `days` from now. */
static inline Uuid test_event(Fixture *f, Uuid place, const char *name, int days, Lifecycle lifecycle)
{
    EventEntity event;
    Work work;

    work_begin(f, &work);
    event_init(work.w.mem, &event);
    node_add_text(work.w.mem, event.head.node, TERM_NAME, slice(name));
    event.place_id = place;
    event.occurrences = ARENA_NEW(work.w.mem, Occurrence);
    event.occurrences[0] = test_occurrence(f->schema.now_us + days * TEST_DAY_US);
    event.occurrence_count = 1;
    event.head.lifecycle = lifecycle;
    assert_ok(event_save(&work.w, &event, "", NULL));
    work_end(&work);
    return event.head.id;
}

static inline void test_load_event(Fixture *f, Uuid id, EventEntity *out)
{
    Work work;

    work_begin(f, &work);
    assert_ok(event_load(&work.w, id, out));
    work_end(&work);
}

static inline const char *test_event_text(Fixture *f, Uuid id, TermId term)
{
    EventEntity event;

    test_load_event(f, id, &event);
    return slice_cstr(f->schema.mem, node_text(event.head.node, term));
}

static inline Uuid test_source(Fixture *f, const char *name, int trust)
{
    Uuid id = uuid_v4();

    test_schema_script(&f->schema,
                       arena_printf(f->schema.mem,
                                    "INSERT INTO source (id, key_id, name, type, trust, created_at)"
                                    " VALUES ('%s', '%s', '%s', 'api', %d, now())",
                                    uuid_text(f->schema.mem, id), uuid_text(f->schema.mem, id), name, trust));
    return id;
}

/* As a source says it; `description` and `start_us` may be absent. */
static inline Node *test_said(Fixture *f, const char *name, const char *description, int64_t start_us)
{
    Node *said = node_new(f->schema.mem, CLASS_EVENT, SLICE_LIT(""));

    node_add_text(f->schema.mem, said, TERM_NAME, slice(name));
    node_add_text(f->schema.mem, said, TERM_DESCRIPTION, slice(description));
    if (start_us)
        node_add_text(f->schema.mem, said, TERM_START_DATE, slice(utc_text(f->schema.mem, start_us)));
    return said;
}

static inline void test_begin_saying(Fixture *f, Uuid event, Uuid source, const Node *said)
{
    Work work;

    work_begin(f, &work);
    assert_ok(provenance_begin(&work.w, event, &(Observation){.source = source, .confidence = 0.9, .said = said}));
    work_end(&work);
}

static inline void test_say(Fixture *f, Uuid id, Uuid source, const Node *said)
{
    EventEntity event;
    Work work;

    work_begin(f, &work);
    assert_ok(event_load(&work.w, id, &event));
    assert_ok(provenance_hear(&work.w, &event, &(Observation){.source = source, .confidence = 0.9, .said = said}));
    assert_ok(event_save(&work.w, &event, "heard", NULL));
    work_end(&work);
}
