/* provenance: who said what of an event, and who is believed (contract 8.1, 8.2, 13; B15). What a source says is a
 * document, kept whole. What stands of a member of the event's document is
 * - what anybody said where nothing stood;
 * - what the same source said last;
 * - what a source of strictly higher trust says.
 * Among equals the first is believed until an administrator trusts one of them more. What did not win is kept: it may
 * win when trust changes, and is shown as a conflict to whoever asks.
 *
 * Administration is a source, too, whom everybody else is outranked by: no submission overwrites an edit. */
#pragma once
#include "services/events/entity.h"
#include "services/events/node.h"

extern const Uuid ADMINISTRATION_SOURCE; /* of 0004_review.sql */

enum { SAYINGS_MAX = 50 /* sources of one event that are compared */ };

typedef struct Observation {
    Uuid source;
    double confidence; /* 0 to 1 */
    /* With location, organizer and dates; ours have their @id. What it does not mention it does not deny. */
    const Node *said;
} Observation;
/* Of what is new, after its save. */
Err provenance_begin(const EntityWriter *w, Uuid entity, const Observation *o) MUST_CHECK;
/* Of an event that is loaded: changes it where this source is believed; its dates where it has one occurrence. The
 * caller saves it. */
Err provenance_hear(const EntityWriter *w, EventEntity *event, const Observation *o) MUST_CHECK;
/* The same after the trust of its sources has changed. */
Err provenance_decide(const EntityWriter *w, EventEntity *event) MUST_CHECK;
/* Is the source's word the one that counts of what no observation keeps (status, occurrences, domain, series)? Whoever
 * made the event has it until a source of higher trust speaks of it; others must be trusted strictly more than
 * everybody else who does, administration included. */
Err provenance_leads(const EntityWriter *w, Uuid event, Uuid source, bool made_it, bool *out) MUST_CHECK;
/* What `from` was told of is from now on told of `to`, whose own sources stay ahead. */
Err provenance_move(const EntityWriter *w, Uuid from, Uuid to) MUST_CHECK;

/* Appends the members `"sources":[…],"prov:wasDerivedFrom":[…],"_provenance":{…}`, for reads that ask for them.
 * `fields`: pointers ("/name,/startDate") of which alone _provenance tells; empty: of all. INVALID_ARGUMENT when they
 * are none. Fit for fibers. */
Err provenance_write(Request *rq, Uuid entity, Slice fields, StrBuf *out) MUST_CHECK;

/* --- the rule, without a database ----------------------------------------------------------------------------------
 */
typedef struct Saying {
    Uuid source;
    int trust; /* 1 to 10, or above */
    double confidence;
    int64_t observed_us;
    Slice facts;  /* a document */
    Slice chosen; /* names, each followed by a blank: members that stand as it said them */
} Saying;
/* Decides every member anew: trust, then what stands, then confidence, then the newest. Sets `chosen` of each, of
 * `mem`;
 * `*out_facts`: the members that stand, as an object. */
void provenance_rank(Arena *mem, Saying *list, size_t count, Slice *out_facts);
/* What becomes of `standing` when `list[said]` is said: `*out_facts` has the members that change hands or values. */
void provenance_take(Arena *mem, Saying *list, size_t count, size_t said, Slice standing, Slice *out_facts);
