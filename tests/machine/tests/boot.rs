//! Machines boot, answer, are isolated, and leave nothing behind.
#![expect(clippy::unwrap_used, reason = "a test says what broke by panicking")]

use std::{fs, path::PathBuf, process::Command, time::Duration};

use machine::{Boot, Machine, Suite, wait_for};

machine::in_every_suite!(boots_and_answers, leaves_nothing_behind, remembers_over_a_reboot);

fn boots_and_answers(suite: Suite) {
    let machine = Machine::boot(suite);

    machine.systemctl(["is-system-running"]).assert_success().assert_says("running");
    machine.systemctl(["start", "no-such-unit.service"]).assert_exit_code(5);
    assert_eq!(machine.run(["cat", "/proc/1/comm"]).stdout(), "systemd");

    machine.write_file("/run/deep/below/greeting", "hello\n");
    assert_eq!(machine.run(["cat", "/run/deep/below/greeting"]).stdout(), "hello");

    // Its loopback interface is up, and is not the host's.
    let addresses = machine.in_network("ip".as_ref()).args(["-brief", "address"]).output().unwrap();
    let addresses = String::from_utf8(addresses.stdout).unwrap();
    assert!(addresses.starts_with("lo "), "{addresses}");
    assert_eq!(addresses.lines().count(), 1, "{addresses}");
}

fn leaves_nothing_behind(suite: Suite) {
    let machine = Machine::boot(suite);
    let leader = machine.leader();
    machine.write_file("/etc/left-behind", "");
    let cgroups = cgroups_of(leader);
    assert!(!cgroups.is_empty());
    drop(machine);

    assert!(!PathBuf::from(format!("/proc/{leader}")).exists(), "its PID 1 is still there");
    for cgroup in cgroups {
        // If the host's systemd made the cgroup, it removes it once it notices.
        wait_for("the end of the cgroup", Duration::from_secs(30), || {
            if cgroup.exists() { Err(cgroup.display().to_string()) } else { Ok(()) }
        });
    }
    assert!(!suite.tree().unwrap().path().join("etc/left-behind").exists());
}

fn remembers_over_a_reboot(suite: Suite) {
    let mut machine = Boot::new(suite).lasting().start().unwrap();
    let former = machine.leader();
    machine.write_file("/etc/remembered", "yes\n");
    machine.write_file("/run/forgotten", "yes\n");
    machine.reboot();

    assert_ne!(machine.leader(), former);
    assert_eq!(machine.run(["cat", "/etc/remembered"]).stdout(), "yes");
    machine.run(["cat", "/run/forgotten"]).assert_failure();
    drop(machine);
    assert!(!suite.tree().unwrap().path().join("etc/remembered").exists());
}

#[test]
fn shows_directories_of_the_host_to_be_read_only() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("greeting"), "hello\n").unwrap();
    let machine = Boot::new(Suite::Bookworm).directory(directory.path(), "/opt/shown").start().unwrap();

    assert_eq!(machine.run(["cat", "/opt/shown/greeting"]).stdout(), "hello");
    machine.run(["touch", "/opt/shown/left-behind"]).assert_failure().assert_says("Read-only");
}

/// A killed test cannot clean up, so the machine has to notice by itself.
#[test]
fn ends_with_the_process_that_wanted_it() {
    if let Ok(report) = std::env::var("MACHINE_REPORT") {
        let machine = Machine::boot(Suite::Bookworm);
        fs::write(report, machine.leader().to_string()).unwrap();
        wait_for("the signal that ends this process", Duration::from_secs(600), || Err::<(), _>("alive"));
    }

    let report = tempfile::NamedTempFile::new().unwrap();
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ends_with_the_process_that_wanted_it"])
        .env("MACHINE_REPORT", report.path())
        .spawn()
        .unwrap();
    let leader: u32 = wait_for("the machine's PID 1", Duration::from_secs(120), || {
        fs::read_to_string(report.path()).unwrap().parse()
    });
    test.kill().unwrap();
    test.wait().unwrap();
    wait_for("the end of the machine", Duration::from_secs(30), || {
        match fs::read_to_string(format!("/proc/{leader}/comm")) {
            Err(_) => Ok(()),
            Ok(comm) => Err(comm),
        }
    });
}

/// The cgroup directories of a machine, in all hierarchies of the host.
fn cgroups_of(leader: u32) -> Vec<PathBuf> {
    let memberships = fs::read_to_string(format!("/proc/{leader}/cgroup")).unwrap();
    let path = memberships.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    let machine = path.split_inclusive('/').take_while(|name| !name.starts_with("payload"));
    let machine: String = machine.collect();
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"]
        .iter()
        .map(|mount| PathBuf::from(mount).join(&machine))
        .filter(|path| path.exists())
        .collect()
}
