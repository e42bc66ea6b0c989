//! systemd over D-Bus: the only module that knows its interfaces (org.freedesktop.systemd1(5)).
//!
//! The order of things is what makes it free of races: the match rules are installed and `Subscribe` is called
//! before anything is asked for; signals are taken from one stream by one task, in the order in which PID 1
//! sent them; a job is known by its path. Whatever a signal says is a hint to look; what counts is read.

mod signals;

use std::time::Duration;

use anyhow::{Context as _, bail};
use rollout::{ActiveState, Instance};
use tokio::sync::mpsc::UnboundedSender;
use zbus::fdo::{DBusProxy, PropertiesProxy};
/// A place in the order in which a connection to the bus delivers; the bus keeps the order of each sender.
pub(crate) use zbus::message::Sequence;
use zbus::message::Type as MessageType;
use zbus::names::{BusName, InterfaceName};
use zbus::proxy::CacheProperties;
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath};

pub(crate) use self::signals::Signal;
use self::signals::{manager_signal, owner_changes, pump};
use crate::listeners::SocketUnit;
use crate::names::Names;
use crate::unit_info::{Properties, UnitInfo};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const UNIT_INTERFACE: &str = "org.freedesktop.systemd1.Unit";
const SERVICE_INTERFACE: &str = "org.freedesktop.systemd1.Service";
const SOCKET_INTERFACE: &str = "org.freedesktop.systemd1.Socket";
const UNITS: &str = "/org/freedesktop/systemd1/unit/";

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Systemd {
    fn subscribe(&self) -> zbus::Result<()>;
    fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str]) -> zbus::Result<Vec<ListedUnit>>;
}

/// One row of `ListUnitsByPatterns`: name, description, load, active and sub state, followed unit, path, job.
type ListedUnit =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// What was read of a worker.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) info: UnitInfo,
    /// When systemd answered. What it sent before that is in `info`, even if it is heard later.
    pub(crate) at: Sequence,
}

/// Why a job was not enqueued.
#[derive(Debug)]
pub(crate) enum EnqueueError {
    /// systemd or polkit said no; the text is theirs.
    Refused(String),
    /// Nobody answered: the bus is gone, or systemd is busy. Look again later.
    Unreachable(String),
}

/// systemd's manager object.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    connection: Connection,
    systemd: SystemdProxy<'static>,
    dbus: DBusProxy<'static>,
    names: Names,
}

impl Manager {
    /// Starts to listen on this connection; signals go to `sink`.
    pub(crate) async fn new<T>(
        connection: Connection,
        names: Names,
        sink: UnboundedSender<T>,
    ) -> anyhow::Result<Self>
    where
        T: From<Signal> + Send + 'static,
    {
        let dbus = DBusProxy::new(&connection).await?;
        let systemd =
            SystemdProxy::builder(&connection).cache_properties(CacheProperties::No).build().await?;
        let manager = Self { connection, systemd, dbus, names };
        let stream = MessageStream::from(&manager.connection);
        for signal in ["JobRemoved", "Reloading"] {
            manager.add_match(manager_signal(signal)?).await?;
        }
        manager.add_match(owner_changes()?).await?;
        let owner = manager.dbus.get_name_owner(BusName::try_from(SYSTEMD)?).await?.to_string();
        tokio::spawn(pump(stream, manager.names.clone(), owner, sink));
        manager.subscribe().await?;
        Ok(manager)
    }

    /// Asks for signals; PID 1 sends none unless somebody has. Needed again after it executed itself anew.
    pub(crate) async fn subscribe(&self) -> anyhow::Result<()> {
        match self.systemd.subscribe().await {
            Err(zbus::Error::MethodError(name, ..))
                if name == "org.freedesktop.systemd1.AlreadySubscribed" =>
            {
                Ok(())
            }
            other => other.context("failed to subscribe to systemd's signals"),
        }
    }

    /// Asks for the property signals of this worker.
    pub(crate) async fn watch(&self, instance: Instance) -> anyhow::Result<()> {
        self.add_match(self.changes_of(instance)?).await
    }

    /// Asks for them no longer.
    pub(crate) async fn unwatch(&self, instance: Instance) -> anyhow::Result<()> {
        let removed = self.dbus.remove_match_rule(self.changes_of(instance)?).await;
        removed.with_context(|| format!("failed to take back the wish for signals of {instance}"))
    }

    fn changes_of(&self, instance: Instance) -> zbus::Result<MatchRule<'static>> {
        MatchRule::builder()
            .msg_type(MessageType::Signal)
            .sender(SYSTEMD)
            .interface("org.freedesktop.DBus.Properties")
            .member("PropertiesChanged")
            .path(self.path(instance))
            .build()
    }

    /// Reads everything about this worker that somebody here needs, as it is at one moment.
    ///
    /// To ask only for the fifteen properties that are of use would cost PID 1 no less, and the bus more.
    pub(crate) async fn inspect(&self, instance: Instance) -> anyhow::Result<Reading> {
        let answer = self.get_all(&self.path(instance)).await;
        let (properties, at) = answer.with_context(|| format!("failed to read the state of {instance}"))?;
        let mut info = UnitInfo::default();
        info.apply(&properties);
        Ok(Reading { info, at })
    }

    /// The workers that systemd has loaded, running or not.
    pub(crate) async fn loaded(&self) -> anyhow::Result<Vec<Instance>> {
        let pattern = format!("{}@*.service", self.names.template);
        let units = self.systemd.list_units_by_patterns(&[], &[&pattern]).await;
        let units = units.context("failed to list the workers")?;
        Ok(units.iter().filter_map(|unit| self.names.instance(&unit.0)).collect())
    }

    /// Enqueues a restart; also starts what does not run. RestartUnit, because StartUnit waits out the rest of
    /// RestartSec= on systemd 252. The mode lets nobody's job stand in the way.
    pub(crate) async fn restart(&self, instance: Instance) -> Result<String, EnqueueError> {
        let job = self.systemd.restart_unit(&self.names.unit(instance), "replace").await;
        job.map(|path| path.to_string()).map_err(EnqueueError::from)
    }

    /// Enqueues a stop.
    pub(crate) async fn stop(&self, instance: Instance) -> Result<String, EnqueueError> {
        let job = self.systemd.stop_unit(&self.names.unit(instance), "replace").await;
        job.map(|path| path.to_string()).map_err(EnqueueError::from)
    }

    /// Enqueues a restart of everything: socket, workers and this process.
    pub(crate) async fn restart_target(&self) -> anyhow::Result<()> {
        let target = &self.names.target;
        let job = self.systemd.restart_unit(target, "replace").await;
        job.map(drop).with_context(|| format!("failed to have systemd restart {target}"))
    }

    /// Whether systemd has started this process anew by itself (`Restart=`), after another that had failed.
    pub(crate) async fn was_restarted_by_systemd(&self) -> anyhow::Result<bool> {
        let restarts: u32 = self.get(&unit_path(&self.names.service), SERVICE_INTERFACE, "NRestarts").await?;
        Ok(restarts > 0)
    }

    /// How the shared socket is, and what is loaded for it.
    pub(crate) async fn socket_unit(&self) -> anyhow::Result<SocketUnit> {
        let path = unit_path(&self.names.socket);
        let state: String = self.get(&path, UNIT_INTERFACE, "ActiveState").await?;
        let loaded: String = self.get(&path, UNIT_INTERFACE, "LoadState").await?;
        let started: Vec<String> = self.get(&path, UNIT_INTERFACE, "Triggers").await?;
        let listen: Vec<(String, String)> = self.get(&path, SOCKET_INTERFACE, "Listen").await?;
        let streams = listen.into_iter().filter(|(kind, _)| kind == "Stream");
        Ok(SocketUnit {
            state: ActiveState::parse(&state),
            is_masked: loaded == "masked",
            backlog: self.get(&path, SOCKET_INTERFACE, "Backlog").await?,
            addresses: streams.map(|(_, address)| address).collect(),
            starts_us: started.contains(&self.names.service),
        })
    }

    /// The kind of job that runs for our own unit, in systemd's word; none if nobody asked for anything.
    pub(crate) async fn own_job(&self) -> anyhow::Result<Option<String>> {
        let path = unit_path(&self.names.service);
        let (id, job): (u32, OwnedObjectPath) = self.get(&path, UNIT_INTERFACE, "Job").await?;
        if id == 0 {
            return Ok(None);
        }
        self.get(job.as_str(), "org.freedesktop.systemd1.Job", "JobType").await.map(Some)
    }

    /// How long systemd lets this worker's stop and start take, and then be silent, together.
    pub(crate) async fn restart_timeout(&self, instance: Instance) -> anyhow::Result<Duration> {
        let path = self.path(instance);
        let mut sum = Duration::ZERO;
        for property in ["TimeoutStopUSec", "TimeoutStartUSec", "WatchdogUSec"] {
            let usec: u64 = self.get(&path, SERVICE_INTERFACE, property).await?;
            // An infinite watchdog is none.
            if property != "WatchdogUSec" || usec != u64::MAX {
                sum = sum.saturating_add(Duration::from_micros(usec));
            }
        }
        Ok(sum)
    }

    /// How systemd got on with this worker's unit files: `loaded`, `bad-setting` …
    pub(crate) async fn load_state(&self, instance: Instance) -> anyhow::Result<String> {
        self.get(&self.path(instance), UNIT_INTERFACE, "LoadState").await
    }

    /// Whether systemd does what we ask it for: asks it to stop a worker that does not run.
    pub(crate) async fn may_command(&self, unused: Instance) -> anyhow::Result<()> {
        match self.stop(unused).await {
            Ok(_) => Ok(()),
            Err(EnqueueError::Refused(reason)) => bail!(
                "systemd refuses to start and stop workers for this user: {reason}; see `systemctl status polkit` \
                 and whether /usr/share/polkit-1/rules.d/app-cluster.rules is there"
            ),
            Err(EnqueueError::Unreachable(reason)) => bail!("systemd does not answer: {reason}; try again"),
        }
    }

    /// Whether this worker's unit files changed since systemd read them.
    pub(crate) async fn needs_daemon_reload(&self, instance: Instance) -> anyhow::Result<bool> {
        self.get(&self.path(instance), UNIT_INTERFACE, "NeedDaemonReload").await
    }

    fn path(&self, instance: Instance) -> String {
        unit_path(&self.names.unit(instance))
    }

    async fn get<T>(&self, path: &str, interface: &'static str, property: &str) -> anyhow::Result<T>
    where
        T: TryFrom<zbus::OwnedVariant>,
        T::Error: std::error::Error + Send + Sync + 'static,
    {
        let proxy = self.properties(path).await?;
        let interface = InterfaceName::try_from(interface)?;
        let value = proxy.get(interface, property).await;
        Ok(value.with_context(|| format!("failed to read {property} of {path}"))?.try_into()?)
    }

    /// The properties of all interfaces at once, and when the answer came. sd-bus takes an empty name for that, zbus has none.
    async fn get_all(&self, path: &str) -> anyhow::Result<(Properties, Sequence)> {
        const ALL_INTERFACES: &str = "";
        let interface = Some("org.freedesktop.DBus.Properties");
        let answer =
            self.connection.call_method(Some(SYSTEMD), path, interface, "GetAll", &ALL_INTERFACES).await?;
        Ok((answer.body().deserialize()?, answer.recv_position()))
    }

    async fn properties(&self, path: &str) -> zbus::Result<PropertiesProxy<'static>> {
        PropertiesProxy::builder(&self.connection).destination(SYSTEMD).path(path.to_owned()).build().await
    }

    async fn add_match(&self, rule: MatchRule<'_>) -> anyhow::Result<()> {
        self.dbus.add_match_rule(rule).await.context("failed to ask the bus for signals")
    }
}

impl From<zbus::Error> for EnqueueError {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, detail, _) if !is_absence(name.as_str()) => {
                Self::Refused(detail.unwrap_or_else(|| name.to_string()))
            }
            zbus::Error::FDO(error) if !is_absence(&zbus::DBusError::name(&*error)) => {
                Self::Refused(zbus::DBusError::description(&*error).unwrap_or_default().to_owned())
            }
            other => Self::Unreachable(other.to_string()),
        }
    }
}

/// Errors of the bus itself: whoever was called may or may not have heard it.
fn is_absence(error_name: &str) -> bool {
    matches!(
        error_name,
        "org.freedesktop.DBus.Error.NoReply"
            | "org.freedesktop.DBus.Error.Timeout"
            | "org.freedesktop.DBus.Error.Disconnected"
            | "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner"
    )
}

/// The object path of a unit: every byte that is not a letter or digit is written as `_` and two hex digits.
fn unit_path(unit: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("_{byte:02x}"),
    };
    format!("{UNITS}{}", unit.bytes().map(escape).collect::<String>())
}

/// The unit that an object path stands for.
fn unit_name(path: &str) -> Option<String> {
    let mut bytes = path.strip_prefix(UNITS)?.bytes();
    let mut name = Vec::new();
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            b'_' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names_are_each_others_inverse() {
        let path = unit_path("worker@12.service");
        assert_eq!(path, "/org/freedesktop/systemd1/unit/worker_4012_2eservice");
        assert_eq!(unit_name(&path).as_deref(), Some("worker@12.service"));
        for bad in [
            "/org/freedesktop/systemd1/unit/worker_4",
            "/else/worker_401",
            "/org/freedesktop/systemd1/unit/_zz",
        ] {
            assert_eq!(unit_name(bad), None, "{bad}");
        }
    }
}
