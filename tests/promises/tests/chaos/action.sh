# The words of chaos: what an action says that is no command of the machine. `action.rs` puts the action below this.

pid() {
    systemctl show --property=MainPID --value "$1"
}

# The main process gets this signal. Prints its number.
signal() {
    pid=$(pid "$2")
    [ "${pid:-0}" != 0 ] || { echo "$2 has no process" >&2; return 3; }
    echo "$pid"
    kill -s "$1" "$pid"
}

# The main process stands still for so many seconds.
freeze() {
    signal STOP "$1" || return
    sleep "$2"
    kill -s CONT "$pid"
}

# Leaves no room in this directory's file system.
fill() {
    ! cat /dev/zero >"$1/filler"
}

# Installs the old or the new version of the package, as a person does.
install() {
    DEBIAN_FRONTEND=noninteractive apt-get --yes -oDpkg::Options::=--force-confold \
        install --allow-downgrades "/opt/$1.deb"
}

deploy() {
    app-cluster deploy "$@"
}

