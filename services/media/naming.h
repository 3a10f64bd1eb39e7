/* naming: names of files as clients send them, made safe for what they become: a segment of a key, an archive's entry.
 */
#pragma once
#include "shared/id.h"

enum { NAME_MAX_BYTES = 200, NAME_EXTENSION_MAX_BYTES = 32 };

/* One segment of a path, 1 to NAME_MAX_BYTES bytes: separators, controls and a leading dot become '_', a name that is
 * too long loses of its middle, never its extension. `name` is valid UTF-8. Borrowed from `mem`. */
char *name_safe(Arena *mem, Slice name);
/* "original/<user id>/<media id>/<file name>" */
char *name_original_key(Arena *mem, int64_t owner_id, Uuid media_id, Slice filename);
/* Where bytes lie that are nobody's yet: "incoming/<user id>/<upload id>". */
char *name_incoming_key(Arena *mem, int64_t owner_id, Uuid upload_id);
/* Where a part of such bytes lies, from number 1 on; 0: all of them, with the slash behind. */
char *name_parts_key(Arena *mem, int64_t owner_id, Uuid upload_id, int number);
/* Valid UTF-8 of 1 to `max_chars` characters without controls. */
bool name_valid(Slice text, size_t max_chars);
