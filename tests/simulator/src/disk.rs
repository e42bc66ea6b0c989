//! What is on disk, and what happens to it.

use std::sync::Arc;

use cluster::effect::Disk as Task;
use cluster::history::Entry;
use cluster::input::{Answer, Found, Opened, Survey};
use cluster::ledger::Ledger;
use cluster::release::ReleaseId;
use cluster::settings::Settings;
use names::Instance;

use crate::chaos::{Chaos, Class};
use crate::release::{Quality, Release};
use crate::rng::Rng;
use crate::systemd::STRANGER;

/// What is on disk.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) history: Arc<Vec<Entry>>,
    pub(crate) ledger: Ledger,
    /// Indexed by the number of the instance.
    pub(crate) links: [Option<usize>; STRANGER as usize + 1],
    pub(crate) current: Option<usize>,
    /// All releases that were ever on disk, the oldest first.
    pub(crate) releases: Vec<Release>,
    /// The release that the package brings.
    pub(crate) package: (ReleaseId, Quality),
    pub(crate) settings: Settings,
    pub(crate) is_configuration_valid: bool,
    pub(crate) boot: u32,
    pub(crate) is_boot_known: bool,
    /// For the laws: what does not say all that this orchestrator knows.
    pub(crate) behind: Behind,
    /// Instances whose link could not be set when that was last asked for; as bits.
    pub(crate) stuck: u16,
    /// An orchestrator began with less than its predecessor knew.
    has_lost: bool,
}

/// Files that are lost, or that could not be written. The next write of one says all that the orchestrator knows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Behind {
    history: bool,
    ledger: bool,
    current: bool,
    /// It was not known which boot this is. A rollout that began meanwhile does not say it.
    boot: bool,
}

impl Behind {
    /// What this task writes, if it is knowledge.
    fn of(&mut self, task: &Task) -> Option<&mut bool> {
        match task {
            Task::History(_) => Some(&mut self.history),
            Task::Ledger(_) => Some(&mut self.ledger),
            Task::MakeCurrent(_) => Some(&mut self.current),
            _ => None,
        }
    }

    fn is_any(self) -> bool {
        self.history || self.ledger || self.current || self.boot
    }
}

impl Disk {
    /// An empty disk, and what the package brings.
    pub(crate) fn new(settings: Settings, package: (ReleaseId, Quality)) -> Self {
        Self {
            history: Arc::default(),
            ledger: Ledger::default(),
            links: [None; STRANGER as usize + 1],
            current: None,
            releases: Vec::new(),
            package,
            settings,
            is_configuration_valid: true,
            boot: 1,
            is_boot_known: true,
            behind: Behind::default(),
            stuck: 0,
            has_lost: false,
        }
    }

    /// The release that a process of this instance executes if it starts now.
    pub(crate) fn executed_by(&self, worker: u32) -> Option<usize> {
        let can_run = |at: &usize| self.releases[*at].is_on_disk && self.releases[*at].is_runnable;
        self.links[worker as usize].filter(can_run)
    }

    pub(crate) fn find(&self, id: &ReleaseId) -> Option<usize> {
        self.releases.iter().rposition(|release| release.id == *id)
    }

    /// Puts another release on disk.
    pub(crate) fn add(&mut self, id: ReleaseId, quality: Quality, is_packaged: bool) -> usize {
        let (is_on_disk, is_rejected, is_runnable) = (true, false, true);
        self.releases.push(Release { id, quality, is_packaged, is_on_disk, is_rejected, is_runnable });
        self.releases.len() - 1
    }

    pub(crate) fn boot_id(&self) -> Result<String, String> {
        match self.is_boot_known {
            true => Ok(format!("boot-{}", self.boot)),
            false => Err("/run is full".to_owned()),
        }
    }

    /// Does what is asked for, or fails.
    pub(crate) fn perform(&mut self, task: Task, rng: &mut Rng, chaos: &mut Chaos) -> Answer {
        let is_read = matches!(task, Task::Open | Task::Settings | Task::Survey { .. });
        let fails = !is_read && chaos.strikes(rng, Class::WriteFails);
        if let Some(is_behind) = self.behind.of(&task) {
            *is_behind = fails;
        }
        if let Task::Point(instance, _) = &task {
            let bit = 1 << instance.number();
            self.stuck = if fails { self.stuck | bit } else { self.stuck & !bit };
        }
        if fails {
            return Answer::Done(Err("the disk is full".to_owned()));
        }
        match task {
            Task::Open => return Answer::Opened(Box::new(self.open())),
            Task::Settings if !self.is_configuration_valid => {
                return Answer::Settings(Err("app-cluster.toml:3:1: it is invalid".to_owned()));
            }
            Task::Settings => return Answer::Settings(Ok(self.settings)),
            Task::Survey { stages_package, current } => {
                return Answer::Surveyed(Ok(Box::new(self.survey(stages_package, current))));
            }
            Task::History(entries) => self.history = entries,
            Task::Ledger(ledger) => self.ledger = ledger,
            Task::Point(instance, id) => {
                let Some(at) = self.find(&id) else {
                    return Answer::Done(Err(format!("there is no release {id}")));
                };
                self.links[instance.number() as usize] = Some(at);
            }
            Task::MakeCurrent(id) => self.current = self.find(&id),
            Task::Reject(id) => self.mark(&id, |release| release.is_rejected = true),
            Task::Accept(id) => self.mark(&id, |release| release.is_rejected = false),
            Task::Remove(ids) => {
                ids.iter().for_each(|id| self.mark(id, |release| release.is_on_disk = false));
            }
            Task::Unlink(kept) => {
                for number in 1..=STRANGER {
                    if !Instance::new(number).is_some_and(|instance| kept.contains(&instance)) {
                        self.links[number as usize] = None;
                    }
                }
            }
        }
        Answer::Done(Ok(()))
    }

    fn mark(&mut self, id: &ReleaseId, mark: impl FnOnce(&mut Release)) {
        if let Some(at) = self.find(id) {
            mark(&mut self.releases[at]);
        }
    }

    fn open(&self) -> Opened {
        let link = |number: u32| {
            let at = self.links[number as usize]?;
            Some((Instance::new(number)?, self.releases[at].id.clone()))
        };
        Opened {
            history: self.history.to_vec(),
            ledger: self.ledger.clone(),
            links: (1..=STRANGER).filter_map(link).collect(),
        }
    }

    fn survey(&mut self, stages_package: bool, current: Option<ReleaseId>) -> Survey {
        let packaged = self.packaged(stages_package, current);
        let found = |release: &Release| Found {
            id: release.id.clone(),
            is_rejected: release.is_rejected,
            runnable: if release.is_runnable { Ok(()) } else { Err("it was moved away".to_owned()) },
        };
        Survey {
            current: self.current.map(|at| self.releases[at].id.clone()),
            releases: self.releases.iter().filter(|release| release.is_on_disk).map(found).collect(),
            packaged: packaged.map(Ok),
            boot_id: self.boot_id(),
        }
    }

    /// The release that the package brings, unless it is current or another one was deployed.
    fn packaged(&mut self, stages: bool, current: Option<ReleaseId>) -> Option<ReleaseId> {
        let known = current.and_then(|id| self.find(&id)).or(self.current);
        let (id, quality) = self.package.clone();
        if known.is_some_and(|at| !self.releases[at].is_packaged || self.releases[at].id == id) {
            return None;
        }
        let is_there = self.find(&id).is_some_and(|at| self.releases[at].is_on_disk);
        if !is_there && stages {
            self.add(id.clone(), quality, true);
        }
        (is_there || stages).then_some(id)
    }

    /// The orchestrator was killed before this was done.
    pub(crate) fn leave(&mut self, task: &Task) {
        if let Some(is_behind) = self.behind.of(task) {
            *is_behind = true;
        }
    }

    /// A file that the orchestrator relies on is lost.
    pub(crate) fn lose(&mut self, class: Class) {
        match class {
            Class::LostLedger => (self.ledger, self.behind.ledger) = (Ledger::default(), true),
            Class::LostCurrent => (self.current, self.behind.current) = (None, true),
            _ => (self.is_boot_known, self.behind.boot) = (false, true),
        }
    }

    /// An orchestrator reads what is there. Returns whether it does not know all that its predecessor knew.
    pub(crate) fn begin(&mut self) -> bool {
        let is_less = std::mem::take(&mut self.behind).is_any();
        self.has_lost |= is_less;
        is_less
    }

    /// Whether something is lost, so that the orchestrator, or the disk, does not know it.
    pub(crate) fn has_lost(&self) -> bool {
        self.has_lost || self.behind.is_any()
    }

    /// The machine boots, and what is in /run is gone.
    pub(crate) fn boot(&mut self) {
        self.boot += 1;
        (self.is_boot_known, self.behind.boot) = (true, false);
        (self.ledger, self.behind.ledger) = (Ledger::default(), false);
        self.links = [None; STRANGER as usize + 1];
    }
}
