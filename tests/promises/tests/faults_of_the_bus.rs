//! The bus or polkit is gone, or polkit says no: a rollout is refused before the first worker is touched, and the
//! message says what to fix. What happens to the bus during a rollout is another promise, `bus_and_manager_come_back`.

use promises::{Cluster, DEADLINE, Mode, Suite, wait_for};

promises::in_every_suite!(polkit_is_gone, polkit_refuses, the_bus_is_gone);

/// The exit status when nobody can be asked.
const UNREACHABLE: i32 = 75;

fn polkit_is_gone(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::WithGaps);
    cluster.systemctl(["mask", "--runtime", "--now", "polkit.service"]).assert_success();

    cluster.refuses_to_reload(&["polkit", "systemctl"]);

    cluster.systemctl(["unmask", "--runtime", "polkit.service"]).assert_success();
    cluster.reloads_all();
    load.loses_nothing();
}

fn polkit_refuses(suite: Suite) {
    const RULE: &str = "/etc/polkit-1/rules.d/10-ours.rules";
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::WithGaps);
    cluster.write_file(
        RULE,
        "polkit.addRule(function(action, subject) {\n\
         \x20   if (action.id == \"org.freedesktop.systemd1.manage-units\") { return polkit.Result.NO; }\n\
         });\n",
    );
    cluster.run(["chmod", "a+rX", "/etc/polkit-1", "/etc/polkit-1/rules.d", RULE]).assert_success();
    cluster.systemctl(["restart", "polkit.service"]).assert_success();

    cluster.refuses_to_reload(&["polkit", "app-cluster.rules"]);

    cluster.run(["rm", RULE]).assert_success();
    cluster.systemctl(["restart", "polkit.service"]).assert_success();
    cluster.reloads_all();
    load.loses_nothing();
}

fn the_bus_is_gone(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::WithGaps);
    cluster.systemctl(["stop", "dbus.socket", "dbus.service"]).assert_success();

    cluster.does_not_reload(UNREACHABLE, &["system bus", "systemctl status dbus"]);

    cluster.systemctl(["start", "dbus.socket", "dbus.service"]).assert_success();
    wait_for("the orchestrator to be back on the bus", DEADLINE, || cluster.try_status());
    cluster.reloads_all();
    load.loses_nothing();
}
