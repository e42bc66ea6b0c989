# Runs one machine for as long as standard input is open. That is a pipe whose other end only the test's
# process holds. So the machine ends with that process, however it ends.
#
# The arguments are those of systemd-nspawn. CGROUPS names the directories to start from. Standard output: the
# pid of systemd-nspawn, at every boot. Standard error: the machine's console.
set -u

for cgroup in $CGROUPS; do
    mkdir "$cgroup" && echo $$ >"$cgroup/cgroup.procs" || exit 1
done

start() {
    systemd-nspawn "$@" </dev/null >&2 &
    nspawn=$!
    echo "$nspawn"
}
start "$@"

# Each line requests the next boot of a machine that is powering off.
while read -r _; do
    wait "$nspawn"
    start "$@"
done

# The machine's PID 1 is a child of systemd-nspawn. If it is killed, the kernel ends the whole machine. The
# loop repeats this, because systemd-nspawn may be between two forks while it starts.
while grep -qs '^State:[[:space:]]*[^Z]' "/proc/$nspawn/status"; do
    for child in $(cat "/proc/$nspawn/task/$nspawn/children"); do
        kill -KILL "$child"
    done
    sleep 0.02
done
wait "$nspawn"

for cgroup in $CGROUPS; do
    echo $$ >"${cgroup%/*}/cgroup.procs"
    find "$cgroup" -depth -type d -exec rmdir {} +
done
