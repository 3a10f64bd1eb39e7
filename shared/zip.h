/* zip: an archive that is written while it is sent. Entries are stored as they are (videos and pictures do not get
 * smaller), so that its length is known before the first byte: for Content-Length. ZIP64 where sizes, offsets or the
 * number of entries ask for it, and only there: readers of long ago open the rest. Names are UTF-8 (general purpose bit
 * 11). Checksums stand behind the content of each entry (bit 3) and in the directory at the end. Pulled: whoever sends
 * asks for the next bytes. Nothing of the content is held. Belongs to one thread at a time. */
#pragma once
#include "shared/err.h"
#include "shared/slice.h"

enum { ZIP_NAME_MAX_BYTES = 1024, ZIP_ENTRIES_MAX = 100000 };

typedef struct ZipEntry {
    Slice name; /* a path with slashes, relative, the only one of that name: see to it */
    uint64_t size_bytes;
    int64_t modified_ms; /* Unix; ZIP knows 1980 to 2107, in steps of two seconds, here in UTC */
    const void *own;     /* the caller's */
} ZipEntry;

/* Where contents come from: one after the other, each opened once. */
typedef struct ZipSource {
    Err (*open)(void *at, const ZipEntry *entry);
    /* Up to `len` bytes; 0 is the end. */
    Err (*read)(void *at, char *into, size_t len, size_t *out_len);
    void (*close)(void *at); /* after each open that succeeded */
} ZipSource;

typedef struct Zip Zip;

/* Of the whole archive, exactly. UINT64_MAX when it could not be one: a name that is empty or too long, too many
 * entries. */
uint64_t zip_size(const ZipEntry *entries, size_t count);
/* Entries and source are borrowed and outlive it. Only what zip_size can size. Owned by the caller. */
Zip *zip_new(const ZipEntry *entries, size_t count, const ZipSource *source, void *at);
/* As many bytes as come at once; `*out_len` is 0 at the end only. INTERNAL when an entry is not as long as it was said
 * to be: the archive is then broken and must not end as if it were whole. */
Err zip_read(Zip *z, char *into, size_t len, size_t *out_len) MUST_CHECK;
void zip_free(Zip *z);
CLEANUP_FN(Zip, zip_free)
