/* sniff: what a file is, by its first bytes (WHATWG MIME Sniffing, and the containers that we take). A hint for which
 * tool looks at it; nothing is believed for it. */
#pragma once
#include "shared/slice.h"

enum { SNIFF_BYTES = 512 };

typedef enum MediaClass { CLASS_OTHER, CLASS_VIDEO, CLASS_AUDIO, CLASS_IMAGE, CLASS_DOCUMENT } MediaClass;

/* "" when nobody knows it: text, playlists and archives among them. GIF is CLASS_IMAGE here; so is HEIC. */
const char *sniff(Slice head, MediaClass *out_class);
/* What a type or, failing that, the end of a file's name says. */
MediaClass class_claimed(const char *mime_type, const char *filename);
