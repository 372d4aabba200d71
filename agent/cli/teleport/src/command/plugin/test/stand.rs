//! Other machines and programs as a case has them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use plugin_host::rehearsal::{self, HttpAnswer, HttpStand, Outside, ProcessStand, Sent};

use super::case::{Case, Exchange, HttpFault, ProcessFault, Program};
use super::recording::Recording;
use super::redaction::Redaction;

/// Headers of answers that are not written down: they are about a connection that is gone, or somebody's
/// own.
const LEFT_OUT: [&str; 9] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "date",
    "keep-alive",
    "proxy-authorization",
    "set-cookie",
    "transfer-encoding",
];

/// What stands in for the outside world.
pub(super) struct Stand {
    http: Vec<Exchange>,
    process: Vec<Program>,
    redaction: Mutex<Redaction>,
    record: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Which exchanges have been had, by their places.
    had: Vec<usize>,
    unforeseen: Vec<String>,
    lines: Vec<String>,
    heard: Recording,
}

impl Stand {
    /// What the case says goes before what was recorded.
    pub(super) fn new(case: &Case, recording: Recording, redaction: Redaction, record: bool) -> Self {
        let http = case.http.iter().cloned().chain(recording).collect();
        let redaction = Mutex::new(redaction);
        Self { http, process: case.process.clone(), redaction, record, state: Mutex::default() }
    }

    /// What was asked for and not foreseen, what was logged, what was heard.
    pub(super) fn end(&self) -> (Vec<String>, Vec<String>, Recording) {
        let State { unforeseen, lines, heard, .. } = std::mem::take(&mut *self.state.lock());
        (unforeseen, lines, heard)
    }

    /// The next answer to this request; the last one over and over.
    fn next(&self, method: &str, url: &str) -> Option<&Exchange> {
        let mut state = self.state.lock();
        let fit = |of: &Exchange| of.method.eq_ignore_ascii_case(method) && of.url == url;
        let mut fitting = self.http.iter().enumerate().filter(|(_, exchange)| fit(exchange));
        let next = fitting.clone().find(|(place, _)| !state.had.contains(place));
        let (place, exchange) = next.or_else(|| fitting.next_back())?;
        state.had.push(place);
        Some(exchange)
    }
}

impl Outside for Stand {
    fn answer(&self, sent: &Sent<'_>) -> HttpStand {
        let url = self.redaction.lock().text(sent.url);
        let Some(exchange) = self.next(sent.method, &url) else {
            if self.record {
                return HttpStand::Live;
            }
            let text = format!(
                "it asks {} {url}, for which the case has no answer: add one, or --record",
                sent.method
            );
            self.state.lock().unforeseen.push(text);
            return HttpStand::Fault(rehearsal::HttpFault::Unforeseen);
        };
        if let Some(fault) = exchange.fault {
            return HttpStand::Fault(match fault {
                HttpFault::Refused => rehearsal::HttpFault::Refused,
                HttpFault::TimedOut => rehearsal::HttpFault::TimedOut,
                HttpFault::NoAddress => rehearsal::HttpFault::NoAddress,
            });
        }
        let body = match &exchange.body_base64 {
            Some(encoded) => match STANDARD.decode(encoded) {
                Ok(body) => body,
                Err(error) => {
                    self.state.lock().unforeseen.push(format!("the body of {url} is no base64: {error}"));
                    return HttpStand::Fault(rehearsal::HttpFault::Unforeseen);
                }
            },
            None => exchange.body.clone().into_bytes(),
        };
        let headers = exchange.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        HttpStand::Answer(HttpAnswer { status: exchange.status, headers, body: body.into() })
    }

    fn listens(&self) -> bool {
        self.record
    }

    fn heard(&self, sent: &Sent<'_>, answer: &HttpAnswer) {
        let mut redaction = self.redaction.lock();
        sent.attached.iter().for_each(|value| redaction.sent(value.reveal()));
        let cookies = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        cookies.for_each(|(_, value)| redaction.cookie(value));
        let kept = |(name, value): &(String, String)| {
            (!LEFT_OUT.contains(&name.as_str())).then(|| (name.clone(), redaction.text(value)))
        };
        let headers: BTreeMap<_, _> = answer.headers.iter().filter_map(kept).collect();
        let (body, body_base64) = match String::from_utf8(redaction.bytes(&answer.body)) {
            Ok(text) => (text, None),
            Err(error) => (String::new(), Some(STANDARD.encode(error.as_bytes()))),
        };
        let (method, url) = (sent.method.to_owned(), redaction.text(sent.url));
        let exchange =
            Exchange { method, url, status: answer.status, headers, body, body_base64, fault: None };
        self.state.lock().heard.push(exchange);
    }

    fn run(&self, argv: &[String]) -> ProcessStand {
        let Some(program) = self.process.iter().find(|program| program.argv == argv) else {
            let text =
                format!("it runs {argv:?}, of which the case does not say how it ends: add [[case.process]]");
            self.state.lock().unforeseen.push(text);
            return ProcessStand::Fault(rehearsal::ProcessFault::Unavailable);
        };
        match program.fault {
            None => ProcessStand::Ended {
                exit: program.exit,
                stdout: program.stdout.clone().into_bytes(),
                stderr: program.stderr.clone().into_bytes(),
            },
            Some(fault) => ProcessStand::Fault(match fault {
                ProcessFault::NotFound => rehearsal::ProcessFault::NotFound,
                ProcessFault::TimedOut => rehearsal::ProcessFault::TimedOut,
                ProcessFault::Unavailable => rehearsal::ProcessFault::Unavailable,
            }),
        }
    }

    fn line(&self, level: &'static str, text: &str) {
        let text = self.redaction.lock().text(text);
        self.state.lock().lines.push(format!("{level}: {text}"));
    }
}
