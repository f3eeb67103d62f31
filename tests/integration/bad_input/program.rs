//! 36 to 43: the program.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::scene::{Row, Scene, refused, story};
use crate::harness::call::eventually;

pub const ROWS: &[Row] = &[
    refused(
        36,
        "a program that is not there",
        |scene| { scene.bundle.args(&["/bin/nope"]); },
        &["process.args[0]: ", "exec: \"/bin/nope\": stat /bin/nope: no such file or directory"],
    ),
    refused(
        37,
        "a program that is not in PATH",
        |scene| { scene.bundle.args(&["nope"]); },
        &["process.args[0]: ", "exec: \"nope\": executable file not found in $PATH"],
    ),
    refused(
        38,
        "a program without the permission",
        |scene| { scene.bundle.args(&["/etc/passwd"]); },
        &["process.args[0]: ", "exec: \"/etc/passwd\": permission denied"],
    ),
    refused(
        39,
        "a directory",
        |scene| { scene.bundle.args(&["/etc"]); },
        &["process.args[0]: ", "exec: \"/etc\": is a directory"],
    ),
    story(40, "a program for another machine", |scene| {
        let mut elf = vec![0u8; 64];
        elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
        elf[16..20].copy_from_slice(&[2, 0, 243, 0]);
        is_not_executed(scene, &elf, "a program for RISC-V, and this machine is ");
    }),
    story(40, "a program for a machine of the other order of bytes", |scene| {
        let mut elf = vec![0u8; 64];
        elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 2, 1]);
        elf[16..20].copy_from_slice(&[0, 2, 0, 22]);
        is_not_executed(scene, &elf, "a program for IBM Z, and this machine is ");
    }),
    refused(
        41,
        "a missing interpreter",
        |scene| program(scene, b"#!/no/such/interpreter -x\n"),
        &[
            "exec /bin/program: no such file or directory: the script's interpreter /no/such/interpreter",
        ],
    ),
    refused(
        41,
        "a missing loader",
        |scene| program(scene, &with_loader(b"/lib/no-such-loader.so\0")),
        &[
            "exec /bin/program: no such file or directory: the program's loader /lib/no-such-loader.so",
        ],
    ),
    refused(
        42,
        "a program on a mount with noexec",
        |scene| {
            let bin = scene.bundle.rootfs().join("bin");
            scene.bundle.bind(&bin, "/mnt", &["rbind", "noexec"]);
            scene.bundle.args(&["/mnt/busybox", "true"]);
        },
        &["exec /mnt/busybox: permission denied: it is on a mount with noexec"],
    ),
    story(43, "a text without an interpreter", |scene| {
        is_not_executed(scene, b"echo ran > /ran\n", NEITHER);
        assert!(!scene.bundle.rootfs().join("ran").exists(), "a shell has run it");
    }),
    story(43, "an empty file", |scene| is_not_executed(scene, b"", NEITHER)),
];

const NEITHER: &str =
    "neither a binary for this machine nor a script that begins with #!";

/// The kernel alone knows whether it has an emulator for a format. `run` says what execve told it; after `start` these are the
/// program's own last words, as with runc.
fn is_not_executed(scene: &mut Scene<'_>, bytes: &[u8], words: &str) {
    program(scene, bytes);
    scene.run().fails(1, &format!(": exec format error: {words}"));
    scene.corten(&["state"]).fails(1, "container does not exist");
    let said = scene.lab.path("said");
    scene.within = Some(format!("exec \"$@\" 2>{}", said.display()));
    scene.create().ok();
    scene.corten(&["start"]).ok();
    let line = || fs::read_to_string(&said).unwrap();
    eventually("it has ended", || scene.status() == "stopped");
    let expected = format!("exec /bin/program: exec format error: {words}");
    assert!(line().starts_with(&expected) && line().ends_with('\n'), "{}", line());
    scene.end();
}

fn program(scene: &mut Scene<'_>, bytes: &[u8]) {
    let path = scene.bundle.rootfs().join("bin/program");
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    scene.set("/process/args", json!(["/bin/program"]));
}

/// A 64-bit binary for this machine, as far as its one program header, PT_INTERP.
fn with_loader(loader: &[u8]) -> Vec<u8> {
    let mut elf = vec![0u8; 64 + 56];
    elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    elf[16] = 2;
    elf[18..20].copy_from_slice(&machine.to_le_bytes());
    elf[32..40].copy_from_slice(&64u64.to_le_bytes());
    elf[54..56].copy_from_slice(&56u16.to_le_bytes());
    elf[56..58].copy_from_slice(&1u16.to_le_bytes());
    elf[64..68].copy_from_slice(&3u32.to_le_bytes());
    elf[72..80].copy_from_slice(&120u64.to_le_bytes());
    elf[96..104].copy_from_slice(&u64::try_from(loader.len()).unwrap().to_le_bytes());
    elf.extend(loader);
    elf
}
