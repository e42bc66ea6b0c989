//! The values as the clients of 1.0 know them: structs whose fields have no names on the bus.
//!
//! The members of 1.0 use them: `Status`, `Counters`, `Releases`, `History` and the signal `RolloutChanged`.
//! After each upgrade of the package, clients of 1.0 talk to a newer orchestrator. A newer client talks to an
//! orchestrator of 1.0 until that is restarted. One more field would break both, so these structs are frozen.
//! A new field goes into the types in the root of this crate, and is left out here.
//!
//! Version 2.0 removes this file, those members, `Reload`, `Deploy`, `DeployDirectory` and `Rollback`.

use serde::{Deserialize, Serialize};
use zbus::Type;

use crate::{EntryState, Kind, RolloutState, StepState, WorkerState};

/// Defines a struct of 1.0. The order of the fields is their order on the bus.
macro_rules! frozen {
    ($type:ident { $($field:ident: $of:ty),+ $(,)? }) => {
        #[doc = concat!("[`", stringify!($type), "`](crate::", stringify!($type), ") of 1.0.")]
        #[derive(Debug, Clone, Serialize, Deserialize, Type)]
        pub struct $type {
            $($field: $of),+
        }

        impl From<crate::$type> for $type {
            fn from(now: crate::$type) -> Self {
                Self { $($field: now.$field.convert()),+ }
            }
        }

        impl From<$type> for crate::$type {
            fn from(then: $type) -> Self {
                let mut now = Self::default();
                $(now.$field = then.$field.convert();)+
                now
            }
        }

        impl Convert<$type> for crate::$type {
            fn convert(self) -> $type {
                self.into()
            }
        }

        impl Convert<crate::$type> for $type {
            fn convert(self) -> crate::$type {
                self.into()
            }
        }
    };
}

/// Converts a field of one encoding to the field of the other.
trait Convert<T> {
    fn convert(self) -> T;
}

impl<A: Convert<B>, B> Convert<Vec<B>> for Vec<A> {
    fn convert(self) -> Vec<B> {
        self.into_iter().map(A::convert).collect()
    }
}

/// Types that are the same in both encodings. A new variant that 1.0 does not know must be converted to one
/// that it knows.
macro_rules! same {
    ($($type:ty)+) => {$(
        impl Convert<Self> for $type {
            fn convert(self) -> Self {
                self
            }
        }
    )+};
}
same!(bool u32 u64 String EntryState Kind RolloutState StepState WorkerState);

frozen!(Status {
    cluster: String,
    version: String,
    summary: String,
    release: String,
    desired: u32,
    ready: u32,
    workers: Vec<Worker>,
    rollout: Vec<Rollout>,
});

frozen!(Worker {
    instance: u32,
    unit: String,
    state: WorkerState,
    sub_state: String,
    pid: u32,
    release: String,
    ready_since_usec: u64,
    restarts: u32,
    next_try_usec: u64,
    last_exit: String,
});

frozen!(Rollout {
    id: u64,
    kind: Kind,
    by: String,
    state: RolloutState,
    from: String,
    to: String,
    steps: Vec<Step>,
    message: String,
    failure: Vec<Failure>,
    step_timeout_usec: u64,
    deadline_usec: u64,
});

frozen!(Step { instance: u32, state: StepState, is_surge: bool, deadline_usec: u64 });

frozen!(Failure { instance: u32, unit: String, reason: String, journal: Vec<String> });

frozen!(Release {
    id: String,
    directory: String,
    added_usec: u64,
    is_current: bool,
    is_rejected: bool,
    workers: u32,
});

frozen!(Entry {
    rollout: u64,
    kind: Kind,
    by: String,
    from: String,
    to: String,
    begun_usec: u64,
    ended_usec: u64,
    state: EntryState,
    failure: String,
});

frozen!(Counters {
    instance: u32,
    pid: u32,
    release: String,
    since_usec: u64,
    ready_since_usec: u64,
    drain_begun_usec: u64,
    accepts: u64,
    connections: u64,
    refused: u64,
    requests: u64,
    in_flight: u64,
    unanswered: u64,
    responses: Responses,
    received_bytes: u64,
    sent_bytes: u64,
    panics: u64,
    timeouts: Timeouts,
    drained: Drained,
    latency: Latency,
});

frozen!(Responses {
    informational: u64,
    successful: u64,
    redirection: u64,
    client_error: u64,
    server_error: u64,
});

frozen!(Timeouts { first_byte: u64, head: u64, idle: u64, body: u64, write: u64 });

frozen!(Drained { finished: u64, idle: u64, forced: u64 });

frozen!(Latency { sum_usec: u64, p50_usec: u64, p90_usec: u64, p99_usec: u64, p999_usec: u64 });
