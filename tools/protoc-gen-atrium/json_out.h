/* json_out: writes JSON, indented by two, in the order of the calls. `key` is NULL within arrays and at the top. */
#pragma once
#include "shared/strbuf.h"

typedef struct JsonOut {
    StrBuf *b;
    int depth;
    bool filled; /* something stands before in the open object or array */
} JsonOut;

void json_object(JsonOut *j, const char *key);
void json_array(JsonOut *j, const char *key);
void json_end_object(JsonOut *j);
void json_end_array(JsonOut *j);
void json_text(JsonOut *j, const char *key, const char *value);
void json_number(JsonOut *j, const char *key, int64_t value);
void json_bool(JsonOut *j, const char *key, bool value);
/* As it stands: a number, null. */
void json_raw(JsonOut *j, const char *key, const char *value);
