//! What bash completes when a user types into it.

use std::fs;
use std::path::Path;
use std::process::Command;

use api::Release;
use clap_complete::Shell;

use crate::fake::Script;
use crate::pty::Pty;
use crate::scripted;

/// The completion as in the package (`xtask/src/docs.rs`).
fn completion() -> String {
    let mut generated = Vec::new();
    clap_complete::generate(Shell::Bash, &mut cli::command(), "app_cluster", &mut generated);
    String::from_utf8(generated).unwrap() + include_str!("../../../../packaging/completions/app-cluster.bash")
}

fn release(id: &str) -> Release {
    Release {
        id: id.into(),
        directory: String::new(),
        added_usec: 1,
        is_current: false,
        is_rejected: false,
        workers: 0,
    }
}

/// Types this and makes bash insert all completions (M-*, bash(1)). Returns the completed line.
fn completed(bash: &mut Pty, typed: &str) -> String {
    let lines = |bash: &Pty| bash.written().matches("\rGOT ").count();
    let before = lines(bash);
    bash.types(&format!("{typed}\x1b*\x01echo GOT \n"));
    bash.until(|| {
        let written = bash.written();
        let (_, line) = written.rsplit_once("\rGOT ").filter(|_| lines(bash) > before)?;
        line.split_once("\r\n").map(|(line, _)| line.trim_end().to_owned())
    })
}

#[test]
fn bash_completes_releases_and_no_files_where_none_is_meant() {
    let releases = vec![release("shop-7"), release("1.0")];
    let (bus, _orchestrator) = scripted(Script { releases, ..Script::default() });
    let here = bus.dir.path().join("here");
    fs::create_dir_all(here.join("a-dir")).unwrap();
    fs::write(here.join("a-file"), "").unwrap();
    let setup = bus.dir.path().join("bashrc");
    fs::write(&setup, format!("{}\ncd {}\nPS1='ready> '\n", completion(), here.display())).unwrap();

    let program = Path::new(env!("CARGO_BIN_EXE_app-cluster"));
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let mut command = Command::new("bash");
    command.args(["--noprofile", "--rcfile", setup.to_str().unwrap(), "-i"]);
    command.env("PATH", path).env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address).env("INPUTRC", "/dev/null");
    let mut bash = Pty::start(&command, 24, 200);
    bash.until(|| bash.written().contains("ready> ").then_some(()));

    for (typed, line) in [
        ("app-cluster rollback ", "app-cluster rollback shop-7 1.0"),
        ("app-cluster rollback sh", "app-cluster rollback shop-7"),
        ("app-cluster rollback a", "app-cluster rollback a"),
        ("app-cluster abort ", "app-cluster abort"),
        ("app-cluster scale ", "app-cluster scale auto"),
        ("app-cluster status a", "app-cluster status a"),
        ("app-cluster deploy a-f", "app-cluster deploy a-file"),
        ("app-cluster deploy --id a", "app-cluster deploy --id a"),
        ("app-cluster deploy --id new a-f", "app-cluster deploy --id new a-file"),
        ("app-cluster deploy --can", "app-cluster deploy --canary"),
        ("app-cluster status --w", "app-cluster status --watch"),
        ("app-cluster check --root a", "app-cluster check --root a-dir"),
        ("app-cluster rollb", "app-cluster rollback"),
        ("app-cluster reb", "app-cluster rebind"),
    ] {
        assert_eq!(completed(&mut bash, typed), line);
    }
}
