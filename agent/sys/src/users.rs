//! The users and groups of this host, as the system's own database knows them.
//!
//! Everything goes through the name service switch, so users of LDAP or SSSD are found like those of
//! `/etc/passwd`. Lookups block for as long as that takes: call them off the runtime's threads. No
//! password, lock or expiry of an account is looked at here; that is for PAM.

mod database;

use std::ffi::CString;
use std::io;

use port::host_user::{HostUser, HostUserError, HostUsers};

/// The users of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemUsers;

impl HostUsers for SystemUsers {
    fn find(&self, login: &str) -> Result<HostUser, HostUserError> {
        let unknown = || HostUserError::Unknown(login.to_owned());
        // A name with a NUL in it cannot be in the database.
        let name = CString::new(login).map_err(|_| unknown())?;
        let asked = database::user_by_name(&name);
        let user = asked.map_err(|source| HostUserError::Lookup { login: login.to_owned(), source })?;
        with_groups(user.ok_or_else(unknown)?)
    }
}

/// All groups of a user: the primary one and those that list it as a member.
///
/// # Errors
/// When the user has more groups than the kernel allows (65,536), or a name with a NUL.
fn groups(user: &HostUser) -> io::Result<Vec<u32>> {
    let name = CString::new(user.name.as_str())?;
    database::groups_of(&name, user.gid)
}

/// The user with its groups, where this process may give them to others: whoever looks a user up runs something as it
/// next, and each visit to the database costs a hand-over to a thread that may block.
fn with_groups(user: HostUser) -> Result<HostUser, HostUserError> {
    // Only root may set groups; for everyone else they are what they are.
    if !rustix::process::geteuid().is_root() {
        return Ok(user);
    }
    match groups(&user) {
        Ok(groups) => Ok(HostUser { groups, ..user }),
        Err(source) => Err(HostUserError::Groups { login: user.name, source }),
    }
}

/// The name of the user with this id; none when there is none or the database does not answer.
pub fn user_name(uid: u32) -> Option<String> {
    database::user_by_id(uid).ok().flatten().map(|user| user.name)
}

/// The name of the group with this id; none when there is none or the database does not answer.
pub fn group_name(gid: u32) -> Option<String> {
    database::group_name(gid).ok().flatten()
}

/// The id of the group with this name; none when there is none or the database does not answer.
pub fn group_id(name: &str) -> Option<u32> {
    database::group_id(&CString::new(name).ok()?).ok().flatten()
}

/// The user this process runs as.
///
/// # Errors
/// When the database knows no such user, as in containers that run under a bare number.
pub fn current() -> Result<HostUser, HostUserError> {
    let uid = rustix::process::geteuid().as_raw();
    let login = uid.to_string();
    match database::user_by_id(uid) {
        Ok(user) => with_groups(user.ok_or(HostUserError::Unknown(login))?),
        Err(source) => Err(HostUserError::Lookup { login, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_with_home_and_shell() {
        let root = SystemUsers.find("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.home.is_absolute() && root.shell.is_absolute(), "{root:?}");
        let all = groups(&root).unwrap();
        assert!(all.contains(&0));
        let given = if rustix::process::geteuid().is_root() { all } else { Vec::new() };
        assert_eq!(root.groups, given);
        assert_eq!(user_name(0).as_deref(), Some("root"));
        assert_eq!(group_name(0).as_deref(), Some("root"));
        assert_eq!(group_id("root"), Some(0));
    }

    #[test]
    fn nobody_of_that_name_is_unknown_and_the_error_says_what_to_do() {
        for login in ["no-such-user-here", "", "a\0b"] {
            let error = SystemUsers.find(login).unwrap_err();
            assert!(matches!(&error, HostUserError::Unknown(name) if name == login), "{error:?}");
            assert!(error.to_string().contains("useradd"), "{error}");
        }
        assert_eq!(user_name(3_999_999_999), None);
        assert_eq!(group_name(3_999_999_999), None);
        assert_eq!(group_id("no-such-group-here"), None);
    }

    #[test]
    fn the_current_user_is_the_one_the_process_runs_as() {
        assert_eq!(current().unwrap().uid, rustix::process::geteuid().as_raw());
    }
}
