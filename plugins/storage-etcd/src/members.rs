//! The members of the etcd cluster: whom to ask, and whom next.
//!
//! The last that answered is asked first. What only reads may be asked again of another member; what
//! writes only if it surely did not arrive. All of it within one time limit, so a member that hangs
//! costs a call its time and not more.

use std::time::Duration;

use teleport_plugin_sdk::http::{Error, Method, Request, Response};
use teleport_plugin_sdk::storage_backend::Failure;

use crate::backend::SMALL;
use crate::outside::{Outside, Stream};
use crate::refusal::{self, Next, Problem};
use crate::settings::Settings;

/// `hasleader`: a member cut off from the others says so at once instead of waiting for them, and ends
/// its watches (etcd's `clientv3.WithRequireLeader`).
const HEADERS: [(&str, &str); 2] =
    [("content-type", "application/json"), ("grpc-metadata-hasleader", "true")];

/// Whether a call may be made twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It reads, or does no harm when it is done twice.
    Freely,
    /// Only when it surely did not arrive.
    Never,
}

/// One call of the gateway.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Such as `/v3/kv/range`.
    pub path: &'a str,
    /// JSON.
    pub body: &'a str,
    /// Whether it may be made twice.
    pub repeat: Repeat,
    /// How large the answer may be, in bytes.
    pub answer_max: usize,
}

/// The members.
#[derive(Debug)]
pub struct Members {
    peers: Vec<String>,
    dial: Duration,
    total: Duration,
    good: usize,
}

/// What one member gave.
enum Attempt<T> {
    Done(T),
    Next(Next),
}

impl Members {
    /// The members of these settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            peers: settings.peers.clone(),
            dial: settings.dial_timeout,
            total: settings.request_timeout,
            good: 0,
        }
    }

    /// The member that answered last.
    pub fn good(&self) -> &str {
        self.name(self.good)
    }

    /// The number of the member that answered last.
    pub fn place(&self) -> usize {
        self.good
    }

    /// The member of this number.
    pub fn name(&self, member: usize) -> &str {
        self.peers.get(member).map_or("", String::as_str)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.peers.len()
    }

    /// How long one call may take.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// Makes a call.
    ///
    /// # Errors
    /// [`Problem`]; its texts name each member that was tried, and why it gave nothing.
    pub fn call<O: Outside>(&mut self, outside: &mut O, call: Call<'_>) -> Result<Response, Problem> {
        self.each(outside, call, |outside, request| match outside.send(request) {
            Ok(answer) if answer.status == 200 => Attempt::Done(answer),
            Ok(answer) => Attempt::Next(refusal::read(answer.status, &answer.body)),
            Err(error) => Attempt::Next(after(error)),
        })
    }

    /// Asks one member alone, for as long as a connection may take: what it answers, whatever it is.
    pub fn ask<O: Outside>(
        &self,
        outside: &mut O,
        member: usize,
        path: &str,
        most: Duration,
    ) -> Option<Response> {
        let url = format!("{}{path}", self.name(member));
        let timeout = self.dial.min(most);
        let request = Request {
            method: Method::Post,
            url: &url,
            headers: &HEADERS,
            body: b"{}",
            connect: timeout,
            timeout,
            answer_max: SMALL,
        };
        outside.send(&request).ok()
    }

    /// Opens a watch.
    ///
    /// # Errors
    /// Those of [`Members::call`].
    pub fn open<O: Outside>(&mut self, outside: &mut O, call: Call<'_>) -> Result<O::Stream, Problem> {
        self.each(outside, call, |outside, request| match outside.open(request) {
            Ok(stream) if stream.status() == 200 => Attempt::Done(stream),
            Ok(stream) => Attempt::Next(refusal::read(stream.status(), b"")),
            Err(error) => Attempt::Next(after(error)),
        })
    }

    /// Puts the member that was good behind the others: it answered, but is of no use.
    pub fn avoid(&mut self) {
        self.good = (self.good + 1) % self.peers.len().max(1);
    }

    fn each<O: Outside, T>(
        &mut self,
        outside: &mut O,
        call: Call<'_>,
        attempt: impl Fn(&mut O, &Request<'_>) -> Attempt<T>,
    ) -> Result<T, Problem> {
        let end = outside.monotonic().saturating_add(self.total);
        let mut tried = Vec::new();
        let mut waiting = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
        for _ in 0..self.peers.len() {
            let left = end.saturating_sub(outside.monotonic());
            if left.is_zero() {
                break;
            }
            // Whom to ask next must be left some time; a write that arrives is waited for to the end.
            let fair = left / waiting.max(1);
            let timeout = if call.repeat == Repeat::Freely { fair } else { left };
            waiting = waiting.saturating_sub(1);
            let url = format!("{}{}", self.good(), call.path);
            let request = Request {
                method: Method::Post,
                url: &url,
                headers: &HEADERS,
                body: call.body.as_bytes(),
                connect: self.dial.min(fair),
                timeout,
                answer_max: call.answer_max,
            };
            match attempt(outside, &request) {
                Attempt::Done(done) => return Ok(done),
                Attempt::Next(Next::Final(problem)) => return Err(self.named(problem)),
                Attempt::Next(Next::Unsure(why)) if call.repeat == Repeat::Never => {
                    let text = format!(
                        "etcd at {} did not confirm a write: {why}; it is not known whether it happened",
                        self.good()
                    );
                    self.avoid();
                    return Err(Failure::Unavailable(text).into());
                }
                Attempt::Next(Next::Unsure(why) | Next::Elsewhere(why)) => {
                    tried.push(format!("{}: {why}", self.good()));
                    self.avoid();
                }
            }
        }
        Err(Failure::Unavailable(format!(
            "no member of the etcd cluster could be used: {}; check that etcd runs, that config key peers names \
             it and that a majority of its members is up",
            tried.join("; ")
        ))
        .into())
    }

    /// The same, with the member that said so.
    fn named(&self, problem: Problem) -> Problem {
        let named = |text: String| format!("etcd at {}: {text}", self.good());
        match problem {
            Problem::Fail(Failure::Denied(text)) => Failure::Denied(named(text)).into(),
            Problem::Fail(Failure::Invalid(text)) => Failure::Invalid(named(text)).into(),
            Problem::Fail(Failure::Unavailable(text)) => Failure::Unavailable(named(text)).into(),
            Problem::Fail(Failure::TooLarge(text)) => Failure::TooLarge(named(text)).into(),
            other => other,
        }
    }
}

/// What to do when there is no answer.
fn after(error: Error) -> Next {
    match error {
        Error::Denied(text) => Next::Final(Failure::Denied(text).into()),
        Error::Invalid(text) => Next::Final(Failure::Invalid(text).into()),
        Error::TooLarge(_) => Next::Final(Problem::TooMuch),
        Error::NotSent(text) => Next::Elsewhere(text),
        Error::Lost(text) => Next::Unsure(text),
        Error::TimedOut => Next::Unsure("no answer in time".to_owned()),
    }
}
