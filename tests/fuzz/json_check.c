/* json_check: see json_check.h. */
#include "tests/fuzz/json_check.h"

#include <jansson.h>

bool json_check(const char *text, size_t len)
{
    json_error_t error;
    json_t *json = json_loadb(text, len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);

    json_decref(json);
    return json != NULL;
}
