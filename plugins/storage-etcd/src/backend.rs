//! One instance of the plugin: its members, leases and watch, over whatever world is outside.

use std::time::Duration;

use teleport_plugin_sdk::storage_backend::{About, Failure, Microseconds, Revision, VALUE_MAX};

use crate::envelope;
use crate::key::{Keyspace, text};
use crate::lease::Leases;
use crate::members::{Call, Members, Repeat};
use crate::outside::Outside;
use crate::reading::Pace;
use crate::refusal::Problem;
use crate::revision;
use crate::settings::Settings;
use crate::tail::Tail;
use crate::time::{Off, Time};
use crate::wire::{self, Range, Status};

/// Bytes of an answer in which no value is.
pub(crate) const SMALL: usize = 256 * 1024;

/// The oldest etcd that has everything used here, `/v3/` and fragmented watches included.
const OLDEST: (u64, u64) = (3, 4);

/// Where a member says how it is.
const STATUS: &str = "/v3/maintenance/status";

/// How many other members are asked for the time, and how long each may take: the call that asks waits for them.
const OTHERS: usize = 4;
const OTHER_MAX: Duration = Duration::from_secs(1);

/// An instance.
#[derive(Debug)]
pub struct Backend<O: Outside> {
    pub(crate) outside: O,
    pub(crate) members: Members,
    pub(crate) space: Keyspace,
    pub(crate) leases: Leases,
    pub(crate) time: Time,
    /// Of pages, and of several gets in one.
    pub(crate) pace: Pace,
    pub(crate) several: Pace,
    /// Whether etcd refused several puts for their number.
    pub(crate) takes_few: bool,
    pub(crate) tail: Option<Tail<O::Stream>>,
}

impl<O: Outside> Backend<O> {
    /// An instance that has reached nothing yet.
    pub fn new(outside: O, settings: &Settings) -> Self {
        Self {
            outside,
            members: Members::new(settings),
            space: Keyspace::new(&settings.prefix),
            leases: Leases::default(),
            time: Time::default(),
            pace: Pace::default(),
            several: Pace::default(),
            takes_few: false,
            tail: None,
        }
    }

    /// Reaches etcd, and makes sure that it is new enough, has a majority and takes values as large as
    /// there may be.
    ///
    /// # Errors
    /// [`Failure::Invalid`] when it cannot be used as it is, [`Failure::Unavailable`] when it cannot be
    /// reached.
    pub fn open(&mut self) -> Result<About, Failure> {
        let body = self.call(STATUS, "{}", Repeat::Freely, SMALL).map_err(plain)?;
        let Status { version } = wire::read(&body)?;
        let member = self.members.good().to_owned();
        if !is_new_enough(&version) {
            return Err(Failure::Invalid(format!(
                "etcd at {member} is version {version:?}; 3.4 or newer is needed: upgrade it"
            )));
        }
        self.current()?;
        let value_max = self.value_max()?;
        let others = match self.members.count() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let prefix = String::from_utf8_lossy(&self.space.full("/")).into_owned();
        Ok(About {
            description: format!("etcd {version} at {member}{others}, keys below {prefix}"),
            value_max,
        })
    }

    /// The store's revision now, as a majority has it.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] and others.
    pub fn current(&mut self) -> Result<Revision, Failure> {
        self.now_at(0).map(revision::last_of).map_err(plain)
    }

    /// etcd's revision now, if `at` is one of its that is still kept; zero is none in particular.
    pub(crate) fn now_at(&mut self, at: u64) -> Result<u64, Problem> {
        let body = format!(r#"{{"key":"{}","revision":"{at}","keys_only":true}}"#, text(&self.space.own()));
        let body = self.call("/v3/kv/range", &body, Repeat::Freely, SMALL)?;
        Ok(wire::at(wire::read::<Range<'_>>(&body)?.header)?)
    }

    pub(crate) fn call(
        &mut self,
        path: &str,
        body: &str,
        repeat: Repeat,
        answer_max: usize,
    ) -> Result<Vec<u8>, Problem> {
        let answer = self.members.call(&mut self.outside, Call { path, body, repeat, answer_max })?;
        if let Some(date) = answer.header("date")
            && self.time.is_news(self.members.place(), date)
        {
            self.hear(date);
        }
        Ok(answer.body)
    }

    /// The time, as etcd has it where this machine's clock is wrong.
    pub(crate) fn now(&self) -> Microseconds {
        self.time.now(self.outside.now())
    }

    /// Takes what the member that answered says of the time. Where it does not agree with this machine, others
    /// are asked before anything is made of it.
    fn hear(&mut self, date: &str) {
        let (member, count) = (self.members.place(), self.members.count());
        let monotonic = self.outside.monotonic();
        if self.time.hear(member, date, self.outside.now(), monotonic, count) {
            self.time.ask_others(member, monotonic);
            for other in (member + 1..member + count).map(|other| other % count).take(OTHERS) {
                let answer = self.members.ask(&mut self.outside, other, STATUS, OTHER_MAX);
                if let Some(date) = answer.as_ref().and_then(|answer| answer.header("date")) {
                    self.time.hear(other, date, self.outside.now(), monotonic, count);
                }
            }
        }
        if self.time.judge(count) {
            // They were measured on a clock that is not gone by any more.
            self.leases.forget();
            let off = self.time.off();
            let names: Vec<_> =
                self.time.agreeing().into_iter().map(|member| self.members.name(member)).collect();
            let text = if off == Off::default() {
                "this machine's clock is gone by again for what expires: no two members of etcd agree on another time"
                    .to_owned()
            } else {
                format!(
                    "this machine's clock is {off} that of etcd at {}, which is gone by for what expires; set the wrong \
                     one right, with NTP on all",
                    names.join(", ")
                )
            };
            self.outside.warn(&text);
        }
        for (member, off) in self.time.strangers() {
            let text = format!(
                "what expires goes by a clock that is {off} that of etcd at {}, with which too few others agree; set the \
                 wrong one right, with NTP on this machine and on every member",
                self.members.name(member)
            );
            self.outside.warn(&text);
        }
    }

    /// How large a value may be: etcd refuses requests by their size before it looks at them, so one is
    /// sent that changes nothing because no version is negative.
    fn value_max(&mut self) -> Result<u64, Failure> {
        let own = text(&self.space.own());
        let mut size = VALUE_MAX;
        while size > 0 {
            let value = text(&envelope::seal(0, Some(0), &vec![0; size]));
            let body = format!(
                r#"{{"compare":[{{"target":"VERSION","result":"LESS","key":"{own}","version":"0"}}],"success":[{{"request_put":{{"key":"{own}","value":"{value}"}}}}]}}"#
            );
            match self.call("/v3/kv/txn", &body, Repeat::Freely, SMALL) {
                Ok(_) => return Ok(size as u64),
                Err(Problem::Fail(Failure::TooLarge(_))) => size /= 2,
                Err(problem) => return Err(plain(problem)),
            }
        }
        Ok(0)
    }
}

/// A problem where none of the special ones can be.
pub(crate) fn plain(problem: Problem) -> Failure {
    match problem {
        Problem::Fail(failure) => failure,
        Problem::TooMuch => wire::corrupt("an answer that is too large"),
        Problem::Compacted | Problem::ToCome | Problem::LeaseOver => {
            wire::corrupt("a refusal that does not fit what was asked")
        }
    }
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u64>().ok());
    matches!((numbers.next(), numbers.next()), (Some(Some(major)), Some(Some(minor))) if (major, minor) >= OLDEST)
}

#[cfg(test)]
mod tests;
