//! systemd over D-Bus. This is the only module that knows systemd's interfaces (org.freedesktop.systemd1(5)).
//!
//! It has its own connection, which owns no name. One task reads all messages in the order in which PID 1 and
//! the bus sent them. So an answer is newer than the signals before it, and older than those after it. In
//! particular, the answer to a call that enqueues a job comes before the job's end. Every call gets an
//! answer, which may be an error.
//!
//! - [`link`]: the connection, which subscribes to all signals before it is used.
//! - [`calls`]: the messages for a call, and the meaning of its answer.
//! - [`signals`]: the signals to subscribe to, and their meaning.
//! - [`properties`]: systemd's properties by name, and their conversion.
//! - [`units`]: units and their object paths.

mod calls;
mod link;
mod properties;
mod signals;
mod units;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use cluster::effect::{Call, Token};
use cluster::input::{EnqueueError, Input, Signal};
use futures_util::StreamExt as _;
use names::Names;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use zbus::Message;

use self::calls::{Question, Reading, Then};
use self::link::Link;
use crate::fault;
use crate::listeners::Listeners;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const ALREADY_SUBSCRIBED: &str = "org.freedesktop.systemd1.AlreadySubscribed";

/// How long a call may take before it counts as unanswered.
const PATIENCE: Duration = Duration::from_secs(20);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Passes calls to the task that communicates with systemd.
#[derive(Debug)]
pub(crate) struct Manager {
    calls: UnboundedSender<(Token, Call)>,
    is_connected: watch::Receiver<bool>,
}

impl Manager {
    /// Connects, and reconnects whenever the connection ends. Answers and signals go to `inputs`.
    pub(crate) fn start(names: Names, listeners: Listeners, inputs: UnboundedSender<Input>) -> Self {
        let (calls, wanted) = unbounded_channel();
        let (connection, is_connected) = watch::channel(false);
        let reading = Reading { names, listeners };
        let speaker = Speaker { reading, wanted, inputs, connection, outstanding: BTreeMap::new() };
        tokio::spawn(speaker.speak());
        Self { calls, is_connected }
    }

    /// Whether there is a connection to systemd.
    pub(crate) fn is_connected(&self) -> watch::Receiver<bool> {
        self.is_connected.clone()
    }

    /// Calls systemd. The answer arrives as an input, after the signals that systemd sent before it.
    pub(crate) fn call(&self, token: Token, call: Call) {
        // An error means that the orchestrator has ended.
        let _ = self.calls.send((token, call));
    }
}

/// The task that communicates with systemd.
#[derive(Debug)]
struct Speaker {
    reading: Reading,
    wanted: UnboundedReceiver<(Token, Call)>,
    inputs: UnboundedSender<Input>,
    connection: watch::Sender<bool>,
    /// The calls that wait for an answer, by serial.
    outstanding: BTreeMap<NonZeroU32, Outstanding>,
}

/// A call that waits for an answer.
#[derive(Debug)]
struct Outstanding {
    token: Token,
    question: Question,
    deadline: Instant,
}

/// The other end of a queue is gone, because the orchestrator ends.
struct Ended;

impl Speaker {
    async fn speak(mut self) {
        while let Ok(link) = self.connect().await {
            self.tell(Input::Connected);
            self.connection.send_replace(true);
            let ended = self.converse(link).await;
            if ended.is_ok() {
                self.connection.send_replace(false);
                self.tell(Input::Disconnected);
            }
            self.give_up("the connection to the bus ended");
            if ended.is_err() {
                return;
            }
        }
    }

    /// Connects, however long it takes. Meanwhile calls get an error as their answer.
    async fn connect(&mut self) -> Result<Link, Ended> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.meanwhile(Link::open()).await? {
                Ok(link) => return Ok(link),
                Err(error) if pause == FIRST_PAUSE => {
                    tracing::warn!("{error:#}; trying again");
                }
                Err(_) => {}
            }
            self.meanwhile(sleep(pause)).await?;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Waits for `awaited`, and meanwhile answers calls with an error.
    async fn meanwhile<T>(&mut self, awaited: impl Future<Output = T>) -> Result<T, Ended> {
        tokio::pin!(awaited);
        loop {
            tokio::select! {
                biased;
                wanted = self.wanted.recv() => {
                    let (token, call) = wanted.ok_or(Ended)?;
                    self.fail(token, Question::Of(call), "there is no connection to the bus");
                }
                value = &mut awaited => return Ok(value),
            }
        }
    }

    /// Sends and receives over this connection until it ends.
    async fn converse(&mut self, mut link: Link) -> Result<(), Ended> {
        loop {
            // All calls have the same time limit, so the oldest call is the first one to be overdue.
            let deadline = self.outstanding.values().map(|call| call.deadline).min();
            let overdue = sleep_until(deadline.unwrap_or_else(Instant::now));
            tokio::select! {
                message = link.stream.next() => match message {
                    Some(Ok(message)) => self.hear(&mut link, &message),
                    Some(Err(_)) | None => return Ok(()),
                },
                wanted = self.wanted.recv() => {
                    let (token, call) = wanted.ok_or(Ended)?;
                    fault::sending(call);
                    self.send(&link, token, Question::Of(call));
                }
                () = overdue, if deadline.is_some() => self.give_up_overdue(),
            }
        }
    }

    fn send(&mut self, link: &Link, token: Token, question: Question) {
        match self.reading.message(&question) {
            Ok(message) => {
                let serial = message.primary_header().serial_num();
                let deadline = Instant::now() + PATIENCE;
                self.outstanding.insert(serial, Outstanding { token, question, deadline });
                link.send(message);
            }
            Err(error) => self.fail(token, question, &error.to_string()),
        }
    }

    fn hear(&mut self, link: &mut Link, message: &Message) {
        if let Some(serial) = message.header().reply_serial() {
            if let Some(call) = self.outstanding.remove(&serial) {
                self.answered(link, call, message);
            }
            return;
        }
        let signal = match signals::new_owner(message) {
            Some(owner) if owner.is_empty() => None,
            Some(owner) => {
                link.systemd = owner;
                Some(Signal::Reexecuted)
            }
            None => signals::parse(message, &self.reading.names, &link.systemd),
        };
        if let Some(signal) = signal {
            self.tell(Input::Signal(signal));
        }
    }

    fn answered(&mut self, link: &Link, call: Outstanding, message: &Message) {
        let Outstanding { token, question, .. } = call;
        if let Question::Of(call) = question {
            fault::answered(call);
        }
        match self.reading.read(&question, message) {
            Then::Answer(answer) => self.tell(Input::Answer(token, answer)),
            Then::Ask(question) => self.send(link, token, question),
        }
    }

    fn give_up_overdue(&mut self) {
        let now = Instant::now();
        for (_, call) in self.outstanding.extract_if(.., |_, call| call.deadline <= now).collect::<Vec<_>>() {
            let seconds = PATIENCE.as_secs();
            self.fail(call.token, call.question, &format!("systemd did not answer within {seconds} s"));
        }
    }

    /// Answers all waiting calls with an error.
    fn give_up(&mut self, why: &str) {
        for call in std::mem::take(&mut self.outstanding).into_values() {
            self.fail(call.token, call.question, why);
        }
        while let Ok((token, call)) = self.wanted.try_recv() {
            self.fail(token, Question::Of(call), why);
        }
    }

    fn fail(&self, token: Token, question: Question, why: &str) {
        let answer = self.reading.failed(&question, EnqueueError::Unanswered(why.to_owned()));
        self.tell(Input::Answer(token, answer));
    }

    fn tell(&self, input: Input) {
        // An error means that the orchestrator has ended.
        let _ = self.inputs.send(input);
    }
}
