# shellcheck shell=bash
# Functions of the bench: samples and their medians, processes' CPU time, memory and descriptors, rows of the tables.
# Sourced by run after deploy/local/common.sh; `work` is its folder, `run_dir` that of what it starts itself.

# --- samples -------------------------------------------------------------------------------------------------------
sample() { # KEY VALUE
    echo "$2" >>"${work:?}/samples/$1"
}

median() { # KEY
    sort -g "$work/samples/$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# calc EXPRESSION [NAME=VALUE…]: what awk makes of it, with two decimals.
calc() {
    local expression=$1 args=() pair
    shift
    for pair in "$@"; do args+=(-v "$pair"); done
    awk "${args[@]}" "BEGIN { printf \"%.2f\", $expression }"
}

holds() { # CONDITION [NAME=VALUE…]
    [[ $(calc "($1) ? 1 : 0" "${@:2}") == 1.00 ]]
}

# --- processes -----------------------------------------------------------------------------------------------------
pid_of() { # NAME: of the stack's processes, or of ours
    local file=$ATRIUM_DIR/run/$1.pid
    [[ -r $file ]] || file=${run_dir:?}/$1.pid
    cut -d' ' -f1 "$file"
}

# CPU time so far of a process and its children (PostgreSQL's), in microseconds. The kernel counts in hundredths of a
# second.
cpu_us() { # PID
    local text fields pid sum=0
    for pid in "$1" $(pgrep -P "$1"); do
        { read -r text <"/proc/$pid/stat"; } 2>/dev/null || continue
        read -r -a fields <<<"${text##*) }"
        sum=$((sum + (fields[11] + fields[12]) * 10000))
    done
    echo "$sum"
}

rss_kib() { # PID
    awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}

descriptors() { # PID
    local open=("/proc/$1/fd/"*)
    echo "${#open[@]}"
}

# --- loads ---------------------------------------------------------------------------------------------------------
# closed_loop KEY CONNECTIONS SECONDS URL [PROCESS…]: one round of wrk. Samples KEY.rate, KEY.p50 and KEY.p99 (ms), and
# KEY.<process>, the CPU microseconds per request of each process. With BENCH_PATHS, a file of paths, these in turn, and
# KEY.p95.
closed_loop() {
    local key=$1 connections=$2 seconds=$3 url=$4 name out requests value script=() parts=(50 99)
    local -A before
    shift 4
    if [[ ${BENCH_PATHS-} ]]; then script=(-s "$here/paths.lua") parts+=(95); fi
    for name in "$@"; do before[$name]=$(cpu_us "$(pid_of "$name")"); done
    out=$(wrk "${script[@]}" -t1 -c"$connections" -d"${seconds}s" --latency -H "Authorization: Bearer ${token:?}" "$url")
    requests=$(awk '/requests in/ { print $1 }' <<<"$out")
    for name in "$@"; do
        value=$(($(cpu_us "$(pid_of "$name")") - before[$name]))
        sample "$key.$name" "$(calc 'c / n' c="$value" n="$requests")"
    done
    sample "$key.rate" "$(awk '/^Requests\/sec/ { printf "%d", $2 }' <<<"$out")"
    for name in "${parts[@]}"; do
        sample "$key.p$name" "$(awk -v p="$name%" '$1 == p {
            unit = $2; sub(/^[0-9.]+/, "", unit)
            print $2 * (unit == "us" ? 0.001 : unit == "s" ? 1000 : 1) }' <<<"$out")"
    done
    if grep -qE 'Non-2xx|Socket errors' <<<"$out"; then failure "$key: $(grep -E 'Non-2xx|Socket errors' <<<"$out")"; fi
}

# load KEY ARGUMENTS…: the other generator. Samples KEY.rate, KEY.p50 and KEY.p99 (ms).
load() {
    local key=$1 out pair
    shift
    out=$("$work/load" "$@" 2>"$work/load.err") || failure "$key: $out $(head -n 12 "$work/load.err")"
    for pair in $out; do
        case $pair in
        p50=* | p99=*) sample "$key.${pair%%=*}" "$(calc 'us / 1000' us="${pair#*=}")" ;;
        rate=* | refused=*) sample "$key.${pair%%=*}" "${pair#*=}" ;;
        esac
    done
}

# In a file, since some loads run in the background.
failure() {
    printf '\nbench: not all answers were good: %s\n' "$*" >&2
    sample failures 1
}

# --- what is printed -------------------------------------------------------------------------------------------------
progress() {
    printf '%4d s  %s\n' "$SECONDS" "$*" >&2
}

goals=()
missed=0
# goal TEXT FIGURE GOAL CONDITION [NAME=VALUE…]: a row of the table of goals.
goal() {
    local verdict=missed
    if holds "${@:4}"; then verdict=met; else missed=$((missed + 1)); fi
    add_row "$1" "$2" "$3" "$verdict"
}

note() { # TEXT FIGURE: a row without a goal
    add_row "$1" "$2" '' ''
}

add_row() {
    goals+=("$(printf '| %-60s | %12s | %12s | %-6s |' "$@")")
}

print_goals() {
    ((${#goals[@]})) || return 0
    printf '\n| %-60s | %12s | %12s | %-6s |\n' figure measured goal ''
    printf '|%s|%s:|%s:|%s|\n' "$(printf '%062d' 0 | tr 0 -)" ------------- ------------- --------
    printf '%s\n' "${goals[@]}"
}
