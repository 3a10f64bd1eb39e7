/* rdf: graphs as Turtle and N-Triples: the same triples that a JSON-LD processor gets from the JSON of the same node.
 * Not thread-safe: a writer belongs to one reply. */
#pragma once
#include "services/events/node.h"

typedef enum RdfSyntax { RDF_TURTLE, RDF_NTRIPLES } RdfSyntax;

typedef struct RdfWriter {
    StrBuf *out;
    RdfSyntax syntax;
    unsigned shown;  /* SHOWN_… : terms with one of these */
    unsigned blanks; /* labels given so far */
} RdfWriter;

/* Writes the prefixes of Turtle. */
RdfWriter rdf_begin(StrBuf *out, RdfSyntax syntax, unsigned shown);
/* Appends one graph; several may follow each other. */
void rdf_write(RdfWriter *w, const Node *node);

/* JSON in its canonical form (RFC 8785), which is what an rdf:JSON literal says. */
void rdf_write_canonical_json(StrBuf *out, Slice json);
/* Number as XSD has it: an integer, or the canonical double ("2.55E1"). True for a double. */
bool rdf_write_number(StrBuf *out, double number);
/* A literal's characters without the quotes. */
void rdf_escape(StrBuf *out, Slice text);
