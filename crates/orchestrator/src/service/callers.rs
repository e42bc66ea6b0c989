//! The calls that wait for the cluster's answer. Their number is limited: a client that never stops calling
//! must not fill the orchestrator's memory, nor prevent other clients from calling.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cluster::input::{Caller, Refusal, Reply};
use tokio::sync::oneshot;

/// How many calls may wait.
const MOST: usize = 64;
/// How many calls of one client may wait.
const MOST_OF_ONE: usize = 8;

type Answer = Result<Reply, Refusal>;

/// The waiting calls. The service, which waits, and the runtime, which answers, share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Callers(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    last: u64,
    waiting: HashMap<Caller, oneshot::Sender<Answer>>,
    /// How many calls of each client wait.
    seats: HashMap<String, usize>,
}

/// The right of one call to wait. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    callers: Callers,
    client: String,
}

impl Callers {
    /// Takes a seat for a call of this client. Fails if too many calls are waiting.
    pub(super) fn seat(&self, client: &str) -> Result<Seat, api::Error> {
        let mut state = self.state();
        let of_client = state.seats.get(client).copied().unwrap_or_default();
        if of_client >= MOST_OF_ONE || state.seats.values().sum::<usize>() >= MOST {
            return Err(api::Error::Refused("too many calls are already waiting; try again".to_owned()));
        }
        state.seats.insert(client.to_owned(), of_client + 1);
        Ok(Seat { callers: self.clone(), client: client.to_owned() })
    }

    /// A new caller, and the channel on which its answer arrives.
    pub(super) fn wait(&self) -> (Caller, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        state.last += 1;
        let caller = Caller(state.last);
        state.waiting.insert(caller, answer);
        (caller, answered)
    }

    /// Answers a caller, which may have disconnected meanwhile.
    pub(crate) fn answer(&self, caller: Caller, answer: Answer) {
        if let Some(waiting) = self.state().waiting.remove(&caller) {
            let _ = waiting.send(answer);
        }
    }

    /// Drops all waiting calls without an answer from the cluster.
    pub(crate) fn leave(&self) {
        self.state().waiting.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.callers.state();
        if let Some(count) = state.seats.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                state.seats.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_caller_gets_its_own_answer() {
        let callers = Callers::default();
        let (one, mut first) = callers.wait();
        let (other, mut second) = callers.wait();
        callers.answer(other, Ok(Reply::Done));
        callers.answer(other, Ok(Reply::Wanted(4)));
        callers.answer(one, Ok(Reply::Rollout(7)));
        assert_eq!(first.try_recv().unwrap(), Ok(Reply::Rollout(7)));
        assert_eq!(second.try_recv().unwrap(), Ok(Reply::Done));
    }

    #[test]
    fn one_client_cannot_keep_the_others_from_being_heard() {
        let callers = Callers::default();
        let mut seats: Vec<_> = (0..MOST_OF_ONE).map(|_| callers.seat(":1.1").unwrap()).collect();
        assert_eq!(
            callers.seat(":1.1").unwrap_err().message(),
            "too many calls are already waiting; try again"
        );
        seats.push(callers.seat(":1.2").unwrap());
        seats.remove(0);
        callers.seat(":1.1").unwrap();
    }

    #[test]
    fn only_so_many_wait() {
        let callers = Callers::default();
        let seats: Vec<_> = (0..MOST).map(|n| callers.seat(&format!(":1.{n}")).unwrap()).collect();
        assert!(callers.seat(":1.1000").is_err());
        drop(seats);
        assert!(callers.seat(":1.1000").is_ok());
    }
}
