/* node: a small graph of what is published, in an arena: an event with its place, offers, occurrences. Built from a
 * submission or read from its stored JSON, and written by every format. What it holds is clean: texts are UTF-8, IRIs
 * absolute and without what no IRI may have, numbers finite; empty texts are not there. So a writer escapes for its own
 * format and checks nothing.
 * Texts are borrowed by the node, and live as long as the caller's arena. Not thread-safe while it is built. */
#pragma once
#include "services/events/terms.h"
#include "shared/err.h"
#include "shared/strbuf.h"

enum {
    NODE_MAX_DEPTH = 8,      /* of nodes in nodes, when read */
    NODE_MAX_VALUES = 1000,  /* of a property; further ones are dropped */
    NODE_MAX_BYTES = 1 << 20 /* of a document's JSON */
};

typedef struct Node Node;

/* By the kind of its term: text (also IRI, dateTime, JSON), number, integer, flag or node. */
typedef struct Value {
    union {
        Slice text;
        double number;
        int64_t integer;
        bool flag;
        const Node *node;
    };
} Value;

typedef struct Property {
    const Term *term;
    Value *values;
    size_t count, room;
} Property;

struct Node {
    Slice id; /* an IRI; empty: a blank node */
    const Class *type;
    Property *properties; /* in the order of the terms, none without a value */
    size_t count, room;
};

/* `id` may be empty; one that is no absolute IRI is left out. */
Node *node_new(Arena *mem, ClassId type, Slice id);
/* Adds a value behind the others; of a term of FORM_ONE it replaces the one there is. What is empty, not clean (see
 * above), or of a term that the node's family does not have, is left out. For KIND_TEXT, KIND_DATE_TIME, KIND_JSON and
 * KIND_IRI; white space and other characters that no IRI has are percent-encoded there. */
void node_add_text(Arena *mem, Node *node, TermId term, Slice text);
void node_add_number(Arena *mem, Node *node, TermId term, double number);
void node_add_integer(Arena *mem, Node *node, TermId term, int64_t integer);
void node_add_bool(Arena *mem, Node *node, TermId term, bool flag);
void node_add_node(Arena *mem, Node *node, TermId term, const Node *value);
void node_clear(Node *node, TermId term);

/* NULL when it has none. */
const Property *node_get(const Node *node, TermId term);
/* The first value's; empty, NULL, 0 or false where there is none. */
Slice node_text(const Node *node, TermId term);
const Node *node_node(const Node *node, TermId term);
double node_number(const Node *node, TermId term);
int64_t node_integer(const Node *node, TermId term);
bool node_flag(const Node *node, TermId term);

/* Reads a document as it is stored and shown; "@context" and members that are no terms are skipped, and so is what has
 * the wrong type. A bare text where a node belongs is a node with that @id. False when it is no JSON object with a
 * known @type, too large or too deep. `out` is of `mem` and does not borrow from `json`. */
bool node_read(Arena *mem, Slice json, Node **out) MUST_CHECK;

typedef struct NodeWriting {
    unsigned shown;     /* SHOWN_… : terms with one of these */
    bool skip_clock;    /* leave out the top node's own TERM_IS_CLOCK terms: the stored form */
    bool schedule_iris; /* byDay as IRIs of schema.org */
    Slice context;      /* a whole first member: "\"@context\":…"; empty: none. Of context.h */
} NodeWriting;

/* Appends its JSON: @context, @type, @id, then the terms in their order. Equal graphs give equal bytes. */
void node_write_json(StrBuf *out, const Node *node, const NodeWriting *how);

/* Is the one what the other is? Derived terms and those of the clock do not count. */
bool node_equal(const Node *a, const Node *b);
/* JSON Pointers (RFC 6901) to what differs between two states of an entity, in the order of the terms: "/name",
 * "/location/address/postalCode" where the node at hand is the same one, "/offers" as a whole. Derived terms and those
 * of the clock do not count. `before` or `after` may be NULL. The array is of `mem`. */
size_t node_diff(Arena *mem, const Node *before, const Node *after, Slice **out_pointers);

/* The shortest text that reads back as the same double; whole numbers without a fraction. `number` is finite. */
void node_write_number(StrBuf *out, double number);
/* Absolute: it has a scheme, and is UTF-8. `out` is `text` with what no IRI may have percent-encoded. */
bool node_clean_iri(Arena *mem, Slice text, Slice *out);
