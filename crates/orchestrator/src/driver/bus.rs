//! The bus comes, goes and comes back.

use std::time::Duration;

use super::{Driver, Input};
use crate::cluster::Worker;
use crate::manager::Manager;
use crate::service;

impl Driver {
    /// Connects to the bus, however long it takes.
    pub(super) fn connect(&self) {
        const FIRST_PAUSE: Duration = Duration::from_millis(50);
        const LONGEST_PAUSE: Duration = Duration::from_secs(5);
        let (inputs, names, stage) = (self.inputs.clone(), self.cluster.names.clone(), self.stage.clone());
        let reader = self.reader();
        // The first time it is taken when it is known that nothing prevents the start.
        let takes_name = !self.cluster.workers.is_empty();
        tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            let attempt = async || {
                let connection = service::connect(inputs.clone(), stage.clone(), reader.clone()).await?;
                let manager = Manager::new(connection.clone(), names.clone(), inputs.clone()).await?;
                if takes_name {
                    service::take_name(&connection).await?;
                }
                anyhow::Ok((connection, manager))
            };
            loop {
                match attempt().await {
                    Ok((connection, manager)) => {
                        let _ = inputs.send(Input::Connected(connection, manager));
                        return;
                    }
                    Err(error) if pause == FIRST_PAUSE => tracing::warn!("{error:#}; trying again"),
                    Err(_) => {}
                }
                tokio::time::sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
        });
    }

    /// The bus is there: for the first time, or again.
    pub(super) async fn connected(
        &mut self,
        connection: zbus::Connection,
        manager: Manager,
    ) -> anyhow::Result<()> {
        let is_first = self.cluster.workers.is_empty();
        self.bus = Some((connection, manager));
        if !is_first {
            self.cluster.workers.values_mut().for_each(Worker::begin_listening_anew);
            self.look_again("the bus is back").await;
            return Ok(());
        }
        self.adopt().await
    }

    /// From now on callers find us.
    pub(super) async fn take_name(&self) -> anyhow::Result<()> {
        let Some((connection, _)) = &self.bus else { return Ok(()) };
        self.update_snapshot();
        service::take_name(connection).await
    }

    /// The bus is gone; so is nothing else.
    pub(super) fn disconnected(&mut self) {
        if self.bus.take().is_some() {
            tracing::warn!("the system bus is gone; the workers go on serving, trying to connect again");
            self.connect();
        }
    }

    /// The name goes with the connection: as long as it is there, callers are told that the orchestrator is stopping.
    pub(super) async fn leave_bus(&mut self) {
        if let Some((connection, _)) = self.bus.take() {
            let _ = connection.close().await;
        }
    }
}
