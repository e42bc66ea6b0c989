//! The orchestrator's effects are performed.

use cluster::effect::{Disk as Task, Effect, Token};
use cluster::input::{Answer, Input, LastWords};
use cluster::numbers::{Compared, Figures};
use names::Instance;

use crate::chaos::Class;
use crate::world::{Item, World};

/// How many answers a worker has given when it is compared with others.
const ANSWERS: u64 = 200;

impl World {
    pub(super) fn perform(&mut self, effect: Effect) {
        let life = self.orchestrator.life;
        match effect {
            Effect::Call(token, call) => {
                self.watch_token(token);
                self.watch_call(&call);
                self.call(token, call);
            }
            Effect::Disk(token, task) => {
                self.watch_token(token);
                self.watch_task(&task);
                self.task(token, task);
            }
            Effect::BeginCount(workers) => self.begin_count(workers),
            Effect::Compare(token, workers) => {
                self.watch_token(token);
                let answer = Box::new(Answer::Compared(self.compare(&workers)));
                let pause = self.rng.pick(&[0, 1_000]);
                self.at(pause, Item::Answer { life, token, answer });
            }
            Effect::EndCount(instance) => self.books.begun.retain(|begun| begun[0].0 != instance),
            Effect::LastWords(token, _) => {
                self.watch_token(token);
                let answer = Box::new(Answer::LastWords(LastWords::default()));
                let pause = self.rng.pick(&[1_000, 50_000, 2_000_000]);
                self.at(pause, Item::Answer { life, token, answer });
            }
            Effect::WhySocketFailed(token) => {
                self.watch_token(token);
                let answer = Box::new(Answer::FailureOf(None));
                self.at(5_000, Item::Answer { life, token, answer });
            }
            Effect::WasStopped(token, instance) => {
                self.watch_token(token);
                let answer = Box::new(Answer::WasStopped(self.systemd.was_stopped(instance.number())));
                self.at(5_000, Item::Answer { life, token, answer });
            }
            Effect::LookAtQueues(token) => {
                self.watch_token(token);
                let answer = Box::new(Answer::Queues(Ok(self.look_at_queues())));
                let pause = self.rng.pick(&[100, 1_000, 2_000_000]);
                self.at(pause, Item::Answer { life, token, answer });
            }
            Effect::Log(line) => self.watch_log(&line),
            Effect::Reply(caller, reply) => self.replied(caller, &reply),
            Effect::Serve => {
                self.orchestrator.is_serving = true;
                self.has_adopted();
            }
            Effect::Announce(rollout) => self.announced(&rollout),
            Effect::Ready => self.orchestrator.is_ready = true,
            Effect::Extend(span) => self.extend(span),
            Effect::Exit => self.exit(),
            Effect::Fail(_) => self.fail(),
            Effect::Properties(told) => self.stopped_beyond(told.desired),
            Effect::Status(_) => {}
        }
    }

    fn task(&mut self, token: Token, task: Task) {
        let is_slow = self.chaos.strikes(&mut self.rng, Class::SlowDisk);
        let takes = if is_slow { self.rng.ms(10, 2_000) } else { self.rng.pick(&[50, 200, 3_000]) };
        let life = self.orchestrator.life;
        if matches!(task, Task::Survey { .. }) {
            self.orchestrator.surveys += 1;
            return self.at(takes, Item::Survey { life, token, task: Box::new(task) });
        }
        let done = (self.now + takes).max(self.orchestrator.last_task);
        self.orchestrator.last_task = done;
        self.orchestrator.tasks.push_back((token, task));
        self.at(done - self.now, Item::Disk { life });
    }

    pub(crate) fn disk_is_done(&mut self) {
        let Some((token, task)) = self.orchestrator.tasks.pop_front() else { return };
        let linked = if let Task::Point(instance, _) = &task { Some(*instance) } else { None };
        let answer = self.disk.perform(task, &mut self.rng, &mut self.chaos);
        linked.into_iter().for_each(|instance| self.watch_linked(instance));
        if matches!(answer, Answer::Done(Err(_))) {
            self.books.note_unsure();
        }
        self.feed(Input::Answer(token, answer));
    }

    /// A survey may take long, so it runs beside the other tasks.
    pub(crate) fn survey_is_done(&mut self, token: Token, task: Task) {
        self.orchestrator.surveys -= 1;
        let answer = self.disk.perform(task, &mut self.rng, &mut self.chaos);
        self.feed(Input::Answer(token, answer));
    }

    fn begin_count(&mut self, workers: Vec<(Instance, u32)>) {
        if let Some((first, _)) = workers.first() {
            let first = *first;
            self.books.begun.retain(|begun| begun[0].0 != first);
            self.books.begun.push(workers);
        }
    }

    /// What the workers have counted since: the new one, and those of the old ones that still run.
    fn compare(&mut self, workers: &[(Instance, u32)]) -> Result<Compared, String> {
        let new = workers.first().ok_or("nobody is to be compared")?;
        self.books.set_wrong(new.0, false);
        if self.chaos.strikes(&mut self.rng, Class::Uncounted) {
            return Err("the scoreboard cannot be read".to_owned());
        }
        let begun = self.books.begun.iter().find(|begun| begun[0].0 == new.0);
        let begun = begun.ok_or("nothing was noted")?.clone();
        let is_there = |worker: &&(Instance, u32)| begun.contains(worker);
        if !is_there(&new) {
            return Err("it is another process".to_owned());
        }
        let mut compared = Compared { new: Figures::default(), old: Figures::default() };
        self.count(new, &mut compared.new);
        for old in workers[1..].iter().filter(is_there) {
            self.count(old, &mut compared.old);
        }
        // A worker with errors answers half of its requests with them. That exceeds the limit beside any old
        // one without.
        let is_worse = compared.new.errors > 0 && compared.old.others > compared.old.errors;
        self.books.set_wrong(new.0, is_worse);
        Ok(compared)
    }

    fn count(&self, (instance, pid): &(Instance, u32), figures: &mut Figures) {
        let service = self.systemd.service(instance.number());
        if service.pid != *pid || *pid == 0 {
            return;
        }
        let errors = if service.errs { ANSWERS / 2 } else { 0 };
        figures.errors += errors;
        figures.others += ANSWERS - errors;
    }
}
