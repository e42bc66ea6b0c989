# Shell functions for the chaos test's actions. `action.rs` appends the action to this text.

pid() {
    systemctl show --property=MainPID --value "$1"
}

# Sends this signal to the main process. Prints its pid.
signal() {
    pid=$(pid "$2")
    [ "${pid:-0}" != 0 ] || { echo "$2 has no process" >&2; return 3; }
    echo "$pid"
    kill -s "$1" "$pid"
}

# Stops the main process for this many seconds.
freeze() {
    signal STOP "$1" || return
    sleep "$2"
    kill -s CONT "$pid"
}

# Fills the file system of this directory.
fill() {
    ! cat /dev/zero >"$1/filler"
}

# Installs the old or the new version of the package, as an administrator does.
install() {
    DEBIAN_FRONTEND=noninteractive apt-get --yes -oDpkg::Options::=--force-confold \
        install --allow-downgrades "/opt/$1.deb"
}

deploy() {
    app-cluster deploy "$@"
}

