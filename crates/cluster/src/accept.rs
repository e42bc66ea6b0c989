//! Whether workers accept connections, judged by what waits in the queues of the listeners.
//!
//! A queue that is not empty proves nothing: that of a busy cluster never is. But the kernel hands out the
//! connections of a queue in the order in which they came. So if no connection leaves of those that came
//! first, no worker accepts.

use std::collections::BTreeSet;
use std::net::SocketAddr;

/// A connection to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// The address to which the client connected.
    pub local: SocketAddr,
    /// The client's address.
    pub client: SocketAddr,
}

/// The connections that wait to be accepted, for each listener.
pub type Waiting = Vec<BTreeSet<Connection>>;

/// What is known of the order in which the waiting connections came.
#[derive(Debug, Default)]
pub struct Oldest {
    /// Of each queue, the connections that were seen before all others. Any of them may be the first.
    queues: Waiting,
}

impl Oldest {
    /// Takes what waits now. Returns whether no listener had a connection accepted since the last call.
    ///
    /// A client may reset its connection. That leaves the queue as if a worker had accepted it, so this call
    /// returns false. The next one may return true, because other clients that came as early still wait.
    pub fn is_stuck(&mut self, waiting: &Waiting) -> bool {
        self.queues.resize(waiting.len(), BTreeSet::new());
        let mut is_stuck = !waiting.is_empty();
        for (oldest, now) in self.queues.iter_mut().zip(waiting) {
            let count = oldest.len();
            oldest.retain(|connection| now.contains(connection));
            is_stuck &= count > 0 && oldest.len() == count;
            if oldest.is_empty() {
                oldest.clone_from(now);
            }
        }
        is_stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(ports: impl IntoIterator<Item = u16>) -> BTreeSet<Connection> {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        ports.into_iter().map(|port| Connection { local: at(80), client: at(port) }).collect()
    }

    #[test]
    fn a_queue_is_stuck_while_all_stay_that_came_first() {
        let mut oldest = Oldest::default();
        assert!(!oldest.is_stuck(&vec![queue([1, 2])]), "it is the first look");
        assert!(oldest.is_stuck(&vec![queue([1, 2, 3])]));
        assert!(!oldest.is_stuck(&vec![queue([2, 3])]), "1 was accepted");
        assert!(oldest.is_stuck(&vec![queue([2, 4])]), "3 was reset, for 2 came before it");
        assert!(!oldest.is_stuck(&vec![queue([4])]));
    }

    #[test]
    fn a_busy_queue_that_is_never_empty_is_not_stuck() {
        let mut oldest = Oldest::default();
        for first in 1..500 {
            assert!(!oldest.is_stuck(&vec![queue(first..first + 100)]));
        }
    }

    #[test]
    fn each_queue_has_to_be_stuck() {
        let mut oldest = Oldest::default();
        assert!(!oldest.is_stuck(&vec![queue([1]), queue([])]));
        assert!(!oldest.is_stuck(&vec![queue([1]), queue([2])]));
        assert!(oldest.is_stuck(&vec![queue([1]), queue([2])]));
        assert!(!oldest.is_stuck(&vec![queue([1]), queue([3])]));
        assert!(!oldest.is_stuck(&Vec::new()), "the listeners are gone");
    }
}
