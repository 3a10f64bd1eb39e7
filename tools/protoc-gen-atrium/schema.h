/* schema: JSON Schema (2020-12, as OpenAPI 3.1 and AsyncAPI 3 have it) of messages as the gateway writes them. */
#pragma once
#include "json_out.h"
#include "reach.h"

/* "auth.v1.User": the message's name among the document's schemas. */
const char *schema_name(const Message *m);
/* An object that describes the message: a reference, or the form of a well-known type. */
void schema_of_message(JsonOut *j, Arena *mem, const char *key, const Message *m);
void schema_of_field(JsonOut *j, Arena *mem, const char *key, const Field *f);
/* One schema per ordinary message that was reached, under "schemas". */
void schema_put_all(JsonOut *j, Arena *mem, const Reach *reach);

void example_of_message(JsonOut *j, const char *key, const Message *m);
void example_of_field(JsonOut *j, const char *key, const Field *f);

/* The first sentence of a comment; the whole is the description. */
const char *comment_summary(Arena *mem, const char *comment);
/* `comment` as one paragraph under "description"; nothing when it is empty. */
void put_description(JsonOut *j, Arena *mem, const char *comment);
/* A whole JSON document. */
JsonOut json_begin(StrBuf *b);
