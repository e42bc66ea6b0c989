//! The installed files are correct, on a machine without any configuration.

use std::time::Instant;

use promises::{Cluster, Suite};

promises::in_every_suite!(systemd_and_the_check_find_no_fault, it_can_be_looked_up);

fn systemd_and_the_check_find_no_fault(suite: Suite) {
    let cluster = Cluster::installed_without_settings(suite);
    let files = cluster.run(["dpkg", "--listfiles", "app-cluster"]);
    let units: Vec<_> = files
        .stdout()
        .lines()
        .filter_map(|line| line.split_once("/systemd/system/"))
        .map(|(_, name)| name.replace("@.", "@1."))
        .collect();
    assert!(units.len() >= 4, "{files}");
    // This small machine has no man(1) to check the manual pages. A check below makes sure that they exist.
    let verify = ["systemd-analyze", "verify", "--man=no"].into_iter();
    let verify = cluster.run(verify.chain(units.iter().map(String::as_str)));
    verify.assert_success();
    assert_eq!(verify.text().trim(), "", "systemd-analyze verify printed something");

    cluster.app_cluster(["check"]).assert_success().assert_says("no problems");
    cluster.systemctl(["is-system-running"]).assert_success().assert_says("running");
    for unit in ["app-cluster.socket", "app-cluster.service", "app-cluster.target"] {
        cluster.systemctl(["is-enabled", unit]).assert_success().assert_says("enabled");
    }
    let after = cluster.show("worker@1", "After");
    assert!(
        after.contains("network.target"),
        "at power-off the network stops before the drain ends: {after}"
    );
    let verify = cluster.run(["dpkg", "--verify", "app-cluster"]);
    assert_eq!(verify.stdout(), "", "installed files were changed");
}

fn it_can_be_looked_up(suite: Suite) {
    let cluster = Cluster::installed_without_settings(suite);
    for file in [
        "/usr/share/man/man1/app-cluster.1.gz",
        "/usr/share/man/man5/app-cluster.toml.5.gz",
        "/usr/share/man/man7/app-cluster-worker.7.gz",
        "/usr/share/bash-completion/completions/app-cluster",
        "/usr/share/fish/vendor_completions.d/app-cluster.fish",
        "/usr/share/zsh/vendor-completions/_app-cluster",
        "/usr/share/doc/app-cluster/copyright",
    ] {
        cluster.run(["dpkg", "--search", file]).assert_success();
    }
    let verbs = "status reload deploy rollback releases pause resume abort scale rebind check";
    for verb in verbs.split(' ') {
        cluster.app_cluster([verb, "--help"]).assert_success().assert_says("app-cluster");
    }
    cluster.app_cluster(["--version"]).assert_success();
    cluster.app_cluster(["reloaded"]).assert_exit_code(64);

    let begun = Instant::now();
    cluster.app_cluster(["status"]).assert_success();
    println!("{suite}: app-cluster status took {:?}, with the way into the machine", begun.elapsed());
}
