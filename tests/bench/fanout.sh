# shellcheck shell=bash disable=SC2154 # here, work and rounds are the caller's
# fanout: what one says and many hear, by the echo service (`fanout.py`, `fanout.c`), on a bus and gateway of its own.
section_fanout() {
    local name value
    progress "fanout, $rounds rounds"
    cc -std=gnu17 -D_GNU_SOURCE -O2 -o "$work/fanout" "$here/fanout.c"
    while read -r name value; do sample "fanout_$name" "$value"; done < <("$here/fanout.py" "$work/fanout" "$rounds" || echo broken 1)
    [[ ! -e $work/samples/fanout_broken ]] || die "tests/bench/fanout.py failed"
    goal "events to 300 sockets (a second)" "$(median fanout_rate)" "100000" 'a >= 100000' a="$(median fanout_rate)"
    note "the gateway's CPU for one event to one socket (us)" "$(median fanout_cpu_us)"
    goal "from saying it to the last of 300 sockets, 50 a second: p99 (ms)" "$(median fanout_p99_ms)" "< 30" 'a < 30' \
        a="$(median fanout_p99_ms)"
    note "the same, p50 and the longest (ms)" "$(median fanout_p50_ms), $(median fanout_max_ms)"
    goal "5,000 idle sockets: the gateway's memory (MiB)" "$(median fanout_idle_all_mib)" "< 76.3 (80 MB)" 'a < 76.3' \
        a="$(median fanout_idle_all_mib)"
    note "the same, more than without them (MiB)" "$(median fanout_idle_mib)"
}
