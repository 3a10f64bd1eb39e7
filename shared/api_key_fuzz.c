/* Fuzz target: the text form of API keys. What is well formed also looks like one, and one more letter spoils it. */
#include "shared/api_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    Slice token = slice_of(data, len);

    if (api_key_well_formed(token) &&
        (!api_key_looks(token) || len > API_KEY_MAX_BYTES || api_key_well_formed(slice_take(token, len - 1))))
        abort();
    return 0;
}
