# shellcheck shell=bash disable=SC2154 # root, url, port, token, rounds, seconds and connections are the caller's
# The sections of the bench, each a function that takes samples and adds rows. Sourced by run, which makes the stack.
me=/api/v1/users/@me

# --- base: beside the bare reference ---------------------------------------------------------------------------------
# Rounds go through all rows, so that a busy moment of the machine falls on all of them.
base_row() { # KEY TEXT SERVICE
    local us=() name
    for name in edge nats "${3:-edge}" postgresql; do
        us+=("$([[ -e $work/samples/$1.$name ]] && median "$1.$name" || echo -)")
    done
    [[ ${3-} ]] || us[2]=-
    printf '| %-56s | %6d | %5.2f | %5.2f | %5s | %5s | %7s | %10s | %5s |\n' "$2" "$(median "$1.rate")" \
        "$(median "$1.p50")" "$(median "$1.p99")" "${us[@]}" \
        "$(calc 'a / b' a="$(median "$1.rate")" b="$(median reference.rate)")"
}

# The barest edge and service that the same libraries allow say how fast this machine is just now.
reference_open() {
    local nats
    nats=nats://127.0.0.1:$(port_of NATS_PORT)
    free_port edge_port
    process_start edge "$work/reference" edge "$edge_port" "$nats" gateway "$(secret gateway)"
    process_wait edge 10 port_open "$edge_port"
}

# reference_round [COMMAND…]: one sample of it, and what the command takes beside the same responder. The same nats-server,
# the same subject: auth makes way for it.
reference_round() {
    "$root/bin/atrium" stop auth >/dev/null
    process_start service "$work/reference" service "nats://127.0.0.1:$(port_of NATS_PORT)" auth "$(secret auth)"
    process_wait service 10 curl -fs -o /dev/null "http://127.0.0.1:$edge_port/"
    closed_loop reference "$connections" "$seconds" "http://127.0.0.1:$edge_port/" edge nats service
    "$@"
    process_stop service TERM 5
    "$root/bin/atrium" start auth >/dev/null
    warm_up
}

reference_close() {
    process_stop edge TERM 5
}

# Rates were aimed at where the reference's edge takes so much CPU a request: how many there would be there.
reference_us=11.7
scaled_goal() { # TEXT KEY GOAL
    local scaled
    scaled=$(calc "a * r / t" a="$(median "$2.rate")" t=$reference_us r="$(median reference.edge)")
    scaled=${scaled%.*}
    goal "$1 where the reference takes $reference_us us" "$scaled" "$3" 'a >= g' a="$scaled" g="$3"
}

section_base() {
    local round
    reference_open
    for ((round = 1; round <= rounds; round++)); do
        progress "base, round $round of $rounds"
        reference_round closed_loop bare "$connections" "$seconds" "$url$me" gateway nats service
        closed_loop sql "$connections" "$seconds" "$url$me" gateway nats auth postgresql
        closed_loop healthz "$connections" "$seconds" "$url/healthz" gateway
    done
    reference_close
    goal "read without SQL, rate beside the bare reference's" \
        "$(calc 'a / b' a="$(median bare.rate)" b="$(median reference.rate)")" "0.70" 'a / b >= 0.7' \
        a="$(median bare.rate)" b="$(median reference.rate)"
    goal "read without SQL, p99 (ms)" "$(median bare.p99)" "< 4" 'a < 4' a="$(median bare.p99)"
    goal "read without SQL, gateway's CPU (us a request)" "$(median bare.gateway)" "< 22" 'a < 22' \
        a="$(median bare.gateway)"
    # The goals were set where the bare reference took so much: the same figures, as they would be there.
    local there_p99=1.9 scaled
    scaled=$(calc 'a * t / r' a="$(median bare.p99)" t="$there_p99" r="$(median reference.p99)")
    goal "the same p99 where the reference's is $there_p99 ms" "$scaled" "< 4" 'a < 4' a="$scaled"
    scaled=$(calc 'a * t / r' a="$(median bare.gateway)" t="$reference_us" r="$(median reference.edge)")
    goal "the same CPU where the reference takes $reference_us us" "$scaled" "< 22" 'a < 22' a="$scaled"
    goal "GET $me with SQL (requests a second)" "$(median sql.rate)" "20000" 'a >= 20000' a="$(median sql.rate)"
    scaled_goal "the same" sql 20000
}

# The four rows of base; CPU in microseconds per request of each process.
print_base() {
    [[ -e $work/samples/sql.rate ]] || return 0
    printf '\n| %-56s | %6s | %5s | %5s | %5s | %5s | %7s | %10s | %5s |\n' "$connections connections" req/s p50 p99 edge \
        nats service PostgreSQL ratio
    printf '|%s|---:|---:|---:|---:|---:|---:|---:|---:|\n' "$(printf '%058d' 0 | tr 0 -)"
    local key
    for key in bare sql healthz; do mv "$work/samples/$key.gateway" "$work/samples/$key.edge"; done
    base_row reference "reference: bare one-loop edge, bare responder" service
    base_row bare "gateway: GET $me, the same bare responder" service
    base_row sql "gateway: GET $me, auth and PostgreSQL" auth
    base_row healthz "gateway: GET /healthz, no bus"
}

# --- sweep: no number of connections is a trap -----------------------------------------------------------------------
sweep_counts=(1 16 64 127 128 129 256 512)

section_sweep() {
    local round count
    for ((round = 1; round <= rounds; round++)); do
        progress "sweep, round $round of $rounds"
        for count in "${sweep_counts[@]}"; do closed_loop "sweep$count" "$count" 1 "$url$me"; done
    done
    local i rate before after better
    for ((i = 0; i < ${#sweep_counts[@]}; i++)); do
        count=${sweep_counts[i]}
        rate=$(median "sweep$count.rate")
        if ((count <= 16)); then
            note "SQL read at $count connections (requests a second)" "$rate"
            continue
        fi
        before=$(median "sweep${sweep_counts[i - 1]}.rate")
        after=$(median "sweep${sweep_counts[i + 1]:-$count}.rate")
        better=$((before > after ? before : after))
        goal "SQL read at $count connections, beside its better neighbour" \
            "$rate = $(calc 'a / b' a="$rate" b="$better")" "0.70" 'a / b >= 0.7' a="$rate" b="$better"
    done
}

# --- idle: connections that only stand there -------------------------------------------------------------------------
section_idle() {
    local round idle=5000 with without
    for ((round = 1; round <= rounds; round++)); do
        progress "idle, round $round of $rounds"
        closed_loop alone "$connections" 2 "$url$me"
        : >"$work/idle.log"
        log_dir=$work process_start idle "$work/load" -i "$idle" -H "Authorization: Bearer $token" "$port" "$me=200"
        process_wait idle 30 grep -q ready "$work/idle.log"
        closed_loop beside_idle "$connections" 2 "$url$me"
        process_stop idle TERM 5
    done
    without=$(median alone.rate) with=$(median beside_idle.rate)
    goal "$idle idle connections: what they cost of the rate at $connections" \
        "$(calc '(1 - a / b) * 100' a="$with" b="$without") %" "< 10 %" 'a / b > 0.9' a="$with" b="$without"
}

# --- logins: hashing does not stand in the way of reads --------------------------------------------------------------
section_logins() {
    local round half read=(-H "Authorization: Bearer $token" "$port" "$me=200")
    local login=("$port" /api/v1/auth/login=200)
    register logins >/dev/null
    closed_loop peak "$connections" 3 "$url$me"
    half=$(($(median peak.rate) / 2))
    for ((round = 1; round <= rounds; round++)); do
        progress "logins, round $round of $rounds, $half reads a second"
        load reads -c 256 -d 4 -r "$half" "${read[@]}"
        load logins -w -c 40 -d 6 -b '{"username":"logins","password":"bench password"}' "${login[@]}" &
        sleep 1 # they are under way
        load reads_beside -c 256 -d 4 -r "$half" "${read[@]}"
        wait "$!"
        chrt --idle 0 timeout 5 sh -c 'while :; do :; done' &
        load reads_beside_loop -c 256 -d 4 -r "$half" "${read[@]}"
        wait "$!" || true # timeout says that it ended it
    done
    note "SQL reads at half of their peak rate: p99 (ms)" "$(median reads.p99)"
    note "the same beside an idle-class loop that shares nothing with them: p99 (ms)" "$(median reads_beside_loop.p99)"
    # A virtual machine that may not use its processors all the time makes reads wait beside whatever computes.
    goal "the same beside 40 parallel logins: p99 (ms)" "$(median reads_beside.p99)" "< twice, or as the loop" \
        'a <= 2 * b || a <= 1.2 * c' \
        a="$(median reads_beside.p99)" b="$(median reads.p99)" c="$(median reads_beside_loop.p99)"
    note "these logins: a second" "$(median logins.rate)"
    note "these logins: median (ms)" "$(median logins.p50)"
    note "these logins: told to come a second later, of all" "$(median logins.refused)"
}

# --- pairs: is somebody of this name here? ---------------------------------------------------------------------------
section_pairs() {
    local known unknown
    register somebody >/dev/null
    progress "500 pairs of wrong logins"
    read -r known unknown < <("$here/pairs.py" "$url" somebody 500)
    note "a wrong password, median (us)" "$known"
    goal "a name that nobody has, median (us)" "$unknown" "within 5 %" 'a >= 0.95 * b && a <= 1.05 * b' a="$unknown" \
        b="$known"
}

# --- soak: nothing grows ---------------------------------------------------------------------------------------------
soak_processes=(gateway auth)

section_memory() {
    local name limit
    for name in "${soak_processes[@]}"; do
        limit=$([[ $name == gateway ]] && echo 25 || echo 15)
        memory=$(calc 'k / 1024' k="$(rss_kib "$(pid_of "$name")")")
        goal "$name, resident when idle (MB)" "$memory" "< $limit" 'a < b' a="$memory" b="$limit"
    done
}

# Connections that were closed are noticed in the loop's next turns.
settle() {
    local until now
    now_ms until
    until=$((until + 3000))
    while now_ms now && ((now < until && $(descriptors "$(pid_of gateway)") > 64)); do sleep 0.1; done
}

# --- credentials: whose is it? ---------------------------------------------------------------------------------------
section_credentials() {
    local round name value
    [[ -x $root/build/bench/credentials ]] || die "build/bench/credentials is not built; run: make bench"
    for ((round = 1; round <= rounds; round++)); do
        progress "credentials, round $round of $rounds"
        while read -r name value; do sample "$name" "$value"; done < <("$root/build/bench/credentials")
    done
    goal "a JWT of HS256 that is new, verified (us)" "$(calc 'a / 1000' a="$(median jwt_verified)")" "< 10" 'a < 10000' \
        a="$(median jwt_verified)"
    goal "a JWT of EdDSA that is remembered (us)" "$(calc 'a / 1000' a="$(median jws_remembered)")" "< 10" 'a < 10000' \
        a="$(median jws_remembered)"
    goal "an API key that is remembered, above a remembered JWT (us)" \
        "$(calc '(a - b) / 1000' a="$(median key_remembered)" b="$(median jwt_remembered)")" "< 1" 'a - b < 1000' \
        a="$(median key_remembered)" b="$(median jwt_remembered)"
    note "a JWT that is remembered (us)" "$(calc 'a / 1000' a="$(median jwt_remembered)")"
}

section_soak() {
    local name requests=${BENCH_SOAK_REQUESTS:-1000000} mix
    local -A memory open
    mix=(-c "$connections" -H "Authorization: Bearer $token" "$port" "$me=200" /healthz=200 /api/v1/nothing=404
        "anonymous:$me=401")
    progress "soak, 50000 requests to warm up, then $requests"
    load soak_warm -n 50000 "${mix[@]}"
    settle
    for name in "${soak_processes[@]}"; do
        memory[$name]=$(rss_kib "$(pid_of "$name")")
        open[$name]=$(descriptors "$(pid_of "$name")")
    done
    load soak -n "$requests" "${mix[@]}"
    settle
    local kib files
    for name in "${soak_processes[@]}"; do
        kib=$(rss_kib "$(pid_of "$name")") files=$(descriptors "$(pid_of "$name")")
        goal "after $requests requests: $name grew from $(calc 'k / 1024' k="${memory[$name]}") MB by" \
            "$(calc '(a - b) / 1024' a="$kib" b="${memory[$name]}")" "10 %, 2 MiB" 'a < b * 1.1 && a - b < 2048' \
            a="$kib" b="${memory[$name]}"
        goal "after $requests requests: $name's ${open[$name]} descriptors grew by" "$((files - open[$name]))" 0 \
            'a <= 0' a="$((files - open[$name]))"
    done
}
