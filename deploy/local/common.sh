# shellcheck shell=bash disable=SC2034 # variables are set for the callers
# Functions of the local stack and of the tests' servers: messages, ports, processes. Sourced, never run.
#
# A process that we start is known by run/<name>.pid: pid, its start time in the kernel's count (so that a number used
# again is not mistaken for ours), and when that was. It leads a session of its own.

say() {
    printf '%s\n' "$*"
}

die() {
    printf 'atrium: %s\n' "$*" >&2
    exit 1
}

# Milliseconds, as a variable's value: no process is started for it.
now_ms() {
    local t=$EPOCHREALTIME
    printf -v "$1" '%s' $((${t%[.,]*} * 1000 + 10#${t##*[.,]} / 1000))
}

# --- ports ---------------------------------------------------------------------------------------------------------
port_open() { # PORT [HOST]
    (exec 3<>"/dev/tcp/${2:-127.0.0.1}/$1") 2>/dev/null
}

# claim_port PORT OWNER: two stacks that start together must not choose the same free port, so that a chosen one is kept by
# a file that names the folder it is for. It is free again when that folder is gone.
claim_port() {
    local claims=${TMPDIR:-/tmp}/atrium-ports-$UID
    mkdir -p "$claims"
    (
        flock 8
        if [[ -e $claims/$1 ]]; then
            read -r owner <"$claims/$1" || true
            [[ ! $owner || ! -d $owner ]] || exit 1
        fi
        echo "$2" >"$claims/$1"
    ) 8>"$claims/lock"
}

# Below the ephemeral range, which took one once. Without an owner nothing keeps it but whoever listens at once.
free_port() { # VARIABLE [OWNER]
    local candidate tries
    for ((tries = 0; tries < 200; tries++)); do
        candidate=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        if ! port_open "$candidate" && { [[ -z ${2-} ]] || claim_port "$candidate" "$2"; }; then
            printf -v "$1" '%s' "$candidate"
            return 0
        fi
    done
    die "no free port was found between 20000 and 32000"
}

# http_status HOST PORT PATH: the status of a GET, 000 when there is no answer. Sets http_reply.
http_status() {
    local line
    http_reply=000
    exec 3<>"/dev/tcp/$1/$2" || return 1
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$3" >&3
    if read -r -t 3 line <&3; then
        line=${line#* }
        http_reply=${line%% *}
    fi
    exec 3>&-
    [[ $http_reply == 200 ]]
} 2>/dev/null

# --- processes -----------------------------------------------------------------------------------------------------
# Sets pid_state and pid_started of a process; false when there is none.
read_stat() {
    local text fields
    # The name in parentheses may hold blanks: what counts comes after the last one.
    { read -r text <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -r -a fields <<<"${text##*) }"
    pid_state=${fields[0]} pid_started=${fields[19]}
}

# process_pid NAME: sets pid and since; false unless it runs.
process_pid() {
    local started
    pid='' since=''
    [[ -r ${run_dir:?}/$1.pid ]] || return 1
    read -r pid started since <"$run_dir/$1.pid" || return 1
    if read_stat "$pid" && [[ $pid_started == "$started" && $pid_state != Z ]]; then return 0; fi
    pid='' since=''
    return 1
}

# process_start NAME COMMAND…: in the background, output to its log.
process_start() {
    local name=$1 child
    shift
    # Job control gives it a process group of its own, which no key in the terminal reaches. It is no session of its own:
    # Linux shares CPUs between sessions first (autogroup), and what stands back (shared/aside.h) can do so within one.
    set -m
    # 9 is the stack's lock: a server that inherited it would hold it for ever.
    "$@" </dev/null >>"${log_dir:?}/$name.log" 2>&1 9>&- &
    child=$!
    set +m
    disown "$child"
    read_stat "$child" || pid_started=0
    printf '%s %s %s\n' "$child" "$pid_started" "$EPOCHSECONDS" >"$run_dir/$name.pid"
}

# process_wait NAME SECONDS CONDITION…: polls a command until it succeeds.
process_wait() {
    local name=$1 until now
    now_ms until
    until=$((until + $2 * 1000))
    shift 2
    until "$@"; do
        if ! process_pid "$name"; then
            tail -n 15 "$log_dir/$name.log" >&2 || true
            die "$name ended while starting; its log is $log_dir/$name.log"
        fi
        now_ms now
        if ((now > until)); then
            tail -n 15 "$log_dir/$name.log" >&2 || true
            die "$name did not become ready in time; its log is $log_dir/$name.log"
        fi
        sleep 0.02
    done
}

# process_stop NAME SIGNAL SECONDS: asks, waits, and in the end insists.
process_stop() {
    local name=$1 signal=$2 until now
    if process_pid "$name"; then
        local leader=$pid
        kill "-$signal" "$leader" 2>/dev/null || true
        now_ms until
        until=$((until + $3 * 1000))
        while process_pid "$name"; do
            now_ms now
            if ((now > until)); then
                say "  $name did not stop within $3 s and is killed"
                kill -KILL "$leader" 2>/dev/null || true
                until=$((now + 5000))
            fi
            sleep 0.02
        done
        # Children that outlived it.
        kill -KILL -- "-$leader" 2>/dev/null || true
    fi
    rm -f "$run_dir/$name.pid" "$run_dir/$name.sum"
}
