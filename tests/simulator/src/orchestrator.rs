//! The orchestrator: the product's own decisions, and the little around them that carries them out.
//!
//! - `life`: how it starts and ends.
//! - `perform`: how its effects are performed.
//! - `heard`: what it can know.

mod heard;
mod life;
mod perform;

use std::collections::VecDeque;

use cluster::Cluster;
use cluster::effect::{Disk as Task, Token};
use cluster::input::{Input, OwnJob};
use names::Instance;

use self::heard::Heard;
use crate::chaos::Class;
use crate::systemd::STRANGER;
use crate::world::{Item, World};

/// The process that may die.
#[derive(Debug)]
pub(crate) struct Orchestrator {
    pub(crate) core: Option<Cluster>,
    pub(crate) life: u32,
    /// Whether it accepts calls.
    pub(crate) is_serving: bool,
    pub(crate) is_ready: bool,
    /// The job that systemd has for it when it ends.
    pub(crate) own_job: OwnJob,
    pub(crate) was_restarted: bool,
    /// When it got SIGTERM.
    pub(crate) terminated: Option<u64>,
    /// When systemd kills it, if it has not ended by then.
    overdue_at: u64,
    /// The effect at which it is killed, and whether that is after the effect.
    dies_at: Option<(u32, bool)>,
    pub(crate) effects: u32,
    wake: Option<u64>,
    tasks: VecDeque<(Token, Task)>,
    last_task: u64,
    /// How many surveys are under way.
    surveys: u32,
    last_token: Option<Token>,
    heard: [Heard; STRANGER as usize + 1],
    /// The current second, and how many effects it has had.
    second: (u64, u32),
}

impl Default for Orchestrator {
    fn default() -> Self {
        Self {
            core: None,
            life: 0,
            is_serving: false,
            is_ready: false,
            own_job: OwnJob::None,
            was_restarted: false,
            terminated: None,
            overdue_at: u64::MAX,
            dies_at: None,
            effects: 0,
            wake: None,
            tasks: VecDeque::new(),
            last_task: 0,
            surveys: 0,
            last_token: None,
            heard: [Heard::default(); STRANGER as usize + 1],
            second: (0, 0),
        }
    }
}

impl Orchestrator {
    /// Whether no task for the disk is left.
    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.surveys == 0
    }

    /// Whether a task for the disk is left that sets this instance's link.
    pub(crate) fn is_linking(&self, instance: Instance) -> bool {
        self.tasks.iter().any(|(_, task)| matches!(task, Task::Point(of, _) if *of == instance))
    }

    /// It is not killed any more.
    pub(crate) fn spare(&mut self) {
        self.dies_at = None;
    }
}

/// More effects than this in one second are a storm.
const STORM: u32 = 1_500;

impl World {
    /// Gives the orchestrator this input.
    pub(crate) fn feed(&mut self, input: Input) {
        let clock = self.clock();
        if self.orchestrator.core.is_none() {
            return;
        }
        self.trace(|_| format!("-> {input:?}"));
        let is_wake = matches!(input, Input::Wake);
        if let Some(core) = &mut self.orchestrator.core {
            core.handle(clock, input);
        }
        let effects = self.orchestrator.effects;
        self.drain();
        self.set_wake(is_wake && effects == self.orchestrator.effects);
    }

    /// Performs its effects.
    pub(crate) fn drain(&mut self) {
        while let Some(effect) = self.orchestrator.core.as_mut().and_then(Cluster::poll) {
            self.orchestrator.effects += 1;
            self.watch_storm();
            let dies = self.orchestrator.dies_at.filter(|(at, _)| *at == self.orchestrator.effects);
            if let Some((_, false)) = dies {
                self.chaos.note(Class::Death);
                self.trace(|_| format!("killed before {effect:?}"));
                return self.die();
            }
            self.trace(|_| format!("   {effect:?}"));
            self.perform(effect);
            if self.orchestrator.core.is_some() && dies.is_some() {
                self.chaos.note(Class::DeathAfter);
                self.trace(|_| "killed".to_owned());
                return self.die();
            }
        }
    }

    fn set_wake(&mut self, was_idle: bool) {
        let Some(core) = &self.orchestrator.core else { return };
        let wanted = core.next_wake().map(|moment| {
            let usec = u64::try_from(moment.as_micros()).unwrap_or(u64::MAX);
            usec.saturating_add(self.systemd.booted)
        });
        let Some(at) = wanted else {
            self.orchestrator.wake = None;
            return;
        };
        if at <= self.now && was_idle {
            self.violate("no storm", || "it wants to be woken at once and does nothing then".to_owned());
        }
        let at = at.max(self.now);
        if self.orchestrator.wake != Some(at) {
            self.orchestrator.wake = Some(at);
            let is_late = self.chaos.strikes(&mut self.rng, Class::LateWake);
            let late = if is_late { self.rng.ms(1, 500) } else { 0 };
            let life = self.orchestrator.life;
            self.at((at - self.now).saturating_add(late), Item::Wake { life, at });
        }
    }

    pub(crate) fn wake(&mut self, at: u64) {
        if self.orchestrator.wake == Some(at) {
            self.orchestrator.wake = None;
            self.feed(Input::Wake);
        }
    }

    fn watch_storm(&mut self) {
        let second = self.now / 1_000_000;
        let (current, count) = &mut self.orchestrator.second;
        *count = if *current == second { *count + 1 } else { 1 };
        *current = second;
        if *count > STORM {
            self.violate("no storm", || format!("more than {STORM} effects in a second"));
        }
    }

    /// This orchestrator has given a token.
    pub(crate) fn watch_token(&mut self, token: Token) {
        if self.orchestrator.last_token.is_some_and(|last| last >= token) {
            self.violate("no token twice", || format!("{token:?}"));
        }
        self.orchestrator.last_token = Some(token);
    }
}
