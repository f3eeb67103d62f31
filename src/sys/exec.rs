//! execve(2), and the arrays that it takes.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char};

use super::Errno;

/// Pointers to C strings, ended by a null pointer: argv and envp of execve(2).
///
/// Built by the planner, before the clone; the strings it points to live in it. There is room for one
/// more string, that init finds out (HOME).
pub struct CStringArray {
    strings: Vec<CString>,
    pointers: Vec<Cell<*const c_char>>,
}

impl CStringArray {
    /// Takes the strings over.
    pub fn new(strings: Vec<CString>) -> Self {
        let ends = [std::ptr::null(), std::ptr::null()];
        let pointers = strings
            .iter()
            .map(|string| string.as_ptr())
            .chain(ends)
            .map(Cell::new)
            .collect();
        Self { strings, pointers }
    }

    /// The strings.
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }

    /// What execve(2) takes.
    pub fn as_ptr(&self) -> *const *const c_char {
        // A Cell is laid out as what is in it.
        self.pointers.as_ptr().cast()
    }
}

impl std::fmt::Debug for CStringArray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.strings.fmt(f)
    }
}

impl Clone for CStringArray {
    fn clone(&self) -> Self {
        Self::new(self.strings.clone())
    }
}

impl PartialEq for CStringArray {
    fn eq(&self, other: &Self) -> bool {
        self.strings == other.strings
    }
}

impl Eq for CStringArray {}

/// execve(2): returns only to say why not. `extra` is one more variable of the environment.
pub fn execve(path: &CStr, args: &CStringArray, env: &CStringArray, extra: Option<&CStr>) -> Errno {
    // The place after the last string is a null pointer, and so is the one after that.
    if let (Some(extra), Some(place)) = (extra, env.pointers.get(env.strings.len())) {
        place.set(extra.as_ptr());
    }
    // SAFETY: one C string and two arrays of C strings that end with a null pointer; on success
    // nothing of this process is left, on failure nothing has changed.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    Errno::last()
}
