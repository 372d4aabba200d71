//! The operating system: users, sessions, processes, private files.
//!
//! The only room with unsafe code; each block says why it is sound. It knows nothing of SSH,
//! certificates or roles: whoever calls [`launch::Launcher`] has decided already that this user may
//! log in here. It refuses to run anything as a user it cannot wholly become, and never runs as root
//! what was asked for someone else.
//!
//! Called by the node (sessions, forwarding, file transfer) and by `process` (start-up, data folder,
//! figures). A program that uses [`launch`] must call [`child::main_if_child`] before all else.

pub mod as_user;
pub mod child;
pub mod file;
pub mod launch;
pub mod local_time;
pub mod process;
pub mod session;
pub mod users;

mod descriptor;
mod socket;
mod turns;
mod wire;
