//! A case, and its expected outcome.

use std::{fmt, future::Future, net::SocketAddr, time::Duration};

use futures_util::future::join_all;

use crate::Server;

/// A limit for bugs: nothing takes this long.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a client sends to a server, and the outcome.
pub trait Conversation {
    /// Runs the conversation with the server. The returned outcome is compared.
    fn with(&self, server: SocketAddr) -> impl Future<Output = String>;
}

/// One request to a server, and what the server has to do.
#[derive(Debug)]
pub struct Case<C> {
    rfc: u16,
    section: &'static str,
    what: &'static str,
    conversation: C,
    want: &'static str,
    axum: Option<Difference>,
    lenient: Option<&'static str>,
}

/// What plain axum does instead.
#[derive(Debug)]
struct Difference {
    /// `None` if the outcome varies.
    outcome: Option<&'static str>,
    why: &'static str,
}

impl<C> Case<C> {
    /// `section` is a section of this RFC. `want` is the expected outcome.
    pub fn new(
        rfc: u16,
        section: &'static str,
        what: &'static str,
        conversation: C,
        want: &'static str,
    ) -> Self {
        Self { rfc, section, what, conversation, want, axum: None, lenient: None }
    }

    /// Plain axum has this outcome instead. `why` is the first column of a row in docs/reference/worker.md.
    #[must_use]
    pub fn axum(self, outcome: &'static str, why: &'static str) -> Self {
        Self { axum: Some(Difference { outcome: Some(outcome), why }), ..self }
    }

    /// The outcome of plain axum depends on a race, so it is not checked. `why` is as above.
    #[must_use]
    pub fn axum_varies(self, why: &'static str) -> Self {
        Self { axum: Some(Difference { outcome: None, why }), ..self }
    }

    /// The RFC is stricter than both servers. `why` is the first column of a row in docs/reference/worker.md, too.
    #[must_use]
    pub fn lenient(self, why: &'static str) -> Self {
        Self { lenient: Some(why), ..self }
    }

    fn wanted_of(&self, server: Server) -> Option<&'static str> {
        match (&self.axum, server) {
            (Some(difference), Server::Axum) => difference.outcome,
            _ => Some(self.want),
        }
    }
}

impl<C> fmt::Display for Case<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RFC {} §{}, {}", self.rfc, self.section, self.what)
    }
}

/// Asserts that every case holds, on both servers. All conversations run at once.
///
/// # Panics
/// If a case does not hold, with all that do not; or if docs/reference/worker.md does not mention a difference.
pub async fn hold<C: Conversation>(cases: &[Case<C>]) {
    let mut faults = undocumented(cases);
    for server in [Server::Worker, Server::Axum] {
        let address = server.start().await;
        let outcomes = join_all(cases.iter().map(|case| async move {
            let outcome = tokio::time::timeout(DEADLINE, case.conversation.with(address)).await;
            outcome.unwrap_or_else(|_| "no end".to_owned())
        }));
        for (case, outcome) in cases.iter().zip(outcomes.await) {
            if let Some(wanted) = case.wanted_of(server).filter(|wanted| *wanted != outcome) {
                faults.push(format!("{case}: wanted of {server:?}: {wanted:?}, but: {outcome:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

fn undocumented<C>(cases: &[Case<C>]) -> Vec<String> {
    const DOCUMENT: &str = include_str!("../../../docs/reference/worker.md");
    let rows = cases.iter().flat_map(|case| {
        let difference = case.axum.as_ref().map(|difference| difference.why);
        difference.into_iter().chain(case.lenient).map(move |row| (case, row))
    });
    let untold = rows.filter(|(_, row)| !DOCUMENT.contains(&format!("\n| {row} |")));
    untold.map(|(case, row)| format!("{case}: docs/reference/worker.md has no row {row:?}")).collect()
}
