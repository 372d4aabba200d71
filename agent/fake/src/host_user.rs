//! A user database in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use parking_lot::Mutex;
use port::host_user::{HostUser, HostUserError, HostUsers};

use crate::fault::Fault;

/// The users it was given, and no others.
#[derive(Debug, Default)]
pub struct FakeUsers {
    users: Mutex<BTreeMap<String, HostUser>>,
    fault: Fault<io::ErrorKind>,
}

impl FakeUsers {
    /// A host without users.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same host with one more user: group of the same number, home below `/home`, `/bin/sh`.
    #[must_use]
    pub fn with(self, login: &str, uid: u32) -> Self {
        let home = PathBuf::from("/home").join(login);
        let groups = vec![uid];
        self.add(HostUser { name: login.to_owned(), uid, gid: uid, groups, home, shell: "/bin/sh".into() });
        self
    }

    /// Adds or replaces a user.
    pub fn add(&self, user: HostUser) {
        self.users.lock().insert(user.name.clone(), user);
    }

    /// Removes a user.
    pub fn remove(&self, login: &str) {
        self.users.lock().remove(login);
    }

    /// The next `times` look-ups fail with [`HostUserError::Lookup`], as when a directory server is
    /// down.
    pub fn fail(&self, times: usize, kind: io::ErrorKind) {
        self.fault.set(times, kind);
    }
}

impl HostUsers for FakeUsers {
    fn find(&self, login: &str) -> Result<HostUser, HostUserError> {
        if let Some(kind) = self.fault.take() {
            return Err(HostUserError::Lookup { login: login.to_owned(), source: kind.into() });
        }
        self.users.lock().get(login).cloned().ok_or_else(|| HostUserError::Unknown(login.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_only_the_users_it_was_given() {
        let users = FakeUsers::new().with("joe", 1000);
        assert_eq!(users.find("joe").unwrap().home, PathBuf::from("/home/joe"));
        assert!(matches!(users.find("root"), Err(HostUserError::Unknown(_))));
        users.remove("joe");
        assert!(users.find("joe").is_err());
    }

    #[test]
    fn fails_as_told() {
        let users = FakeUsers::new().with("joe", 1000);
        users.fail(1, io::ErrorKind::TimedOut);
        assert!(matches!(users.find("joe"), Err(HostUserError::Lookup { .. })));
        assert!(users.find("joe").is_ok());
    }
}
