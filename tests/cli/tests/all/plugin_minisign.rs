//! minisign itself, by the author of the format, in the place of either side.

use std::path::Path;

use crate::plugin::Desk;

/// `cargo xtask test` installs it; without it there is nothing to compare with.
fn minisign() -> Option<&'static Path> {
    let path = Path::new("/usr/bin/minisign");
    path.exists().then_some(path)
}

#[test]
fn minisign_accepts_what_we_sign() {
    let Some(minisign) = minisign() else { return };
    let desk = Desk::new();
    desk.keygen("acme");
    desk.plugin("sign --key acme.key plugin.wasm").good();
    let said = desk.run(minisign, "-V -H -p acme.pub -m plugin.wasm").good();
    assert!(said.contains("Trusted comment: teleport-plugin name=hostile version=0.0.1"), "{said}");
    std::fs::write(desk.path("plugin.wasm"), "other").unwrap();
    assert_ne!(desk.run(minisign, "-V -H -p acme.pub -m plugin.wasm").code, Some(0));
}

#[test]
fn what_minisign_signs_is_accepted() {
    let Some(minisign) = minisign() else { return };
    let desk = Desk::new();
    desk.run(minisign, "-G -W -p theirs.pub -s theirs.key").good();
    // Its own signatures do not name a plugin.
    desk.plugin("sign --key theirs.key plugin.wasm").good();
    desk.plugin("verify --publisher theirs.pub plugin.wasm").good();
    desk.run(minisign, "-S -s theirs.key -m plugin.wasm").good();
    let text = desk.plugin("verify --publisher theirs.pub plugin.wasm").bad();
    assert!(text.contains("does not say which plugin it is of"), "{text}");
    std::fs::write(
        desk.path("sign.sh"),
        "exec \"$1\" -S -s theirs.key -m plugin.wasm -t 'teleport-plugin name=hostile version=0.0.1'\n",
    )
    .unwrap();
    desk.run(Path::new("/bin/sh"), &format!("sign.sh {}", minisign.display())).good();
    let said = desk.plugin("verify --publisher theirs.pub plugin.wasm").good();
    assert!(said.starts_with("hostile 0.0.1: signed by theirs with key "), "{said}");
    desk.run(minisign, "-S -l -s theirs.key -m plugin.wasm").good();
    let text = desk.plugin("verify --publisher theirs.pub plugin.wasm").bad();
    assert!(text.contains("which is not prehashed"), "{text}");
}
