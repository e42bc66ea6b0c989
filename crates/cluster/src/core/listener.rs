//! What the orchestrator does at the start if systemd does not listen. Without a listener no worker can
//! start.

use super::{Cluster, Phase, Purpose};
use crate::effect::{Call, Effect};
use crate::input::SocketState;
use crate::unit::ActiveState;

impl Cluster {
    /// Whether systemd listens. If it does not, the orchestrator ends, and systemd starts it again. systemd
    /// does not retry a failed socket by itself. It also refuses to start a socket while the service of that
    /// socket runs. But it tries the socket at each start of the orchestrator.
    pub(super) fn has_listener(&mut self, socket: &SocketState) -> bool {
        if socket.listens() && !socket.is_masked {
            return true;
        }
        let name = self.names.socket.clone();
        match socket.active {
            _ if socket.is_masked => {
                self.does_not_listen("it is masked", &format!("run `systemctl unmask {name}`"));
            }
            ActiveState::Active => {
                self.call(Call::WasRestarted, Purpose::WasRestarted);
            }
            ActiveState::Failed => {
                let token = self.token(Purpose::WhySocketFailed);
                self.effects.push_back(Effect::WhySocketFailed(token));
            }
            state => {
                self.does_not_listen(
                    &format!("it is {state}"),
                    &format!("`journalctl -u {name}` may say why"),
                );
            }
        }
        false
    }

    fn does_not_listen(&mut self, why: &str, todo: &str) {
        let socket = &self.names.socket;
        self.fail(format!(
            "{socket} does not listen, and no worker runs: {why}; it is tried again every few seconds, {todo}"
        ));
    }

    pub(super) fn socket_has_failed(&mut self, why: Option<String>) {
        if !matches!(self.phase, Phase::Looking(_)) {
            return;
        }
        let socket = &self.names.socket;
        let todo = format!("free the address or change it with `systemctl edit {socket}`");
        self.does_not_listen(why.as_deref().unwrap_or("it has failed"), &todo);
    }

    /// The socket is active and no worker runs, but systemd has lost the listener. systemd drops the listener
    /// when it reads a new address from the unit file while the socket is active. It also loses it if a start
    /// comes before the end of a stop (docs/decisions/0029).
    ///
    /// Only a stop of the socket helps. Only the second start of the orchestrator restarts the target,
    /// because `systemctl start` waits for the end of the first.
    pub(super) fn listen_anew(&mut self, was_restarted: Result<bool, String>) {
        if !matches!(self.phase, Phase::Looking(_)) {
            return;
        }
        let why = self.lost_listener();
        match was_restarted {
            Ok(true) => {
                self.call(Call::RestartTarget, Purpose::RestartTarget);
            }
            Ok(false) => self.fail(format!(
                "{why}: {} is restarted in a few seconds, and then listens where the unit says",
                self.names.target
            )),
            Err(error) => self.fail(format!("{why}: {error}")),
        }
    }

    pub(super) fn target_restarted(&mut self, done: Result<(), String>) {
        let why = self.lost_listener();
        self.fail(match done {
            Ok(()) => {
                format!("{why}: {} is being restarted, to listen where the unit says", self.names.target)
            }
            Err(error) => format!("{why}: {error}"),
        });
    }

    fn lost_listener(&self) -> String {
        format!("{} is active, but systemd has no listener for it, and no worker runs", self.names.socket)
    }
}
