//! What one of the many connections of a load does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::load::{Load, Request, Reuse, Shared};
use crate::tally::Identity;
use crate::{Answer, Connection, Failure, Persistence};

/// One connection after another, with one request at a time.
pub(crate) struct Lane {
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
    connection: Option<Connection>,
    /// On the current connection.
    answered: u64,
    last_pid: Option<u32>,
    buffer: Vec<u8>,
    /// Where the body begins in the buffer.
    body: usize,
    number: usize,
    requests: usize,
}

impl Lane {
    pub(crate) fn new(shared: Arc<Shared>, number: usize) -> Self {
        let stopped = shared.stopped.clone();
        Self {
            shared,
            stopped,
            connection: None,
            answered: 0,
            last_pid: None,
            buffer: Vec::new(),
            body: 0,
            number,
            requests: 0,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            self.pause().await;
            if !self.shared.take_turn() {
                break;
            }
            if let Err(failure) = self.request().await {
                self.shared.tally().failed(failure, self.last_pid, self.answered);
                self.connection = None;
                if failure.is_connect() {
                    // No socket listens. Without a pause the client would try 100,000 times per second.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            if self.shared.load.reuse == Reuse::Held {
                break;
            }
        }
        if self.shared.load.reuse == Reuse::Held {
            tokio::select! {
                _ = self.shared.all_answered.wait() => {}
                _ = self.stopped.wait_for(|stopped| *stopped) => {}
            }
        }
    }

    /// The next turn of this lane, at a fixed rate.
    fn turn(&self) -> usize {
        self.number + self.requests * self.shared.load.connections
    }

    async fn pause(&mut self) {
        let Shared { load, pace, .. } = &*self.shared;
        let (least, most) = (load.gap.start().as_micros() as u64, load.gap.end().as_micros() as u64);
        if pace.is_none() && (self.requests == 0 || most == 0) {
            return;
        }
        let turn = self.turn();
        let wake = async {
            match pace {
                Some(pace) => pace.turn(turn).await,
                None => tokio::time::sleep(Duration::from_micros(fastrand::u64(least..=most))).await,
            }
        };
        tokio::select! {
            () = wake => {}
            _ = self.stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    async fn request(&mut self) -> Result<(), Failure> {
        let due = self.shared.pace.as_ref().map(|pace| pace.due(self.turn()));
        let begun = due.unwrap_or_else(Instant::now);
        self.requests += 1;
        self.compose();
        let timeout = self.shared.load.timeout;
        self.send(timeout).await?;
        let Some(connection) = self.connection.as_mut() else {
            return Err(Failure::ConnectOther);
        };
        let received = tokio::time::timeout(timeout, connection.receive()).await;
        let answer = received.map_err(|_| Failure::Timeout)??;
        let took = begun.elapsed();
        self.check(&answer)?;
        if !self.is_kept_after(&answer) {
            self.finish().await?;
        }
        self.count(&answer, took);
        Ok(())
    }

    /// Sends the request, on a new connection if there is none.
    async fn send(&mut self, timeout: Duration) -> Result<(), Failure> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                self.answered = 0;
                self.last_pid = None;
                let opening = Connection::open(self.shared.load.address);
                let opened = tokio::time::timeout(timeout, opening).await;
                let connection = none.insert(opened.map_err(|_| Failure::ConnectTimeout)??);
                self.shared.tally().connected();
                connection
            }
        };
        let sending = send(connection, &self.buffer, &self.shared.load);
        tokio::time::timeout(timeout, sending).await.map_err(|_| Failure::Timeout)?
    }

    /// Writes the request into the buffer.
    fn compose(&mut self) {
        let (line, body) = match &self.shared.load.request {
            Request::Get(path) => (format!("GET {path}"), None),
            Request::Echo => ("POST /echo".to_owned(), Some(self.unique_body())),
            Request::Astray => ("POST /nowhere".to_owned(), Some("x".repeat(fastrand::usize(1..64 * 1024)))),
        };
        let version = if self.shared.load.is_old { "HTTP/1.0" } else { "HTTP/1.1" };
        let connection = match (self.shared.load.reuse, self.shared.load.is_old) {
            (Reuse::OneRequest, _) => "Connection: close\r\n",
            (_, true) => "Connection: keep-alive\r\n",
            (_, false) => "",
        };
        let length =
            body.as_ref().map_or_else(String::new, |body| format!("Content-Length: {}\r\n", body.len()));
        let head = format!("{line} {version}\r\nHost: app-cluster\r\n{connection}{length}\r\n");
        self.body = head.len();
        self.buffer.clear();
        self.buffer.extend_from_slice(head.as_bytes());
        self.buffer.extend_from_slice(body.unwrap_or_default().as_bytes());
    }

    fn unique_body(&self) -> String {
        let mut body = format!("{}-{}-{:016x}-", self.number, self.requests, fastrand::u64(..));
        let length = fastrand::usize(0..4096);
        body.extend(std::iter::repeat_with(fastrand::alphanumeric).take(length));
        body
    }

    fn check(&self, answer: &Answer) -> Result<(), Failure> {
        let request = &self.shared.load.request;
        let expected = if matches!(request, Request::Astray) { 404 } else { 200 };
        match request {
            _ if answer.status != expected => Err(Failure::Status(answer.status)),
            Request::Echo if answer.body != self.buffer[self.body..] => Err(Failure::WrongBody),
            _ => Ok(()),
        }
    }

    fn is_kept_after(&self, answer: &Answer) -> bool {
        let is_kept_by_server = match answer.connection {
            Persistence::Closes => false,
            Persistence::Keeps => true,
            Persistence::Silent => !self.shared.load.is_old,
        };
        is_kept_by_server && matches!(self.shared.load.reuse, Reuse::Kept | Reuse::Held)
    }

    fn count(&mut self, answer: &Answer, took: Duration) {
        self.answered += 1;
        let mut tally = self.shared.tally();
        tally.answered(took);
        if let Request::Get(path) = &self.shared.load.request
            && path == "/"
            && let Ok(who) = serde_json::from_slice::<Identity<'_>>(&answer.body)
        {
            self.last_pid = Some(who.pid);
            tally.answered_by(&who);
        }
    }

    /// Lets the server close first. Then the server's side remembers the connection (TIME_WAIT), and the
    /// client does not run out of ports.
    async fn finish(&mut self) -> Result<(), Failure> {
        let Some(connection) = self.connection.take() else {
            return Ok(());
        };
        let finished = tokio::time::timeout(Duration::from_secs(1), connection.finish()).await;
        finished.unwrap_or(Ok(()))
    }
}

/// Sends a request, at once or in four pieces.
async fn send(connection: &mut Connection, request: &[u8], load: &Load) -> Result<(), Failure> {
    let pieces = if load.slowly { 4 } else { 1 };
    let mut pieces = request.chunks(request.len().div_ceil(pieces));
    connection.send(pieces.next().unwrap_or_default()).await?;
    for piece in pieces {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=50))).await;
        connection.send_rest(piece).await?;
    }
    if load.reuse == Reuse::HalfClosed {
        connection.half_close().await;
    }
    Ok(())
}
