//! What the workers count on the scoreboard, as a table.

use std::time::Duration;

use api::{Counters, Worker};

use super::look::Look;
use super::quantity;
use super::table::name;
use crate::table::{self, Column, Row, Style};

/// The columns, and the order in which a narrow terminal leaves them out: the greatest number first.
const COLUMNS: [Column; 8] = [
    ("WORKER", 0),
    ("CONNS", 0),
    ("IN FLIGHT", 3),
    ("REQUESTS", 0),
    ("REQ/S", 1),
    ("5XX", 2),
    ("P50", 5),
    ("P99", 4),
];

/// The table; empty if no worker counts.
pub(super) fn render(look: &Look, earlier: Option<&Look>, style: &Style) -> String {
    let counts = |worker: &Worker| look.process(worker).and_then(|process| process.counters.as_ref());
    if !look.status.workers.iter().any(|worker| counts(worker).is_some()) {
        return String::new();
    }
    let row = |worker: &Worker| {
        let name = name(&look.status, worker);
        Row::from(match counts(worker) {
            Some(counters) => cells(name, counters, look.requests_per_second(worker, earlier)),
            None => cells_of_unknown(name),
        })
    };
    let rows: Vec<_> = look.status.workers.iter().map(row).collect();
    table::render(&COLUMNS, &rows, style)
}

fn cells_of_unknown(name: String) -> [String; COLUMNS.len()] {
    let mut cells = std::array::from_fn(|_| "-".to_owned());
    cells[0] = name;
    cells
}

fn cells(name: String, counters: &Counters, per_second: Option<f64>) -> [String; COLUMNS.len()] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let Counters { responses, latency, .. } = counters;
    let answered = responses.sum();
    let errors = (answered > 0).then(|| responses.server_error as f64 / answered as f64);
    let quantile = |usec| or_dash((answered > 0).then(|| quantity::latency(Duration::from_micros(usec))));
    [
        name,
        counters.connections.to_string(),
        counters.in_flight.to_string(),
        counters.requests.to_string(),
        or_dash(per_second.map(quantity::rate)),
        or_dash(errors.map(quantity::share)),
        quantile(latency.p50_usec),
        quantile(latency.p99_usec),
    ]
}

#[cfg(test)]
mod tests;
