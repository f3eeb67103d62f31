//! A hook as the kernel wants it. Pure.

use std::ffi::{CStr, CString};
use std::time::Duration;

use crate::config::{Hook, Hooks, Pairs, Spec};
use crate::error::{Failure, Field, Result};
use crate::sys::exec::CStringArray;
use crate::sys::seccomp::Filter;

/// The six points, by their property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Deprecated; right before createRuntime.
    Prestart,
    /// Runtime's namespaces, before pivot_root.
    CreateRuntime,
    /// Container's namespaces, before pivot_root.
    CreateContainer,
    /// Container's namespaces, before exec.
    StartContainer,
    /// Runtime's namespaces, after exec.
    Poststart,
    /// Runtime's namespaces, after delete.
    Poststop,
}

impl Kind {
    /// The property of config.json.
    pub const fn property(self) -> &'static str {
        match self {
            Self::Prestart => "hooks.prestart",
            Self::CreateRuntime => "hooks.createRuntime",
            Self::CreateContainer => "hooks.createContainer",
            Self::StartContainer => "hooks.startContainer",
            Self::Poststart => "hooks.poststart",
            Self::Poststop => "hooks.poststop",
        }
    }

    /// `createRuntime`.
    fn name(self) -> &'static str {
        self.property().trim_start_matches("hooks.")
    }

    /// Its hooks.
    fn of(self, hooks: &Hooks) -> &[Hook] {
        match self {
            Self::Prestart => &hooks.prestart,
            Self::CreateRuntime => &hooks.create_runtime,
            Self::CreateContainer => &hooks.create_container,
            Self::StartContainer => &hooks.start_container,
            Self::Poststart => &hooks.poststart,
            Self::Poststop => &hooks.poststop,
        }
    }
}

/// Annotation: a file that gets what hooks write to standard output.
pub const STDOUT: &str = "run.oci.hooks.stdout";

/// Annotation: a file that gets what hooks write to standard error.
pub const STDERR: &str = "run.oci.hooks.stderr";

/// Files of the host that get the output of hooks, appended; what has none ends up in the error only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputFiles {
    /// [`STDOUT`].
    pub stdout: Option<CString>,
    /// [`STDERR`].
    pub stderr: Option<CString>,
}

/// Whose environment a hook has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// That of its property `env`.
    Own,
    /// That of the container's program: a startContainer hook without `env` of its own.
    Program,
}

/// A hook ready to be executed: all memory that it needs is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedHook {
    /// `hooks.createRuntime[0]`.
    pub field: Field,
    /// `createRuntime hook #0`, as engines know it.
    pub title: String,
    /// Absolute.
    pub path: CString,
    /// argv; the path alone if the property has none.
    pub args: CStringArray,
    /// environ, whole, but for a HOME that only Init knows.
    pub env: CStringArray,
    /// Whose that is.
    pub environment: Environment,
    /// Working directory.
    pub cwd: CString,
    /// None: as long as it takes.
    pub timeout: Option<Duration>,
    /// Where its output goes. None for those that Init runs, who cannot reach the host's files.
    pub output: OutputFiles,
    /// What it may ask of the kernel, where it runs in the container.
    pub filter: Option<Filter>,
}

/// The hooks of one point, in the order of the file, which is the order in which they run. `cwd` is the
/// bundle; for createContainer the container's root as the host sees it, for those that run in it `/`.
pub fn prepare_all(spec: &Spec, kind: Kind, cwd: &CStr) -> Result<Vec<PreparedHook>> {
    let output = match kind {
        Kind::StartContainer => OutputFiles::default(),
        _ => output_files(&spec.annotations)?,
    };
    let prepared = (0..).zip(kind.of(&spec.hooks)).map(|(index, hook)| {
        let hook = prepare(hook, kind, index, cwd)?;
        Ok(PreparedHook {
            output: output.clone(),
            ..hook
        })
    });
    prepared.collect()
}

fn output_files(annotations: &Pairs<String>) -> Result<OutputFiles> {
    let file = |key: &'static str| -> Result<Option<CString>> {
        let Some(path) = annotations.get(key) else {
            return Ok(None);
        };
        let field = || Field::key("annotations", key);
        if !path.starts_with('/') {
            return Err(Failure::config(
                field(),
                format!("{path:?} is not an absolute path"),
            ));
        }
        c_string(path)
            .map(Some)
            .map_err(|failure| failure.at(field()))
    };
    Ok(OutputFiles {
        stdout: file(STDOUT)?,
        stderr: file(STDERR)?,
    })
}

/// One hook, its output in the error only.
///
/// Errors name the property: a path that is not absolute, a timeout that is not above 0, a NUL byte.
pub fn prepare(hook: &Hook, kind: Kind, index: usize, cwd: &CStr) -> Result<PreparedHook> {
    let field = || Field::index(kind.property(), index);
    if !hook.path.starts_with('/') {
        let text = format!("hook path {:?} is not absolute", hook.path);
        return Err(Failure::config(field().leaf("path"), text));
    }
    let timeout = match hook.timeout.map(u64::try_from) {
        None => None,
        Some(Ok(seconds @ 1..)) => Some(Duration::from_secs(seconds)),
        Some(_) => {
            let text = "a timeout is at least 1 second";
            return Err(Failure::config(field().leaf("timeout"), text));
        }
    };
    let path = c_string(&hook.path).map_err(|failure| failure.at(field().leaf("path")))?;
    let args = match hook.args.as_slice() {
        [] => vec![path.clone()],
        args => c_strings(args).map_err(|failure| failure.at(field().leaf("args")))?,
    };
    let env = c_strings(&hook.env).map_err(|failure| failure.at(field().leaf("env")))?;
    Ok(PreparedHook {
        field: field(),
        title: format!("{} hook #{index}", kind.name()),
        path,
        args: CStringArray::new(args),
        env: CStringArray::new(env),
        environment: Environment::Own,
        cwd: cwd.to_owned(),
        timeout,
        output: OutputFiles::default(),
        filter: None,
    })
}

fn c_strings(strings: &[String]) -> Result<Vec<CString>> {
    strings.iter().map(|string| c_string(string)).collect()
}

fn c_string(string: &str) -> Result<CString> {
    CString::new(string)
        .map_err(|_| Failure::config(Field::default(), format!("{string:?} contains a NUL byte")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(path: &str) -> Hook {
        Hook {
            path: path.to_owned(),
            ..Hook::default()
        }
    }

    fn error_of(hook: &Hook) -> String {
        prepare(hook, Kind::CreateRuntime, 1, c"/bundle")
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_hook_without_args_is_called_by_its_path() {
        let prepared = prepare(&hook("/bin/hook"), Kind::Poststop, 0, c"/bundle").unwrap();
        assert_eq!(prepared.args.strings(), [c"/bin/hook".to_owned()]);
        assert!(prepared.env.strings().is_empty());
        assert_eq!(prepared.timeout, None);
    }

    #[test]
    fn bad_hooks_name_their_property() {
        assert_eq!(
            error_of(&hook("bin")),
            r#"hooks.createRuntime[1].path: hook path "bin" is not absolute"#
        );
        for timeout in [0, -1, i64::MIN] {
            let hook = Hook {
                timeout: Some(timeout),
                ..hook("/x")
            };
            assert_eq!(
                error_of(&hook),
                "hooks.createRuntime[1].timeout: a timeout is at least 1 second"
            );
        }
        let nul = Hook {
            env: vec!["A=\0".to_owned()],
            ..hook("/x")
        };
        assert_eq!(
            error_of(&nul),
            r#"hooks.createRuntime[1].env: "A=\0" contains a NUL byte"#
        );
    }

    #[test]
    fn output_files_are_for_hooks_of_the_host() {
        let mut spec = Spec {
            annotations: Pairs(vec![(STDERR.to_owned(), "/log".to_owned())]),
            ..Spec::default()
        };
        spec.hooks.poststop = vec![hook("/x")];
        spec.hooks.start_container = vec![hook("/x")];
        let output = |kind| prepare_all(&spec, kind, c"/").unwrap().remove(0).output;
        let stderr = Some(c"/log".to_owned());
        assert_eq!(
            output(Kind::Poststop),
            OutputFiles {
                stderr,
                stdout: None
            }
        );
        assert_eq!(output(Kind::StartContainer), OutputFiles::default());
        spec.annotations.0[0].1 = "log".to_owned();
        let error = prepare_all(&spec, Kind::Poststop, c"/")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            r#"annotations["run.oci.hooks.stderr"]: "log" is not an absolute path"#
        );
    }
}
