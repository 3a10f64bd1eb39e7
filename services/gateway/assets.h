/* assets: small files served from memory: the documentation pages and the generated documents. Read at start and at
 * SIGHUP; answers in flight keep the set that they came from. Loop thread only. */
#pragma once
#include "shared/err.h"
#include "shared/log.h"
#include "shared/slice.h"

enum { ASSET_MAX_BYTES = 8 * 1024 * 1024, ASSETS_MAX = 64 };

typedef struct Asset {
    const char *path; /* in the URL */
    const char *content_type;
    const char *etag;
    Slice body;
} Asset;

typedef struct Assets Assets;
typedef struct AssetSources {
    const char *docs_dir, *openapi_file, *asyncapi_file; /* "" none */
} AssetSources;
/* What cannot be read is logged and left out: the API works without its manual. */
Assets *assets_load(const AssetSources *sources, Log *log);
Assets *assets_ref(Assets *a);
void assets_unref(Assets *a);                          /* NULL is fine */
const Asset *assets_find(const Assets *a, Slice path); /* NULL when there is none */

/* A whole file, borrowed from `mem`. */
Err file_read(Arena *mem, const char *path, size_t max_bytes, Slice *out) MUST_CHECK;
