//! From `tracing` to lines: collects the fields of an event and of the spans around it.

use std::sync::Arc;

use port::clock::Clock;
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::encode::Encoder;
use super::queue::Owner;
use super::record::{Fields, Record};

/// Writes every event that passes the filter.
pub(super) struct Lines {
    encoder: Encoder,
    clock: Arc<dyn Clock>,
    queue: Owner,
}

impl Lines {
    pub(super) fn new(encoder: Encoder, clock: Arc<dyn Clock>, queue: Owner) -> Self {
        Self { encoder, clock, queue }
    }
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &tracing::span::Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.overlay(of_span.clone());
            }
        }
        let mut own = Fields::default();
        event.record(&mut own);
        fields.overlay(own);
        let metadata = event.metadata();
        let record = Record {
            time: self.clock.now(),
            level: *metadata.level(),
            target: metadata.target(),
            caller: metadata.file().zip(metadata.line()),
            fields,
        };
        self.queue.push(&self.encoder.line(&record));
    }
}
