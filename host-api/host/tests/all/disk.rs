//! A disk that does not answer: who waits for it ends at its deadline, and nobody else waits.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use domain::plugin::Grant;
use plugin_host::Outcome;
use port::label::LabelProvider as _;

use crate::alone::{alone_with_mounts, run};
use crate::bed::{Bed, call, guest, label, manifest};

fn does(program: &str, args: &[&str], at: &Path) -> bool {
    Command::new(program).args(args).arg(at).status().unwrap().success()
}

/// A small disk of its own at a folder; nothing where this machine gives none.
fn mount(image: &Path, folder: &Path) -> Option<()> {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::File::create(image).unwrap().set_len(32 << 20).unwrap();
    assert!(does("mkfs.ext4", &["-q"], image));
    let options = ["-o", "loop,noatime", image.to_str().unwrap()];
    does("mount", &options, folder).then(|| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(folder, mode).unwrap();
    })
}

/// A disk on which nothing can be written until this is dropped, or this process is gone, or a minute has
/// passed: what waits for a frozen disk cannot be killed.
struct Frozen(Child);

impl Frozen {
    fn now(disk: &Path) -> Self {
        // In a session of its own: what ends this process may end its whole group.
        let thaw = ["sh", "-c", "timeout 60 cat; exec fsfreeze --unfreeze \"$0\""];
        let mut command = Command::new("setsid");
        let frozen = Self(command.arg("--wait").args(thaw).arg(disk).stdin(Stdio::piped()).spawn().unwrap());
        assert!(does("fsfreeze", &["--freeze"], disk));
        frozen
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let thawed = self.0.wait().unwrap().success();
        assert!(thawed || std::thread::panicking());
    }
}

#[test]
fn a_call_that_waits_for_a_disk_ends_at_its_deadline_and_other_plugins_go_on() {
    if !alone_with_mounts("disk::a_call_that_waits_for_a_disk_ends_at_its_deadline_and_other_plugins_go_on") {
        return;
    }
    run(async {
        let mut bed = Bed::new();
        let needs = "[[needs]]\ncapability = \"kv\"\nreason = \"keeps things\"\n";
        for name in ["hostile", "other"] {
            bed.install(name, &guest("hostile"), &format!("{}{needs}", manifest(name)));
            bed.pin(name);
            bed.plugin(name).grants.push(Grant::kv());
        }
        bed.limit("hostile", "wall", "2s");
        let disk = bed.settings.data_dir.clone();
        if mount(&disk.with_file_name("disk"), &disk).is_none() {
            eprintln!("nothing was tested: this machine gives no disk to freeze");
            return;
        }
        let host = bed.host();
        assert_eq!(call(&host, "keep-much 10").await.result.unwrap(), "kept");
        assert_eq!(host.evaluate(&label("other", "echo before")).await.as_deref(), Ok("before"));
        let frozen = Frozen::now(&disk);
        for turn in 0..3 {
            let report = call(&host, "keep-much 20").await;
            assert_eq!(report.outcome(), Outcome::Timeout, "{turn}: {report:?}");
            let other = host.evaluate(&label("other", "echo meanwhile")).await;
            assert_eq!(other.as_deref(), Ok("meanwhile"), "{turn}");
        }
        drop(frozen);
        assert_eq!(call(&host, "keep-much 30").await.result.unwrap(), "kept");
    });
}
