/* store_search: see store_search.h. */
#include "services/chat/store_search.h"

#include "services/chat/store_messages.h"

/* A positive number, so that it is the same on its way to a client and back. */
#define RANK_SQL "greatest(1, (ts_rank(b.words, asked.words) * 1000000000)::bigint)"

/* In one statement: who asks, which channels he may read (32769: VIEW_CHANNEL and READ_MESSAGE_HISTORY), what he asks
 * for, and what there is. `asked`: each term as English, where it finds other forms of the word, or as it is; terms of
 * stop words alone are left out, and when nothing is left, nothing is found. Beginnings are those of words as they are.
 * The guild is one of the words (see message.words), so their index finds all; `+ 0` keeps the planner, which does not
 * know how rare a word is, from reading all messages of all channels by another. No more than SEARCH_RANKED_MAX are
 * ranked: where there are more, `recent` has the newest messages of each channel instead, SEARCH_NEWEST in all. */
static const char SEARCH[] =
    "WITH who AS MATERIALIZED ("
    "  SELECT g.id, a.permissions FROM guild g"
    "  LEFT JOIN member_access a ON a.guild_id = g.id AND a.user_id = $2 WHERE g.id = $1"
    "), asked AS MATERIALIZED ("
    "  SELECT string_agg('(' || t.query::text || ')', ' & ')::tsquery AS words FROM ("
    "    SELECT CASE kind"
    "      WHEN 2 THEN (SELECT string_agg('''' || replace(replace(w, '\\', '\\\\'), '''', '''''') || ''':*', ' & ')"
    "        FROM unnest(tsvector_to_array(to_tsvector('simple', term))) w)::tsquery"
    "      WHEN 1 THEN CASE WHEN numnode(phraseto_tsquery('english', term)) > 0"
    "        THEN phraseto_tsquery('english', term) || phraseto_tsquery('simple', term) END"
    "      ELSE CASE WHEN numnode(plainto_tsquery('english', term)) > 0"
    "        THEN plainto_tsquery('english', term) || plainto_tsquery('simple', term) END END AS query"
    "    FROM unnest($3::text[], $4::bigint[]) AS wanted (term, kind)) t"
    "  WHERE t.query IS NOT NULL"
    "), readable AS MATERIALIZED ("
    "  SELECT a.channel_id FROM channel_access a WHERE a.guild_id = $1 AND a.user_id = $2"
    "  AND (a.permissions & 32769) = 32769 AND ($5 = 0 OR a.channel_id = $5)"
    "), last AS MATERIALIZED ("
    "  SELECT CASE WHEN $11 <> 0 THEN $11 ELSE (SELECT " RANK_SQL " FROM asked, readable r"
    "    JOIN message b ON b.channel_id = r.channel_id AND b.id = $9) END AS rank"
    "), matching AS MATERIALIZED ("
    "  SELECT b.channel_id, b.id, " RANK_SQL " AS rank FROM asked"
    "  JOIN message b ON b.words @@ (asked.words && ('''#' || $1::text || '''')::tsquery)"
    "  WHERE b.channel_id + 0 IN (SELECT channel_id FROM readable) AND ($6 = 0 OR b.author_id + 0 = $6)"
    "  AND b.id + 0 > $7 AND b.id + 0 < $8 LIMIT $12 + 1"
    "), many AS MATERIALIZED ("
    "  SELECT count(*) > $12 AS so, $13 / greatest(1, (SELECT count(*) FROM readable)) AS of_each FROM matching"
    "), recent AS ("
    "  SELECT b.channel_id, b.id, " RANK_SQL " AS rank FROM asked, many, readable r,"
    "  LATERAL (SELECT * FROM message x WHERE x.channel_id = r.channel_id AND x.id < $8 AND many.so"
    "           ORDER BY x.id DESC LIMIT many.of_each) b"
    "  WHERE many.so AND b.words @@ asked.words AND ($6 = 0 OR b.author_id = $6) AND b.id > $7"
    "), found AS MATERIALIZED ("
    "  SELECT f.* FROM ("
    "    SELECT m.* FROM matching m, many WHERE NOT many.so UNION ALL SELECT * FROM recent) f, last"
    "  WHERE $9 = 0 OR CASE WHEN last.rank IS NULL THEN f.id < $9 ELSE (f.rank, f.id) < (last.rank, $9) END"
    "  ORDER BY f.rank DESC, f.id DESC LIMIT $10"
    ") SELECT who.permissions, f.rank, " MESSAGE_COLUMNS " FROM who"
    " LEFT JOIN (found f JOIN message m ON m.channel_id = f.channel_id AND m.id = f.id"
    "   LEFT JOIN person u ON u.user_id = m.author_id) ON (who.permissions & 32768) <> 0"
    " ORDER BY f.rank DESC, f.id DESC";
enum { SEARCH_RANK_COLUMN = 1, SEARCH_MESSAGE_COLUMN };

static Err judge(const DbRows *rows)
{
    if (rows->count == 0)
        return err_make(&NOT_FOUND, "guild not found");
    if (db_is_null(rows, 0, 0))
        return err_make(&PERMISSION_DENIED, "you are not a member of this guild");
    if ((db_get_int64(rows, 0, 0) & PERMISSION_READ_MESSAGE_HISTORY) == 0)
        return err_make(&MISSING_PERMISSIONS, "you do not have the required permissions");
    return OK;
}

Err chat_store_search(Request *rq, const SearchFor *wanted, Chat__V1__SearchMessagesReply *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    const Terms *terms = wanted->terms;

    TRY(db_read(rq, SEARCH,
                DB_ARGS(db_int64(wanted->guild_id), db_int64(rq->caller.user_id),
                        db_text_array(terms->texts, terms->count), db_int64_array(terms->kinds, terms->count),
                        db_int64(wanted->channel_id), db_int64(wanted->author_id), db_int64(wanted->after_id),
                        db_int64(wanted->before_id), db_int64(wanted->cursor_id), db_int64(wanted->limit),
                        db_int64(wanted->cursor_rank), db_int64(SEARCH_RANKED_MAX), db_int64(SEARCH_NEWEST)),
                &rows));
    TRY(judge(&rows));
    chat_store_read_messages(rq, &rows, SEARCH_MESSAGE_COLUMN, wanted->guild_id, &out->messages, &out->n_messages);
    for (size_t i = 0; i < out->n_messages; i++) /* none is left out: what is found is there */
        out->messages[i]->cursor = arena_printf(rq->mem, "%" PRId64 ".%" PRId64,
                                                db_get_int64(&rows, (int)i, SEARCH_RANK_COLUMN), out->messages[i]->id);
    return OK;
}
