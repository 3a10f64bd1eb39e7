/* status: the words for how somebody is there (contracts/chat.md section 8). */
#pragma once
#include "shared/slice.h"

/* As the tables connection and presence have them. */
typedef enum Status { STATUS_OFFLINE, STATUS_ONLINE, STATUS_IDLE, STATUS_DND, STATUS_INVISIBLE } Status;

/* "online" …; "offline" for STATUS_INVISIBLE, too: nobody can tell them apart. */
const char *status_name(Status status);
/* What a client may choose, which STATUS_OFFLINE is not: it stands for anything else. */
Status status_parse(Slice text);
