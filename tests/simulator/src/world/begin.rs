//! The world at its beginning: a cluster that runs, one that was stopped, or one that was just installed.

use std::sync::Arc;
use std::time::Duration;

use cluster::backoff::BackoffPolicy;
use cluster::event::OnFailure;
use cluster::history::{Entry, Kind, State};
use cluster::ledger::Pointed;
use cluster::numbers::{Limits, Millionths};
use cluster::release::ReleaseId;
use cluster::settings::Settings;
use names::Instance;

use super::clients::Clients;
use super::people::People;
use super::{BEGIN, EPOCH, Item, Queue, Socket, World};
use crate::bus::Bus;
use crate::chaos::{Chaos, Class};
use crate::disk::Disk;
use crate::laws::{Books, LastDone};
use crate::orchestrator::Orchestrator;
use crate::release::Quality;
use crate::rng::Rng;
use crate::systemd::{Manner, Systemd};

/// The limits, in schedules that have some.
const LIMITS: Limits =
    Limits { max_error_ratio: Some(Millionths(50_000)), max_latency_ratio: None, min_requests: 100 };
/// The time after which no operator interferes any more, in ms.
const CALM: (u64, u64) = (500, 9_000);

impl World {
    pub(crate) fn new(seed: u64, has_trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let mut chaos = Chaos::draw(&mut rng);
        let settings = settings(&mut rng, &mut chaos);
        let manner = manner(&mut rng);
        let first = if rng.below(8) == 0 { Quality::Flaky(100) } else { Quality::Good };
        let clients = Clients::draw(&mut rng);
        let disk = Disk::new(settings, (name("1.0.0"), first));
        let mut world = Self {
            now: BEGIN,
            queue: Queue::default(),
            rng,
            chaos,
            systemd: Systemd::new(manner),
            bus: Bus::default(),
            disk,
            socket: Socket::Listens,
            orchestrator: Orchestrator::default(),
            people: People::default(),
            clients,
            books: Books::default(),
            violation: None,
            outcomes: Vec::new(),
            trace: has_trace.then(Vec::new),
            bound: u64::MAX,
        };
        match world.rng.below(10) {
            0 => {}
            1 => world.had_run(),
            _ => world.runs(),
        }
        if world.chaos.strikes(&mut world.rng, Class::Stranger) {
            let (comes, goes) = (world.rng.pick(&[0, 100_000, 1_000_000]), world.rng.ms(1_000, 3_000));
            world.at(comes, Item::Stranger { is_there: true });
            world.at(goes, Item::Stranger { is_there: false });
        }
        let quiet = world.rng.ms(CALM.0, CALM.1);
        world.at(0, Item::Start { life: 0 });
        let first = world.rng.ms(5, 300);
        world.at(first, Item::People);
        world.at(50_000, Item::Nature);
        world.at(quiet, Item::Quiet);
        world.trace(|world| format!("{:?}, {:?}", world.disk.settings, world.systemd.manner));
        world
    }

    /// The cluster ran before the machine was booted.
    fn had_run(&mut self) {
        let (id, quality) = self.disk.package.clone();
        let older = self.disk.add(name("0.9.0"), Quality::Good, true);
        let current = self.disk.add(id, quality, true);
        self.disk.current = Some(current);
        self.disk.history = Arc::new(vec![self.upgraded(older, current)]);
        self.books.last_done = Some(LastDone { from: older, to: current, kind: Kind::Package, at: 0 });
    }

    /// The orchestrator begins while workers run.
    fn runs(&mut self) {
        self.had_run();
        let Some(current) = self.disk.current else { return };
        let release = self.disk.releases[current].id.clone();
        self.disk.ledger.wanted = Some(self.disk.settings.workers);
        for number in 1..=self.disk.settings.workers {
            let Some(instance) = Instance::new(number) else { continue };
            self.systemd.begin_active(number, Some(current), BEGIN);
            self.disk.links[number as usize] = Some(current);
            let pointed = Pointed { since_usec: 1, release: release.clone(), is_sure: true };
            self.disk.ledger.pointed.insert(instance, vec![pointed]);
        }
    }

    fn upgraded(&self, from: usize, to: usize) -> Entry {
        let id = |at: usize| Some(self.disk.releases[at].id.clone());
        Entry {
            id: 1,
            begun_usec: EPOCH,
            begun_monotonic_usec: 1,
            boot_id: "boot-0".to_owned(),
            ended_usec: Some(EPOCH + 1),
            kind: Kind::Package,
            by: "root".to_owned(),
            from: id(from),
            to: id(to),
            canary: None,
            state: State::Done,
            failure: None,
        }
    }
}

fn settings(rng: &mut Rng, chaos: &mut Chaos) -> Settings {
    let surge = rng.pick(&[0, 1, 1, 1, 2, 3]);
    let max_unavailable = if surge == 0 { rng.pick(&[1, 1, 2]) } else { rng.pick(&[0, 0, 1, 2]) };
    let halts = chaos.has(Class::Halt) && rng.coin();
    let is_short = chaos.has(Class::ShortDeadline) && rng.coin();
    if halts {
        chaos.note(Class::Halt);
    }
    if is_short {
        chaos.note(Class::ShortDeadline);
    }
    let seconds = Duration::from_secs;
    Settings {
        workers: rng.worker(5),
        surge,
        max_unavailable,
        settle: Duration::from_millis(rng.pick(&[200, 1_000])),
        limits: rng.pick(&[Limits::NONE, LIMITS, LIMITS]),
        worker_deadline: rng.pick(&[None, Some(seconds(20)), Some(seconds(4))]),
        deadline: is_short.then(|| Duration::from_millis(rng.between(100, 5_000))),
        on_failure: if halts { OnFailure::Halt } else { OnFailure::Rollback },
        watch: seconds(rng.pick(&[0, 60, 600])),
        keep: rng.index(4) + 1,
        backoff: BackoffPolicy {
            burst: u32::try_from(rng.between(2, 5)).unwrap_or(5),
            window: seconds(rng.pick(&[10, 60])),
            first: seconds(1),
            max: seconds(rng.pick(&[2, 6])),
            stable: seconds(10),
        },
    }
}

fn manner(rng: &mut Rng) -> Manner {
    Manner {
        restart_sec: rng.pick(&[0, 0, 100_000, 1_000_000]),
        start_timeout: rng.pick(&[6_000_000, 6_000_000, 60_000_000]),
        hurries: rng.coin(),
        forgets: rng.coin(),
    }
}

/// A release's name.
pub(super) fn name(name: &str) -> ReleaseId {
    ReleaseId::new(name).unwrap_or_else(|| ReleaseId::at(Duration::ZERO))
}
