//! The members of 1.0.0, which has no others.

use api::{Options, Rollout, positional};
use zbus::object_server::SignalEmitter;

use super::{Fake, ID, each};

/// An orchestrator of 1.0.0.
pub(super) struct First(pub(super) Fake);

#[zbus::interface(name = "org.appcluster1")]
impl First {
    async fn status(&self) -> (positional::Status,) {
        (self.0.look().into(),)
    }

    async fn counters(&self) -> Vec<positional::Counters> {
        each(&self.0.script.counters)
    }

    async fn releases(&self) -> Vec<positional::Release> {
        each(&self.0.script.releases)
    }

    async fn history(&self) -> Vec<positional::Entry> {
        each(&self.0.script.history)
    }

    async fn reload(
        &self,
        by: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u64, api::Error> {
        tell(&emitter, self.0.reload(by)?).await
    }

    async fn deploy(
        &self,
        file: zbus::Fd<'_>,
        id: String,
        canary: u32,
        by: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u64, api::Error> {
        tell(&emitter, self.0.deploy(&file, &Options { id, canary, by })?).await
    }

    async fn deploy_directory(
        &self,
        path: &str,
        id: String,
        canary: u32,
        by: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u64, api::Error> {
        tell(&emitter, self.0.deploy_directory(path, &Options { id, canary, by })?).await
    }

    async fn rollback(
        &self,
        id: &str,
        by: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u64, api::Error> {
        tell(&emitter, self.0.roll_back(id, by)?).await
    }

    async fn pause(&self) -> Result<(), api::Error> {
        self.0.pause()
    }

    async fn resume(&self, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) -> Result<(), api::Error> {
        tell(&emitter, self.0.begin("Resume".to_owned())?).await.map(drop)
    }

    async fn abort(
        &self,
        rollout: u64,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<(), api::Error> {
        tell(&emitter, self.0.abort(rollout)?.map_or(&[], std::slice::from_ref)).await.map(drop)
    }

    async fn reconfigure(&self) -> Result<u32, api::Error> {
        self.0.reconfigure()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    async fn version(&self) -> String {
        "1.0".to_owned()
    }

    #[zbus(property)]
    async fn summary(&self) -> String {
        "1 of 4 ready, release 1.0".to_owned()
    }

    #[zbus(property)]
    async fn release(&self) -> String {
        "1.0".to_owned()
    }

    #[zbus(property)]
    async fn desired(&self) -> u32 {
        4
    }

    #[zbus(property)]
    async fn ready(&self) -> u32 {
        1
    }

    #[zbus(signal)]
    async fn rollout_changed(emitter: &SignalEmitter<'_>, rollout: positional::Rollout) -> zbus::Result<()>;
}

async fn tell(emitter: &SignalEmitter<'_>, story: &[Rollout]) -> Result<u64, api::Error> {
    for rollout in story {
        announce(emitter, rollout).await?;
    }
    Ok(ID)
}

pub(super) async fn announce(emitter: &SignalEmitter<'_>, rollout: &Rollout) -> zbus::Result<()> {
    First::rollout_changed(emitter, rollout.clone().into()).await
}
