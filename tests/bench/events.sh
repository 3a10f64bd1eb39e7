# shellcheck shell=bash disable=SC2154 # root, url, port, rounds, seconds and work are the caller's
# events: pages of lists with filters and single documents, of BENCH_EVENTS events at 500 places.
bench_events=${BENCH_EVENTS:-100000}

# One event by its route, so that documents are as the service writes them; its like by SQL, since it is reading that is
# measured here. Indexes of words are made afterwards, which takes a tenth of the time.
events_fill() {
    local secret key
    secret=$(curl -fsS -X POST "$url/api/v1/admin/login" -H 'Content-Type: application/json' \
        -d "{\"username\":\"admin\",\"password\":\"$(<"$ATRIUM_DIR/secrets/admin_password")\"}" |
        sed -E 's/.*"token":"([^"]+)".*/\1/')
    key=$(curl -fsS -X POST "$url/api/v1/admin/api-keys" -H "Authorization: Bearer $secret" \
        -H 'Content-Type: application/json' -d '{"name":"bench","role":"admin"}' | sed -E 's/.*"api_key":"([^"]+)".*/\1/')
    curl -fsS -X POST "$url/api/v1/events" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
        -d "{\"name\":\"Jazz at the Café\",\"description\":\"$(printf 'All about it. %.0s' {1..20})\",\"keywords\":[\"jazz\"],
             \"startDate\":\"$(date -u -d '+30 days' +%FT20:00:00Z)\",\"image\":\"https://pictures.test/1.jpg\",
             \"location\":{\"name\":\"Hall\",\"streetAddress\":\"1 Main Street\",\"addressLocality\":\"Toronto\",
             \"latitude\":43.6,\"longitude\":-79.4}}" >/dev/null || die "no event was made"
    PGPASSWORD=$(<"$ATRIUM_DIR/secrets/db_atrium") psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(port_of PG_PORT)" \
        -U atrium -d atrium >/dev/null <<SQL
SET search_path = events, public;
SET maintenance_work_mem = '256MB';
DROP INDEX event_haystack_idx, event_similar_idx, event_words_idx;
INSERT INTO place (id, name, name_norm, locality, latitude, longitude, doc, haystack, created_at, updated_at)
    SELECT ('01a00000' || lpad(to_hex(n), 24, '0'))::uuid, 'Place ' || n, 'place ' || n, 'Town ' || n % 20,
        43 + n % 100 / 100.0, -80 + n % 70 / 70.0, (SELECT min(doc) FROM place), 'place ' || n, now(), now()
    FROM generate_series(1, 500) n;
INSERT INTO event (id, lifecycle, name, name_norm, description, domain, mode, place_id, keywords, license_url,
        license_status, occurrence_count, first_start, doc, card, words, haystack, created_at, updated_at, published_at)
    SELECT ('01a00001' || lpad(to_hex(n), 24, '0'))::uuid, 'published', 'Event ' || n, 'event ' || n, e.description,
        (ARRAY['arts', 'music', 'culture', 'sports', 'community', 'education', 'general'])[1 + n % 7], 'offline',
        ('01a00000' || lpad(to_hex(1 + n % 500), 24, '0'))::uuid, ARRAY['talk', 'k' || n % 50], e.license_url, 'cc0', 1,
        now() + n % 500000 * interval '1 minute', e.doc, e.card, to_tsvector('simple', 'event ' || n),
        'event ' || n || E'\n' || e.description, now(), now(), now()
    FROM generate_series(1, $bench_events) n, (SELECT * FROM event LIMIT 1) e;
INSERT INTO occurrence (id, event_id, start_at, timezone, place_id, listed, lifecycle, domain, mode, keywords, locality,
        latitude, longitude)
    SELECT e.id, e.id, e.first_start, 'America/Toronto', e.place_id, true, 'published', e.domain, e.mode, e.keywords,
        lower(p.locality), p.latitude, p.longitude
    FROM event e JOIN place p ON p.id = e.place_id WHERE e.id > '01a00001000000000000000000000000'
        AND e.id < '01a00002000000000000000000000000';
CREATE INDEX event_words_idx ON event USING gin (words) WITH (fastupdate = off);
CREATE INDEX event_haystack_idx ON event USING gin (haystack gin_trgm_ops)
    WITH (fastupdate = on, gin_pending_list_limit = 512);
CREATE INDEX event_similar_idx ON event USING gin (name_norm gin_trgm_ops) WITH (fastupdate = off);
VACUUM ANALYZE event;
VACUUM ANALYZE occurrence;
SQL
}

section_events() {
    local round list detail
    progress "events, $bench_events of them"
    events_fill
    list="$url/api/v1/events?domain=music&locality=Town%203"
    detail="$url/api/v1/events/$(curl -fsS "$list" | grep -oE '/events/[0-9A-Z]{26}' | head -1 | cut -d/ -f3)"
    for ((round = 1; round <= rounds; round++)); do
        progress "events, round $round of $rounds"
        closed_loop events_list 16 "$seconds" "$list" gateway events nats postgresql
        closed_loop events_any 16 "$seconds" "$url/api/v1/events"
        closed_loop events_detail "$connections" "$seconds" "$detail" gateway events nats postgresql
    done
    goal "events: lists of 50 with filters, at 16 connections (a second)" "$(median events_list.rate)" 1500 'a >= 1500' \
        a="$(median events_list.rate)"
    goal "events: such a list, the slowest 1 in 100 (ms)" "$(median events_list.p99)" "< 20" 'a < 20' \
        a="$(median events_list.p99)"
    note "events: such a list, CPU of gateway, events, nats, PostgreSQL (us)" \
        "$(median events_list.gateway) $(median events_list.events) $(median events_list.nats) $(median events_list.postgresql)"
    note "events: lists of 50 without filters (a second)" "$(median events_any.rate)"
    goal "events: one event (requests a second)" "$(median events_detail.rate)" 8000 'a >= 8000' \
        a="$(median events_detail.rate)"
    note "events: one event, CPU of gateway, events, nats, PostgreSQL (us)" \
        "$(median events_detail.gateway) $(median events_detail.events) $(median events_detail.nats) $(median events_detail.postgresql)"
}
