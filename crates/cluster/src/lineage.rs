//! Which release is the way back, and which ones may be removed. The rollouts of the past decide both.

/// A rollout of the past: what it says about releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past<'a, Id> {
    /// The release that the workers ran before. None if there was none, or if it stayed.
    pub from: Option<&'a Id>,
    /// The release that the workers were brought to.
    pub to: Option<&'a Id>,
    /// Every worker was replaced.
    pub is_done: bool,
    /// It was a rollback by an operator, or an undo by the orchestrator.
    pub is_way_back: bool,
}

/// The rollouts of the past, and what follows from them for releases.
#[derive(Debug, Clone)]
pub struct Lineage<'a, Id> {
    /// The oldest first.
    past: Vec<Past<'a, Id>>,
    /// The order in which the releases came, the oldest first.
    known: Vec<&'a Id>,
    /// The releases that a rollback or undo has left, and that no rollout has brought back.
    left: Vec<&'a Id>,
}

/// A release on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnDisk<'a, Id> {
    /// Its name.
    pub id: &'a Id,
    /// The last rollout to it was given up.
    pub is_rejected: bool,
    /// It is current, a worker runs it, or a rollout to it is under way or waits.
    pub is_in_use: bool,
    /// `rollback` may go to it: it was not given up, and it can run.
    pub is_usable: bool,
}

impl<'a, Id: Eq> FromIterator<Past<'a, Id>> for Lineage<'a, Id> {
    fn from_iter<T: IntoIterator<Item = Past<'a, Id>>>(past: T) -> Self {
        let past: Vec<_> = past.into_iter().collect();
        let mut ages = Ages::default();
        past.iter().for_each(|rollout| ages.note(rollout));
        Self { past, known: ages.known, left: ages.left }
    }
}

/// The order in which releases came, as far as the rollouts show.
struct Ages<'a, Id> {
    /// The oldest first.
    known: Vec<&'a Id>,
    left: Vec<&'a Id>,
}

impl<Id> Default for Ages<'_, Id> {
    fn default() -> Self {
        Self { known: Vec::new(), left: Vec::new() }
    }
}

impl<'a, Id: Eq> Ages<'a, Id> {
    fn note(&mut self, rollout: &Past<'a, Id>) {
        let Some(to) = rollout.to else { return };
        // A release may have run before without a known rollout, as after a cold start. It is newer than all
        // known ones.
        if let Some(from) = rollout.from.filter(|from| !self.known.contains(from)) {
            self.known.push(from);
        }
        match self.known.iter().position(|known| *known == to) {
            // The target of a way back is older than all known releases.
            None if rollout.is_way_back => self.known.insert(0, to),
            None => self.known.push(to),
            // A release was deployed again under its name.
            Some(at) if rollout.is_done && !rollout.is_way_back && rollout.from.is_some() => {
                self.known.remove(at);
                self.known.push(to);
            }
            Some(_) => {}
        }
        if rollout.is_done {
            if rollout.is_way_back {
                self.leave(rollout.from, to);
            }
            self.left.retain(|left| *left != to);
        }
    }

    /// Marks `from` and all releases between it and `to` as left. A rollback by name may also go forward,
    /// which leaves no release.
    fn leave(&mut self, from: Option<&'a Id>, to: &'a Id) {
        let at = |id| self.known.iter().position(|known| *known == id);
        let (Some(from), Some(to)) = (from.and_then(at), at(to)) else { return };
        self.left.extend(self.known.get(to + 1..=from).unwrap_or_default());
    }
}

impl<'a, Id: Eq> Lineage<'a, Id> {
    /// The releases to go back to from the current one, the best first. A rollout brought them to every
    /// worker, or they ran before the current one did. A release that a rollback left is not among them: to
    /// go back twice is to go back further, even if the rollback that made the current one so ended halfway.
    pub fn before(&self, current: &Id) -> impl Iterator<Item = &'a Id> {
        let good = self.past.iter().rev().filter_map(move |past| match past.to {
            Some(to) if to == current => {
                past.from.filter(|from| !(past.is_way_back && self.is_newer(from, to)))
            }
            to if past.is_done => to,
            _ => None,
        });
        good.filter(move |id| *id != current && !self.was_left(id))
    }

    fn is_newer(&self, id: &Id, than: &Id) -> bool {
        let at = |id: &Id| self.known.iter().position(|known| *known == id);
        at(id) > at(than)
    }

    /// The last rollout in which every worker ran this release, by its index. None if there was no such
    /// rollout.
    pub fn last_served(&self, id: &Id) -> Option<usize> {
        self.past.iter().rposition(|past| past.from == Some(id) || (past.is_done && past.to == Some(id)))
    }

    /// The releases to remove so that `keep` of those on disk are left. `on_disk` has the oldest first. A
    /// release in use stays, and so does the way back from the current release. Releases that were given up
    /// go first, then those that never served, then those that have not served for longest.
    pub fn surplus(&self, on_disk: &[OnDisk<'a, Id>], current: &Id, keep: usize) -> Vec<&'a Id> {
        let is_usable = |id: &&Id| on_disk.iter().any(|release| release.id == *id && release.is_usable);
        let way_back = self.before(current).find(is_usable);
        let may_go = |release: &&OnDisk<'a, Id>| !release.is_in_use && Some(release.id) != way_back;
        let mut surplus: Vec<_> = on_disk.iter().filter(may_go).collect();
        surplus.sort_by_key(|release| (!release.is_rejected, self.last_served(release.id)));
        surplus.into_iter().map(|release| release.id).take(on_disk.len().saturating_sub(keep)).collect()
    }

    /// Whether the last known rollout that concerned this release went back from it, or past it. Only an
    /// operator brings such a release back.
    pub fn was_left(&self, id: &Id) -> bool {
        self.left.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rollout = (Option<&'static str>, &'static str, bool, bool);

    const FIRST: Rollout = (None, "a", true, false);
    const SECOND: Rollout = (Some("a"), "b", true, false);
    const RELOAD: Rollout = (None, "b", true, false);

    struct Rollouts(Vec<Rollout>);

    fn past(rollouts: &[Rollout]) -> Rollouts {
        Rollouts(rollouts.to_vec())
    }

    impl Rollouts {
        fn lineage(&self) -> Lineage<'_, &'static str> {
            let past = self.0.iter().map(|(from, to, is_done, is_way_back)| Past {
                from: from.as_ref(),
                to: Some(to),
                is_done: *is_done,
                is_way_back: *is_way_back,
            });
            past.collect()
        }

        fn before(&self, current: &'static str) -> Vec<&'static str> {
            let mut seen = Vec::new();
            for id in self.lineage().before(&current) {
                if !seen.contains(id) {
                    seen.push(*id);
                }
            }
            seen
        }

        /// The releases to remove of those on disk, which come with the oldest first. `!` marks one that was
        /// given up, `*` one in use, `-` one that cannot run.
        fn surplus(&self, on_disk: &[&'static str], current: &'static str, keep: usize) -> Vec<&'static str> {
            let names: Vec<&str> =
                on_disk.iter().map(|name| name.trim_start_matches(['!', '*', '-'])).collect();
            let on_disk: Vec<_> = on_disk
                .iter()
                .zip(&names)
                .map(|(marked, id)| OnDisk {
                    id,
                    is_rejected: marked.starts_with('!'),
                    is_usable: !marked.contains(['!', '-']),
                    is_in_use: marked.contains('*') || *id == current,
                })
                .collect();
            self.lineage().surplus(&on_disk, &current, keep).into_iter().copied().collect()
        }
    }

    #[test]
    fn the_way_back_is_the_release_before() {
        assert_eq!(past(&[]).before("a"), [""; 0]);
        assert_eq!(past(&[FIRST]).before("a"), [""; 0]);
        assert_eq!(past(&[FIRST, SECOND, RELOAD]).before("b"), ["a"]);
        assert_eq!(past(&[SECOND]).before("b"), ["a"], "known as where b came from");
    }

    #[test]
    fn a_release_that_was_given_up_is_no_way_back() {
        let tried = past(&[FIRST, SECOND, (Some("b"), "c", false, false)]);
        assert_eq!(tried.before("b"), ["a"]);
        assert_eq!(tried.before("c"), ["b", "a"], "c is current nevertheless");
    }

    #[test]
    fn to_go_back_twice_is_to_go_back_further() {
        let third = (Some("b"), "c", true, false);
        let back = past(&[FIRST, SECOND, third, (Some("c"), "b", true, true)]);
        assert_eq!(back.before("b"), ["a"]);
        let further =
            past(&[FIRST, SECOND, third, (Some("c"), "b", true, true), (Some("b"), "a", true, true)]);
        assert_eq!(further.before("a"), [""; 0], "both were left");
    }

    #[test]
    fn a_way_back_that_ended_halfway_leads_no_way_forward() {
        let halfway = past(&[FIRST, SECOND, (Some("b"), "c", false, false), (Some("c"), "b", false, true)]);
        assert_eq!(halfway.before("b"), ["a"], "b is current, and some workers still run c");
    }

    #[test]
    fn what_was_left_is_good_again_when_it_is_brought_back() {
        let left = [FIRST, SECOND, (Some("b"), "a", true, true)];
        assert_eq!(past(&left).before("a"), [""; 0]);
        let forward = [&left[..], &[(Some("a"), "b", true, true)]].concat();
        assert_eq!(past(&forward).before("b"), ["a"], "a rollback by name went forward");
        let deployed = [&left[..], &[(Some("a"), "b", true, false), (Some("b"), "c", true, false)]].concat();
        assert_eq!(past(&deployed).before("c"), ["b", "a"]);
    }

    #[test]
    fn to_go_back_past_a_release_leaves_it_too() {
        let third = (Some("b"), "c", true, false);
        assert_eq!(past(&[FIRST, SECOND, third, (Some("c"), "a", true, true)]).before("a"), [""; 0]);
    }

    #[test]
    fn a_release_of_which_no_rollout_is_known_is_older_if_somebody_goes_back_to_it() {
        let only = past(&[(Some("v2"), "v1", true, true)]);
        assert!(only.lineage().was_left(&"v2") && !only.lineage().was_left(&"v1"));
        let forgotten = past(&[RELOAD, RELOAD, (Some("b"), "a", true, true)]);
        assert!(forgotten.lineage().was_left(&"b"));
        let again = past(&[(Some("v2"), "v1", true, true), (Some("v1"), "v2", true, true)]);
        assert!(!again.lineage().was_left(&"v2"), "a rollback by name went forward");
        assert_eq!(again.before("v2"), ["v1"]);
    }

    #[test]
    fn what_cannot_run_is_no_way_back_to_be_kept() {
        let rollouts = past(&[FIRST, SECOND, (Some("b"), "c", true, false)]);
        assert_eq!(rollouts.surplus(&["a", "-b", "c"], "c", 2), ["b"]);
    }

    #[test]
    fn a_way_back_that_failed_leaves_nothing() {
        let failed = past(&[FIRST, SECOND, (Some("b"), "a", false, true)]);
        assert_eq!(failed.before("b"), ["a"]);
    }

    #[test]
    fn releases_that_were_given_up_go_before_good_ones() {
        let rollouts = past(&[FIRST, SECOND]);
        assert_eq!(rollouts.surplus(&["a", "b", "!c", "!d", "!e"], "b", 3), ["c", "d"]);
        assert_eq!(
            rollouts.surplus(&["a", "b", "!c", "!d", "!e"], "b", 1),
            ["c", "d", "e"],
            "a is the way back"
        );
    }

    #[test]
    fn the_release_that_has_not_served_for_longest_goes_first() {
        let rollouts = past(&[FIRST, SECOND, (Some("b"), "a", true, true), (Some("a"), "c", true, false)]);
        assert_eq!(rollouts.surplus(&["a", "x", "b", "c"], "c", 3), ["x"], "it was never rolled out");
        assert_eq!(rollouts.surplus(&["a", "x", "b", "c"], "c", 2), ["x", "b"], "a has served since");
    }

    #[test]
    fn what_is_in_use_stays() {
        let rollouts = past(&[FIRST, SECOND]);
        assert_eq!(rollouts.surplus(&["*x", "!*y", "a", "b"], "b", 0), [""; 0]);
        assert_eq!(rollouts.surplus(&["x", "a", "b"], "b", 3), [""; 0]);
    }
}
