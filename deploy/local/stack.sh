# shellcheck shell=bash
# The local stack: which processes there are, with which settings, and the commands up, down, status, logs … of
# bin/atrium. Sourced by it after common.sh and servers.sh; `root` is the checkout.
#
# $ATRIUM_DIR   pg/ redis/ nats/   data of the servers
#               logs/              output of each process
#               run/               pid files, generated configuration, the services' environments
#               secrets/           made once, mode 600
#               ports.env          where everything listens, decided at the first start
#               settings.env       services' settings that `up` was given

stack_dir=${ATRIUM_DIR:-$root/.atrium}
[[ $stack_dir == /* ]] || stack_dir=$PWD/$stack_dir
run_dir=$stack_dir/run log_dir=$stack_dir/logs secret_dir=$stack_dir/secrets
build_dir=${ATRIUM_BUILD:-$root/build}
gen_dir=$root/build/gen
servers=(postgresql redis nats)

# Services in the order of their start: the gateway last, since it needs the others.
list_services() {
    local file name
    services=()
    for file in "$root"/services/*/service.mk; do
        name=$(basename "$(dirname "$file")")
        [[ $name == gateway ]] || services+=("$name")
    done
}

# has_bytes SERVICE: does it have a data plane, because an rpc of its protos is bytes?
has_bytes() {
    grep -qs 'bytes: true' "$root/proto/atrium/$1"/v1/*.proto
}

# Sets processes: everything that the stack has, in the order of its start.
list_processes() {
    local i
    list_services
    processes=("${servers[@]}" "${services[@]}" gateway)
    for ((i = 2; i <= ${GATEWAYS:-1}; i++)); do processes+=("gateway-$i"); done
}

stack_names() {
    load_ports && list_processes && echo "${processes[*]}"
}

known_process() {
    [[ " ${processes[*]} " == *" $1 "* ]] || die "there is no \"$1\" here, only: ${processes[*]}"
}

# --- ports and secrets ---------------------------------------------------------------------------------------------
load_ports() {
    [[ -r $stack_dir/ports.env ]] || return 1
    # shellcheck source=/dev/null
    source "$stack_dir/ports.env"
}

# Decided once; a later `up` may only add gateways.
choose_ports() {
    local gateways=$1 free=$2 i index=1 name value
    load_ports || true
    GATEWAYS=${gateways:-${GATEWAYS:-1}}
    choose() { # NAME DEFAULT
        [[ -z ${!1-} ]] || return 0
        if [[ $free ]]; then
            free_port value "$stack_dir"
        else
            value=$2
        fi
        printf -v "$1" '%s' "$value"
        chosen+=("$1")
    }
    local chosen=()
    local admin=${ATRIUM_ADMIN_PORT:-18100}
    choose PG_PORT "${ATRIUM_PG_PORT:-18432}"
    choose NATS_PORT "${ATRIUM_NATS_PORT:-18222}"
    choose NATS_HTTP_PORT $((${ATRIUM_NATS_PORT:-18222} + 1))
    choose REDIS_PORT "${ATRIUM_REDIS_PORT:-18379}"
    list_services
    for name in gateway "${services[@]}"; do
        choose "ADMIN_PORT_$name" $((admin + index++))
    done
    for name in "${services[@]}"; do
        if has_bytes "$name"; then choose "BYTES_PORT_$name" $((admin + 64 + index++)); fi
    done
    choose HTTP_PORT_gateway 8080
    for ((i = 2; i <= GATEWAYS; i++)); do
        choose "ADMIN_PORT_gateway_$i" $((admin + 48 + i))
        choose "HTTP_PORT_gateway_$i" $((8079 + i))
    done
    {
        echo "# Where the local stack listens. Chosen at its first start; edit while it is down."
        for name in GATEWAYS PG_PORT NATS_PORT NATS_HTTP_PORT REDIS_PORT ${!HTTP_PORT_@} ${!BYTES_PORT_@} ${!ADMIN_PORT_@}; do
            echo "$name=${!name}"
        done
    } >"$stack_dir/ports.env.new"
    mv "$stack_dir/ports.env.new" "$stack_dir/ports.env"
}

# random_text: letters and digits, beginning with a letter: nats-server takes 5e3 for a number.
random_text() {
    local text
    text=$(LC_ALL=C tr -dc 'a-z0-9' </dev/urandom 2>/dev/null | head -c 40) || true
    printf -v "$1" 's%s' "$text"
}

# secret NAME: makes it unless there is one; sets value.
secret() {
    if [[ ! -s $secret_dir/$1 ]]; then
        random_text value
        printf '%s' "$value" >"$secret_dir/$1.new"
        mv "$secret_dir/$1.new" "$secret_dir/$1"
    fi
    value=$(<"$secret_dir/$1")
}

make_secrets() {
    local name pair
    (
        umask 077
        mkdir -p "$secret_dir"
        for name in jwt_secret admin_password db_atrium redis nats_ops; do secret "$name"; done
        for name in gateway "${services[@]}"; do
            secret "db_$name"
            secret "nats_$name"
        done
        for name in "${services[@]}"; do
            if has_bytes "$name" && [[ ! -s $secret_dir/tickets_$name ]]; then
                pair=$("$build_dir/bin/atrium-tool" keypair) # its first half is as random as any
                printf '%s' "${pair% *}" >"$secret_dir/tickets_$name"
            fi
        done
        if [[ ! -s $secret_dir/webhook_key ]]; then
            pair=$("$build_dir/bin/atrium-tool" keypair)
            printf '%s' "${pair% *}" >"$secret_dir/webhook_key"
        fi
        if [[ ! -s $secret_dir/gateway_signing_key || ! -s $secret_dir/gateway_public_key ]]; then
            pair=$("$build_dir/bin/atrium-tool" keypair)
            printf '%s' "${pair% *}" >"$secret_dir/gateway_signing_key"
            printf '%s' "${pair#* }" >"$secret_dir/gateway_public_key"
        fi
        printf 'redis://:%s@127.0.0.1:%s/0' "$(<"$secret_dir/redis")" "$REDIS_PORT" >"$secret_dir/redis_url"
        database_url atrium atrium >"$secret_dir/database_url_atrium"
        for name in "${services[@]}"; do
            database_url "$name" "atrium_$name" >"$secret_dir/database_url_$name"
        done
    )
}

# The socket is a little faster than loopback; where its path is too long there is none.
database_url() { # NAME ROLE
    local password host
    password=$(<"$secret_dir/db_$1")
    if ((${#pg_home} < 85)); then
        host=${pg_home//'%'/%25}
        host=${host//' '/%20}
        host=${host//'&'/%26}
        host=${host//'#'/%23}
        printf 'postgresql://%s:%s@/atrium?host=%s&port=%s' "$2" "$password" "$host" "$PG_PORT"
    else
        printf 'postgresql://%s:%s@127.0.0.1:%s/atrium' "$2" "$password" "$PG_PORT"
    fi
}

# Where PostgreSQL's data is: under the stack, unless the user that it runs as cannot get there.
find_pg_home() {
    local hash
    pg_find
    pg_home=$stack_dir/pg
    pg_can_reach "$pg_home" && return 0
    hash=$(printf '%s' "$stack_dir" | cksum)
    pg_home=/var/tmp/atrium-$EUID-${hash%% *}
}

# --- settings --------------------------------------------------------------------------------------------------------
# What the stack decides itself, whatever the environment says.
own_settings=(NATS_URL NATS_USER NATS_PASSWORD NATS_PASSWORD_FILE DATABASE_URL DATABASE_URL_FILE REDIS_URL
    REDIS_URL_FILE ADMIN_ADDR GATEWAY_PUBLIC_KEY NATS_URL_FILE NATS_USER_FILE ADMIN_ADDR_FILE GATEWAY_PUBLIC_KEY_FILE)

# Keeps the settings that are in the environment (and .env) now, for this start and later restarts.
keep_settings() {
    local name line own=" ${own_settings[*]} "
    if [[ -r $root/.env ]]; then
        while IFS= read -r line || [[ $line ]]; do
            [[ $line =~ ^[[:space:]]*([A-Z][A-Z0-9_]*)[[:space:]]*=[[:space:]]*(.*)$ ]] || continue
            name=${BASH_REMATCH[1]}
            [[ ${!name+set} ]] || export "$name=${BASH_REMATCH[2]}"
        done <"$root/.env"
    fi
    (
        umask 077
        while read -r name; do
            for name in "$name" "${name}_FILE"; do
                [[ ! ${!name+set} || $own == *" $name "* || ${!name} == *$'\n'* ]] || printf '%s=%s\n' "$name" "${!name}"
            done
        done < <(sed -n 's/^SETTING([A-Z]*, [a-z0-9_]*, "\([A-Z0-9_]*\)".*/\1/p' "$root"/shared/settings*.def \
            "$root"/services/*/settings*.def | sort -u) >"$stack_dir/settings.env"
    )
}

# setting NAME: what `up` was given; sets value.
setting() {
    local line
    value=''
    while IFS= read -r line; do
        [[ $line != "$1="* ]] || value=${line#*=}
    done <"$stack_dir/settings.env"
}

# gateway_address NAME: sets address, "host:port".
gateway_address() {
    local port=HTTP_PORT_${1//-/_} value
    address=127.0.0.1:${!port}
    if [[ $1 == gateway ]]; then
        setting SERVER_ADDR
        [[ -z $value ]] || address=$value
    fi
}

# backends: sets value, the data planes of all services: "media=127.0.0.1:18181,…".
backends() {
    local name port
    value=
    for name in "${services[@]}"; do
        port=BYTES_PORT_$name
        if has_bytes "$name"; then value+=${value:+,}$name=127.0.0.1:${!port}; fi
    done
}

# erasure_domains: sets value, the services that keep something of accounts and report when it is gone.
erasure_domains() {
    local name
    value=
    for name in "${services[@]}"; do
        if grep -qs 'erasure_start(' "$root/services/$name"/*.c; then value+=${value:+,}$name; fi
    done
}

# write_environment NAME: run/NAME.env, what that service is started with besides PATH and the like.
write_environment() {
    local name=$1 service=${1%%-[0-9]*} admin=ADMIN_PORT_${1//-/_} bytes=BYTES_PORT_${1//-/_} address value
    list_services
    gateway_address gateway
    {
        echo "NATS_URL=nats://127.0.0.1:$NATS_PORT"
        echo "NATS_USER=$service"
        echo "NATS_PASSWORD_FILE=$secret_dir/nats_$service"
        echo "REDIS_URL_FILE=$secret_dir/redis_url"
        echo "GATEWAY_PUBLIC_KEY=$(<"$secret_dir/gateway_public_key")"
        echo "ADMIN_ADDR=127.0.0.1:${!admin}"
        echo "JWT_SECRET_FILE=$secret_dir/jwt_secret"
        echo "LOG_FORMAT=json"
        if [[ -d $root/services/$service/migrations ]]; then echo "DATABASE_URL_FILE=$secret_dir/database_url_$service"; fi
        if has_bytes "$service"; then
            echo "BYTES_ADDR=127.0.0.1:${!bytes}"
            echo "BYTES_TICKET_KEY_FILE=$secret_dir/tickets_$service"
            echo "PUBLIC_URL=http://$address"
        fi
        if [[ $service == events ]]; then echo "SERVER_BASE_URL=http://$address"; fi
        if grep -qs settings_webhook.def "$root/services/$service"/settings*.def; then
            echo "WEBHOOK_KEY_FILE=$secret_dir/webhook_key"
        fi
        if grep -qs settings_blob.def "$root/services/$service"/settings*.def; then echo "BLOB_DIR=$stack_dir/blobs"; fi
        if [[ $service == auth ]]; then
            echo "ADMIN_PASSWORD_FILE=$secret_dir/admin_password"
            erasure_domains
            echo "ERASURE_DOMAINS=$value"
        fi
        if [[ $service == gateway ]]; then
            echo "GATEWAY_SIGNING_KEY_FILE=$secret_dir/gateway_signing_key"
            echo "GATEWAY_TABLES=$gen_dir/gateway.tables"
            backends
            echo "BYTES_BACKENDS=$value"
            echo "GATEWAY_OPENAPI=$gen_dir/openapi.json"
            echo "GATEWAY_ASYNCAPI=$gen_dir/asyncapi.json"
        fi
        # What was asked for wins over the defaults above.
        cat "$stack_dir/settings.env"
        if [[ $service == gateway ]]; then
            gateway_address "$name"
            echo "SERVER_ADDR=$address"
        fi
    } >"$run_dir/$name.env"
}

# For the commands that speak bus and database: where this stack's are, unless the environment says where.
tool_environment() {
    load_ports || return 0
    find_pg_home 2>/dev/null || true
    if [[ -z ${NATS_URL-} ]]; then
        export NATS_URL=nats://127.0.0.1:$NATS_PORT
        export OPS_NATS_PASSWORD_FILE=$secret_dir/nats_ops
    fi
    if [[ -z ${MIGRATE_DATABASE_URL-} ]]; then
        export MIGRATE_DATABASE_URL_FILE=$secret_dir/database_url_atrium
        list_services
        local name
        for name in "${services[@]}"; do export "MIGRATE_PASSWORD_${name^^}_FILE=$secret_dir/db_$name"; done
    fi
    export GATEWAY_TABLES=${GATEWAY_TABLES:-$gen_dir/gateway.tables}
    local address
    gateway_address gateway
    export ATRIUM_URL=${ATRIUM_URL:-http://$address}
}

# --- one process -------------------------------------------------------------------------------------------------------
# fingerprint NAME: what the process was started from; sets value. Another one means that it must be started again.
fingerprint() {
    local files=() line
    case $1 in
    postgresql) value="$PG_PORT ${ATRIUM_PG_FSYNC:-on} $pg_home" && return ;;
    redis) files=("$run_dir/redis.conf") ;;
    nats) files=("$run_dir/nats.conf" "$run_dir/nats-permissions.conf") ;;
    *)
        files=("$build_dir/bin/${1%%-[0-9]*}" "$run_dir/$1.env")
        while IFS= read -r line; do
            if [[ $line == *_FILE=* && -r ${line#*=} ]]; then files+=("${line#*=}"); fi
        done <"$run_dir/$1.env"
        ;;
    esac
    value=$(cat "${files[@]}" | cksum)
}

# Refuses, with the name of the setting that helps, a port that somebody else has. One of ours that was killed may have it
# for a moment longer: its threads end one after another.
check_port() {
    local until now
    now_ms until
    until=$((until + 3000))
    while port_open "$1"; do
        now_ms now
        ((now < until)) || break
        sleep 0.05
    done
    ! port_open "$1" || die "port $1, wanted for $2, is in use by another program: set $3, or use --free-ports" \
        "(ports are kept in $stack_dir/ports.env)"
}

launch() {
    local name=$1 binary line nats_secret value
    case $name in
    postgresql)
        check_port "$PG_PORT" PostgreSQL ATRIUM_PG_PORT
        pg_start postgresql "$pg_home" "$PG_PORT" "fsync=${ATRIUM_PG_FSYNC:-on}" "synchronous_commit=${ATRIUM_PG_FSYNC:-on}"
        ;;
    redis)
        check_port "$REDIS_PORT" Redis ATRIUM_REDIS_PORT
        redis_start redis "$run_dir/redis.conf"
        ;;
    nats)
        check_port "$NATS_PORT" nats-server ATRIUM_NATS_PORT
        check_port "$NATS_HTTP_PORT" "nats-server's monitoring" ATRIUM_NATS_PORT
        (
            for nats_secret in "$secret_dir"/nats_*; do
                line=${nats_secret##*/nats_}
                export "${line^^}_NATS_PASSWORD=$(<"$nats_secret")"
            done
            nats_start nats "$run_dir/nats.conf"
        )
        ;;
    *)
        binary=$build_dir/bin/${name%%-[0-9]*}
        [[ -x $binary ]] || die "$binary is not built; run: make build"
        check_service_ports "$name"
        (
            cd "$root" || exit
            unset "${own_settings[@]}"
            while IFS= read -r line; do export "${line?}"; done <"$run_dir/$name.env"
            process_start "$name" "$binary"
        )
        ;;
    esac
    fingerprint "$name"
    printf '%s\n' "$value" >"$run_dir/$name.sum"
}

check_service_ports() {
    local name=$1 admin=ADMIN_PORT_${1//-/_} address
    check_port "${!admin}" "$name's admin listener" ATRIUM_ADMIN_PORT
    if [[ ${name%%-[0-9]*} == gateway ]]; then
        gateway_address "$name"
        address=${address%%,*}
        check_port "${address##*:}" "$name" SERVER_ADDR
    fi
}

process_ready() {
    local admin=ADMIN_PORT_${1//-/_} url host
    case $1 in
    postgresql) pg_ready "$PG_PORT" ;;
    redis) port_open "$REDIS_PORT" ;;
    nats) port_open "$NATS_PORT" ;;
    gateway*)
        public_url "$1"
        host=${url#http://}
        host=${host%:*}
        host=${host#[}
        http_status 127.0.0.1 "${!admin}" /readyz && port_open "${url##*:}" "${host%]}"
        ;;
    *) http_status 127.0.0.1 "${!admin}" /readyz ;;
    esac
}

# wait_ready NAME: a server that was killed leaves things behind (PostgreSQL its postmaster.pid and, for a moment, its
# children), at which its successor ends: it is launched again, within ten seconds.
wait_ready() {
    local until now relock=''
    now_ms until
    until=$((until + 10000))
    until (process_wait "$1" 60 process_ready "$1" 2>"$run_dir/$1.failed"); do
        now_ms now
        if process_pid "$1" || ((now > until)) || [[ " ${servers[*]} " != *" $1 "* ]]; then
            cat "$run_dir/$1.failed" >&2
            exit 1
        fi
        sleep 0.2
        [[ $stack_locked ]] || relock=yes
        [[ -z $relock ]] || lock_stack
        process_pid "$1" || launch "$1"
        [[ -z $relock ]] || unlock_stack
    done
}

# launch_until_ready NAME: gives up the stack's lock before it waits: others may work on other parts meanwhile.
launch_until_ready() {
    launch "$1"
    unlock_stack
    wait_ready "$1"
    say "$1 is ready"
}

# halt NAME: stops it in the way it likes.
halt() {
    local value signal=TERM seconds=20
    case $1 in
    postgresql) signal=INT ;; # TERM waits for clients to leave
    redis | nats) ;;
    *)
        setting SHUTDOWN_TIMEOUT
        seconds=40
        [[ ! $value =~ ^([0-9]+)s?$ ]] || seconds=$((BASH_REMATCH[1] + 10))
        ;;
    esac
    process_stop "$1" "$signal" "$seconds"
}

# ensure NAME: starts it unless it runs from what there is now. Sets started.
ensure() {
    local value
    started=''
    fingerprint "$1"
    if process_pid "$1"; then
        if [[ -r $run_dir/$1.sum && $value == "$(<"$run_dir/$1.sum")" ]]; then return 0; fi
        halt "$1"
    fi
    launch "$1"
    started=yes
}

# --- preparation -------------------------------------------------------------------------------------------------------
stack_locked=''

unlock_stack() {
    exec 9>&-
    stack_locked=''
}

lock_stack() {
    mkdir -p "$stack_dir"
    exec 9>"$stack_dir/lock"
    flock -w 120 9 || die "another atrium command has been working on $stack_dir for two minutes"
    stack_locked=yes
}

prepare_folders() {
    mkdir -p "$run_dir" "$log_dir"
    # PostgreSQL's user passes through, and sees nothing.
    chmod 711 "$stack_dir"
    chmod 700 "$run_dir"
    echo "A local stack of Atrium; made and used by bin/atrium." >"$stack_dir/README"
}

write_configurations() {
    local name
    redis_config "$run_dir/redis.conf" "$stack_dir/redis" "$REDIS_PORT" "$(<"$secret_dir/redis")"
    [[ -r $gen_dir/nats-permissions.conf ]] || die "$gen_dir/nats-permissions.conf is not built; run: make build"
    write_bus_users
    nats_config "$run_dir/nats.conf" "$stack_dir/nats" "$NATS_PORT" "$NATS_HTTP_PORT" nats-permissions.conf
    for name in "${processes[@]:${#servers[@]}}"; do write_environment "$name"; done
}

make_cluster() {
    local options=()
    [[ ! -e $pg_home/data/PG_VERSION ]] || return 0
    [[ $pg_home == "$stack_dir"/* ]] || say "  PostgreSQL's user cannot reach $stack_dir: its data is in $pg_home"
    say "  making the database cluster"
    [[ ${ATRIUM_PG_FSYNC:-on} == on ]] || options=(--no-sync)
    pg_init "$pg_home" "$secret_dir/db_atrium" "${options[@]}"
}

make_database() {
    [[ ! -e $stack_dir/database-made ]] || return 0
    # Through the cluster's first database; there is no CREATE DATABASE IF NOT EXISTS.
    if ! PGPASSWORD=$(<"$secret_dir/db_atrium") "${pg_bin:?}/psql" -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$PG_PORT" \
        -U atrium -d postgres <<'END' >"$log_dir/database.log" 2>&1; then
SELECT 'CREATE DATABASE atrium' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'atrium') \gexec
END
        cat "$log_dir/database.log" >&2
        die "the database could not be made"
    fi
    touch "$stack_dir/database-made"
}

progress() {
    local now
    now_ms now
    printf '  %5d ms  %s\n' $((now - began)) "$*"
}

# --- commands ----------------------------------------------------------------------------------------------------------
command_up() {
    local gateways='' free='' servers_only='' name began address
    while (($#)); do
        case $1 in
        --gateways) gateways=${2-} && shift ;;
        --free-ports) free=yes ;;
        --servers) servers_only=yes ;;
        *) die "up: unknown option \"$1\"; try: atrium up --help" ;;
        esac
        shift
    done
    [[ -z $gateways || $gateways =~ ^[1-9]$ ]] || die "up: --gateways takes a number from 1 to 9"
    now_ms began
    lock_stack
    prepare_folders
    list_services
    choose_ports "$gateways" "$free"
    list_processes
    find_pg_home
    keep_settings
    make_secrets
    write_configurations
    start_servers
    [[ -z $servers_only ]] || return 0
    start_services
    print_welcome
}

# The servers side by side, and all that is made in them: streams, the database, its schemas.
start_servers() {
    local name started fresh=() streams
    for name in redis nats; do
        ensure "$name"
        [[ -z $started ]] || fresh+=("$name")
    done
    make_cluster
    ensure postgresql
    [[ -z $started ]] || fresh+=(postgresql)
    for name in "${servers[@]}"; do wait_ready "$name"; done
    progress "servers ready${fresh[*]:+ (started ${fresh[*]})}"
    # Services start only when their streams are there.
    (tool bus setup --quiet) 9>&- &
    streams=$!
    make_database
    (tool migrate --quiet) || die "the database could not be migrated"
    wait "$streams" || die "the bus could not be set up"
    progress "database and streams up to date"
}

# Side by side: each waits by itself for what it needs.
start_services() {
    local name started fresh=() old_tables new_tables
    for name in "${processes[@]:${#servers[@]}}"; do
        ensure "$name"
        [[ -z $started ]] || fresh+=("$name")
    done
    # Gateways that go on running read new tables.
    new_tables=$(cat "$gen_dir/gateway.tables" "$gen_dir/openapi.json" 2>/dev/null | cksum)
    old_tables=$(cat "$run_dir/tables.sum" 2>/dev/null || true)
    for name in "${processes[@]}"; do
        if [[ $name == gateway* && " ${fresh[*]} " != *" $name "* && $new_tables != "$old_tables" ]]; then
            process_pid "$name" && kill -HUP "$pid"
            progress "$name reads its new tables"
        fi
    done
    echo "$new_tables" >"$run_dir/tables.sum"
    for name in "${processes[@]:${#servers[@]}}"; do process_wait "$name" 60 process_ready "$name"; done
    progress "services ready${fresh[*]:+ (started ${fresh[*]})}"
}

# public_url NAME: sets url.
public_url() {
    local address host
    gateway_address "$1"
    address=${address%%,*}
    host=${address%:*}
    case $host in '' | 0.0.0.0 | '[::]' | '*') host=127.0.0.1 ;; esac
    url=http://$host:${address##*:}
}

print_welcome() {
    local url name user=alice$RANDOM i
    public_url gateway
    say ""
    say "Atrium runs at   $url"
    for ((i = 2; i <= GATEWAYS; i++)); do
        name=$url
        public_url "gateway-$i"
        say "       also at   $url"
        url=$name
    done
    say "its API is at    $url/api/docs"
    say "administrator    $(admin_name), whose password is in $secret_dir/admin_password"
    cat <<END

Try it: make an account, log in (the token is kept in a file), ask who you are.

curl -sS -X POST $url/api/v1/auth/register -H 'Content-Type: application/json' -d '{"username":"$user","password":"correct horse battery"}'
curl -sS -X POST $url/api/v1/auth/login -H 'Content-Type: application/json' -d '{"username":"$user","password":"correct horse battery"}' | sed -E 's/.*"access_token":"([^"]+)".*/Authorization: Bearer \1/' | tee '$run_dir/token'
curl -sS $url/api/v1/users/@me -H '@$run_dir/token'

And a film, a picture or a song of yours: uploaded, made to play everywhere, its address printed.

ATRIUM_PASSWORD='correct horse battery' bin/atrium media put FILE --user $user

END
}

admin_name() {
    local value
    setting ADMIN_USERNAME
    echo "${value:-admin}"
}

command_down() {
    local wipe='' i names=()
    case ${1-} in
    '') ;;
    --wipe) wipe=yes ;;
    *) die "down: unknown option \"$1\"; try: atrium down --help" ;;
    esac
    if [[ ! -d $run_dir ]]; then
        say "There is no stack in $stack_dir."
        return 0
    fi
    lock_stack
    load_ports || true
    list_processes
    for i in "$run_dir"/gateway-*.pid; do # more of them than ports.env tells, after an edit
        [[ ! -e $i ]] || { i=${i##*/} && [[ " ${processes[*]} " == *" ${i%.pid} "* ]] || processes+=("${i%.pid}"); }
    done
    touch "$stack_dir/settings.env"
    for ((i = ${#processes[@]} - 1; i >= 0; i--)); do
        if process_pid "${processes[i]}"; then names+=("${processes[i]}"); fi
        halt "${processes[i]}"
    done
    say "stopped ${names[*]:-nothing: nothing ran}"
    if [[ $wipe ]]; then wipe_stack; fi
}

# Only what a stack is known to have, so that a wrong ATRIUM_DIR costs nothing else.
wipe_stack() {
    find_pg_home
    rm -rf "$pg_home" "$stack_dir"/{pg,redis,nats,blobs,logs,run,secrets}
    rm -f "$stack_dir"/{README,ports.env,settings.env,database-made,lock}
    rmdir "$stack_dir" 2>/dev/null || true
    say "deleted the data in $stack_dir"
}

# memory_kib PID: sets value, of the process and its children.
memory_kib() {
    local line child children total=0
    { while read -r line; do
        [[ $line != VmRSS:* ]] || total=${line//[^0-9]/}
    done <"/proc/$1/status"; } 2>/dev/null || true
    { read -r -a children <"/proc/$1/task/$1/children"; } 2>/dev/null || true
    for child in "${children[@]}"; do
        memory_kib "$child"
        total=$((total + value))
    done
    value=$total
}

# describe NAME: sets pid since ready address memory.
describe() {
    local value admin=ADMIN_PORT_${1//-/_}
    ready=no memory=0
    case $1 in
    postgresql) address=127.0.0.1:$PG_PORT ;;
    redis) address=127.0.0.1:$REDIS_PORT ;;
    nats) address=127.0.0.1:$NATS_PORT ;;
    gateway*) gateway_address "$1" ;;
    *) address=127.0.0.1:${!admin} ;;
    esac
    if process_pid "$1"; then
        process_ready "$1" && ready=yes
        memory_kib "$pid"
        memory=$value
    fi
}

command_status() {
    local name json='' separator='' all=yes pid since ready address memory
    case ${1-} in
    '') ;;
    --json) json=yes ;;
    *) die "status: unknown option \"$1\"; try: atrium status --help" ;;
    esac
    load_ports || die "there is no stack in $stack_dir; run: make up"
    list_processes
    pg_find
    touch "$stack_dir/settings.env"
    [[ $json ]] && printf '[' || printf '%-14s %8s  %-20s %-6s %-22s %9s\n' NAME PID 'UP SINCE' READY ADDRESS MEMORY
    for name in "${processes[@]}"; do
        describe "$name"
        [[ $ready == yes ]] || all=no
        if [[ $json ]]; then
            printf '%s\n  {"name":"%s","pid":%s,"since":%s,"ready":%s,"address":"%s","memory_bytes":%d}' "$separator" \
                "$name" "${pid:-null}" "$([[ $since ]] && printf '"%(%FT%TZ)T"' "$since" || echo null)" \
                "$([[ $ready == yes ]] && echo true || echo false)" "$address" $((memory * 1024))
            separator=,
        else
            printf '%-14s %8s  %-20s %-6s %-22s %6d MB\n' "$name" "${pid:--}" \
                "$([[ $since ]] && printf '%(%F %T)T' "$since" || echo -)" "$ready" "$address" $((memory / 1024))
        fi
    done
    [[ $json ]] && printf '\n]\n'
    [[ $all == yes ]] || exit 3
}

command_logs() {
    local follow='' name files=()
    while (($#)); do
        case $1 in
        -f | --follow) follow=yes ;;
        -*) die "logs: unknown option \"$1\"; try: atrium logs --help" ;;
        *) files+=("$log_dir/$1.log") ;;
        esac
        shift
    done
    [[ -d $log_dir ]] || die "there is no stack in $stack_dir; run: make up"
    ((${#files[@]})) || files=("$log_dir"/*.log)
    for name in "${files[@]}"; do
        [[ -e $name ]] || die "there is no log $name"
    done
    # A process that is started again appends to its log.
    exec tail -n 100 ${follow:+-F} -- "${files[@]}"
}

one_process() {
    [[ ${2-} && -z ${3-} ]] || die "usage: atrium $1 SERVICE"
    load_ports || die "there is no stack in $stack_dir; run: make up"
    list_processes
    known_process "$2"
    lock_stack
    find_pg_home
    touch "$stack_dir/settings.env"
}

command_start() {
    one_process start "$@"
    if process_pid "$1"; then
        say "$1 runs already"
        return 0
    fi
    launch_until_ready "$1"
}

command_stop() {
    one_process stop "$@"
    halt "$1"
    say "$1 is stopped"
}

command_restart() {
    one_process restart "$@"
    halt "$1"
    launch_until_ready "$1"
}

command_reload() {
    one_process reload "$@"
    process_pid "$1" || die "$1 does not run"
    kill -HUP "$pid"
    say "$1 was told to reload"
}
