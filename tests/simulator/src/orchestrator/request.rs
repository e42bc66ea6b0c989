//! What people ask of the orchestrator: during a rollout some of it waits until that is over.

use rollout::Event;

use crate::world::World;

/// What people ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request {
    Reload { to: usize },
    Pause,
    Resume,
    Abort,
    Scale(u32),
}

impl World {
    pub(crate) fn ask(&mut self, request: Request) {
        if !self.orchestrator.is_alive {
            return;
        }
        self.trace(|_| format!("somebody: {request:?}"));
        match request {
            Request::Reload { to } if self.orchestrator.running.is_some() => {
                self.orchestrator.queued = Some(to)
            }
            Request::Reload { to } => self.begin(to),
            Request::Pause => self.event(Event::Pause),
            Request::Resume => self.event(Event::Resume),
            Request::Abort => self.event(Event::Abort),
            Request::Scale(desired) if self.orchestrator.running.is_some() => {
                self.orchestrator.scale = Some(desired);
            }
            Request::Scale(desired) => self.disk.desired = desired,
        }
    }
}
