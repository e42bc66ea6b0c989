//! The connection to systemd. Messages arrive in the order in which they were sent, or not at all.

use std::collections::VecDeque;

use cluster::effect::{Call, Token};
use cluster::input::{Answer, EnqueueError, Signal};

/// A message of systemd.
#[derive(Debug)]
pub(crate) enum Message {
    Signal(Signal),
    Answer(Token, Answer),
}

/// What polkit does with a client that wants to manage units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Polkit {
    #[default]
    Grants,
    Refuses,
    Hangs,
}

/// The connection.
#[derive(Debug, Default)]
pub(crate) struct Bus {
    pub(crate) is_up: bool,
    /// Whether systemd sends signals over it.
    pub(crate) is_subscribed: bool,
    /// The number of this connection. What is on its way over an earlier one does not arrive.
    pub(crate) number: u32,
    pub(crate) polkit: Polkit,
    /// How long every message of systemd is delayed, in us.
    pub(crate) lateness: u64,
    /// The calls on their way to systemd.
    pub(crate) calls: VecDeque<(Token, Call)>,
    /// The messages on their way back.
    pub(crate) stream: VecDeque<Message>,
    /// The calls that are not answered yet.
    pub(crate) open: Vec<(Token, Call)>,
    /// The calls that polkit has yet to decide about.
    pub(crate) undecided: Vec<(Token, Call)>,
    /// How many of these, the first ones, came over an earlier connection. No answer to them arrives: an
    /// orchestrator that is started anew counts its calls anew.
    pub(crate) abandoned: usize,
    /// When the last call arrives, and when the last message does.
    pub(crate) last_call: u64,
    pub(crate) last_message: u64,
}

impl Bus {
    /// The connection is cut, and everything on its way is lost.
    pub(crate) fn cut(&mut self) {
        self.number += 1;
        self.is_up = false;
        self.is_subscribed = false;
        self.calls.clear();
        self.stream.clear();
        self.abandoned = self.undecided.len();
    }

    /// A call is answered. Returns the call.
    pub(crate) fn close(&mut self, token: Token) -> Option<Call> {
        let at = self.open.iter().position(|(open, _)| *open == token)?;
        Some(self.open.swap_remove(at).1)
    }

    /// The signals that systemd has sent are lost.
    pub(crate) fn lose_signals(&mut self) {
        self.stream.retain(|message| matches!(message, Message::Answer(..)));
    }
}

/// The answer to a call that systemd does not answer.
pub(crate) fn unanswered(call: &Call) -> Answer {
    let text = || "no answer".to_owned();
    match call {
        Call::List => Answer::Listed(Err(text())),
        Call::Inspect(_) => Answer::Inspected(Err(text())),
        Call::Restart(_) | Call::Stop(_) => Answer::Enqueued(Err(EnqueueError::Unanswered(text()))),
        Call::Subscribe | Call::RestartTarget => Answer::Done(Err(text())),
        Call::Socket => Answer::Socket(Err(text())),
        Call::OwnJob => Answer::OwnJob(Err(text())),
        Call::WasRestarted => Answer::WasRestarted(Err(text())),
    }
}
