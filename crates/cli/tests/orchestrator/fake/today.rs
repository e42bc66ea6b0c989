//! The members of the interface, in the order of the orchestrator. `docs/reference/org.appcluster1.xml` describes them.

use api::{Dictionary, Options, Rollout, positional};
use zbus::object_server::SignalEmitter;

use super::{Fake, ID, each};

/// An orchestrator of the current version.
pub(super) struct Today(pub(super) Fake);

#[zbus::interface(name = "org.appcluster1")]
impl Today {
    async fn get_status(&self) -> Dictionary {
        self.0.look().into()
    }

    async fn get_counters(&self) -> Vec<Dictionary> {
        each(&self.0.script.counters)
    }

    async fn list_releases(&self) -> Vec<Dictionary> {
        each(&self.0.script.releases)
    }

    async fn list_history(&self) -> Vec<Dictionary> {
        each(&self.0.script.history)
    }

    async fn begin_reload(
        &self,
        options: Dictionary,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u64, api::Error> {
        let options = Options::read(options, Options::OF_RELOAD)?;
        tell(&emitter, self.0.reload(&options.by)?).await
    }

    async fn begin_deploy(
        &self,
        file: zbus::Fd<'_>,
        options: Dictionary,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u64, api::Error> {
        let options = Options::read(options, Options::OF_DEPLOY)?;
        tell(&emitter, self.0.deploy(&file, &options)?).await
    }

    async fn begin_deploy_directory(
        &self,
        path: &str,
        options: Dictionary,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u64, api::Error> {
        let options = Options::read(options, Options::OF_DEPLOY)?;
        tell(&emitter, self.0.deploy_directory(path, &options)?).await
    }

    async fn begin_rollback(
        &self,
        options: Dictionary,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u64, api::Error> {
        let options = Options::read(options, Options::OF_ROLLBACK)?;
        tell(&emitter, self.0.roll_back(&options.id, &options.by)?).await
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
    async fn rollout_progress(emitter: &SignalEmitter<'_>, rollout: Dictionary) -> zbus::Result<()>;

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

    #[zbus(signal)]
    async fn rollout_changed(emitter: &SignalEmitter<'_>, rollout: positional::Rollout) -> zbus::Result<()>;
}

async fn tell(emitter: &SignalEmitter<'_>, story: &[Rollout]) -> Result<u64, api::Error> {
    for rollout in story {
        announce(emitter, rollout).await?;
    }
    Ok(ID)
}

/// Sends the signal of a step as the orchestrator does: for clients of the current version, then for those of 1.0. The
/// second one is wrong here, so a test fails if a current client uses it.
pub(super) async fn announce(emitter: &SignalEmitter<'_>, rollout: &Rollout) -> zbus::Result<()> {
    Today::rollout_progress(emitter, rollout.clone().into()).await?;
    let wrong = Rollout { steps: Vec::new(), message: "for 1.0".to_owned(), ..rollout.clone() };
    Today::rollout_changed(emitter, wrong.into()).await
}
