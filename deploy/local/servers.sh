# shellcheck shell=bash
# PostgreSQL, Redis and nats-server in a folder of ours. Sourced by bin/atrium and tests/with-servers after common.sh.
# They set run_dir and log_dir (processes), pg_home, pg_port, redis_port, nats_port.

# --- PostgreSQL ------------------------------------------------------------------------------------------------------
pg_find() {
    local candidate
    for candidate in /usr/lib/postgresql/*/bin; do
        [[ -x $candidate/postgres ]] && pg_bin=$candidate
    done
    [[ ${pg_bin-} ]] || die "PostgreSQL is not installed; run: make setup"
    # It refuses to run as root.
    pg_as=()
    if ((EUID == 0)); then
        id postgres >/dev/null 2>&1 || die "there is no user postgres, whom PostgreSQL could run as"
        pg_as=(setpriv --reuid=postgres --regid=postgres --init-groups --)
    fi
}

# Can the user that PostgreSQL runs as reach that folder's parent?
pg_can_reach() {
    ((EUID != 0)) || "${pg_as[@]}" test -x "$(dirname "$1")"
}

# pg_init HOME PASSWORD_FILE [INITDB_OPTION…]: makes the cluster unless there is one. Its superuser is "atrium".
pg_init() {
    local home=$1 password_file=$2
    shift 2
    mkdir -p "$home"
    if ((EUID == 0)); then
        chown postgres "$home"
    fi
    [[ -e $home/data/PG_VERSION ]] && return 0
    # An initdb that was interrupted leaves a folder without PG_VERSION's neighbours; it made nothing worth keeping.
    rm -rf "$home/data"
    # A copy that its user can read, for a moment.
    install -m 600 "$password_file" "$home/pwfile"
    ((EUID != 0)) || chown postgres "$home/pwfile"
    if ! "${pg_as[@]}" "$pg_bin/initdb" -D "$home/data" --username=atrium --auth=scram-sha-256 --encoding=UTF8 \
        --locale=C.UTF-8 --pwfile="$home/pwfile" "$@" </dev/null >"${log_dir:?}/initdb.log" 2>&1; then
        cat "$log_dir/initdb.log" >&2
        die "initdb failed in $home/data"
    fi
    rm -f "$home/pwfile"
}

# pg_start NAME HOME PORT [SETTING=VALUE…]
pg_start() {
    local name=$1 home=$2 port=$3 setting args=()
    shift 3
    for setting in "$@"; do args+=(-c "$setting"); done
    # A socket's path is limited to 107 bytes; without one there is still loopback.
    pg_socket=$home
    ((${#pg_socket} < 85)) || pg_socket=''
    process_start "$name" "${pg_as[@]}" "$pg_bin/postgres" -D "$home/data" \
        -c listen_addresses=127.0.0.1 -c "port=$port" -c "unix_socket_directories=$pg_socket" \
        -c shared_buffers=256MB -c max_connections=100 -c jit=off -c timezone=UTC -c log_timezone=UTC \
        -c max_wal_size=2GB -c cluster_name=atrium "${args[@]}"
}

pg_ready() {
    "$pg_bin/pg_isready" -q -h 127.0.0.1 -p "$1" -d postgres
}

# --- Redis -----------------------------------------------------------------------------------------------------------
# redis_config FILE FOLDER PORT PASSWORD: what it holds may vanish, so it forgets the oldest when full.
redis_config() {
    mkdir -p "$2"
    (
        umask 077
        cat >"$1" <<END
bind 127.0.0.1
port $3
dir "$2"
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory 128mb
maxmemory-policy allkeys-lru
${4:+requirepass $4}
END
    )
}

redis_start() {
    process_start "$1" redis-server "$2"
}

# --- nats-server -----------------------------------------------------------------------------------------------------
# nats_config FILE FOLDER PORT HTTP_PORT [INCLUDED_FILE]: the included one has the users; it must lie beside FILE.
nats_config() {
    mkdir -p "$2"
    cat >"$1" <<END
server_name: atrium_local
listen: "127.0.0.1:$3"
http: "127.0.0.1:$4"
max_payload: 16777216
max_pending: 134217728
write_deadline: "10s"
jetstream {
  store_dir: "$2"
  max_memory_store: 268435456
  max_file_store: 10737418240
}
${5:+include \"$5\"}
END
}

nats_start() {
    # One processor: 10 % faster here, and it leaves the other to the services.
    GOMAXPROCS=1 process_start "$1" nats-server -c "$2"
}
