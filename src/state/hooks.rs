//! Hooks that run after `create`: read back from the frozen configuration.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use super::container::{Container, Status};
use super::report::OciState;
use crate::config;
use crate::error::{Code, Failure, Result};
use crate::hooks::{Kind, PreparedHook, prepare_all};

/// The hooks of one point, as they stood when the container was created.
pub fn of(container: &Container, kind: Kind) -> Result<Vec<PreparedHook>> {
    let spec = config::parse(&container.config()?)?;
    let bundle = CString::new(container.record().bundle.as_os_str().as_bytes()).map_err(|_| {
        Failure::new(Code::State, "cannot run hooks in the bundle")
            .because("its path holds a NUL byte")
    })?;
    prepare_all(&spec, kind, &bundle)
}

/// What a hook reads on its standard input.
pub fn state(container: &Container, status: Status) -> Result<Vec<u8>> {
    serde_json::to_vec(&OciState::of(container.record(), status)).map_err(|error| {
        Failure::new(Code::State, "cannot write the state for hooks").because(error.to_string())
    })
}
