/* status: see status.h. */
#include "services/chat/status.h"

const char *status_name(Status status)
{
    static const char *const NAMES[] = {"offline", "online", "idle", "dnd", "offline"};

    return NAMES[status];
}

Status status_parse(Slice text)
{
    static const char *const CHOICES[] = {"online", "idle", "dnd", "invisible"};

    for (size_t i = 0; i < ARRAY_LEN(CHOICES); i++)
        if (slice_eq_cstr(text, CHOICES[i]))
            return (Status)(STATUS_ONLINE + i);
    return STATUS_OFFLINE;
}
