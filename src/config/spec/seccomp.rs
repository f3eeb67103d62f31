//! config-linux.md, Seccomp.

use serde::{Deserialize, Serialize};

use super::Names;
use super::json::{nullable, only_objects};

only_objects! { Seccomp SeccompRule SeccompArg }

/// config-linux.md, Seccomp.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Seccomp {
    /// Of system calls that no rule matches.
    pub default_action: SeccompAction,
    /// errno of the default action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// SCMP_ARCH_*; the native one is always covered.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub architectures: Vec<String>,
    /// SECCOMP_FILTER_FLAG_*. Absent differs from empty: absent means the default flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// Socket of the agent that answers SCMP_ACT_NOTIFY.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub listener_path: String,
    /// Passed to the agent.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub listener_metadata: String,
    /// Rules.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub syscalls: Vec<SeccompRule>,
}

/// config-linux.md, Seccomp: the nine actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SeccompAction {
    /// Kill the thread.
    #[serde(rename = "SCMP_ACT_KILL")]
    Kill,
    /// Kill the process.
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    /// Kill the thread.
    #[serde(rename = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    /// Send SIGSYS.
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    /// Fail with an errno.
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    /// Tell the tracer.
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    /// Allow.
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    /// Allow and log.
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    /// Ask the agent.
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
}

/// config-linux.md, Seccomp: one rule.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SeccompRule {
    /// System calls.
    pub names: Names,
    /// What happens.
    pub action: SeccompAction,
    /// errno of ERRNO, message of TRACE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions, all of which must hold; several on one index are alternatives.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub args: Vec<SeccompArg>,
}

/// config-linux.md, Seccomp: a condition on an argument. A number that is `null` is 0, as Go reads it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SeccompArg {
    /// 0 to 5.
    #[serde(deserialize_with = "nullable")]
    pub index: u32,
    /// Compared with; the mask of MASKED_EQ.
    #[serde(deserialize_with = "nullable")]
    pub value: u64,
    /// Compared with under the mask.
    #[serde(default, deserialize_with = "nullable")]
    pub value_two: u64,
    /// How.
    pub op: SeccompOperator,
}

/// config-linux.md, Seccomp: the seven operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SeccompOperator {
    /// !=
    #[serde(rename = "SCMP_CMP_NE")]
    Ne,
    /// <
    #[serde(rename = "SCMP_CMP_LT")]
    Lt,
    /// <=
    #[serde(rename = "SCMP_CMP_LE")]
    Le,
    /// ==
    #[serde(rename = "SCMP_CMP_EQ")]
    Eq,
    /// >=
    #[serde(rename = "SCMP_CMP_GE")]
    Ge,
    /// >
    #[serde(rename = "SCMP_CMP_GT")]
    Gt,
    /// (argument & value) == valueTwo
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEq,
}
