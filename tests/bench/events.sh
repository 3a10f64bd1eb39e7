# shellcheck shell=bash disable=SC2154 # root, url, port, rounds, seconds and work are the caller's
# events: BENCH_EVENTS of them handed in by the public API, as batches that a job works off; then lists, single events,
# the change feed, a calendar and writes with a key (events.py).
bench_events=${BENCH_EVENTS:-20000}

events_key() {
    local secret
    secret=$(curl -fsS -X POST "$url/api/v1/admin/login" -H 'Content-Type: application/json' \
        -d "{\"username\":\"admin\",\"password\":\"$(<"$ATRIUM_DIR/secrets/admin_password")\"}" |
        sed -E 's/.*"token":"([^"]+)".*/\1/')
    BENCH_KEY=$(curl -fsS -X POST "$url/api/v1/admin/api-keys" -H "Authorization: Bearer $secret" \
        -H 'Content-Type: application/json' -d '{"name":"bench","role":"agent"}' | sed -E 's/.*"api_key":"([^"]+)".*/\1/')
    export BENCH_KEY
}

# Statistics and free space as autovacuum leaves them some minutes later.
events_settle() {
    PGPASSWORD=$(<"$ATRIUM_DIR/secrets/db_atrium") psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(port_of PG_PORT)" \
        -U atrium -d atrium -c 'VACUUM ANALYZE' >/dev/null
}

# events_time KEY COMMAND…: samples KEY.p50 and KEY.p95 (ms) of what events.py does one after the other.
events_time() {
    local key=$1 median slow rest
    shift
    read -r median slow rest < <("$here/events.py" "$@") || die "events: $* failed"
    sample "$key.p50" "$median"
    sample "$key.p95" "$slow"
}

# scaled_below TEXT KEY GOAL: the same as scaled_goal, of a median time (ms).
scaled_below() {
    local scaled
    scaled=$(calc 'a * t / r' a="$(median "$2.p50")" t="$reference_us" r="$(median reference.edge)")
    goal "$1 where the reference takes $reference_us us" "$scaled" "< $3" 'a < g' a="$scaled" g="$3"
}

section_events() {
    local round rate created known reviewed failed name before after
    local processes=(gateway events nats postgresql) use=()
    progress "events, $bench_events by batches"
    events_key
    for name in "${processes[@]}"; do before=${before:+$before }$(cpu_us "$(pid_of "$name")"); done
    read -r rate created known reviewed failed < <("$here/events.py" load "$url" "$bench_events") ||
        die "the events were not taken"
    for name in "${processes[@]}"; do
        after=$(cpu_us "$(pid_of "$name")")
        use+=("$(((after - ${before%% *}) / bench_events))")
        before=${before#* }
    done
    sample events_ingest.rate "$rate"
    events_settle
    "$here/events.py" paths "$url" lists >"$work/lists"
    "$here/events.py" paths "$url" events >"$work/details"
    reference_open
    for ((round = 1; round <= rounds; round++)); do
        progress "events, round $round of $rounds"
        reference_round
        BENCH_PATHS=$work/lists closed_loop events_list 16 "$seconds" "$url" "${processes[@]}"
        closed_loop events_any 16 "$seconds" "$url/api/v1/events"
        BENCH_PATHS=$work/details closed_loop events_detail "$connections" "$seconds" "$url" "${processes[@]}"
        events_time events_feed time "$url" "/api/v1/feeds/changes?limit=200" 100
        events_time events_calendar time "$url" /api/v1/events.ics 30
        events_time events_keyed keyed "$url" 100
    done
    reference_close
    goal "events: handed in by batches, twins looked for (a second)" "$rate" 400 'a >= 400' a="$rate"
    note "events: of $bench_events new, known, for review, refused" "$((created - reviewed)), $known, $reviewed, $failed"
    note "events: one handed in, CPU of ${processes[*]} (us)" "${use[*]}"
    goal "events: lists of 50 with filters, at 16 connections (a second)" "$(median events_list.rate)" 1500 'a >= 1500' \
        a="$(median events_list.rate)"
    goal "events: such a list, the slowest 1 in 20 (ms)" "$(median events_list.p95)" "< 20" 'a < 20' \
        a="$(median events_list.p95)"
    note "events: such a list, CPU of ${processes[*]} (us)" \
        "$(for name in "${processes[@]}"; do printf '%.0f ' "$(median "events_list.$name")"; done)"
    note "events: lists of 50 without filters (a second)" "$(median events_any.rate)"
    goal "events: one event (requests a second)" "$(median events_detail.rate)" 8000 'a >= 8000' \
        a="$(median events_detail.rate)"
    note "events: one event, CPU of ${processes[*]} (us)" \
        "$(for name in "${processes[@]}"; do printf '%.0f ' "$(median "events_detail.$name")"; done)"
    goal "events: a page of 200 changes (ms)" "$(median events_feed.p50)" "< 8" 'a < 8' a="$(median events_feed.p50)"
    goal "events: a calendar of 1,000 (ms)" "$(median events_calendar.p50)" "< 40" 'a < 40' \
        a="$(median events_calendar.p50)"
    goal "events: a write with a key, on disk (ms)" "$(median events_keyed.p50)" "< 5" 'a < 5' \
        a="$(median events_keyed.p50)"
    note "events: the bare reference's edge in these rounds, CPU (us a request)" "$(median reference.edge)"
    scaled_goal "events: handed in" events_ingest 400
    scaled_goal "events: lists" events_list 1500
    scaled_goal "events: one event" events_detail 8000
    scaled_below "events: changes, ms," events_feed 8
    scaled_below "events: a calendar, ms," events_calendar 40
    scaled_below "events: a keyed write, ms," events_keyed 5
    note "events: one event, rate beside the bare reference's" \
        "$(calc 'a / b' a="$(median events_detail.rate)" b="$(median reference.rate)")"
    after=$(calc 'k / 1024' k="$(rss_kib "$(pid_of events)")")
    goal "events: the service, resident after all that (MB)" "$after" "< 48" 'a < 48' a="$after"
}
