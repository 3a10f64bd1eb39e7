/* store_digests: see store_digests.h. */
#include "services/media/store_digests.h"

static const char KNOWN_DIGESTS[] =
    "SELECT DISTINCT ON (o.sha256) encode(o.sha256, 'hex'), i.id FROM unnest($2::text[]) AS wanted (hex)"
    " JOIN object o ON o.owner_id = $1 AND o.sha256 = decode(wanted.hex, 'hex')"
    " JOIN item i ON i.object_key = o.key AND i.deleted_at IS NULL ORDER BY o.sha256, i.ordinal";

Err media_store_known_digests(Request *rq, int64_t owner_id, char *const *sha256_hex, size_t count, DigestRow **out,
                              size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice *wanted = ARENA_ARRAY(rq->mem, Slice, count + 1);

    for (size_t i = 0; i < count; i++)
        wanted[i] = slice(sha256_hex[i]);
    TRY(db_read(rq, KNOWN_DIGESTS, DB_ARGS(db_int64(owner_id), db_text_array(wanted, count)), &rows));
    *out = ARENA_ARRAY(rq->mem, DigestRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (DigestRow){.sha256_hex = db_get_cstr(rq->mem, &rows, i, 0), .media_id = db_get_uuid(&rows, i, 1)};
    *out_count = (size_t)rows.count;
    return OK;
}
