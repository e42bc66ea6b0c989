//! Which workers accept.

use scoreboard::{Slot, monotonic};

use crate::{claim, place, read};

fn numbers(slot: &Slot) -> Vec<u32> {
    slot.siblings().map(|sibling| sibling.instance.number()).collect()
}

#[test]
fn siblings_are_the_others_that_accept() {
    let (_dir, path) = place();
    let [one, two, last] = [1, 2, 512].map(|number| claim(&path, number, "1").unwrap());
    assert_eq!(numbers(&one), [0; 0], "nobody is ready");
    for slot in [&one, &two, &last] {
        slot.ready();
    }
    assert_eq!(numbers(&one), [2, 512]);
    assert_eq!(numbers(&last), [1, 2]);

    two.leave();
    assert_eq!(numbers(&one), [512]);
    two.ready();
    assert_eq!(numbers(&one), [2, 512]);
    two.draining();
    two.ready();
    assert_eq!(numbers(&one), [512], "who drains does not come back");
    drop(last);
    assert_eq!(numbers(&one), [0; 0]);
}

#[test]
fn a_seat_tells_connections_and_the_last_accept() {
    let (_dir, path) = place();
    let [one, two] = [1, 2].map(|number| claim(&path, number, "1").unwrap());
    one.ready();
    let before = monotonic();
    let connections = [one.accepted(), one.accepted()];
    let seat = two.siblings().next().unwrap().seat;
    assert_eq!(seat.connections, 2);
    assert!((before..=monotonic()).contains(&seat.last_accept), "{seat:?}");
    assert_eq!((one.seat(), read(&path, 1).unwrap().seat), (seat, seat));
    drop(connections);
    assert_eq!(one.seat().connections, 0);
    assert_eq!(one.seat().last_accept, seat.last_accept);
}

#[test]
fn a_sibling_that_lives_is_held() {
    let (_dir, path) = place();
    let [one, two] = [1, 2].map(|number| claim(&path, number, "1").unwrap());
    two.ready();
    assert!(one.siblings().all(|sibling| sibling.is_held()));
    assert_eq!(one.siblings().count(), 1);
}
