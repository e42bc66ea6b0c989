//! Calls to systemd, and what it says.

use cluster::effect::{Call, Token};
use cluster::input::{Answer, EnqueueError, Input, OwnJob, Signal, SocketState};
use cluster::unit::{ActiveState, JobId};
use names::Instance;

use super::{Item, Socket, World};
use crate::bus::{Message, Polkit, unanswered};
use crate::chaos::Class;
use crate::systemd::{STRANGER, Verb, Who};

/// How long a call may go without an answer, in us.
const PATIENCE: u64 = 20_000_000;

impl World {
    /// The orchestrator calls systemd.
    pub(crate) fn call(&mut self, token: Token, call: Call) {
        let life = self.orchestrator.life;
        if !self.bus.is_up {
            let answer = Box::new(unanswered(&call));
            return self.at(0, Item::Answer { life, token, answer });
        }
        self.bus.open.push((token, call));
        self.bus.calls.push_back((token, call));
        let bus = self.bus.number;
        let arrives = (self.now + self.rng.pick(&[100, 300, 1_500])).max(self.bus.last_call);
        self.bus.last_call = arrives;
        self.at(arrives - self.now, Item::Call { bus });
    }

    pub(crate) fn call_arrives(&mut self) {
        let Some((token, call)) = self.bus.calls.pop_front() else { return };
        let needs_polkit = matches!(call, Call::Restart(_) | Call::Stop(_) | Call::RestartTarget);
        match self.bus.polkit {
            Polkit::Hangs if needs_polkit => {
                let life = self.orchestrator.life;
                self.bus.undecided.push((token, call));
                self.at(PATIENCE, Item::TimeOut { life, token });
            }
            Polkit::Refuses if needs_polkit => {
                let why = "Interactive authentication required".to_owned();
                let answer = match call {
                    Call::RestartTarget => Answer::Done(Err(why)),
                    _ => Answer::Enqueued(Err(EnqueueError::Refused(why))),
                };
                self.say(Message::Answer(token, answer));
            }
            _ => {
                let answer = self.act(call);
                self.say(Message::Answer(token, answer));
            }
        }
    }

    /// systemd does what it was called for.
    fn act(&mut self, call: Call) -> Answer {
        match call {
            Call::List => {
                let foreign = self.systemd.has_stranger.then(|| "worker@03.service".to_owned());
                Answer::Listed(Ok((self.systemd.loaded(), foreign.into_iter().collect())))
            }
            Call::Inspect(instance) => {
                let number = instance.number().min(STRANGER);
                Answer::Inspected(Ok(Box::new(self.systemd.info(number, self.now))))
            }
            Call::Restart(instance) => self.enqueue(instance, Verb::Restart),
            Call::Stop(instance) => self.enqueue(instance, Verb::Stop),
            Call::Subscribe => {
                self.bus.is_subscribed = true;
                self.systemd.is_heard = true;
                Answer::Done(Ok(()))
            }
            Call::Socket => Answer::Socket(Ok(SocketState {
                active: if self.socket == Socket::Failed { ActiveState::Failed } else { ActiveState::Active },
                is_masked: false,
                missing: Vec::new(),
                has_any: self.socket == Socket::Listens,
            })),
            Call::OwnJob => Answer::OwnJob(Ok(self.orchestrator.own_job)),
            Call::WasRestarted => Answer::WasRestarted(Ok(self.orchestrator.was_restarted)),
            Call::RestartTarget => {
                let life = self.orchestrator.life;
                self.at(1_000, Item::TargetRestarts { life });
                Answer::Done(Ok(()))
            }
        }
    }

    fn enqueue(&mut self, instance: Instance, verb: Verb) -> Answer {
        let number = instance.number();
        if number > STRANGER {
            return Answer::Enqueued(Err(EnqueueError::Refused("there is no such unit".to_owned())));
        }
        let (systemd, mut env) = self.split();
        let job = systemd.enqueue(number, verb, Who::Orchestrator, &mut env);
        self.trace(|_| format!("systemd: {verb:?} {number}, job {job:?}"));
        Answer::Enqueued(match job {
            Some(job) => Ok(JobId(job)),
            None => Err(EnqueueError::Refused(format!("Unit worker@{number}.service is masked."))),
        })
    }

    /// systemd sends a message.
    pub(crate) fn say(&mut self, message: Message) {
        let is_heard = matches!(message, Message::Answer(..)) || self.bus.is_subscribed;
        if !self.bus.is_up || !is_heard {
            return;
        }
        self.bus.stream.push_back(message);
        let bus = self.bus.number;
        let takes = self.bus.lateness + self.rng.pick(&[0, 100, 200, 1_000]);
        let arrives = (self.now + takes).max(self.bus.last_message);
        self.bus.last_message = arrives;
        self.at(arrives - self.now, Item::Deliver { bus });
    }

    pub(super) fn message_arrives(&mut self) {
        match self.bus.stream.pop_front() {
            Some(Message::Signal(signal)) => {
                if let Signal::Changed(instance, change) = &signal {
                    self.orchestrator.hear_change(*instance, change);
                }
                self.feed(Input::Signal(signal));
            }
            Some(Message::Answer(token, answer)) => {
                // A late answer reaches no caller.
                let Some(call) = self.bus.close(token) else { return };
                if let (Call::Inspect(instance), Answer::Inspected(Ok(info))) = (call, &answer) {
                    self.orchestrator.hear_info(instance, info);
                }
                self.feed(Input::Answer(token, answer));
            }
            None => {}
        }
    }

    /// A call was not answered in time.
    pub(super) fn time_out(&mut self, token: Token) {
        if let Some(call) = self.bus.close(token) {
            self.is_unanswered(token, call);
        }
    }

    fn is_unanswered(&mut self, token: Token, call: Call) {
        if let Call::Stop(instance) = call {
            self.people.claim(instance.number(), self.now);
        }
        self.feed(Input::Answer(token, unanswered(&call)));
    }

    pub(super) fn answer(&mut self, token: Token, answer: Answer) {
        self.feed(Input::Answer(token, answer));
    }

    pub(super) fn connect(&mut self) {
        if self.orchestrator.core.is_none() || self.bus.is_up {
            return;
        }
        self.bus.is_up = true;
        self.bus.is_subscribed = true;
        self.systemd.is_heard = true;
        self.feed(Input::Connected);
    }

    /// The connection breaks.
    pub(super) fn disconnect(&mut self) {
        if !self.bus.is_up {
            return;
        }
        self.note_lost_signals();
        self.bus.cut();
        self.systemd.is_heard = false;
        let (life, pause) = (self.orchestrator.life, self.rng.ms(50, 3_000));
        self.at(pause, Item::Connect { life });
        let mut open = std::mem::take(&mut self.bus.open);
        open.sort_unstable_by_key(|(token, _)| *token);
        self.feed(Input::Disconnected);
        for (token, call) in open {
            self.is_unanswered(token, call);
        }
    }

    /// PID 1 re-executes itself. The messages that it was about to send are lost, and it forgets its
    /// subscribers.
    pub(super) fn reexecute(&mut self) {
        self.note_lost_signals();
        if self.rng.coin() {
            self.bus.lose_signals();
        }
        self.say(Message::Signal(Signal::Reexecuted));
        self.bus.is_subscribed = false;
        self.systemd.is_heard = false;
    }

    /// polkit answers again.
    pub(super) fn decide(&mut self) {
        self.bus.polkit = Polkit::Grants;
        let abandoned = std::mem::take(&mut self.bus.abandoned);
        for (at, (token, call)) in std::mem::take(&mut self.bus.undecided).into_iter().enumerate() {
            let is_awaited = at >= abandoned && self.bus.open.iter().any(|(open, _)| *open == token);
            if is_awaited {
                let answer = self.act(call);
                self.say(Message::Answer(token, answer));
            } else if !self.chaos.is_quiet && self.chaos.has(Class::LateJob) && call != Call::RestartTarget {
                self.chaos.note(Class::LateJob);
                self.people.is_late_job_possible = true;
                self.act(call);
            }
        }
    }

    /// `systemctl restart app-cluster.target`.
    pub(super) fn restart_target(&mut self) {
        self.socket = Socket::Listens;
        for number in 1..=crate::systemd::SIZE {
            if !self.systemd.service(number).is_at_rest() {
                let (systemd, mut env) = self.split();
                systemd.enqueue(number, Verb::Restart, Who::Operator, &mut env);
            }
        }
        self.terminate(OwnJob::Other);
    }
}
