/* sniff: what a file is, by its first bytes (WHATWG MIME Sniffing, and the containers that we take). A hint for which
 * tool looks at it; nothing is believed for it. */
#pragma once
#include "shared/slice.h"

enum { SNIFF_BYTES = 512 };

typedef enum MediaClass { CLASS_OTHER, CLASS_VIDEO, CLASS_AUDIO, CLASS_IMAGE, CLASS_DOCUMENT } MediaClass;

/* "" when nobody knows it: text, playlists and archives among them. GIF is CLASS_IMAGE here; so is HEIC. */
const char *sniff(Slice head, MediaClass *out_class);
/* What the end of a file's name says, or a type of video. Types of pictures and sound say little: media takes them from
 * the bytes where it can, where random bytes are sometimes one, and there are more of them than anybody plays. */
MediaClass class_claimed(const char *mime_type, const char *filename);
