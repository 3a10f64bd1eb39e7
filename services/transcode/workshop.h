/* workshop: the folder in which children work, of this process alone. What processes left behind that are gone is
 * removed at the start: a folder is in use as long as somebody holds the lock on it. */
#pragma once
#include "shared/err.h"
#include "shared/log.h"

typedef struct Workshop Workshop;
/* Below `home`, or below TMPDIR when that is "". */
Err workshop_open(const char *home, Log *log, Workshop **out) MUST_CHECK;
const char *workshop_dir(const Workshop *w);
/* Removes it. NULL is fine. */
void workshop_close(Workshop *w);
/* Removes a folder with all that is in it; nothing there is fine. */
bool workshop_remove(const char *dir);
