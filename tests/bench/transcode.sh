# shellcheck shell=bash disable=SC2154 # here and rounds are the caller's
# transcode: how soon a job is begun, and the encoder's run by the service beside the same command by hand
# (`transcode.py`, on a stack of its own).
section_transcode() {
    local name value ours theirs
    progress "transcode, $rounds rounds"
    while read -r name value; do sample "transcode_$name" "$value"; done < <("$here/transcode.py" "$rounds" || echo broken 1)
    [[ ! -e $work/samples/transcode_broken ]] || die "tests/bench/transcode.py failed"
    goal "a job's pick-up: from the event to the first child's start (ms)" "$(median transcode_pickup)" "< 50" 'a < 50' \
        a="$(median transcode_pickup)"
    ours=$(median transcode_service) theirs=$(median transcode_hand)
    goal "a clip's encoder, by the service beside by hand (s)" \
        "$ours, $theirs = $(calc '(a / b - 1) * 100' a="$ours" b="$theirs") % more" "<= 3 %" 'a <= 1.03 * b' a="$ours" \
        b="$theirs"
    note "the clip's whole first job, probe, packaging, poster and storing too (s)" "$(median transcode_whole)"
}
