//! The clients, and the queue of the listener in which they wait to be accepted.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use cluster::accept::{Connection, Waiting};

use super::World;
use crate::rng::Rng;

/// The longest queue.
const BACKLOG: usize = 20;

/// The queue. Only what the orchestrator sees of it is modelled, when it looks.
#[derive(Debug)]
pub(crate) struct Clients {
    /// How many come between two looks. If none comes, it cannot be seen whether workers accept.
    pub(crate) come: u64,
    /// More come than workers accept.
    is_overload: bool,
    waiting: VecDeque<u16>,
    /// A worker could accept since the last look.
    was_accepting: bool,
    last: u16,
}

impl Clients {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let (come, is_overload) = (rng.pick(&[0, 1, 3, 30]), rng.below(3) == 0);
        Self { come, is_overload, waiting: VecDeque::new(), was_accepting: true, last: 0 }
    }

    fn come(&mut self) {
        for _ in 0..self.come {
            self.last = self.last.wrapping_add(1);
            if self.waiting.len() < BACKLOG {
                self.waiting.push_back(self.last);
            }
        }
    }
}

impl World {
    /// Whether a worker accepts connections now.
    fn is_accepting(&self) -> bool {
        self.systemd.services().any(|(_, service)| service.is_active() && !service.is_deaf)
    }

    /// A worker that accepts for a moment between two looks is noted.
    pub(super) fn note_accepting(&mut self) {
        self.clients.was_accepting |= self.is_accepting();
    }

    /// What the orchestrator sees.
    pub(crate) fn look_at_queues(&mut self) -> Option<Waiting> {
        let is_accepting = self.is_accepting();
        let was_accepting = std::mem::replace(&mut self.clients.was_accepting, is_accepting);
        if was_accepting && !self.clients.is_overload {
            self.clients.waiting.clear();
        } else if was_accepting {
            // Workers take one at least, or are all busy with what they have taken.
            if is_accepting && self.rng.coin() {
                return None;
            }
            let taken = self.rng.index(self.clients.waiting.len().max(1)) + 1;
            self.clients.waiting.drain(..taken.min(self.clients.waiting.len()));
        }
        if !is_accepting || self.clients.is_overload {
            self.clients.come();
        }
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let connection = |client: &u16| Connection { local: at(80), client: at(*client) };
        let waiting: BTreeSet<_> = self.clients.waiting.iter().map(connection).collect();
        Some(vec![waiting]).filter(|queues| !queues[0].is_empty())
    }
}
