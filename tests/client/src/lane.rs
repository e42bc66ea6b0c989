//! What one of the many connections of a load does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::load::{Request, Shared};
use crate::tally::Identity;
use crate::{Answer, Connection, Failure, Unsent};

/// One connection after another, with one request at a time.
pub(crate) struct Lane {
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
    connection: Option<Connection>,
    /// On the present connection.
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
                    // Nobody listens: that is known now, and need not be found out 100,000 times a second.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            if self.shared.load.hold {
                break;
            }
        }
        if self.shared.load.hold {
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
        if answer.closes || self.shared.load.one_request {
            self.finish().await?;
        }
        self.count(&answer, took);
        Ok(())
    }

    /// Sends the request, on a new connection if there is none or the server has closed it.
    async fn send(&mut self, timeout: Duration) -> Result<(), Failure> {
        let slowly = self.shared.load.slowly;
        if let Some(connection) = &mut self.connection {
            let sent = tokio::time::timeout(timeout, send(connection, &self.buffer, slowly)).await;
            match sent.map_err(|_| Failure::Timeout)? {
                Ok(()) => return Ok(()),
                Err(Unsent::Failed(failure)) => return Err(failure),
                Err(Unsent::ClosedIdle) => self.shared.tally().closed_idle(),
            }
        }
        self.connection = None;
        self.answered = 0;
        self.last_pid = None;
        let opened = tokio::time::timeout(timeout, Connection::open(self.shared.load.address)).await;
        let connection = self.connection.insert(opened.map_err(|_| Failure::ConnectTimeout)??);
        self.shared.tally().connected();
        let sent = tokio::time::timeout(timeout, send(connection, &self.buffer, slowly)).await;
        match sent.map_err(|_| Failure::Timeout)? {
            Ok(()) => Ok(()),
            Err(Unsent::Failed(failure)) => Err(failure),
            Err(Unsent::ClosedIdle) => Err(Failure::ConnectReset),
        }
    }

    /// Writes the request into the buffer.
    fn compose(&mut self) {
        let close = if self.shared.load.one_request { "Connection: close\r\n" } else { "" };
        let (line, body) = match &self.shared.load.request {
            Request::Get(path) => (format!("GET {path} HTTP/1.1\r\n"), String::new()),
            Request::Echo => {
                let body = self.unique_body();
                (format!("POST /echo HTTP/1.1\r\nContent-Length: {}\r\n", body.len()), body)
            }
        };
        self.buffer.clear();
        for part in [&line, "Host: app-cluster\r\n", close, "\r\n"] {
            self.buffer.extend_from_slice(part.as_bytes());
        }
        self.body = self.buffer.len();
        self.buffer.extend_from_slice(body.as_bytes());
    }

    fn unique_body(&self) -> String {
        let mut body = format!("{}-{}-{:016x}-", self.number, self.requests, fastrand::u64(..));
        let length = fastrand::usize(0..4096);
        body.extend(std::iter::repeat_with(fastrand::alphanumeric).take(length));
        body
    }

    fn check(&self, answer: &Answer) -> Result<(), Failure> {
        match &self.shared.load.request {
            _ if answer.status != 200 => Err(Failure::Status(answer.status)),
            Request::Echo if answer.body != self.buffer[self.body..] => Err(Failure::WrongBody),
            _ => Ok(()),
        }
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

    /// Lets the server close first, so that it is the server's side that remembers the connection
    /// (TIME_WAIT) and this side does not run out of ports.
    async fn finish(&mut self) -> Result<(), Failure> {
        let Some(connection) = self.connection.take() else {
            return Ok(());
        };
        let finished = tokio::time::timeout(Duration::from_secs(1), connection.finish()).await;
        finished.unwrap_or(Ok(()))
    }
}

/// Sends a request, at once or in four pieces.
async fn send(connection: &mut Connection, request: &[u8], slowly: bool) -> Result<(), Unsent> {
    if !slowly {
        return connection.send(request).await;
    }
    let mut pieces = request.chunks(request.len().div_ceil(4));
    connection.send(pieces.next().unwrap_or_default()).await?;
    for piece in pieces {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=50))).await;
        // Something has left already: if the rest cannot, what is received says why.
        let _ = connection.send(piece).await;
    }
    Ok(())
}
