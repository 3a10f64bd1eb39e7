/* wire_time: see wire_time.h. */
#include "services/events/wire_time.h"

#include "shared/message.h"

Google__Protobuf__Timestamp *wire_time(Arena *mem, int64_t unix_us)
{
    Google__Protobuf__Timestamp *t;

    if (!unix_us)
        return NULL;
    t = MESSAGE_NEW(mem, Google__Protobuf__Timestamp, google__protobuf__timestamp__init);
    t->seconds = unix_us / 1000000;
    t->nanos = (int32_t)(unix_us % 1000000 * 1000);
    return t;
}
