//! linux.memoryPolicy and linux.personality.

use super::Planner;
use super::op::InitOp;
use crate::config::{Linux, words};
use crate::error::{Field, Result};
use crate::process::plan as process;

const PERSONALITIES: [(&str, u64); 2] = [("LINUX", 0), ("LINUX32", 8)];

/// Memory policy and personality: inherited by the program.
pub(super) fn plan(planner: &mut Planner, linux: &Linux) -> Result<()> {
    if let Some(policy) = &linux.memory_policy {
        let mut mode = process::word(
            &words::MEMORY_MODES,
            &policy.mode,
            "linux.memoryPolicy.mode",
        )?;
        for flag in &policy.flags {
            mode |= process::word(&words::MEMORY_FLAGS, flag, "linux.memoryPolicy.flags")?;
        }
        let nodes = process::bits(
            policy.nodes.as_deref().unwrap_or_default(),
            "linux.memoryPolicy.nodes",
        )?;
        planner.init(
            InitOp::SetMemoryPolicy { mode, nodes },
            Field::new("linux.memoryPolicy"),
        );
    }
    if let Some(personality) = &linux.personality {
        let persona = process::word(
            &PERSONALITIES,
            &personality.domain,
            "linux.personality.domain",
        )?;
        planner.init(
            InitOp::SetPersonality(persona),
            Field::new("linux.personality"),
        );
    }
    Ok(())
}
