//! What every command gets: where to print, where the auth server is, the time, randomness.

use std::fmt;
use std::io::Write;

use api::auth::StatusResponse;
use client::{AuthClient, AuthEndpoint, ClientError};
use domain::Timestamp;
use domain::printable::escape;
use domain::resource::{Resource, Spec};
use port::clock::{Clock, SystemClock};
use port::random::{Random, SystemRandom};
use terminal::{Failure, Printer};

use crate::place::{Entrance, Place};

/// What a command works with.
pub(crate) struct Context<'a> {
    /// Standard output: what was asked for, and nothing else.
    pub(crate) printer: Printer<'a>,
    /// Standard error: what a script that reads the output must not meet.
    notes: &'a mut dyn Write,
    /// Where the auth server is.
    pub(crate) place: Place,
}

/// A connection to an auth server that has answered.
pub(crate) struct Session {
    /// The auth server.
    pub(crate) client: AuthClient,
    /// What it said about the cluster.
    pub(crate) status: StatusResponse,
}

/// Why the auth server does not answer, and how to go on.
fn unreachable(error: ClientError, entrance: &Entrance) -> Failure {
    let Entrance { identity_file, address_from, .. } = entrance;
    // TLS begins when somebody listens; only its text gets through the layers between.
    let answered =
        std::error::Error::source(&error).is_some_and(|cause| cause.to_string().starts_with("TLS with"));
    let next = if answered {
        format!(
            "what listens there is another program, or the auth server of another cluster than that of {}; if its data_dir was replaced, restart teleport",
            identity_file.display()
        )
    } else {
        "is teleport running on this host? look with: systemctl status teleport; start it with: teleport start".to_owned()
    };
    let address = format!("the address is from {address_from}; --auth-server HOST:PORT names another");
    Failure::from(error).hint(next).hint(address)
}

impl<'a> Context<'a> {
    /// Prints to `printer`, notes to `notes`.
    pub(crate) fn new(printer: Printer<'a>, notes: &'a mut dyn Write, place: Place) -> Self {
        Self { printer, notes, place }
    }

    /// Says something beside the result, on standard error.
    pub(crate) fn note(&mut self, text: impl fmt::Display) {
        // Should standard error be gone, the result is still what counts.
        let _ = writeln!(self.notes, "{}", escape(&text.to_string()));
    }

    fn debug(&mut self, text: impl fmt::Display) {
        if self.place.debug {
            self.note(format_args!("debug: {text}"));
        }
    }

    /// The time of day.
    pub(crate) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// Randomness fit for keys.
    pub(crate) fn random(&self) -> &'static dyn Random {
        &SystemRandom
    }

    /// Reaches the auth server. It is asked for its state at once, so that a server that is not there
    /// is said here, in one way for all commands.
    ///
    /// # Errors
    /// A failure that says what was tried and how to go on.
    pub(crate) async fn connect(&mut self) -> Result<Session, Failure> {
        let settings = self.place.settings()?;
        self.debug(format_args!(
            "configuration: {}; data_dir: {}",
            settings.source,
            settings.data_dir.display()
        ));
        let entrance = self.place.entrance(&settings, self.now())?;
        let Entrance { bundle, identity_file, address, address_from } = &entrance;
        self.debug(format_args!("identity: {}", identity_file.display()));
        self.debug(format_args!("auth server: {address}, by {address_from}"));
        let client = AuthClient::new(AuthEndpoint::of_member(vec![address.clone()], bundle)?);
        let status = client.status().await.map_err(|error| unreachable(error, &entrance))?;
        self.debug(format_args!("cluster: {}, version {}", status.cluster_name, status.version));
        Ok(Session { client, status })
    }

    /// All records of a kind. One that this program cannot read, because a newer auth server wrote
    /// it, is left out and noted: it must not hide the others.
    ///
    /// # Errors
    /// Those of the call.
    pub(crate) async fn list<S: Spec>(&mut self, session: &Session) -> Result<Vec<Resource<S>>, Failure> {
        let mut records = Vec::new();
        for json in session.client.list_json(S::KIND).await? {
            match Resource::from_json(&json) {
                Ok(record) => records.push(record),
                Err(error) => self.note(format_args!(
                    "note: a {} is left out, because it cannot be read (is tctl older than the auth server?): {error}",
                    S::KIND
                )),
            }
        }
        Ok(records)
    }
}
