/* tally: see tally.h. */
#include "services/gateway/tally.h"

#include <uthash.h>

struct TallyEntry {
    UT_hash_handle hh;
    int64_t count;
    char who[];
};

TallyEntry *tally_take(Tally *t, Slice who, int64_t most)
{
    TallyEntry *e;

    HASH_FIND(hh, t->entries, who.ptr, who.len, e);
    if (e ? e->count >= most : most < 1)
        return NULL;
    if (!e) {
        e = xcalloc(1, sizeof(*e) + who.len);
        memcpy(e->who, who.ptr, who.len);
        HASH_ADD_KEYPTR(hh, t->entries, e->who, who.len, e);
    }
    e->count++;
    return e;
}

void tally_give(Tally *t, TallyEntry *entry)
{
    if (!entry || --entry->count)
        return;
    HASH_DEL(t->entries, entry);
    free(entry);
}
