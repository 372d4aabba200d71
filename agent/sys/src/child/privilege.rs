//! Becoming a user, wholly and for ever.
//!
//! Refuses to go on when anything of root is left, whatever the system said on the way. Called by
//! the child between making its session and everything the user has a say in.

use rustix::process::{Gid, Uid, getegid, geteuid, getgid, getgroups, getuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use crate::wire::{Failure, Identity, Step};

/// Becomes the user. The calls change one thread, and the child has no other.
pub(super) fn become_user(identity: &Identity) -> Result<(), Failure> {
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    if geteuid().is_root() {
        let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
        set_thread_groups(&groups).map_err(|error| Failure::system(Step::Groups, error))?;
        set_thread_res_gid(gid, gid, gid).map_err(|error| Failure::system(Step::Group, error))?;
        set_thread_res_uid(uid, uid, uid).map_err(|error| Failure::system(Step::User, error))?;
        verify_ids(identity)?;
    }
    // What the daemon may do by a capability its service manager gave it, its users may not.
    _ = clear_ambient_capability_set();
    if !uid.is_root() {
        give_up_capabilities()?;
        verify_no_way_back()?;
    }
    verify_user(uid)
}

/// Also what a later program could regain through a file with capabilities of its own.
fn give_up_capabilities() -> Result<(), Failure> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).map_err(|error| Failure::system(Step::Capabilities, error))
}

fn verify_user(uid: Uid) -> Result<(), Failure> {
    if (getuid(), geteuid()) == (uid, uid) {
        return Ok(());
    }
    Err(Failure::rule(Step::User, format!("the process still runs as user id {}", geteuid().as_raw())))
}

fn verify_ids(identity: &Identity) -> Result<(), Failure> {
    let gid = Gid::from_raw(identity.gid);
    if (getgid(), getegid()) != (gid, gid) {
        return Err(Failure::rule(
            Step::Group,
            format!("the process still runs as group id {}", getegid().as_raw()),
        ));
    }
    let held = getgroups().map_err(|error| Failure::system(Step::Groups, error))?;
    match held.iter().find(|group| !identity.groups.contains(&group.as_raw())) {
        Some(group) => {
            Err(Failure::rule(Step::Groups, format!("the process still has group id {}", group.as_raw())))
        }
        None => Ok(()),
    }
}

/// Tries what must not work.
fn verify_no_way_back() -> Result<(), Failure> {
    let user = set_thread_res_uid(Uid::ROOT, Uid::ROOT, None).is_ok()
        || set_thread_res_uid(None, Uid::ROOT, None).is_ok();
    let group = getegid() != Gid::ROOT && set_thread_res_gid(None, Gid::ROOT, None).is_ok();
    if user || group {
        return Err(Failure::rule(Step::StillPrivileged, "the process could become root again"));
    }
    Ok(())
}
