//! Files and directories that an operator deploys, and those that are refused.

use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::*;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

impl Disk {
    fn file(&self, content: impl AsRef<[u8]>) -> File {
        fs::write(self.path("srv/program"), content).unwrap();
        File::open(self.path("srv/program")).unwrap()
    }

    fn refusal_of_file(&self, file: &File) -> String {
        let before = self.names();
        let error = self.releases.stage_file(file, Some(id("refused"))).unwrap_err();
        let staged: Vec<_> = self.names().into_iter().filter(|name| !before.contains(name)).collect();
        assert!(staged.is_empty(), "left behind: {staged:?}");
        format!("{error:#}")
    }

    fn refusal_of_directory(&self, dir: &Path) -> String {
        let error = self.releases.stage_directory(dir, None).unwrap_err();
        assert!(self.names().is_empty(), "left behind: {:?}", self.names());
        format!("{error:#}")
    }
}

#[test]
fn a_file_is_copied_whole() {
    let disk = Disk::new();
    let program: Vec<u8> =
        b"#!/bin/sh\n".iter().copied().chain((0..3_000_000).map(|n| (n % 251) as u8)).collect();
    let mut file = disk.file(&program);
    file.seek(std::io::SeekFrom::Start(7)).unwrap();
    let staged = id("blog-7");
    assert_eq!(disk.releases.stage_file(&file, Some(staged.clone())).unwrap(), Staged::New(staged.clone()));
    let copy = disk.path("lib/releases/blog-7/worker");
    assert!(fs::read(&copy).unwrap() == program);
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(file.stream_position().unwrap(), 7, "the caller shares the descriptor's offset");
    disk.releases.check_runnable(&staged).unwrap();
}

#[test]
fn a_file_without_an_id_is_called_after_the_time() {
    let disk = Disk::new();
    let file = disk.file("#!/bin/sh\n");
    let staged: Vec<_> = (0..4).map(|_| disk.releases.stage_file(&file, None).unwrap()).collect();
    let earliest = ReleaseId::at(clock::since_epoch(SystemTime::now()) - Duration::from_secs(3600));
    for one in &staged {
        let Staged::New(one) = one else { panic!("{one:?}") };
        assert!(*one > earliest && *one <= named_after_the_time().numbered(9), "{one}");
    }
    assert_eq!(disk.names().len(), 4, "each has a name of its own: {staged:?}");
}

#[test]
fn a_name_that_is_taken_is_numbered_or_refused() {
    let disk = Disk::new();
    let file = disk.file("#!/bin/sh\n");
    disk.releases.stage_file(&file, Some(id("taken"))).unwrap();
    assert_eq!(disk.releases.next_free(id("taken")), id("taken.2"));
    disk.releases.stage_directory(&disk.directory("srv/dir"), Some(id("taken.2"))).unwrap();
    assert_eq!(disk.releases.next_free(id("taken")), id("taken.3"));
    assert_eq!(disk.releases.stage_file(&file, Some(id("taken"))).unwrap(), Staged::There(id("taken")));
    let file = disk.file("#!/bin/bash\n");
    for taken in ["taken", "taken.2"] {
        let by_file = disk.releases.stage_file(&file, Some(id(taken))).unwrap_err().to_string();
        let by_dir = disk.releases.stage_directory(&disk.directory("srv/dir"), Some(id(taken))).unwrap_err();
        assert!(by_file.starts_with(&format!("release {taken} exists already")), "{by_file}");
        assert_eq!(by_dir.to_string(), by_file);
    }
}

#[test]
fn what_cannot_be_executed_is_refused() {
    let disk = Disk::with_current("1.0.0");
    assert!(disk.refusal_of_file(&disk.file("")).contains("empty"));
    for content in ["worker = 1\n", "MZ\u{90}", "#", "\x7fEL", " #!/bin/sh\n"] {
        let refusal = disk.refusal_of_file(&disk.file(content));
        assert!(refusal.contains("neither an ELF program nor a script"), "{content:?}: {refusal}");
    }
    let directory = File::open(disk.path("srv")).unwrap();
    assert!(disk.refusal_of_file(&directory).contains("not a regular file"));
    let (reader, _writer) = std::io::pipe().unwrap();
    assert!(disk.refusal_of_file(&File::from(OwnedFd::from(reader))).contains("not a regular file"));
    let write_only = File::options().append(true).open(disk.path("srv/program")).unwrap();
    let refusal = disk.refusal_of_file(&write_only);
    assert!(refusal.contains("failed to copy the file: Bad file descriptor"), "{refusal}");
}

#[test]
fn a_file_that_somebody_still_writes_is_refused() {
    let disk = Disk::new();
    let growing = disk.file("#!/bin/sh\n");
    let mut writer = File::options().append(true).open(disk.path("srv/program")).unwrap();
    let is_noticed = AtomicBool::new(false);
    let refusal = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_noticed.load(Ordering::Relaxed) {
                writer.write_all(b"more\n").unwrap();
            }
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        let refusal = std::iter::repeat_with(|| disk.releases.stage_file(&growing, None))
            .take_while(|_| Instant::now() < deadline)
            .find_map(Result::err);
        is_noticed.store(true, Ordering::Relaxed);
        format!("{:#}", refusal.expect("the change was never noticed"))
    });
    assert!(refusal.contains("changed while it was copied"), "{refusal}");
}

#[test]
fn a_directory_is_used_where_it_is() {
    let disk = Disk::new();
    let dir = disk.directory("srv/blog-7");
    symlink(&dir, disk.path("srv/latest")).unwrap();
    let staged = disk.releases.stage_directory(&disk.path("srv/latest"), None).unwrap();
    assert_eq!(staged, id("blog-7"), "the release has the name of the link's target");
    disk.releases.make_current(&staged).unwrap();
    assert_eq!(fs::read_link(disk.path("lib/releases/blog-7")).unwrap(), dir);
    assert_eq!(fs::read_to_string(disk.path("lib/current/worker")).unwrap(), script("srv/blog-7"));

    // The first name is taken now, and the second is not a valid name.
    let again = disk.releases.stage_directory(&dir, None).unwrap();
    let strange = disk.releases.stage_directory(&disk.directory("srv/a b"), None).unwrap();
    let earliest = ReleaseId::at(clock::since_epoch(SystemTime::now()) - Duration::from_secs(3600));
    for one in [again, strange] {
        assert!(one > earliest && one <= named_after_the_time().numbered(9), "{one}");
    }
}

#[test]
fn a_directory_that_workers_cannot_see_is_refused() {
    let disk = Disk::new();
    let refusal = disk.refusal_of_directory(&disk.directory("home/me/app"));
    assert!(refusal.contains("which is hidden from the orchestrator; put it in /srv or /opt"), "{refusal}");
    symlink(disk.path("home/me/app"), disk.path("srv/app")).unwrap();
    assert_eq!(disk.refusal_of_directory(&disk.path("srv/app")), refusal, "by way of a link, too");
    let with_program_elsewhere = disk.path("srv/linked");
    fs::create_dir(&with_program_elsewhere).unwrap();
    symlink(disk.path("home/me/app/worker"), with_program_elsewhere.join(PROGRAM)).unwrap();
    assert!(disk.refusal_of_directory(&with_program_elsewhere).contains("which is hidden"));

    let real = Releases::new(disk.path("lib"), disk.path("pkg"));
    for dir in ["/home/me/app", "/root", "/run/user/1000/app", "/tmp/app", "/var/tmp/app"] {
        let refusal = real.stage_directory(Path::new(dir), None).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("{dir} is below /")), "{refusal}");
    }
}

#[test]
fn the_first_thing_that_is_closed_to_workers_is_named() {
    let disk = Disk::new();
    let dir = disk.directory("srv/team/app");
    let program = dir.join(PROGRAM);
    mode(&program, 0o750);
    mode(&dir, 0o750);
    mode(&disk.path("srv/team"), 0o700);
    let expected = [(disk.path("srv/team"), "o+x"), (dir.clone(), "o+x"), (program, "a+rx")];
    for (path, bits) in expected {
        let refusal = disk.refusal_of_directory(&dir);
        let remedy = format!("chmod {bits} {}", path.display());
        assert!(refusal.contains(&format!("`{remedy}`")), "{refusal}");
        assert!(std::process::Command::new("sh").args(["-c", &remedy]).status().unwrap().success());
    }
    disk.releases.stage_directory(&dir, None).unwrap();
}

#[test]
fn what_is_no_directory_with_a_worker_is_refused() {
    let disk = Disk::new();
    fs::create_dir_all(disk.path("srv/empty")).unwrap();
    fs::create_dir_all(disk.path("srv/nested/worker")).unwrap();
    disk.file("#!/bin/sh\n");
    for (path, why) in [
        ("srv/none", "No such file or directory"),
        ("srv/program", "is not a directory"),
        ("srv/empty", "empty/worker: No such file or directory"),
        ("srv/nested", "nested/worker is not a file"),
        ("lib", "belongs to app-cluster itself"),
    ] {
        let refusal = disk.refusal_of_directory(&disk.path(path));
        assert!(refusal.contains(why), "{path}: {refusal}");
    }
    assert!(disk.refusal_of_directory(Path::new("srv")).contains("not an absolute path"));
}

#[test]
fn a_directory_whose_program_nothing_can_execute_is_refused() {
    let disk = Disk::new();
    let dir = disk.directory("srv/dos");
    fs::write(dir.join(PROGRAM), "#!/bin/sh\r\nexit 1\r\n").unwrap();
    let refusal = disk.refusal_of_directory(&dir);
    let worker = dir.join(PROGRAM);
    assert!(refusal.starts_with(&format!("{}, line 1: it ends with CR LF", worker.display())), "{refusal}");
    // The command in the message has to work as it is.
    let remedy = format!("{} {}", refusal.split('`').nth(1).unwrap(), worker.display());
    assert!(std::process::Command::new("sh").args(["-c", &remedy]).status().unwrap().success());
    disk.releases.stage_directory(&dir, None).unwrap();

    // This program could be executed when it was deployed.
    fs::write(&worker, "#!/srv/no-such-interpreter\n").unwrap();
    let refusal = format!("{:#}", disk.releases.check_runnable(&id("dos")).unwrap_err());
    assert!(refusal.contains("line 1: /srv/no-such-interpreter: No such file"), "{refusal}");
}

#[test]
fn a_release_that_is_gone_or_closed_is_not_runnable() {
    let disk = Disk::with_current("1.0.0");
    let dir = disk.directory("srv/blog");
    let blog = disk.releases.stage_directory(&dir, None).unwrap();
    disk.releases.check_runnable(&blog).unwrap();
    disk.releases.check_runnable(&id("1.0.0")).unwrap();
    let why = |id: &ReleaseId| format!("{:#}", disk.releases.check_runnable(id).unwrap_err());

    mode(&dir.join(PROGRAM), 0o644);
    assert!(why(&blog).contains("the user of the workers cannot execute"), "{}", why(&blog));
    fs::remove_dir_all(&dir).unwrap();
    assert!(why(&blog).contains("release blog cannot run: failed to examine"), "{}", why(&blog));
    mode(&disk.path("lib/releases/1.0.0/worker"), 0o644);
    assert!(why(&id("1.0.0")).contains("not an executable file"));
    assert_eq!(why(&id("2.0.0")), "there is no release 2.0.0");
}
