//! The words of flags for the library's types, which know of no command line: what is typed, and what a shell
//! says of it when it completes.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::flags::choices;
use crate::doctor::Target;
use crate::engine::{CgroupDriver, ExplainFormat, Network, UserNamespace};
use crate::record::What;

macro_rules! words {
    ($($name:ident { $($variant:ident: $word:literal, $help:literal;)* })*) => {$(
        impl ValueEnum for $name {
            fn value_variants<'a>() -> &'a [Self] {
                &[$(Self::$variant),*]
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                let (word, help) = match self {
                    $(Self::$variant => ($word, $help),)*
                };
                Some(PossibleValue::new(word).help(help))
            }
        }

        choices!($name);
    )*};
}

words! {
    CgroupDriver {
        Cgroupfs: "cgroupfs", "Corten itself";
        Systemd: "systemd", "systemd, by D-Bus";
        Disabled: "disabled", "Nobody: the container stays in the caller's";
    }
    ExplainFormat {
        Text: "text", "For people";
        Json: "json", "For programs";
    }
    Network {
        None: "none", "One of its own, with loopback alone";
        Host: "host", "The host's";
    }
    UserNamespace {
        Host: "host", "The host's";
        Remap: "remap", "A namespace whose ids are nobody's on the host";
    }
    What {
        Seccomp: "seccomp", "The system calls: an object for linux.seccomp";
        Caps: "caps", "The capabilities: an object for process.capabilities";
    }
    Target {
        Corten: "corten", "Corten itself, as root";
        Docker: "docker", "dockerd, as root";
        Podman: "podman", "podman, as root";
        Kubernetes: "kubernetes", "containerd or CRI-O below a kubelet";
        Rootless: "rootless", "Containers of a plain user";
    }
}
