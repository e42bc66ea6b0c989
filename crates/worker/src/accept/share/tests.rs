//! Workers that look at the queue one after the other, in any order.

use proptest::prelude::*;

use super::*;

/// Some workers that share one queue.
struct Stage {
    seats: Vec<Seat>,
    shares: Vec<Share>,
    /// A moment has begun for this worker.
    waits: Vec<bool>,
    queued: u64,
    now: u64,
    clock: Instant,
}

fn instance(index: usize) -> Instance {
    Instance::new(u32::try_from(index).unwrap() + 1).unwrap()
}

impl Stage {
    fn new(connections: &[u64]) -> Self {
        let seat = |connections| Seat { is_accepting: true, connections, last_accept: Duration::ZERO };
        let mut stage = Self {
            seats: connections.iter().map(|connections| seat(*connections)).collect(),
            shares: connections.iter().map(|_| Share::default()).collect(),
            waits: vec![false; connections.len()],
            queued: 0,
            now: 0,
            clock: Instant::now(),
        };
        (0..connections.len()).for_each(|index| stage.rest(index));
        stage
    }

    fn rest(&mut self, index: usize) {
        let workers = self.seats.iter().enumerate().map(|(index, seat)| (instance(index), *seat));
        self.shares[index].rest(self.clock, workers);
    }

    /// This worker looks once, and takes a connection if it is its turn. If it waits, its moment is over.
    fn look(&mut self, index: usize) -> Option<Turn> {
        let moment = if self.waits[index] { Moment::Over } else { Moment::None };
        self.look_in(moment, index)
    }

    /// Like [`look`](Self::look), but because another connection has arrived.
    fn look_early(&mut self, index: usize) -> Option<Turn> {
        let moment = if self.waits[index] { Moment::Runs } else { Moment::None };
        self.look_in(moment, index)
    }

    fn look_in(&mut self, moment: Moment, index: usize) -> Option<Turn> {
        if self.queued == 0 {
            self.waits[index] = false;
            self.rest(index);
            return None;
        }
        let seats = &self.seats;
        let others = (0..seats.len()).filter(|other| *other != index).map(|o| (instance(o), seats[o]));
        let turn = self.shares[index].turn(self.queued, moment, (instance(index), seats[index]), others);
        self.waits[index] = turn == Turn::Theirs || moment == Moment::Runs;
        if turn == Turn::Mine {
            self.queued -= 1;
            self.now += 1;
            self.seats[index].connections += 1;
            self.seats[index].last_accept = Duration::from_millis(self.now);
        }
        Some(turn)
    }

    /// This worker takes its part, until it has to wait.
    fn take(&mut self, index: usize) {
        while self.look(index) == Some(Turn::Mine) {}
    }

    /// Like [`take`](Self::take), but because another connection has arrived.
    fn take_early(&mut self, index: usize) {
        while self.look_early(index) == Some(Turn::Mine) {}
    }

    fn connections(&self) -> Vec<u64> {
        self.seats.iter().map(|seat| seat.connections).collect()
    }
}

#[test]
fn a_burst_is_shared_although_one_comes_first() {
    let mut stage = Stage::new(&[0; 4]);
    stage.queued = 64;
    (0..4).for_each(|index| stage.take(index));
    assert_eq!((stage.connections(), stage.queued), (vec![16; 4], 0));
}

#[test]
fn who_has_fewer_gets_more() {
    let mut stage = Stage::new(&[8, 0, 4, 8]);
    stage.queued = 8;
    [0, 3, 2, 1].into_iter().for_each(|index| stage.take(index));
    assert_eq!((stage.connections(), stage.queued), (vec![8, 6, 6, 8], 0));
}

/// The siblings have idle connections that they have collected for hours.
#[test]
fn a_newcomer_does_not_get_the_whole_herd() {
    for at_once in [70, 1] {
        let mut stage = Stage::new(&[200, 200, 200, 0]);
        for _ in 0..70 / at_once {
            stage.queued = at_once;
            (0..4).for_each(|index| stage.take(index));
            (0..4).for_each(|index| stage.take(index));
        }
        let newcomer = stage.connections()[3];
        assert!((ARREARS..=ARREARS + 70 / 4 + 1).contains(&newcomer), "{at_once}: {:?}", stage.connections());
    }
}

/// In each period it catches up a little.
#[test]
fn in_each_period_a_newcomer_gets_a_little_more() {
    let mut stage = Stage::new(&[200, 0]);
    for _ in 0..20 {
        stage.clock += PERIOD;
        (0..2).for_each(|index| stage.take(index));
        stage.queued = ARREARS;
        (0..2).for_each(|index| stage.take(index));
    }
    assert_eq!(stage.connections(), [200, 20 * ARREARS]);
}

#[test]
fn single_connections_go_round() {
    let mut stage = Stage::new(&[0; 4]);
    for _ in 0..25 {
        stage.queued = 4;
        for index in [3, 1, 2, 0] {
            assert_eq!(stage.look(index), Some(Turn::Mine));
            // The client closes it at once.
            stage.seats[index].connections -= 1;
        }
    }
    let before = stage.seats.clone();
    for round in 0..8 {
        stage.queued = 1;
        let takers: Vec<_> = (0..4).filter(|index| stage.look(*index) == Some(Turn::Mine)).collect();
        takers.iter().for_each(|index| stage.seats[*index].connections -= 1);
        assert_eq!(takers, [[3, 1, 2, 0][round % 4]], "round {round}, {before:?}");
    }
}

/// Number 2 never looks. The others wait for it for four moments, one connection each, and then no longer.
#[test]
fn nobody_waits_long_for_a_dead_sibling() {
    let mut stage = Stage::new(&[0, 0]);
    stage.queued = 100;
    let mut waits = 0;
    while let Some(turn) = stage.look(0) {
        waits += u32::from(turn == Turn::Theirs);
    }
    assert_eq!((stage.connections(), waits), (vec![100, 0], MOMENTS));
    stage.queued = 100;
    while let Some(turn) = stage.look(0) {
        assert_eq!(turn, Turn::Mine, "nor does it wait for the sibling's next connections");
    }
}

#[test]
fn a_sibling_that_comes_back_is_counted_on_again() {
    let mut stage = Stage::new(&[0, 0]);
    stage.queued = 100;
    while stage.look(0).is_some() {}
    stage.seats[1] = Seat { last_accept: Duration::from_secs(1), ..Seat::default() };
    stage.queued = 10;
    assert_eq!(stage.look(0), Some(Turn::Theirs));
    stage.take(1);
    assert_eq!((stage.connections(), stage.queued), (vec![100, 10], 0));
}

/// A slow sibling keeps taking connections, so the others leave it its part.
#[test]
fn a_slow_sibling_that_moves_is_waited_for() {
    let mut stage = Stage::new(&[0, 0]);
    stage.seats[0].connections = 50;
    stage.queued = 40;
    for _ in 0..40 {
        assert_eq!(stage.look(0), Some(Turn::Theirs));
        assert_eq!(stage.look(1), Some(Turn::Mine));
    }
}

#[test]
fn what_comes_meanwhile_is_not_waited_for() {
    let mut stage = Stage::new(&[0, 0]);
    stage.queued = 1;
    assert_eq!(stage.look(1), Some(Turn::Theirs));
    stage.queued = 2;
    assert_eq!(stage.look_early(1), Some(Turn::Mine));
    assert_eq!(stage.look_early(1), Some(Turn::Theirs), "the moment has not ended");
}

/// Only a whole moment shows that a sibling does not move.
#[test]
fn early_looks_are_not_counted() {
    let mut stage = Stage::new(&[0, 0]);
    stage.queued = 1;
    for _ in 0..100 {
        assert_eq!(stage.look_early(1), Some(Turn::Theirs));
    }
    assert_eq!(stage.look(1), Some(Turn::Mine), "the worker waited for the sibling for a moment");
}

/// New connections arrive all the time. The moments in which the others wait for number 2 still end.
#[test]
fn a_dead_sibling_is_given_up_under_load() {
    let mut stage = Stage::new(&[0, 0, 0]);
    let arrivals_in_a_moment = 10;
    for _ in 0..=MOMENTS {
        for _ in 0..arrivals_in_a_moment {
            stage.queued += 1;
            [0, 2].into_iter().for_each(|index| stage.take_early(index));
        }
        [0, 2].into_iter().for_each(|index| stage.take(index));
    }
    let given_up = stage.connections();
    stage.queued += 10;
    [0, 2].into_iter().for_each(|index| stage.take_early(index));
    assert_eq!(stage.queued, 0, "from {given_up:?}");
}

proptest! {
    /// Early looks do not change the shares.
    #[test]
    fn connections_that_come_one_by_one_are_shared_evenly(
        workers in 1..6_usize,
        looks in prop::collection::vec((0..6_usize, 0..3_u64), 1..300),
    ) {
        let mut stage = Stage::new(&vec![0; workers]);
        for (index, come) in looks {
            stage.queued += come;
            stage.look_early(index % workers);
        }
        for _ in 0..2 {
            (0..workers).for_each(|index| stage.take_early(index));
        }
        prop_assert_eq!(stage.queued, 0);
        let after = stage.connections();
        prop_assert!(after.iter().max().unwrap() - after.iter().min().unwrap() <= 1, "{:?}", after);
    }

    /// When each worker has looked twice, in any order, the queue is empty. A worker that took a connection
    /// has at most one more than any other.
    #[test]
    fn all_together_empty_the_queue_evenly_in_two_rounds(
        (connections, order) in prop::collection::vec(0..20_u64, 1..6).prop_flat_map(|connections| {
            let order: Vec<_> = (0..connections.len()).collect();
            (Just(connections), Just(order).prop_shuffle())
        }),
        queued in 0..200_u64,
    ) {
        let mut stage = Stage::new(&connections);
        stage.queued = queued;
        order.iter().chain(&order).for_each(|index| stage.take(*index));
        prop_assert_eq!(stage.queued, 0);
        let after = stage.connections();
        let behind = connections.iter().max().unwrap().saturating_sub(ARREARS);
        let level = |(after, before): (&u64, &u64)| after + behind.saturating_sub(*before);
        let levels = || after.iter().zip(&connections);
        let got = levels().filter(|(after, before)| after > before);
        let most = got.map(level).max().unwrap_or(0);
        let least = levels().map(level).min().unwrap_or(0);
        prop_assert!(most <= least + 1, "{:?} became {:?}", connections, after);
    }

    /// The last worker that is alive empties the queue alone. It waits only a few moments for each of the
    /// others.
    #[test]
    fn one_alone_empties_it_soon(
        connections in prop::collection::vec(0..20_u64, 1..6),
        queued in 1..200_u64,
    ) {
        let mut stage = Stage::new(&connections);
        stage.queued = queued;
        let mut waits = 0;
        while let Some(turn) = stage.look(0) {
            waits += u32::from(turn == Turn::Theirs);
        }
        let others = u32::try_from(connections.len() - 1).unwrap();
        prop_assert!(waits <= MOMENTS * others, "{} moments", waits);
    }
}
