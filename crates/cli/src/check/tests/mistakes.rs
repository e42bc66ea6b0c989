use super::*;

/// A mistake: the unit with the drop-in, the drop-in, its wrong line, and what the check says about that line.
struct Mistake {
    unit: &'static str,
    text: &'static str,
    line: usize,
    /// The key, what is wrong, what to write.
    says: &'static [&'static str],
}

const fn mistake(
    unit: &'static str,
    text: &'static str,
    line: usize,
    says: &'static [&'static str],
) -> Mistake {
    Mistake { unit, text, line, says }
}

const WORKER: &str = "worker@.service";
const SOCKET: &str = "app-cluster.socket";
const SERVICE: &str = "app-cluster.service";

#[rustfmt::skip]
const MISTAKES: &[Mistake] = &[
    // Mistakes that systemd reports.
    mistake(WORKER, "[Service]\nEnviroment=A=b", 2, &["[Service] Enviroment:", "systemd says", "write Environment=A=b"]),
    mistake(WORKER, "[Servce]\nUser=me", 1, &["Unknown section 'Servce'", "write [Service]"]),
    mistake(WORKER, "[Service]\nMemoryMx=512M", 2, &["[Service] MemoryMx:", "write MemoryMax=512M"]),
    mistake(WORKER, "[Unit]\nMemoryMax=512M", 2, &["[Unit] MemoryMax:", "write it under [Service]"]),
    mistake(WORKER, "[Service]\nWatchdogSec=10x", 2, &["[Service] WatchdogSec:", "write WatchdogSec=10s"]),
    mistake(WORKER, "[Service]\nLimitNOFILE=64k", 2, &["LimitNOFILE:", "write LimitNOFILE=65536"]),
    mistake(WORKER, "[Service]\nLimitAS=much", 2, &["LimitAS:", "write LimitAS=512M"]),
    mistake(WORKER, "[Service]\nNonBlocking=yes\nSendSIGHUP=maybe", 3, &["SendSIGHUP:", "write SendSIGHUP=yes or"]),
    mistake(WORKER, "[Service]\nExecStart=/usr/bin/node", 2,
        &["[Service] ExecStart:", "more than one ExecStart=", "write an empty ExecStart= on the line above"]),
    mistake(WORKER, "[Service]\nExecStart=", 2, &["[Service] ExecStart:", "write ExecStart= and the path"]),
    mistake(WORKER, "[Service]\nExecStart=\nExecStart=/usr/bin/none", 3,
        &["[Service] ExecStart:", "/usr/bin/none is not executable", "install it"]),
    mistake(WORKER, "[Service]\nEnvironment=URL=postgres://u:a%40b@db/shop", 2,
        &["[Service] Environment:", "systemd says", "write %%"]),
    mistake(WORKER, "A=1\n[Unit]\n", 1, &["write [Unit] above it"]),
    mistake(WORKER, "[Service]\nRestart on-failure", 2, &["write Key=value"]),
    mistake("worker@3.service", "[Service]\nEnviroment=A=b", 2, &["write Environment=A=b"]),
    mistake(SOCKET, "[Socket]\nListenStrem=80", 2, &["[Socket] ListenStrem:", "write ListenStream=80"]),
    mistake(SOCKET, "[Socket]\nListenStream=localhost:80", 2, &["[Socket] ListenStream:", "write ListenStream=127.0.0.1:8080"]),
    mistake(SOCKET, "[Socket]\nListenStream=:99999", 2, &["[Socket] ListenStream:", "a port from 1 to 65535"]),
    mistake(SOCKET, "[Socket]\nListenStream=", 2, &["[Socket] ListenStream:", "write ListenStream= and an address"]),
    mistake(SOCKET, "[Socket]\nAccept=yes", 2, &["[Socket] Accept:", "systemd says", "write Accept=no"]),
    // Mistakes that systemd does not report.
    mistake(WORKER, "[Service]\nMemoryMax=512", 2, &["[Service] MemoryMax:", "is 512 bytes", "write MemoryMax=512M"]),
    mistake("app-cluster.slice", "[Slice]\nMemoryHigh=900", 2, &["[Slice] MemoryHigh:", "write MemoryHigh=900M"]),
    mistake(WORKER, "[Service]\nUser=none", 2, &["[Service] User:", "there is no user none", "217/USER"]),
    mistake(WORKER, "[Service]\nGroup=none", 2, &["[Service] Group:", "there is no group none", "216/GROUP"]),
    mistake(WORKER, "[Service]\nEnvironmentFile=/etc/none.env", 2,
        &["[Service] EnvironmentFile:", "/etc/none.env does not exist", "write EnvironmentFile=-/etc/none.env"]),
    mistake(WORKER, "[Service]\nWorkingDirectory=/srv/none", 2,
        &["[Service] WorkingDirectory:", "/srv/none does not exist", "200/CHDIR", "create it"]),
    mistake(WORKER, "[Service]\nReadWritePaths=/srv/app /srv/none", 2, &["/srv/none does not exist", "226/NAMESPACE"]),
    mistake(WORKER, "[Unit]\nRequires=none.service", 2, &["[Unit] Requires:", "none.service is not there", "install it"]),
    mistake(WORKER, "[Service]\nPrivateTmp=yes", 2, &["[Service] PrivateTmp:", "is yes", "write PrivateTmp=no"]),
    mistake(SERVICE, "[Service]\nPrivateTmp=true", 2, &["[Service] PrivateTmp:", "write PrivateTmp=no"]),
    mistake(WORKER, "[Service]\nEnvironment=URL=postgres://u:a%C3b@db/shop", 2,
        &["[Service] Environment:", "has %C", "write %%"]),
    mistake(SERVICE, "[Service]\nExecReload=/usr/bin/node", 2, &["[Service] ExecReload:", "beside", "remove the line"]),
    mistake(SERVICE, "[Service]\nExecReload=\nExecReload=/usr/bin/node", 3,
        &["[Service] ExecReload:", "write ExecReload=/usr/bin/app-cluster reload"]),
    mistake(SOCKET, "[Socket]\nService=worker@1.service", 2, &["[Socket] Service:", "write Service=app-cluster.service"]),
];

fn with_users(root: &Path) {
    write(
        root,
        "etc/passwd",
        "app-cluster:x:64001:64001::/:/bin/false\napp-cluster-worker:x:64002:64002::/:/bin/false\n",
    );
    write(root, "etc/group", "app-cluster:x:64001:\napp-cluster-worker:x:64002:\nsystemd-journal:x:64003:\n");
}

fn write(root: &Path, name: &str, text: &str) -> PathBuf {
    let file = root.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    file
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn each_is_told_once_with_its_line_and_what_to_write() {
    for Mistake { unit, text, line, says } in MISTAKES {
        let root = installed();
        with_users(root.path());
        drop_in(root.path(), unit, text);
        let (report, exit) = report(root.path());
        assert_eq!(exit, Exit::Configuration, "{text}");
        let place = format!("etc/systemd/system/{unit}.d/override.conf:{line}:");
        let told: Vec<_> = report.lines().filter(|told| told.contains(&place)).collect();
        let [told] = told.as_slice() else { panic!("not one line on {place}\n{text}\n\n{report}") };
        for words in *says {
            assert!(told.contains(words), "{words:?} is not in {told:?}");
        }
        assert!(report.ends_with("\n1 problem\n"), "{text}\n\n{report}");
    }
}

#[test]
fn a_masked_slice_is_named() {
    let root = installed();
    let units = root.path().join("etc/systemd/system");
    fs::create_dir_all(&units).unwrap();
    symlink("/dev/null", units.join("app-cluster.slice")).unwrap();
    let (text, _) = report(root.path());
    assert!(
        text.contains("app-cluster.slice: masked; write `systemctl unmask app-cluster.slice`\n"),
        "{text}"
    );

    let root = installed();
    let units = root.path().join("etc/systemd/system");
    drop_in(root.path(), WORKER, "[Service]\nSlice=shop.slice");
    assert_eq!(labels(root.path()), [""; 0], "systemd makes a slice that has no file");
    symlink("/dev/null", units.join("shop.slice")).unwrap();
    let (text, _) = report(root.path());
    assert!(text.contains("override.conf:2: [Service] Slice: shop.slice is masked"), "{text}");
}

#[test]
fn nothing_of_an_image_is_executed() {
    let root = installed();
    let mark = root.path().join("mark");
    for name in
        ["lib/systemd/systemd", "usr/lib/systemd/systemd", "usr/bin/systemd-analyze", "usr/bin/getent"]
    {
        let program = write(root.path(), name, &format!("#!/bin/sh\n: > {}\n", mark.display()));
        set_mode(&program, 0o755);
    }
    drop_in(root.path(), WORKER, "[Service]\nMemoryMx=512M");
    let (text, _) = report(root.path());
    assert!(text.contains("write MemoryMax=512M"), "{text}");
    assert!(!mark.exists());
}

#[test]
fn a_name_that_is_not_read_is_named() {
    let root = installed();
    for name in ["50-shop.toml", "README.md", ".50.swp", "50.toml~", "50.toml.bak", "50.toml.dpkg-dist"] {
        write(root.path(), &format!("etc/app-cluster/conf.d/{name}"), "");
    }
    assert_eq!(labels(root.path()), [""; 0]);
    let file = write(root.path(), "etc/app-cluster/conf.d/50.conf", "workers = 4\n");
    let (text, exit) = report(root.path());
    assert_eq!(exit, Exit::Configuration);
    let better = file.with_extension("toml");
    let says = format!(
        "{}: is not read, its name does not end in .toml; write `mv -n {} {}`\n1 problem\n",
        file.display(),
        file.display(),
        better.display()
    );
    assert_eq!(text, says);

    // The file that is already read must not be overwritten.
    write(root.path(), "etc/app-cluster/conf.d/50.toml", "workers = 2\n");
    let (text, _) = report(root.path());
    assert!(
        !text.contains("mv ") && text.contains("50.toml is there already: rename this file, or"),
        "{text}"
    );

    let root = installed();
    write(root.path(), "etc/systemd/system/worker@.service.d/limits", "[Service]\nMemoryMax=1G\n");
    assert_eq!(labels(root.path()), ["name"]);
}

#[test]
fn a_file_that_the_orchestrators_user_cannot_read_is_named() {
    let root = installed();
    with_users(root.path());
    let file = write(root.path(), "etc/app-cluster/conf.d/50.toml", "workers = 4\n");
    set_mode(&file, 0o644);
    assert_eq!(labels(root.path()), [""; 0]);
    // As with umask 077.
    set_mode(&file, 0o600);
    let (text, _) = report(root.path());
    assert!(
        text.contains("50.toml: user app-cluster cannot read it") && text.contains("write `chmod o+r /"),
        "{text}"
    );
    set_mode(&file, 0o644);
    set_mode(file.parent().unwrap(), 0o700);
    let (text, _) = report(root.path());
    assert!(
        text.contains("conf.d: user app-cluster cannot read it") && text.contains("write `chmod o+rx /"),
        "{text}"
    );
}

#[test]
fn a_program_that_the_workers_user_cannot_execute_is_named() {
    let root = installed();
    with_users(root.path());
    drop_in(root.path(), WORKER, "[Service]\nExecStart=\nExecStart=/srv/app/server");
    assert_eq!(labels(root.path()), [""; 0]);
    set_mode(&root.path().join("srv/app"), 0o750);
    let (text, _) = report(root.path());
    let says = "override.conf:3: [Service] ExecStart: user app-cluster-worker cannot execute /srv/app/server";
    assert!(text.contains(says) && text.contains("write `chmod o+x /"), "{text}");
    set_mode(&root.path().join("srv/app"), 0o755);
    set_mode(&root.path().join("srv/app/server"), 0o744);
    let (text, _) = report(root.path());
    assert!(text.contains(says) && text.contains("write `chmod o+rx /"), "{text}");
}

#[test]
fn what_could_not_be_looked_at_is_told() {
    let root = installed();
    with_users(root.path());
    let away = tempfile::tempdir().unwrap();
    let file = write(away.path(), "50.toml", "");
    let conf_d = root.path().join("etc/app-cluster/conf.d");
    fs::create_dir_all(&conf_d).unwrap();
    symlink(&file, conf_d.join("50.toml")).unwrap();
    let (text, exit) = report(root.path());
    assert_eq!(exit, Exit::Done, "{text}");
    assert!(text.contains("\nnot checked: whether user app-cluster can read /"), "{text}");
    assert!(text.ends_with("\nno problems in what could be checked\n"), "{text}");
}
