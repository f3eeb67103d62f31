//! What this program can do, as features.md and features-linux.md of the specification word it.
//!
//! Engines decide by it, so it must not promise: a word stands here because the table that executes it
//! has it. Most of it is about the program, not the host, and is the same everywhere; what the
//! kernel must agree to (seccomp's flags) is asked of the kernel.

use serde_json::{Value, json};

use crate::config::words::{CAPABILITIES, HOOKS, MEMORY_FLAGS, MEMORY_MODES, NAMESPACES};
use crate::engine::{LAYERS_ANNOTATION, OVERLAY_ANNOTATION};
use crate::hooks::plan::{STDERR, STDOUT};
use crate::{rootfs, seccomp};

/// The oldest and the newest version of the specification.
const OCI_VERSIONS: [&str; 2] = ["1.0.0", "1.3.0"];

/// Annotations that make the runtime do something on the host: an engine that takes a configuration
/// from somebody else should look at them.
const UNSAFE_ANNOTATIONS: [&str; 4] = [LAYERS_ANNOTATION, OVERLAY_ANNOTATION, STDOUT, STDERR];

/// The whole object.
pub fn features() -> Value {
    json!({
        "ociVersionMin": OCI_VERSIONS[0],
        "ociVersionMax": OCI_VERSIONS[1],
        "hooks": HOOKS,
        "mountOptions": rootfs::options::known_options().collect::<Vec<_>>(),
        "linux": linux(),
        "annotations": {
            "org.corten.version": env!("CARGO_PKG_VERSION"),
        },
        "potentiallyUnsafeConfigAnnotations": UNSAFE_ANNOTATIONS,
    })
}

/// Without this object, containerd dereferences nil.
fn linux() -> Value {
    json!({
        "namespaces": NAMESPACES,
        "capabilities": &CAPABILITIES[..],
        "cgroup": {"v1": false, "v2": true, "systemd": true, "systemdUser": true, "rdma": true},
        "seccomp": {
            "enabled": true,
            "actions": seccomp::actions(),
            "operators": seccomp::operators(),
            "archs": seccomp::archs(),
            "knownFlags": seccomp::known_flags(),
            "supportedFlags": seccomp::run::supported_flags(),
        },
        "apparmor": {"enabled": true},
        "selinux": {"enabled": true},
        "intelRdt": {"enabled": true, "schemata": true, "monitoring": true},
        "memoryPolicy": {
            "modes": MEMORY_MODES.map(|(name, _)| name),
            "flags": MEMORY_FLAGS.map(|(name, _)| name),
        },
        "mountExtensions": {"idmap": {"enabled": true}},
        "netDevices": {"enabled": true},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_ask_for_is_there() {
        let features = features();
        assert_eq!(
            features["linux"]["mountExtensions"]["idmap"]["enabled"],
            true
        );
        let options = features["mountOptions"].as_array().unwrap();
        for option in ["rro", "idmap", "ridmap", "rbind", "tmpcopyup"] {
            assert!(options.contains(&option.into()), "{option}");
        }
    }

    #[test]
    fn a_flag_that_the_kernel_supports_is_one_we_know() {
        let known = seccomp::known_flags();
        assert!(
            seccomp::run::supported_flags()
                .iter()
                .all(|flag| known.contains(flag))
        );
    }
}
