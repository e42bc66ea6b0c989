//! One booted machine and its operations.

use std::{
    ffi::OsStr,
    fmt::Display,
    fs::File,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Result;

use crate::{
    Boot, Output, Running, Suite, Tree,
    boot::{BOOT_DEADLINE, booted},
    output::{capture, words},
    supervisor::Supervisor,
    wait,
};

/// A booted machine. See the crate's documentation.
#[derive(Debug)]
pub struct Machine {
    suite: Suite,
    leader: u32,
    supervisor: Supervisor,
    /// The tree that it was started from, unless it has its own root.
    _tree: Option<Tree>,
}

impl Machine {
    pub(crate) fn new(suite: Suite, leader: u32, supervisor: Supervisor, tree: Option<Tree>) -> Self {
        Self { suite, leader, supervisor, _tree: tree }
    }

    /// Boots a machine with a private network.
    ///
    /// # Panics
    /// If it does not boot.
    #[track_caller]
    #[must_use]
    pub fn boot(suite: Suite) -> Self {
        match Boot::new(suite).start() {
            Ok(machine) => machine,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Reboots it and waits for the end of the boot. Unless it is [lasting](Boot::lasting), it loses all
    /// changes.
    ///
    /// # Panics
    /// If it does not boot.
    #[track_caller]
    pub fn reboot(&mut self) {
        // With --keep-unit, systemd-nspawn leaves the reboot to its caller. The machine may be gone before it
        // can answer.
        let _ = self.systemctl(["poweroff", "--no-block"]);
        match self.supervisor.start_again().and_then(|()| booted(&self.supervisor)) {
            Ok(leader) => self.leader = leader,
            Err(error) => panic!("failed to reboot: {error:?}; its console:\n{}", self.supervisor.console()),
        }
    }

    /// Shuts it down cleanly, so that its disk has everything that was written.
    ///
    /// # Errors
    /// If it does not shut down.
    pub(crate) fn power_off(self) -> Result<()> {
        // It may be gone before it can answer.
        let _ = self.systemctl(["poweroff", "--no-block"]);
        let leader = Path::new("/proc").join(self.leader.to_string());
        wait::poll("the end of the machine", BOOT_DEADLINE, || {
            if leader.exists() { Err("it is powering off") } else { Ok(()) }
        })
    }

    /// Its Debian release.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The pid of its PID 1 on the host.
    #[must_use]
    pub fn leader(&self) -> u32 {
        self.leader
    }

    /// A command to run inside as root, with a clean environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        enter(self.leader, program)
    }

    /// Runs a command inside as root, and waits for its end. The first item is the program.
    ///
    /// # Panics
    /// When it cannot be started at all.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Output {
        self.run_with_input(argv, Stdio::null())
    }

    /// Runs a shell script inside, as root.
    ///
    /// # Panics
    /// When sh cannot be started at all.
    #[track_caller]
    pub fn shell(&self, script: &str) -> Output {
        self.run(["sh", "-c", script])
    }

    /// Runs `systemctl` inside with these arguments.
    ///
    /// # Panics
    /// When it cannot be started at all.
    #[track_caller]
    pub fn systemctl<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Output {
        self.run(["systemctl"].into_iter().chain(arguments))
    }

    /// The output of journalctl(1) with these arguments.
    ///
    /// # Panics
    /// When journalctl fails.
    #[track_caller]
    #[must_use]
    pub fn journal<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        self.run(["journalctl", "--no-pager"].into_iter().chain(arguments)).stdout().to_owned()
    }

    /// One property of one unit, as `systemctl show` prints it.
    ///
    /// # Panics
    /// When systemctl fails.
    #[track_caller]
    #[must_use]
    pub fn show(&self, unit: &str, property: &str) -> String {
        self.systemctl(["show", "--value", "--property", property, unit]).stdout().to_owned()
    }

    /// The pid of a unit's main process in the machine, or 0 if there is none.
    ///
    /// # Panics
    /// When systemctl fails.
    #[track_caller]
    #[must_use]
    pub fn main_pid(&self, unit: &str) -> u32 {
        self.show(unit, "MainPID").parse().unwrap_or(0)
    }

    /// Installs a package file, or upgrades to it, with apt, as an administrator does.
    ///
    /// # Panics
    /// When the file cannot be copied into the machine.
    #[track_caller]
    pub fn install(&self, package: &Path) -> Output {
        let inside = format!("/tmp/{}", package.file_name().unwrap_or_default().to_string_lossy());
        self.copy_in(package, &inside);
        self.apt(["install", "--allow-downgrades", &inside])
    }

    /// Runs `apt-get --yes` inside with these arguments, without questions.
    ///
    /// # Panics
    /// When it cannot be started at all.
    #[track_caller]
    pub fn apt<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Output {
        let apt = [
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "--yes",
            "-oDpkg::Options::=--force-confold",
        ];
        self.run(apt.into_iter().chain(arguments))
    }

    /// Writes a file inside, and the directories above it. An existing file keeps owner and mode.
    ///
    /// # Panics
    /// When it cannot be written.
    #[track_caller]
    pub fn write_file(&self, path: &str, text: &str) {
        let mut file = tempfile::tempfile().expect("a temporary file can be made");
        std::io::Write::write_all(&mut file, text.as_bytes())
            .and_then(|()| std::io::Seek::rewind(&mut file))
            .expect("a temporary file can be written");
        self.receive(file, path);
    }

    /// Copies a file of the host into the machine, with its mode, owned by root.
    ///
    /// # Panics
    /// When it cannot be read or written.
    #[track_caller]
    pub fn copy_in(&self, host: &Path, path: &str) {
        let (file, mode) = match File::open(host).and_then(|file| Ok((file.metadata()?, file))) {
            Ok((metadata, file)) => (file, std::os::unix::fs::PermissionsExt::mode(&metadata.permissions())),
            Err(error) => panic!("failed to open {}: {error}", host.display()),
        };
        self.receive(file, path);
        self.run(["chmod", &format!("{:o}", mode & 0o7777), path]).assert_success();
    }

    /// A program of the host as a command that runs in the machine's network only. It has the host's files
    /// and environment.
    pub fn in_network(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.leader)).arg("--").arg(program);
        command
    }

    /// Starts a program of the host in the machine's network, and returns while it runs.
    ///
    /// # Panics
    /// When it cannot be started at all.
    #[track_caller]
    pub fn spawn_in_network<S: AsRef<OsStr>>(
        &self,
        program: &Path,
        args: impl IntoIterator<Item = S>,
    ) -> Running {
        let args: Vec<S> = args.into_iter().collect();
        match Running::spawn(&mut self.in_network(program), program, &args) {
            Ok(running) => running,
            Err(error) => panic!("failed to start {}: {error}", program.display()),
        }
    }

    /// Waits until `condition` is `Ok`; see [`wait_for`](crate::wait_for).
    ///
    /// # Panics
    /// When the deadline has passed, with the last state seen.
    #[track_caller]
    pub fn wait_for<T, E: Display>(
        &self,
        what: &str,
        deadline: Duration,
        condition: impl FnMut() -> Result<T, E>,
    ) -> T {
        wait::wait_for(what, deadline, condition)
    }

    #[track_caller]
    fn receive(&self, content: File, path: &str) {
        let script = r#"mkdir -p "${1%/*}" && cat >"$1""#;
        self.run_with_input(["sh", "-c", script, "sh", path], content.into()).assert_success();
    }

    #[track_caller]
    fn run_with_input<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>, input: Stdio) -> Output {
        let argv: Vec<S> = argv.into_iter().collect();
        let [program, arguments @ ..] = argv.as_slice() else { panic!("there is no command to run") };
        let mut command = self.command(program);
        match capture(command.args(arguments).stdin(input), words(&argv)) {
            Ok(output) => output,
            Err(error) => panic!("failed to run nsenter: {error}"),
        }
    }

    /// Everything that helps to explain a failed promise.
    fn report(&self) -> Result<String> {
        let units = ["-u", "app-cluster.service", "-u", "app-cluster.socket", "-u", "worker@*"];
        let mut report = String::new();
        for command in [
            &["systemctl", "--no-pager", "list-units", "app-cluster*", "worker@*", "--all"][..],
            &[&["journalctl", "--no-pager", "-o", "short-precise", "-n", "500"][..], &units].concat(),
            &["sh", "-c", "tail -n 60 /var/log/apt/term.log 2>/dev/null || true"],
        ] {
            let output = self.command(command[0]).args(&command[1..]).output()?;
            report += &format!("$ {}\n{}\n", words(command), String::from_utf8_lossy(&output.stdout));
        }
        Ok(report)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if thread::panicking() {
            match self.report() {
                Ok(report) => eprintln!("=== the machine ({})\n{report}===", self.suite),
                Err(error) => eprintln!("=== the machine ({}) cannot be inspected: {error:#}", self.suite),
            }
        }
    }
}

/// A command inside the machine with this PID 1, as root, with a clean environment.
pub fn enter(leader: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--target={leader}"))
        .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--"])
        .arg(program)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .current_dir("/");
    command
}
