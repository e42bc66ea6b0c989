//! A worker process, and systemd's ends of its descriptors.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use client::{Answer, Connection};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

/// A deadline that only a bug can exceed.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("within 30 s")
}

/// The socket that all workers of a test share.
pub(crate) struct Socket {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Socket {
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// A worker on this socket that has sent READY=1.
    pub(crate) async fn worker(&self, environment: &[(&str, &str)]) -> Worker {
        let mut worker = self.start(environment);
        worker.told("READY=1").await;
        worker
    }

    /// A worker on this socket that may not be ready.
    pub(crate) fn start(&self, environment: &[(&str, &str)]) -> Worker {
        Worker::start(Some(self.listener.try_clone().unwrap().into()), environment)
    }

    pub(crate) async fn connect(&self) -> Connection {
        soon(Connection::open(self.address)).await.unwrap()
    }
}

/// A worker process.
pub(crate) struct Worker {
    child: Child,
    notify: UnixDatagram,
    directory: TempDir,
}

impl Worker {
    /// Starts a worker with this descriptor as number 3, with the name `http`.
    pub(crate) fn start(socket: Option<OwnedFd>, environment: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        let notify = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        let stderr = std::fs::File::create(directory.path().join("stderr")).unwrap();
        // LISTEN_PID has to be the worker's own pid, which exec keeps.
        let script = match socket {
            Some(_) => {
                "exec 3<&0 </dev/null; ulimit -n ${DESCRIPTORS:-1024}; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\""
            }
            None => "exec \"$0\" </dev/null",
        };
        let child = Command::new("/bin/sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_app-cluster-worker")])
            .env_clear()
            .env("NOTIFY_SOCKET", directory.path().join("notify"))
            .env("LISTEN_FDNAMES", "http")
            .envs(environment.iter().copied())
            .stdin(socket.map_or_else(Stdio::null, Stdio::from))
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, notify, directory }
    }

    /// Its next message to systemd.
    pub(crate) async fn next_notification(&self) -> String {
        receive(&self.notify).await
    }

    /// Waits until it sends systemd this line, or one that begins with it. Returns the notification.
    pub(crate) async fn told(&mut self, line: &str) -> String {
        let notify = &self.notify;
        let told = async {
            loop {
                let notification = receive(notify).await;
                if notification.lines().any(|told| told.starts_with(line)) {
                    return notification;
                }
            }
        };
        tokio::select! {
            notification = soon(told) => notification,
            status = self.child.wait() => {
                panic!("{} before {line}: {}", status.unwrap(), self.stderr())
            }
        }
    }

    /// Its messages to systemd that the test has not read yet.
    pub(crate) fn untold(&self) -> String {
        let mut all = String::new();
        let mut buffer = [0; 4096];
        while let Ok(length) = self.notify.try_recv(&mut buffer) {
            all.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
        all
    }

    /// Limits its descriptors to this number from now on.
    pub(crate) fn limit_descriptors(&self, limit: u64) {
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        prlimit(Some(self.pid()), Resource::Nofile, limit).unwrap();
    }

    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// Fills the queue of its messages to systemd, so that it has no room for more.
    pub(crate) fn fill_notifications(&self) {
        fill(&self.directory.path().join("notify"));
    }

    /// Its resident memory in kibibytes (`VmRSS`).
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn pid(&self) -> Pid {
        self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).unwrap()
    }

    /// Sends SIGTERM and waits until the drain has begun.
    pub(crate) async fn drain(&mut self) {
        self.terminate();
        self.told("STATUS=draining").await;
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        soon(self.child.wait()).await.unwrap()
    }

    /// Waits for its end, with exit status 0.
    pub(crate) async fn ended_well(&mut self) {
        let status = self.ended().await;
        assert!(status.success(), "{status}: {}", self.stderr());
    }

    /// Its log.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("stderr")).unwrap()
    }
}

/// Sends to this socket until it has no more room.
pub(crate) fn fill(socket: &Path) {
    let full = std::os::unix::net::UnixDatagram::unbound().unwrap();
    full.set_nonblocking(true).unwrap();
    while full.send_to(b"STATUS=busy\n", socket).is_ok() {}
}

async fn receive(notify: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = notify.recv(&mut buffer).await.unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// The bytes of `GET path`.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").into_bytes()
}

/// Sends one request and returns its response.
pub(crate) async fn exchange(connection: &mut Connection, request: &[u8]) -> Answer {
    connection.send(request).await.unwrap();
    soon(connection.receive()).await.unwrap()
}
