/* dialect_docs: what OpenAPI says about each dialect: its error body. */
#pragma once
#include "json_out.h"
#include "model.h"

/* "RetrocastError": of the dialect's error response and schema. */
const char *dialect_error_name(Atrium__Dialect dialect);
/* True where the answer to an rpc with data_envelope is {"data": …}. */
bool dialect_knows_data(Atrium__Dialect dialect);
/* True where a request without its body is a mistake. */
bool dialect_needs_body(Atrium__Dialect dialect);
/* The members of components/responses and of components/schemas for the dialects that are `used`. */
void dialect_put_responses(JsonOut *j, Arena *mem, const bool *used);
void dialect_put_schemas(JsonOut *j, const bool *used);

enum { DIALECT_COUNT = ATRIUM__DIALECT__YOUTUBETALKER + 1 };
