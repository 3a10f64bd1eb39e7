# shellcheck shell=bash
# The bus, and its users, on the local stack. Sourced by bin/atrium after stack.sh.

# Who may connect: the services (generated), and outside subscribers, each a file in nats/users. nats-server takes no
# include within a list, so the list is put together here.
write_bus_users() {
    local file
    {
        sed '/^  \]$/,$d' "${gen_dir:?}/nats-permissions.conf"
        for file in "${stack_dir:?}"/nats/users/*.conf; do [[ ! -e $file ]] || cat "$file"; done
        printf '  ]\n}\n'
    } >"${run_dir:?}/nats-permissions.conf.new"
    mv "$run_dir/nats-permissions.conf.new" "$run_dir/nats-permissions.conf"
}

# command_bus setup, command_bus user add|remove …: of users the tool makes the entry; here the running server is told.
command_bus() {
    local value
    if [[ ${1-} != user || " $* " == *" --help "* || -n ${NATS_URL-} ]] || ! load_ports; then
        tool bus "$@"
    fi
    lock_stack
    export ATRIUM_BUS_USERS=$stack_dir/nats/users
    (tool bus "$@") || exit
    write_bus_users
    if process_pid nats; then
        kill -HUP "${pid:?}"
        # So that the next `up` does not take it for another configuration.
        fingerprint nats
        printf '%s\n' "$value" >"$run_dir/nats.sum"
    fi
}
