# shellcheck shell=bash disable=SC2154 # here, work, rounds and seconds are the caller's
# relay: the gateway before an nginx, beside nginx (proxy_pass, kept connections, unbuffered uploads) before the same
# nginx with the same files, round by round. The gateway is one loop; nginx has a worker per core (what the goals are
# about), and for comparison one. Files are in memory where the machine has /dev/shm, so that no disk is measured, or in
# BENCH_RELAY_FOLDER.
relay_large=${BENCH_LARGE_MIB:-1024}

relay_start() {
    local size
    relay_folder=${BENCH_RELAY_FOLDER:-$([[ -w /dev/shm ]] && echo /dev/shm || echo "$work")}
    relay_folder=$(mktemp -d "$relay_folder/atrium-relay.XXXXXX")
    chmod 755 "$relay_folder"
    mkdir -p "$relay_folder/www/open" "$relay_folder/tmp"
    for size in 4:4k 1024:1m $((relay_large * 1024)):large; do
        head -c "$((${size%%:*} * 1024))" /dev/zero >"$relay_folder/www/open/${size#*:}"
    done
    free_port relay_plane_port
    free_port relay_nginx_port
    free_port relay_single_port
    nginx_conf plane auto "server { listen 127.0.0.1:$relay_plane_port; root $relay_folder/www; dav_methods PUT; }"
    nginx_front front auto "$relay_nginx_port"
    nginx_front single 1 "$relay_single_port"
    process_start relay-plane nginx -p "$relay_folder" -c "$relay_folder/plane.conf"
    process_start relay-front nginx -p "$relay_folder" -c "$relay_folder/front.conf"
    process_start relay-single nginx -p "$relay_folder" -c "$relay_folder/single.conf"
    process_wait relay-plane 10 port_open "$relay_plane_port"
    process_wait relay-front 10 port_open "$relay_nginx_port"
    process_wait relay-single 10 port_open "$relay_single_port"
    process_start relay-edge bash -c "exec '$here/relay.py' $relay_plane_port >'$relay_folder/edge'"
    process_wait relay-edge 30 grep -q . "$relay_folder/edge"
    read -r relay_port _ <"$relay_folder/edge"
    for size in 4k 1m; do
        printf 'local f = io.open("%s", "rb"); wrk.method = "PUT"; wrk.body = f:read("*a"); f:close()\n' \
            "$relay_folder/www/open/$size" >"$relay_folder/put_$size.lua"
    done
}

nginx_front() { # NAME WORKERS PORT
    nginx_conf "$1" "$2" "upstream plane { server 127.0.0.1:$relay_plane_port; keepalive 64; }
        server { listen 127.0.0.1:$3; location / { proxy_pass http://plane; proxy_http_version 1.1;
            proxy_set_header Connection \"\"; proxy_request_buffering off; } }"
}

nginx_conf() { # NAME WORKERS SERVER
    cat >"$relay_folder/$1.conf" <<END
daemon off; master_process on; worker_processes $2; pid $relay_folder/$1.pid; error_log $relay_folder/$1.log;
$([[ $EUID != 0 ]] || echo 'user root;')
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_max_body_size 0;
    client_body_temp_path $relay_folder/tmp; proxy_temp_path $relay_folder/tmp; fastcgi_temp_path $relay_folder/tmp;
    uwsgi_temp_path $relay_folder/tmp; scgi_temp_path $relay_folder/tmp;
    $3 }
END
}

relay_stop() {
    process_stop relay-edge TERM 20
    process_stop relay-front TERM 5
    process_stop relay-single TERM 5
    process_stop relay-plane TERM 5
    rm -rf "$relay_folder"
}

# relay_many KEY URL ARGUMENTS…: requests a second of 8 connections.
relay_many() {
    local out
    out=$(wrk -t1 -c8 -d"${seconds}s" "${@:3}" "$2")
    sample "$1" "$(awk '/^Requests\/sec/ { print $2 }' <<<"$out")"
    if grep -qE 'Non-2xx|Socket errors' <<<"$out"; then failure "$1: $(grep -E 'Non-2xx|Socket errors' <<<"$out")"; fi
}

# relay_one KEY CURL_ARGUMENT…: MiB a second of the large file.
relay_one() {
    local began ended
    began=${EPOCHREALTIME/[.,]/}
    curl -fs -o /dev/null "${@:2}" || failure "$1: $*"
    ended=${EPOCHREALTIME/[.,]/}
    sample "$1" "$(calc 'm * 1000000 / us' m="$relay_large" us="$((ended - began))")"
}

# Each figure of all three in turn, so that what else the machine does falls on all alike.
relay_round() {
    local what size who port url
    for what in get_4k get_1m get_large put_4k put_1m put_large; do
        size=${what#*_}
        for who in nginx ours single; do
            port=$relay_port
            [[ $who != nginx ]] || port=$relay_nginx_port
            [[ $who != single ]] || port=$relay_single_port
            url=http://127.0.0.1:$port/open
            case $what in
                get_large) relay_one "relay_${who}_$what" "$url/large" ;;
                put_large) relay_one "relay_${who}_$what" -T "$relay_folder/www/open/large" "$url/put_large" ;;
                get_*) relay_many "relay_${who}_$what" "$url/$size" ;;
                put_*) relay_many "relay_${who}_$what" "$url/$what" -s "$relay_folder/$what.lua" ;;
            esac
        done
    done
}

relay_goal() { # KEY TEXT
    local ours theirs single
    ours=$(median "relay_ours_$1") theirs=$(median "relay_nginx_$1") single=$(median "relay_single_$1")
    goal "$2, beside nginx (beside one worker of it: $(calc 'a / b' a="$ours" b="$single"))" \
        "$ours = $(calc 'a / b' a="$ours" b="$theirs")" "0.70" 'a / b >= 0.7' a="$ours" b="$theirs"
}

section_relay() {
    local round relay_folder relay_port relay_plane_port relay_nginx_port relay_single_port
    relay_start
    for ((round = 1; round <= rounds; round++)); do
        progress "relay, round $round of $rounds"
        relay_round
    done
    relay_stop
    relay_goal get_4k "relayed downloads of 4 KiB a second"
    relay_goal get_1m "relayed downloads of 1 MiB a second"
    relay_goal get_large "relayed download of $relay_large MiB (MiB/s)"
    relay_goal put_4k "relayed uploads of 4 KiB a second"
    relay_goal put_1m "relayed uploads of 1 MiB a second"
    relay_goal put_large "relayed upload of $relay_large MiB (MiB/s)"
}
