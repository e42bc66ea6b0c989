//! An event that moves from one thread to another.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tracing::field::{self, Field, Visit};
use tracing::{Dispatch, Event, Metadata, Subscriber, Value};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::queue::Queue;

/// Puts each event into the queue.
#[derive(Debug)]
pub(crate) struct Relay(pub(crate) Arc<Queue>);

impl<S: Subscriber> Layer<S> for Relay {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut values = Values((0..metadata.fields().len()).map(|_| None).collect());
        event.record(&mut values);
        self.0.push(Line { metadata, values });
    }
}

/// An event that owns its values.
#[derive(Debug)]
pub(crate) struct Line {
    metadata: &'static Metadata<'static>,
    values: Values,
}

/// The values of the fields, in their order.
struct Values(Vec<Option<Box<dyn Value + Send>>>);

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.0.iter().map(|value| value.as_ref().map(|value| value.as_ref() as &dyn Value));
        f.debug_list().entries(values).finish()
    }
}

impl Line {
    /// Logs the event with this subscriber, as if it had happened here and now.
    pub(crate) fn write_to(&self, writer: &Dispatch) {
        if !writer.enabled(self.metadata) {
            return;
        }
        let values: Vec<Option<&dyn Value>> = self
            .values
            .0
            .iter()
            .map(|value| value.as_ref().map(|value| value.as_ref() as &dyn Value))
            .collect();
        let values = self.metadata.fields().value_set_all(&values);
        writer.event(&Event::new(self.metadata, &values));
    }
}

impl Values {
    fn set(&mut self, field: &Field, value: impl Value + Send + 'static) {
        if let Some(place) = self.0.get_mut(field.index()) {
            *place = Some(Box::new(value));
        }
    }
}

impl Visit for Values {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.set(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.to_owned());
    }

    /// Adds the causes, as other writers of errors do.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        self.set(field, text);
    }

    /// This includes the message. The thread that logs has to format it, because the formatted values do not
    /// live longer.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, field::display(format!("{value:?}")));
    }
}
