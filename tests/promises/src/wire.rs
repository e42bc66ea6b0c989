//! One connection to the cluster that a test controls by hand.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    os::fd::{AsFd, OwnedFd},
    os::unix::net::UnixStream,
    thread,
    time::Duration,
};

use machine::{Machine, wait_for};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::{Cluster, DEADLINE, workers::WORKERS};

/// The port in the shipped unit.
const PORT: u16 = 8080;

/// A longer wait means a bug.
const PATIENCE: Duration = Duration::from_secs(90);

/// A connection on which a test sends each byte itself.
#[derive(Debug)]
pub struct Wire {
    stream: BufReader<TcpStream>,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Whether it has `Connection: close`.
    pub closes: bool,
    /// The body.
    pub body: String,
}

impl Wire {
    /// Connects to the cluster in this machine's network.
    ///
    /// # Errors
    /// The error of connect(2).
    ///
    /// # Panics
    /// If the machine's network cannot be entered.
    pub fn open(machine: &Machine) -> io::Result<Self> {
        Self::open_at(machine, (Ipv4Addr::LOCALHOST, PORT).into())
    }

    /// Like [`open`](Self::open), at another address than that of the shipped unit.
    ///
    /// # Errors
    /// The error of connect(2).
    ///
    /// # Panics
    /// If the machine's network cannot be entered.
    pub fn open_at(machine: &Machine, address: SocketAddr) -> io::Result<Self> {
        let network = File::open(format!("/proc/{}/ns/net", machine.leader())).expect("the machine runs");
        // A socket belongs to the network namespace of the thread that makes it. A thread can have its own.
        let connecting = thread::spawn(move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
            TcpStream::connect(address)
        });
        let stream = connecting.join().expect("connecting does not panic")?;
        stream.set_nodelay(true)?;
        Self::over(stream)
    }

    /// Like [`open`](Self::open), at a unix socket in this machine.
    ///
    /// # Errors
    /// The error of connect(2).
    pub fn open_unix(machine: &Machine, path: &str) -> io::Result<Self> {
        let stream = UnixStream::connect(format!("/proc/{}/root{path}", machine.leader()))?;
        // Reading and writing are the same for both.
        Self::over(OwnedFd::from(stream).into())
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a request and waits for its response.
    ///
    /// # Errors
    /// If the connection ends before the response is complete.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(path)?;
        self.receive()
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The error of write(2).
    pub fn send(&mut self, path: &str) -> io::Result<()> {
        write!(self.stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: app-cluster\r\n\r\n")
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// The error of write(2).
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Ends its half: it sends nothing more, and still reads.
    ///
    /// # Errors
    /// The error of shutdown(2).
    pub fn end_half(&mut self) -> io::Result<()> {
        self.stream.get_mut().shutdown(Shutdown::Write)
    }

    /// Waits for a response.
    ///
    /// # Errors
    /// If the connection ends before the response is complete.
    pub fn receive(&mut self) -> io::Result<Answer> {
        let status = self.line()?;
        let status = status.split_whitespace().nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        let (mut closes, mut length) = (false, 0);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("connection", value)) => closes = value == "close",
                Some(("content-length", value)) => length = value.parse().unwrap_or(0),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, closes, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Waits until the server closes without sending more.
    ///
    /// # Errors
    /// If the connection is reset, or the server sends more.
    pub fn until_closed(&mut self) -> io::Result<()> {
        match self.stream.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// The instance of the worker at the other end.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn instance(&mut self) -> io::Result<u32> {
        let answer = self.get("/")?;
        let identity: Value = serde_json::from_str(&answer.body)?;
        let instance = identity["instance"].as_u64().and_then(|instance| instance.try_into().ok());
        instance.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

impl Cluster {
    /// Waits until the cluster answers a request.
    #[track_caller]
    pub fn until_it_answers(&self) {
        wait_for("an answer", DEADLINE, || match Wire::open(self).and_then(|mut wire| wire.get("/")) {
            Ok(Answer { status: 200, .. }) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// Opens one idle connection to each worker.
    ///
    /// # Panics
    /// If one of them cannot be reached.
    #[track_caller]
    #[must_use]
    pub fn wires_to_all(&self) -> Vec<Wire> {
        let mut wires = BTreeMap::new();
        // New connections go to the worker with the fewest. So these stay open until the busiest worker has
        // its turn.
        let mut surplus = Vec::new();
        wait_for("a connection to each worker", DEADLINE, || {
            let mut wire = Wire::open(self).map_err(|error| error.to_string())?;
            let instance = wire.instance().map_err(|error| error.to_string())?;
            surplus.extend(wires.insert(instance, wire));
            if wires.len() >= WORKERS as usize { Ok(()) } else { Err(format!("{:?}", wires.keys())) }
        });
        wires.into_values().collect()
    }

    /// Sends this many requests that take two seconds each, on new connections, to any workers.
    ///
    /// # Panics
    /// If no socket listens.
    #[track_caller]
    #[must_use]
    pub fn begin_sleeps(&self, count: usize) -> Vec<Wire> {
        let begin = |_| {
            let mut wire = Wire::open(self).expect("the socket is there");
            wire.send("/sleep?ms=2000").expect("the connection is new");
            wire
        };
        (0..count).map(begin).collect()
    }

    /// The release of each process that answers `GET /` now. Enough requests are sent to reach every worker.
    #[track_caller]
    #[must_use]
    pub fn releases(&self) -> BTreeMap<u32, String> {
        let mut releases = BTreeMap::new();
        // As in [`wires_to_all`](Self::wires_to_all).
        let mut open = Vec::new();
        wait_for("an answer of each worker", DEADLINE, || {
            let mut wire = Wire::open(self).map_err(|e| e.to_string())?;
            let answer = wire.get("/").map_err(|e| e.to_string())?;
            open.push(wire);
            let identity: Value = serde_json::from_str(&answer.body).map_err(|e| e.to_string())?;
            let instance = identity["instance"].as_u64().and_then(|number| number.try_into().ok());
            let release = identity["release"].as_str().unwrap_or_default();
            releases.insert(instance.unwrap_or(0), release.to_owned());
            if releases.len() >= WORKERS as usize { Ok(()) } else { Err(format!("{releases:?}")) }
        });
        releases
    }
}
