# shellcheck shell=bash
# What the deployment tests share: counting checks, and skips that must be on the list. Sourced, never run.
passed=0 failed=0
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck disable=SC2034 # for those who source it
root=$(cd "$here/../.." && pwd)

good() {
    passed=$((passed + 1))
    echo "  ok     $*"
}

bad() { # NAME [TEXT]
    failed=$((failed + 1))
    echo "  FAIL   $1"
    [[ -z ${2-} ]] || printf '%s\n' "$2" | head -n "${BAD_LINES:-40}" | sed 's/^/         /'
}

check() { # NAME COMMAND…: quiet unless it fails
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then good "$name"; else bad "$name" "$out"; fi
}

# refuses NAME WORDS COMMAND…: the command must fail, and say these words.
refuses() {
    local name=$1 words=$2 out
    shift 2
    if out=$("$@" 2>&1); then
        bad "$name" "it was accepted: $out"
    elif [[ $out != *"$words"* ]]; then
        bad "$name" "it was refused without saying \"$words\": $out"
    else
        good "$name"
    fi
}

skipped() { # NAME WHY
    local reason
    reason=$(sed -nE "s/^$1[[:space:]]+//p" "$here/skips.txt")
    if [[ $reason ]]; then
        echo "  skip   $1: $reason"
    else
        bad "$1" "skipped ($2), and not on tests/deploy/skips.txt"
    fi
}

sum() {
    echo "$passed passed, $failed failed"
    ((failed == 0))
}
