//! The members of the interface, in the order in which introspection shows them.
//!
//! The members take and return dictionaries, so that a client and an orchestrator of different versions
//! understand each other. The members at the end are for clients of 1.0, see [`positional`].

use std::fs::File;
use std::os::fd::OwnedFd;

use api::{Dictionary, Options, positional};
use cluster::input::{Reply, Request};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;

use super::Service;
use crate::stage::Program;

#[zbus::interface(name = "org.appcluster1")]
impl Service {
    async fn get_status(&self) -> Dictionary {
        self.reader.status().into()
    }

    async fn get_counters(&self) -> Vec<Dictionary> {
        each(self.reader.counters().await)
    }

    async fn list_releases(&self) -> Result<Vec<Dictionary>, api::Error> {
        self.reader.releases().await.map(each)
    }

    async fn list_history(&self) -> Vec<Dictionary> {
        each(self.reader.history())
    }

    async fn begin_reload(
        &self,
        #[zbus(header)] header: Header<'_>,
        options: Dictionary,
    ) -> Result<u64, api::Error> {
        self.reload_with(&header, Options::read(options, Options::OF_RELOAD)?).await
    }

    async fn begin_deploy(
        &self,
        #[zbus(header)] header: Header<'_>,
        file: zbus::OwnedFd,
        options: Dictionary,
    ) -> Result<u64, api::Error> {
        let options = Options::read(options, Options::OF_DEPLOY)?;
        self.deploy_with(&header, program(file), options).await
    }

    async fn begin_deploy_directory(
        &self,
        #[zbus(header)] header: Header<'_>,
        path: String,
        options: Dictionary,
    ) -> Result<u64, api::Error> {
        let options = Options::read(options, Options::OF_DEPLOY)?;
        self.deploy_with(&header, Program::Directory(path.into()), options).await
    }

    async fn begin_rollback(
        &self,
        #[zbus(header)] header: Header<'_>,
        options: Dictionary,
    ) -> Result<u64, api::Error> {
        self.roll_back_with(&header, Options::read(options, Options::OF_ROLLBACK)?).await
    }

    async fn pause(&self, #[zbus(header)] header: Header<'_>) -> Result<(), api::Error> {
        let _seat = self.seat(&header)?;
        self.done(Request::Pause).await
    }

    async fn resume(&self, #[zbus(header)] header: Header<'_>) -> Result<(), api::Error> {
        let _seat = self.seat(&header)?;
        self.done(Request::Resume).await
    }

    async fn abort(&self, #[zbus(header)] header: Header<'_>, rollout: u64) -> Result<(), api::Error> {
        let _seat = self.seat(&header)?;
        self.done(Request::Abort(rollout)).await
    }

    async fn reconfigure(&self, #[zbus(header)] header: Header<'_>) -> Result<u32, api::Error> {
        let _seat = self.seat(&header)?;
        let wanted = |reply| match reply {
            Reply::Wanted(count) => Some(count),
            _ => None,
        };
        self.request(Request::Reconfigure, wanted).await
    }

    #[zbus(property(emits_changed_signal = "const"))]
    async fn version(&self) -> String {
        self.reader.version().to_owned()
    }

    #[zbus(property)]
    async fn summary(&self) -> String {
        self.reader.properties().summary
    }

    #[zbus(property)]
    async fn release(&self) -> String {
        self.reader.properties().release
    }

    #[zbus(property)]
    async fn desired(&self) -> u32 {
        self.reader.properties().desired
    }

    #[zbus(property)]
    async fn ready(&self) -> u32 {
        self.reader.properties().ready
    }

    #[zbus(signal)]
    pub(super) async fn rollout_progress(
        emitter: &SignalEmitter<'_>,
        rollout: Dictionary,
    ) -> zbus::Result<()>;

    // The members below are for clients of 1.0.

    async fn status(&self) -> (positional::Status,) {
        (self.reader.status().into(),)
    }

    async fn counters(&self) -> Vec<positional::Counters> {
        each(self.reader.counters().await)
    }

    async fn releases(&self) -> Result<Vec<positional::Release>, api::Error> {
        self.reader.releases().await.map(each)
    }

    async fn history(&self) -> Vec<positional::Entry> {
        each(self.reader.history())
    }

    async fn reload(&self, #[zbus(header)] header: Header<'_>, by: String) -> Result<u64, api::Error> {
        self.reload_with(&header, Options { by, ..Options::default() }).await
    }

    async fn deploy(
        &self,
        #[zbus(header)] header: Header<'_>,
        file: zbus::OwnedFd,
        id: String,
        canary: u32,
        by: String,
    ) -> Result<u64, api::Error> {
        self.deploy_with(&header, program(file), Options { id, canary, by }).await
    }

    async fn deploy_directory(
        &self,
        #[zbus(header)] header: Header<'_>,
        path: String,
        id: String,
        canary: u32,
        by: String,
    ) -> Result<u64, api::Error> {
        self.deploy_with(&header, Program::Directory(path.into()), Options { id, canary, by }).await
    }

    async fn rollback(
        &self,
        #[zbus(header)] header: Header<'_>,
        id: String,
        by: String,
    ) -> Result<u64, api::Error> {
        self.roll_back_with(&header, Options { id, by, ..Options::default() }).await
    }

    #[zbus(signal)]
    pub(super) async fn rollout_changed(
        emitter: &SignalEmitter<'_>,
        rollout: positional::Rollout,
    ) -> zbus::Result<()>;
}

fn program(file: zbus::OwnedFd) -> Program {
    Program::File(File::from(OwnedFd::from(file)))
}

fn each<A, B: From<A>>(items: Vec<A>) -> Vec<B> {
    items.into_iter().map(B::from).collect()
}
