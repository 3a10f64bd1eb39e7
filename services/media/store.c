/* store: see store.h. Lists of items. */
#include "services/media/store.h"

/* In arrays that come as one text; no stored word has it. */
#define WORD_SEPARATOR '\x01'
enum { ITEM_AT = 3 }; /* columns of lists: the total, what is sorted by, the item */

const char *item_status_word(Media__V1__ItemStatus status)
{
    static const char *const WORDS[] = {"uploading", "queued", "processing", "ready", "failed"};

    return WORDS[(unsigned)status < ARRAY_LEN(WORDS) ? status : 0];
}

bool item_status_parse(Slice word, Media__V1__ItemStatus *out)
{
    for (int i = MEDIA__V1__ITEM_STATUS__UPLOADING; i <= MEDIA__V1__ITEM_STATUS__FAILED; i++)
        if (slice_eq_cstr(word, item_status_word((Media__V1__ItemStatus)i))) {
            *out = (Media__V1__ItemStatus)i;
            return true;
        }
    return false;
}

static void read_words(Arena *mem, const DbRows *rows, int row, int count_column, char ***out, size_t *out_count)
{
    size_t count = (size_t)db_get_int64(rows, row, count_column);
    Slice rest = db_get_text(rows, row, count_column + 1), word;
    char **list = ARENA_ARRAY(mem, char *, count + 1);

    for (size_t i = 0; i < count; i++) {
        (void)slice_cut(rest, WORD_SEPARATOR, &word, &rest); /* false is the last one */
        list[i] = arena_strndup(mem, word.ptr ? word.ptr : "", word.len);
    }
    *out = list;
    *out_count = count;
}

void media_store_read_item(Arena *mem, const DbRows *rows, int row, int first, ItemRow *out)
{
    Slice sha256 = db_get_bytes(rows, row, first + 7);

    *out = (ItemRow){
        .id = db_get_uuid(rows, row, first),
        .owner_id = db_get_int64(rows, row, first + 1),
        .ordinal = db_get_int64(rows, row, first + 2),
        .title = db_get_cstr(mem, rows, row, first + 3),
        .original_filename = db_get_cstr(mem, rows, row, first + 4),
        .mime_type = db_get_cstr(mem, rows, row, first + 5),
        .size_bytes = db_get_int64(rows, row, first + 6),
        .sha256 = slice_of(arena_memdup(mem, sha256.ptr ? sha256.ptr : "", sha256.len), sha256.len),
        .object_key = db_get_cstr(mem, rows, row, first + 8),
        .generation = db_get_int64(rows, row, first + 12),
        .access_generation = db_get_int64(rows, row, first + 13),
        .leader_id = db_get_uuid(rows, row, first + 14),
        .rendition_media_id = db_get_uuid(rows, row, first + 15),
        .rendition_generation = db_get_int64(rows, row, first + 16),
        .width = (int32_t)db_get_int64(rows, row, first + 17),
        .height = (int32_t)db_get_int64(rows, row, first + 18),
        .duration_ms = db_get_int64(rows, row, first + 19),
        .thumbhash = db_get_cstr(mem, rows, row, first + 20),
        .failure_code = db_get_cstr(mem, rows, row, first + 23),
        .failure_message = db_get_cstr(mem, rows, row, first + 24),
        .failure_retryable = db_get_bool(rows, row, first + 25),
        .created_us = db_get_time_us(rows, row, first + 26),
        .deleted_us = db_get_time_us(rows, row, first + 27),
    };
    (void)item_status_parse(db_get_text(rows, row, first + 11), &out->status); /* the table allows no other words */
    read_words(mem, rows, row, first + 9, &out->tags, &out->tag_count);
    read_words(mem, rows, row, first + 21, &out->warnings, &out->warning_count);
}

/* ---------------------------------------------------------------------------------------------------- the ordinary
 * list
 */
/* By the shelves: their sums tell the total, and on which of them a page begins. The first column is the total, and
 * there is always a row. $1 owner, $2 limit, $3 offset or ordinal, $4 status. */
#define SHELVES(of_status)                                                                                             \
    "WITH shelves AS MATERIALIZED ("                                                                                   \
    "  SELECT shelf, sum(items)::bigint AS items FROM shelf WHERE owner_id = $1" of_status " GROUP BY shelf"           \
    "), total AS (SELECT coalesce(sum(items), 0)::bigint AS items FROM shelves)"
#define BY_NUMBER(of_status)                                                                                           \
    SHELVES(of_status)                                                                                                 \
    ", place AS ("                                                                                                     \
    "  SELECT shelf, items, (sum(items) OVER (ORDER BY shelf DESC) - items)::bigint AS before FROM shelves"            \
    "), start AS ("                                                                                                    \
    "  SELECT shelf, $3 - before AS skip FROM place WHERE before <= $3 AND $3 < before + items"                        \
    ")"                                                                                                                \
    " SELECT total.items, '', 0::bigint, p.* FROM total LEFT JOIN (start CROSS JOIN LATERAL ("                         \
    "  SELECT " ITEM_COLUMNS " FROM item i WHERE i.owner_id = $1 AND i.deleted_at IS NULL" of_status                   \
    "   AND i.ordinal < (start.shelf + 1) * 256 ORDER BY i.ordinal DESC OFFSET start.skip LIMIT $2"                    \
    " ) p) ON true ORDER BY p.ordinal DESC"
#define BY_CURSOR(of_status)                                                                                           \
    SHELVES(of_status)                                                                                                 \
    " SELECT total.items, '', 0::bigint, p.* FROM total LEFT JOIN ("                                                   \
    "  SELECT " ITEM_COLUMNS " FROM item i WHERE i.owner_id = $1 AND i.deleted_at IS NULL" of_status                   \
    "   AND i.ordinal < $3 ORDER BY i.ordinal DESC LIMIT $2"                                                           \
    " ) p ON true ORDER BY p.ordinal DESC"
#define OF_STATUS " AND status = $4"

static const char PAGE[] = BY_NUMBER("");
static const char PAGE_OF_STATUS[] = BY_NUMBER(OF_STATUS);
static const char FOLLOWING[] = BY_CURSOR("");
static const char FOLLOWING_OF_STATUS[] = BY_CURSOR(OF_STATUS);

static Err list_plain(Request *rq, const ItemFilter *f, DbRows *rows)
{
    DbValue place = db_int64(f->has_cursor ? f->cursor_ordinal : f->offset);
    DbValue owner = db_int64(f->owner_id), limit = db_int64(f->limit + 1);

    if (f->status[0])
        return db_read(rq, f->has_cursor ? FOLLOWING_OF_STATUS : PAGE_OF_STATUS,
                       DB_ARGS(owner, limit, place, db_text(slice(f->status))), rows);
    return db_read(rq, f->has_cursor ? FOLLOWING : PAGE, DB_ARGS(owner, limit, place), rows);
}

/* ---------------------------------------------------------------------------------------------------- with filters */
/* What matches is found first: by words or tags through their indexes, else among all that the owner has. Then it is
 * sorted by (text, number, ordinal), of which a cursor holds the last. */
#define MATCHING(which)                                                                                                \
    "WITH matching AS MATERIALIZED ("                                                                                  \
    "  SELECT id, CASE $12 WHEN 'title' THEN left(lower(title), 100) ELSE '' END COLLATE \"C\" AS text,"               \
    "   CASE $12 WHEN 'size' THEN size_bytes WHEN 'duration' THEN coalesce(duration_ms, -1) ELSE 0 END AS number,"     \
    "   ordinal"                                                                                                       \
    "  FROM item WHERE deleted_at IS NULL AND " which "   AND ($2 = '' OR words @@ item_query($1, $2))"                \
    "   AND ($3 = '' OR status = $3)"                                                                                  \
    "   AND ($4 = '' OR CASE WHEN $4 = 'other' THEN mime_type !~ '^(video|audio|image)/'"                              \
    "                   ELSE starts_with(mime_type, $4 || '/') END)"                                                   \
    "   AND ($5 IS NULL OR created_at >= $5) AND ($6 IS NULL OR created_at < $6)"                                      \
    "   AND ($7 < 0 OR duration_ms >= $7) AND ($8 < 0 OR duration_ms <= $8)"                                           \
    ")"
#define PAGE_OF_MATCHING(which, compare, direction)                                                                    \
    MATCHING(which)                                                                                                    \
    ", page AS ("                                                                                                      \
    "  SELECT * FROM matching WHERE NOT $13 OR (text, number, ordinal) " compare " ($14, $15, $16)"                    \
    "  ORDER BY text " direction ", number " direction ", ordinal " direction " OFFSET $10 LIMIT $9"                   \
    ")"                                                                                                                \
    " SELECT t.items, page.text, page.number, " ITEM_COLUMNS " FROM (SELECT count(*) AS items FROM matching) t"        \
    " LEFT JOIN (page JOIN item i ON i.id = page.id) ON true"                                                          \
    " ORDER BY page.text " direction ", page.number " direction ", page.ordinal " direction

/* Tags are looked up without the owner, who is part of their keys: so there is one index that serves, and the planner
 * takes it whatever its statistics say; just after many items came they know neither him nor his tags. */
#define ALL_ITEMS "owner_id = $1 AND $11::text[] IS NOT NULL" /* an argument has to be used */
#define TAGGED_ITEMS "item_tag_keys(owner_id, tags) && $11"
static const char MATCHING_UP[] = PAGE_OF_MATCHING(ALL_ITEMS, ">", "ASC");
static const char MATCHING_DOWN[] = PAGE_OF_MATCHING(ALL_ITEMS, "<", "DESC");
static const char TAGGED_UP[] = PAGE_OF_MATCHING(TAGGED_ITEMS, ">", "ASC");
static const char TAGGED_DOWN[] = PAGE_OF_MATCHING(TAGGED_ITEMS, "<", "DESC");

static DbValue tag_keys(Arena *mem, const ItemFilter *f)
{
    Slice *keys = ARENA_ARRAY(mem, Slice, f->tag_count + 1);

    for (size_t i = 0; i < f->tag_count; i++)
        keys[i] = slice(arena_printf(mem, "%" PRId64 ":" SLICE_FMT, f->owner_id, SLICE_ARG(f->tags[i])));
    return db_text_array(keys, f->tag_count);
}

static Err list_matching(Request *rq, const ItemFilter *f, DbRows *rows)
{
    static const char *const SORTS[] = {"created", "title", "size", "duration"};
    const char *sql =
        f->tag_count ? (f->ascending ? TAGGED_UP : TAGGED_DOWN) : (f->ascending ? MATCHING_UP : MATCHING_DOWN);

    return db_read(rq, sql,
                   DB_ARGS(db_int64(f->owner_id), db_text(slice(f->words)), db_text(slice(f->status)),
                           db_text(slice(f->type)), db_time_us_or_null(f->after_us), db_time_us_or_null(f->before_us),
                           db_int64(f->min_ms), db_int64(f->max_ms), db_int64(f->limit + 1),
                           db_int64(f->has_cursor ? 0 : f->offset), tag_keys(rq->mem, f),
                           db_text(slice(SORTS[f->sort])), db_bool(f->has_cursor), db_text(slice(f->cursor_text)),
                           db_int64(f->cursor_number), db_int64(f->cursor_ordinal)),
                   rows);
}

Err media_store_list(Request *rq, const ItemFilter *f, ItemList *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    bool plain = !f->tag_count && !f->words[0] && !f->type[0] && !f->after_us && !f->before_us && f->min_ms < 0 &&
                 f->max_ms < 0 && f->sort == SORT_CREATED && !f->ascending;
    ItemList list = {.total = 0};

    TRY(plain ? list_plain(rq, f, &rows) : list_matching(rq, f, &rows));
    list.total = db_get_int64(&rows, 0, 0);
    list.items = ARENA_ARRAY(rq->mem, ItemRow, rows.count + 1);
    if (!db_is_null(&rows, 0, ITEM_AT))
        list.count = (size_t)MIN((int64_t)rows.count, f->limit);
    list.more = rows.count > f->limit;
    for (size_t i = 0; i < list.count; i++)
        media_store_read_item(rq->mem, &rows, (int)i, ITEM_AT, &list.items[i]);
    if (list.count) {
        list.last_text = db_get_cstr(rq->mem, &rows, (int)list.count - 1, 1);
        list.last_number = db_get_int64(&rows, (int)list.count - 1, 2);
    }
    *out = list;
    return OK;
}
