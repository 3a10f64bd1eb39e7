# shellcheck shell=bash disable=SC2154 # root, work and rounds are the caller's
# bytes: the data plane (bytes.c, with tickets, digests and a store) beside nginx with the same files, round by round.
# An upload of ours is on the disk when it is answered; nginx leaves its to the kernel, so its time ends when `sync` has
# put it there, too, where a single file is sent; where many small ones are, both figures are told.
bytes_large=${BENCH_LARGE_MIB:-1024}

bytes_start() {
    local folder=$work/bytes size
    mkdir -p "$folder/www" "$folder/tmp" "$folder/blobs"
    for size in 4:4k 1024:1m $((bytes_large * 1024)):large; do
        head -c "$((${size%%:*} * 1024))" /dev/urandom >"$folder/www/${size#*:}"
        "$root/build/bench/bytes" "$folder/blobs" put "o/${size#*:}" "$folder/www/${size#*:}"
    done
    free_port nginx_port
    free_port bytes_port
    cat >"$folder/nginx.conf" <<END
daemon off; master_process on; worker_processes auto; pid $folder/nginx.pid; error_log $folder/nginx.log;
$([[ $EUID != 0 ]] || echo 'user root;')
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_body_temp_path $folder/tmp;
    client_max_body_size 0; proxy_temp_path $folder/tmp; fastcgi_temp_path $folder/tmp; uwsgi_temp_path $folder/tmp;
    scgi_temp_path $folder/tmp;
    server { listen 127.0.0.1:$nginx_port; root $folder/www; dav_methods PUT; } }
END
    process_start nginx nginx -p "$folder" -c "$folder/nginx.conf"
    process_wait nginx 10 port_open "$nginx_port"
    process_start bytes bash -c "printf 'o/4k\no/1m\no/large\n' |
        exec '$root/build/bench/bytes' '$folder/blobs' $bytes_port >'$folder/tickets'"
    process_wait bytes 10 grep -q '^put' "$folder/tickets"
    mapfile -t bytes_tickets < <(cut -d' ' -f2 "$folder/tickets")
    for size in 4k 1m; do
        printf 'local f = io.open("%s", "rb"); wrk.method = "PUT"; wrk.body = f:read("*a"); f:close()\n' \
            "$folder/www/$size" >"$folder/put_$size.lua"
    done
}

bytes_stop() {
    process_stop nginx TERM 5
    process_stop bytes TERM 5
}

# many KEY URL ARGUMENTS…: requests a second of 8 connections.
bytes_many() {
    local out
    out=$(wrk -t1 -c8 -d"${seconds}s" "${@:3}" "$2")
    sample "$1" "$(awk '/^Requests\/sec/ { print $2 }' <<<"$out")"
    if grep -qE 'Non-2xx|Socket errors' <<<"$out"; then failure "$1: $(grep -E 'Non-2xx|Socket errors' <<<"$out")"; fi
}

# one KEY COMMAND…: MiB a second of the large file.
bytes_one() {
    local began ended
    began=${EPOCHREALTIME/[.,]/}
    "${@:2}" || failure "$1: $*"
    ended=${EPOCHREALTIME/[.,]/}
    sample "$1" "$(calc 'm * 1000000 / us' m="$bytes_large" us="$((ended - began))")"
}

bytes_get() { curl -fs -o /dev/null "$1"; }
bytes_put() { curl -fs -o /dev/null -T "$work/bytes/www/large" "$1"; }
bytes_put_synced() { bytes_put "$1" && sync "$2"; }

bytes_round() {
    local theirs=http://127.0.0.1:$nginx_port ours=http://127.0.0.1:$bytes_port folder=$work/bytes
    bytes_many nginx_get_4k "$theirs/4k"
    bytes_many bytes_get_4k "$ours/get/${bytes_tickets[0]}"
    bytes_many nginx_get_1m "$theirs/1m"
    bytes_many bytes_get_1m "$ours/get/${bytes_tickets[1]}"
    bytes_one nginx_get_large bytes_get "$theirs/large"
    bytes_one bytes_get_large bytes_get "$ours/get/${bytes_tickets[2]}"
    bytes_many nginx_put_4k "$theirs/put_4k" -s "$folder/put_4k.lua"
    bytes_many bytes_put_4k "$ours/put/${bytes_tickets[3]}" -s "$folder/put_4k.lua"
    bytes_many nginx_put_1m "$theirs/put_1m" -s "$folder/put_1m.lua"
    bytes_many bytes_put_1m "$ours/put/${bytes_tickets[3]}" -s "$folder/put_1m.lua"
    sync "$folder" # what the small ones left is nobody's later
    bytes_one nginx_put_large bytes_put_synced "$theirs/put_large" "$folder/www/put_large"
    bytes_one bytes_put_large bytes_put "$ours/put/${bytes_tickets[3]}"
}

bytes_goal() { # KEY TEXT
    local ours theirs
    ours=$(median "bytes_$1") theirs=$(median "nginx_$1")
    goal "$2" "$ours = $(calc 'a / b' a="$ours" b="$theirs")" "0.70" 'a / b >= 0.7' a="$ours" b="$theirs"
}

section_bytes() {
    local round
    local nginx_port bytes_port bytes_tickets
    [[ -x $root/build/bench/bytes ]] || die "build/bench/bytes is not built; run: make bench"
    bytes_start
    for ((round = 1; round <= rounds; round++)); do
        progress "bytes, round $round of $rounds"
        bytes_round
    done
    bytes_stop
    bytes_goal get_4k "downloads of 4 KiB a second, beside nginx"
    bytes_goal get_1m "downloads of 1 MiB a second, beside nginx"
    bytes_goal get_large "download of $bytes_large MiB (MiB/s), beside nginx"
    bytes_goal put_large "upload of $bytes_large MiB (MiB/s), beside nginx and sync"
    note "uploads of 1 MiB a second, on the disk; nginx, not on the disk" \
        "$(median bytes_put_1m); $(median nginx_put_1m)"
    note "uploads of 4 KiB a second, on the disk; nginx, not on the disk" \
        "$(median bytes_put_4k); $(median nginx_put_4k)"
}
