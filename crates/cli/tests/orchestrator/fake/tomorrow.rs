//! An orchestrator of a future version. It sends fields that this version does not know, and no longer has the members
//! of 1.0.

use std::collections::BTreeMap;

use api::{Dictionary, Options, Rollout, RolloutState};
use zbus::object_server::SignalEmitter;
use zbus::wire::serialized::{Context, Data};
use zbus::wire::{LE, to_bytes};
use zbus::{OwnedVariant, Variant};

use super::{Fake, ID};

pub(super) struct Tomorrow(pub(super) Fake);

#[zbus::interface(name = "org.appcluster1")]
impl Tomorrow {
    async fn get_status(&self) -> BTreeMap<String, OwnedVariant> {
        more(self.0.look())
    }

    async fn get_counters(&self) -> Vec<BTreeMap<String, OwnedVariant>> {
        self.0.script.counters.iter().cloned().map(more).collect()
    }

    async fn begin_reload(
        &self,
        options: Dictionary,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u64, api::Error> {
        let options = Options::read(options, Options::OF_RELOAD)?;
        for rollout in self.0.reload(&options.by)? {
            Self::rollout_progress(&emitter, step(rollout)).await?;
        }
        Ok(ID)
    }

    #[zbus(signal)]
    async fn rollout_progress(
        emitter: &SignalEmitter<'_>,
        rollout: BTreeMap<String, OwnedVariant>,
    ) -> zbus::Result<()>;
}

/// A current rollout has a state that this version does not know.
fn step(rollout: &Rollout) -> BTreeMap<String, OwnedVariant> {
    let mut fields = more(rollout.clone());
    if rollout.state == RolloutState::Running {
        fields.insert("state".to_owned(), Variant::from("analysing").try_into().unwrap());
    }
    fields
}

/// The current fields, without one of them, and with an additional one.
fn more(value: impl Into<Dictionary>) -> BTreeMap<String, OwnedVariant> {
    let context = Context::new(LE, 0);
    let sent = to_bytes(context, &value.into()).unwrap();
    let (mut fields, _): (BTreeMap<String, OwnedVariant>, _) =
        Data::new(sent.bytes().to_vec(), context).deserialize().unwrap();
    fields.remove("by");
    fields.insert("novelty".to_owned(), Variant::from(vec![("a", 1u32)]).try_into().unwrap());
    fields
}
