//! Attacking clients: no other client loses a request, and no worker crashes. No worker takes more memory
//! than docs/reference/worker.md says, or keeps it afterwards.

use std::time::{Duration, Instant};

use attacker::Report;
use promises::{Attack, Background, Cluster, DEADLINE, Mode, Process, Suite, ci_or_full, wait_for};

promises::in_one_suite!(
    trixie:
    slow_loris,
    heads_of_a_mebibyte,
    garbage,
    half_open_connections,
    ten_thousand_connects_a_second,
    calls_without_end,
);

/// The other clients: some keep their connections, some always open new ones.
const LOADS: [Mode; 2] = [Mode::Calm, Mode::Newcomers];

/// How long an attack takes. All its clients are connected within the first second, so a short attack shows
/// the same as a long one. Only the long one shows what adds up over a minute.
fn seconds() -> u64 {
    ci_or_full(4, 60)
}

fn slow_loris(suite: Suite) {
    let attack = Harm { attack: Attack::SlowLoris, clients: 2000, each_kib: http1(1) };
    let report = attack.harms_nobody(suite);
    // The beginning of a head has 46 bytes, and about one byte arrives per second.
    let each = ci_or_full(47, 50);
    assert!(report.connected >= attack.clients && report.sent > report.connected * each, "{report}");
}

fn heads_of_a_mebibyte(suite: Suite) {
    let attack = Harm { attack: Attack::HugeHeads, clients: 50, each_kib: http1(64) };
    let report = attack.harms_nobody(suite);
    // At the end each client has a head in progress.
    let ended = report.connected.saturating_sub(attack.clients);
    assert!(report.connected >= attack.clients * 2 && report.answered * 10 > ended * 9, "{report}");
}

fn garbage(suite: Suite) {
    // This garbage makes the worker keep one head at a time.
    let attack = Harm { attack: Attack::Garbage, clients: 100, each_kib: http2(64, 1) };
    let report = attack.harms_nobody(suite);
    // Each client must do so repeatedly. In a shorter attack that is less often.
    let least = ci_or_full(5, 10) * attack.clients;
    assert!(report.connected >= least && report.answered > report.connected / 2, "{report}");
}

fn half_open_connections(suite: Suite) {
    let attack = Harm { attack: Attack::HalfOpen, clients: 2000, each_kib: http1(1) };
    let report = attack.harms_nobody(suite);
    assert!(report.connected >= attack.clients, "{report}");
}

fn ten_thousand_connects_a_second(suite: Suite) {
    let attack = Harm { attack: Attack::Flood, clients: 2000, each_kib: http1(1) };
    // Other programs that need the CPU slow the attackers down, as they do the workers.
    let is_hard = (0..3).any(|_| attack.harms_nobody(suite).connected_per_second() >= 3000);
    assert!(is_hard, "the attackers got too little of the CPUs");
}

/// Four users of the machine call the orchestrator as fast as the bus takes the calls.
fn calls_without_end(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n[rollout]\nsettle = \"500ms\"\n");
    let reload = || {
        let begun = Instant::now();
        cluster.reload();
        begun.elapsed()
    };
    let calm = reload();
    let pid = cluster.show("app-cluster.service", "MainPID");
    let orchestrator = Process::of(&cluster, pid.parse().expect("it runs"));
    orchestrator.forget_peak();
    let users = ["nobody", "daemon", "www-data", "app-cluster-worker"];
    // The calls of two users carry descriptors, as many as a message may have.
    let descriptors = [0, 16, 0, 16];
    let floods = users.iter().zip(descriptors).map(|(user, count)| cluster.flood_with_calls(user, count));
    let floods: Vec<_> = floods.collect();
    let mut reloads = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(ci_or_full(5, 60)) {
        reloads.push(reload());
    }
    let peak = orchestrator.peak_kib();
    println!("{suite}: a reload took {calm:?}, and in the flood {reloads:?}; {peak} KiB");
    floods.into_iter().for_each(Background::kill);
    assert_eq!(cluster.show("app-cluster.service", "MainPID"), pid, "the orchestrator was restarted");
    assert!(peak < 16 * 1024, "{peak} KiB");
    // Other programs that need the CPU slow single reloads down.
    let fastest = reloads.iter().min().expect("one at least");
    assert!(*fastest < 2 * calm, "{calm:?} without, {reloads:?} in the flood");
    cluster.until_whole();
}

/// An attack and the memory that it may cost.
struct Harm {
    attack: Attack,
    clients: u64,
    /// What a worker may need for each connection.
    each_kib: u64,
}

impl Harm {
    #[track_caller]
    fn harms_nobody(&self, suite: Suite) -> Report {
        let attack = self.attack;
        let cluster = Cluster::installed(suite);
        let mut loads = LOADS.map(|mode| cluster.load(mode));
        loads.iter_mut().for_each(|load| load.until(200));
        let before = cluster.workers();
        let memory = Memory::of(&cluster);

        let mut connections = 0;
        let report = cluster.attack(attack, self.clients, seconds(), || {
            connections = connections.max(cluster.most_connections());
        });

        println!("{suite}, {attack}: {report}");
        let (peak, promised) = (memory.peak_kib(), 4 * 1024 + connections * self.each_kib);
        assert!(peak <= promised, "{peak} KiB for {connections} connections, promised are {promised}");
        loads.iter_mut().for_each(|load| load.until_more(200));
        let after = memory.until_given_back();
        println!(
            "{suite}, {attack}: {:?} KiB before, {peak} with {connections} connections ({promised} promised), {after:?} after",
            memory.before
        );
        for (load, mode) in loads.into_iter().zip(LOADS) {
            let report = load.loses_nothing();
            let (p99, max) = (report.latency.p99_us, report.latency.max_us);
            println!(
                "{suite}, {attack}: {mode:?}: {} answered, 0 lost, p99 {p99} µs, max {max} µs",
                report.ok
            );
        }
        assert_eq!(cluster.workers(), before, "a worker was restarted");
        cluster.assert_socket_is_whole();
        report
    }
}

/// The memory of an HTTP/1.1 connection according to docs/reference/worker.md, if its client sends heads of this many
/// KiB.
fn http1(head: u64) -> u64 {
    40 + 4 * head
}

/// The same for an HTTP/2 connection with this many heads at once.
fn http2(head: u64, heads: u64) -> u64 {
    40 + 1024 + heads * (5 * head + 64)
}

/// The resident memory of the four workers.
struct Memory {
    processes: Vec<Process>,
    before: Vec<u64>,
}

impl Memory {
    /// Measured from now on.
    #[track_caller]
    fn of(cluster: &Cluster) -> Self {
        let processes: Vec<_> = cluster.pids().values().map(|pid| Process::of(cluster, *pid)).collect();
        processes.iter().for_each(|process| process.forget_peak());
        let before = processes.iter().map(|process| process.resident_kib()).collect();
        Self { processes, before }
    }

    /// The highest value of any worker.
    fn peak_kib(&self) -> u64 {
        self.processes.iter().map(|process| process.peak_kib()).max().unwrap_or(0)
    }

    /// Waits until all of them are nearly as small as before.
    #[track_caller]
    fn until_given_back(&self) -> Vec<u64> {
        const NEARLY_KIB: u64 = 2 * 1024;
        wait_for("memory to be given back", DEADLINE, || {
            let now: Vec<_> = self.processes.iter().map(|process| process.resident_kib()).collect();
            let is_back = self.before.iter().zip(&now).all(|(before, now)| *now <= before + NEARLY_KIB);
            if is_back { Ok(now) } else { Err(format!("{now:?} KiB, and before {:?}", self.before)) }
        })
    }
}
