//! A throw-away container over a directory of this host.

use super::ShellRequest;
use crate::error::{Code, Failure, Result};

/// Runs it.
pub fn run(_request: &ShellRequest) -> Result<u8> {
    Err(Failure::new(Code::System, "not built yet"))
}
