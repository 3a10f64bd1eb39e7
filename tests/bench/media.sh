# shellcheck shell=bash disable=SC2154 # root, url, token, connections and seconds are the caller's
# media: a list of 100,000 items, whose last page costs what the first does.
media_pages=5000 media_page_size=20

# The caller's items, counted at once as media's triggers would one by one.
media_fill() {
    local owner
    owner=$(curl -fsS -H "Authorization: Bearer $token" "$url$me" | sed -E 's/.*"id":"?([0-9]+).*/\1/')
    [[ $owner =~ ^[0-9]+$ ]] || die "whose token this is was not told"
    PGPASSWORD=$(<"$ATRIUM_DIR/secrets/db_atrium") psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(port_of PG_PORT)" \
        -U atrium -d atrium >/dev/null <<SQL
SET search_path = media;
BEGIN;
INSERT INTO owner (owner_id, next_ordinal) VALUES ($owner, $((media_pages * media_page_size + 1)))
    ON CONFLICT (owner_id) DO UPDATE SET next_ordinal = excluded.next_ordinal;
ALTER TABLE item DISABLE TRIGGER USER;
INSERT INTO item (id, owner_id, ordinal, title, status, created_at)
    SELECT gen_random_uuid(), $owner, n, 'film ' || n, 'ready', now()
    FROM generate_series(1, $((media_pages * media_page_size))) n;
INSERT INTO shelf SELECT owner_id, ordinal / 256, status, count(*) FROM item WHERE owner_id = $owner GROUP BY 1, 2, 3;
ALTER TABLE item ENABLE TRIGGER USER;
COMMIT;
VACUUM ANALYZE item;
VACUUM ANALYZE shelf;
SQL
}

section_media() {
    local round page list="$url/media?page_size=$media_page_size" first last
    progress "media, $((media_pages * media_page_size)) items"
    media_fill
    for page in 1 "$media_pages"; do
        curl -fsS -H "Authorization: Bearer $token" "$list&page=$page" |
            grep -q "\"total_count\":$((media_pages * media_page_size))" || die "page $page is not there"
    done
    for ((round = 1; round <= rounds; round++)); do
        progress "media, round $round of $rounds"
        closed_loop media_first 8 "$seconds" "$list&page=1"
        closed_loop media_last 8 "$seconds" "$list&page=$media_pages"
    done
    first=$(median media_first.rate) last=$(median media_last.rate)
    goal "a list's page $media_pages beside page 1, at 8 connections (requests a second)" \
        "$last, $first = $(calc 'a / b' a="$last" b="$first")" "0.70" 'a / b >= 0.7' a="$last" b="$first"
    note "page $media_pages, median (ms)" "$(median media_last.p50)"
}
