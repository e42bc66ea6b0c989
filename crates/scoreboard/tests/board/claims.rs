//! Which process gets a slot.

use std::sync::Barrier;
use std::thread;

use scoreboard::Error;

use crate::{claim, place};

#[test]
fn a_slot_is_taken_by_this_process_too() {
    let (_dir, path) = place();
    let slot = claim(&path, 1, "1").unwrap();
    let clone = slot.clone();
    drop(slot);
    assert!(matches!(claim(&path, 1, "1").unwrap_err(), Error::Taken { .. }));
    let connection = clone.accepted();
    drop(clone);
    assert!(matches!(claim(&path, 1, "1").unwrap_err(), Error::Taken { .. }), "a connection counts on it");
    drop(connection);
    assert!(claim(&path, 1, "1").is_ok());
}

#[test]
fn of_many_that_claim_a_slot_at_once_one_gets_it() {
    let (_dir, path) = place();
    for round in 0..20 {
        let start = Barrier::new(16);
        let claims: Vec<_> = thread::scope(|scope| {
            let claimant = |number: u32| {
                let (start, path) = (&start, &path);
                move || {
                    start.wait();
                    claim(path, 1 + number / 4, "1")
                }
            };
            let threads: Vec<_> = (0..16).map(|number| scope.spawn(claimant(number))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut taken: Vec<_> = claims.iter().flatten().map(|slot| slot.instance().number()).collect();
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 3, 4], "round {round}");
        let refused = claims.iter().filter(|claim| matches!(claim, Err(Error::Taken { .. }))).count();
        assert_eq!(refused, 12, "round {round}");
    }
}
