# A private `systemd --user`, which no other process sees. It has its own mounts, /run and cgroup.
# Usage: session.sh ORCHESTRATOR. It runs until it is killed.
set -e
mount -t tmpfs tmpfs /run
# This hides the files of a cluster that is installed on this machine.
for directory in /etc/app-cluster /usr/lib/app-cluster /usr/local/lib/app-cluster; do
    [ ! -d "$directory" ] || mount -t tmpfs tmpfs "$directory"
done
# systemd looks for this directory to learn that the machine was booted by it.
mkdir -p /run/systemd/system /run/user/0/systemd/user /run/app-cluster /run/state
export XDG_RUNTIME_DIR=/run/user/0 HOME=/run/user/0
units=$XDG_RUNTIME_DIR/systemd/user

cat >/run/app-cluster/app-cluster.toml <<END
workers = 3
[rollout]
settle = "50ms"
END

# A worker that is ready at once, drains at once, and does what the files in /run say.
cat >/run/worker <<'END'
#!/bin/sh
[ ! -e /run/fail ] || { echo "told to fail" >&2; exit 1; }
trap 'exit 0' TERM
systemd-notify --ready
while [ ! -e "/run/exit-$1" ]; do sleep 0.02; done
rm "/run/exit-$1"
END
chmod +x /run/worker

cat >"$units/session.target" <<END
[Unit]
Wants=dbus.socket dbus.service
END
cat >"$units/dbus.socket" <<END
[Socket]
ListenStream=%t/bus
END
cat >"$units/dbus.service" <<END
[Unit]
Requires=dbus.socket
[Service]
Type=notify
ExecStart=dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only
END
cat >"$units/app-cluster.socket" <<END
[Unit]
StartLimitIntervalSec=0
[Socket]
ListenStream=%t/http
TriggerLimitIntervalSec=0
END
cat >"$units/worker@.service" <<END
[Unit]
StartLimitIntervalSec=0
[Service]
Type=notify
NotifyAccess=all
Sockets=app-cluster.socket
NonBlocking=yes
ExecStart=/run/worker %i
Restart=on-failure
RestartSec=0
END
cat >"$units/app-cluster.service" <<END
[Unit]
Wants=app-cluster.socket
StartLimitIntervalSec=0
[Service]
Type=notify
NotifyAccess=exec
ExecStart=$1
Environment=DBUS_SYSTEM_BUS_ADDRESS=unix:path=%t/bus STATE_DIRECTORY=/run/state RUNTIME_DIRECTORY=/run/app-cluster
StandardError=append:/run/log
Restart=always
RestartSec=100ms
END

# systemd takes over the cgroup that it runs in. This gives it one of its own, whichever cgroup layout the
# host has.
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ -e "$hierarchy/cgroup.procs" ] || continue
    mkdir "$hierarchy/app-cluster-test-$$"
    echo $$ >"$hierarchy/app-cluster-test-$$/cgroup.procs"
done
exec /lib/systemd/systemd --user --unit=session.target --log-target=null --show-status=no
