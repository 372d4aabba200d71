//! Whether the configuration has changed since the daemon read it, which it does when it starts: why a plugin is
//! refused, and what it is granted, is then not what the file says.

use std::path::Path;
use std::time::SystemTime;

use api::control::SOCKET;
use terminal::Failure;

use crate::context::Context;

/// Says so on standard error, where it has.
///
/// # Errors
/// A failure that lists what is wrong with the configuration.
pub(super) fn note(context: &mut Context<'_>) -> Result<(), Failure> {
    if !context.place.knows_configuration() {
        // The file may be another daemon's.
        return Ok(());
    }
    let settings = context.place.settings()?;
    if has_changed(Path::new(&settings.source), &settings.data_dir.join(SOCKET)) {
        let file = settings.source;
        context.note(format_args!(
            "note: {file} was written after the daemon started; what has changed in it counts once the daemon is restarted"
        ));
    }
    Ok(())
}

/// Whether the file is younger than the daemon: that is as old as its socket says.
fn has_changed(file: &Path, socket: &Path) -> bool {
    modified(file).zip(modified(socket)).is_some_and(|(changed, started)| changed > started)
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|found| found.modified()).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_file_that_is_younger_than_the_daemon_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, socket) = (folder.path().join("teleport.yaml"), folder.path().join("control.sock"));
        let touch = |path: &Path, second| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            File::create(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
        };
        touch(&file, 1000);
        assert!(!has_changed(&file, &socket), "nobody has started");
        touch(&socket, 1001);
        assert!(!has_changed(&file, &socket));
        touch(&file, 1002);
        assert!(has_changed(&file, &socket));
        assert!(!has_changed(Path::new("TELEPORT_CONFIG"), &socket), "it is no file");
    }
}
