# shellcheck shell=bash disable=SC2154 # root, url, port, token, rounds, seconds and work are the caller's
# chat: posts, which are on disk before they are answered; history, who one is, and the members of a large guild.
chat_channels=16 chat_members=400 chat_history=2000

# A guild of the caller's by its routes; members and old messages by SQL, since 400 accounts would each be a hash.
chat_fill() {
    local guild i owner
    owner=$(curl -fsS -H "Authorization: Bearer $token" "$url$me" | sed -E 's/.*"id":"?([0-9]+).*/\1/')
    guild=$(curl -fsS -X POST "$url/api/v1/guilds" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
        -d '{"name":"bench"}' | sed -E 's/.*"id":"([0-9]+)".*/\1/')
    [[ $owner =~ ^[0-9]+$ && $guild =~ ^[0-9]+$ ]] || die "no guild was made"
    chat_guild=$guild chat_ids=()
    for ((i = 1; i <= chat_channels; i++)); do
        chat_ids+=("$(curl -fsS -X POST "$url/api/v1/guilds/$guild/channels" -H "Authorization: Bearer $token" \
            -H 'Content-Type: application/json' -d "{\"name\":\"bench-$i\",\"type\":0}" |
            sed -E 's/.*"id":"([0-9]+)".*/\1/')")
    done
    PGPASSWORD=$(<"$ATRIUM_DIR/secrets/db_atrium") psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(port_of PG_PORT)" \
        -U atrium -d atrium >/dev/null <<SQL
SET search_path = chat, public;
BEGIN;
INSERT INTO person (user_id, username, display_name, created_at)
    SELECT n, 'member' || n, 'Member ' || n, now() FROM generate_series(1, $chat_members) n;
INSERT INTO member (guild_id, user_id, joined_at) SELECT $guild, n, now() FROM generate_series(1, $chat_members) n;
UPDATE guild SET member_count = member_count + $chat_members WHERE id = $guild;
INSERT INTO message (channel_id, id, guild_id, author_id, content)
    SELECT ${chat_ids[0]}, n, $guild, 1 + n % $chat_members, 'message ' || n || ' of the bench, of a usual length'
    FROM generate_series(1, $chat_history) n;
COMMIT;
VACUUM ANALYZE message;
VACUUM ANALYZE member;
VACUUM ANALYZE person;
SQL
}

section_chat() {
    local round id kinds=() history members
    local said='{"content":"The quick brown fox jumps over the lazy dog, and again."}'
    progress "chat, a guild of $chat_members members"
    chat_fill
    history=/api/v1/channels/${chat_ids[0]}/messages members="/api/v1/guilds/$chat_guild/members?limit=100"
    for id in "${chat_ids[@]:1}" "${chat_ids[0]}"; do kinds+=("/api/v1/channels/$id/messages=201"); done
    load chat_warm -k -c "$chat_channels" -d 1 -H "Authorization: Bearer $token" -b "$said" "$port" "${kinds[@]}"
    reference_open
    for ((round = 1; round <= rounds; round++)); do
        progress "chat, round $round of $rounds"
        reference_round
        closed_loop chat_history "$connections" "$seconds" "$url$history" gateway chat nats postgresql
        closed_loop chat_me "$connections" "$seconds" "$url$me"
        closed_loop chat_members "$connections" "$seconds" "$url$members"
        load chat_post -k -c "$chat_channels" -d "$seconds" -H "Authorization: Bearer $token" -b "$said" "$port" \
            "${kinds[@]}"
    done
    reference_close
    goal "chat: posts at $chat_channels connections to $chat_channels channels (a second)" "$(median chat_post.rate)" \
        2500 'a >= 2500' a="$(median chat_post.rate)"
    scaled_goal "chat: the same" chat_post 2500
    note "chat: a post, p99 (ms)" "$(median chat_post.p99)"
    goal "chat: history of 50 messages (requests a second)" "$(median chat_history.rate)" 6000 'a >= 6000' \
        a="$(median chat_history.rate)"
    scaled_goal "chat: the same" chat_history 6000
    note "chat: history, CPU of gateway, chat, nats, PostgreSQL (us)" \
        "$(median chat_history.gateway) $(median chat_history.chat) $(median chat_history.nats) $(median chat_history.postgresql)"
    goal "chat: GET $me (requests a second)" "$(median chat_me.rate)" 20000 'a >= 20000' a="$(median chat_me.rate)"
    scaled_goal "chat: the same" chat_me 20000
    goal "chat: 100 of $chat_members members, the slowest 1 in 100 (ms)" "$(median chat_members.p99)" "< 500" 'a < 500' \
        a="$(median chat_members.p99)"
}
