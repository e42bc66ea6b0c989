//! One round: what happens, when, and what has to hold at its end.

use std::{
    fmt,
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use promises::{Cluster, Mode, pass, poll};

use super::{
    action::{Action, Outcome},
    chance::Chance,
    laws,
    losses::Losses,
    mending::{self, Mending, Stopped},
};

/// The number of clients, of any kind.
const CLIENTS: u64 = 8;
/// What the clients do: some always open new connections and some keep them, some wait for ever and some do
/// not.
const MODES: [Mode; 4] = [Mode::WithLongGaps, Mode::Newcomers, Mode::Patient, Mode::SlowUploads];
/// How long after the previous action an action begins, in milliseconds.
const PAUSES: [u64; 6] = [0, 0, 100, 300, 1000, 2500];
/// How often the faults are undone while an action has not ended. The action may have caused one in the
/// meantime.
const LOOK: Duration = Duration::from_millis(500);
/// After this time every order has ended or was killed.
const ORDERS: Duration = Duration::from_secs(150);

/// What happens in one round.
#[derive(Debug)]
pub(super) struct Round {
    number: u64,
    mode: Mode,
    /// The delay of each action after the previous one, whether that one has ended or not.
    actions: Vec<(Duration, Action)>,
    /// How long after the start of the last action the faults are undone.
    hold: Duration,
    mending: Mending,
}

impl Round {
    /// Draws a round at random.
    pub(super) fn draw(chance: &mut Chance, number: u64) -> Self {
        let count = chance.pick(&[1, 2, 2, 3]);
        let mut actions: Vec<_> = (1..=count)
            .map(|nth| match nth {
                // Most disturbances matter only while something is in progress.
                1 if count > 1 || chance.coin() => Action::order(chance, &format!("r{number}-{nth}")),
                _ if chance.between(1, 4) == 1 => Action::order(chance, &format!("r{number}-{nth}")),
                _ => Action::disturbance(chance),
            })
            .collect();
        chance.shuffle(&mut actions);
        let mut pause = || Duration::from_millis(chance.pick(&PAUSES));
        let actions = actions.into_iter().map(|action| (pause(), action)).collect();
        let hold = pause();
        Self { number, mode: chance.pick(&MODES), actions, hold, mending: Mending::draw(chance) }
    }

    /// Runs all actions, and undoes the faults. Returns how each action ended, and which law does not hold
    /// afterwards.
    pub(super) fn run(&self, cluster: &Cluster, stopped: &mut Stopped) -> (Vec<Outcome>, Result<(), String>) {
        let load = cluster.load_of(self.mode, CLIENTS);
        let outcomes = self.act(cluster);
        for (_, action) in &self.actions {
            stopped.extend(match action {
                Action::StopWorker(number) => Some(*number),
                _ => None,
            });
        }
        self.mending.start_stopped(cluster, stopped);
        let ended = outcomes.iter().try_for_each(Outcome::has_ended);
        let whole = ended.and_then(|()| laws::hold(cluster, &self.mending, stopped));
        if whole.is_err() {
            return (outcomes, whole);
        }
        let losses = Losses::explained(self.actions.iter().map(|(_, action)| action).zip(&outcomes), CLIENTS);
        let explained = losses.explain(&load.stop());
        (outcomes, explained)
    }

    /// Starts one action after the other, and undoes the faults until all have ended.
    fn act(&self, cluster: &Cluster) -> Vec<Outcome> {
        let begun = Instant::now();
        thread::scope(|scope| {
            let mut running = Vec::new();
            for (after, action) in &self.actions {
                pass(*after);
                running.push(scope.spawn(move || action.carry_out(cluster, begun)));
            }
            pass(self.hold);
            let ended = poll("the end of all actions", ORDERS, || {
                pass(LOOK);
                mending::undo_faults(cluster);
                self.mending.end_pause(cluster);
                let under_way = running.iter().filter(|action| !action.is_finished()).count();
                if under_way == 0 { Ok(()) } else { Err(format!("{under_way} are under way")) }
            });
            // A fault may have begun after the last look.
            mending::undo_faults(cluster);
            ended.expect("timeout(1) ends what does not end");
            let join = |action: ScopedJoinHandle<'_, _>| action.join().expect("an action does not panic");
            running.into_iter().map(join).collect()
        })
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, mode, actions, hold, mending } = self;
        writeln!(f, "round {number} under {mode:?}:")?;
        actions.iter().try_for_each(|(after, action)| writeln!(f, "  {after:?} later: {action}"))?;
        write!(f, "  {hold:?} later: {mending}")
    }
}
