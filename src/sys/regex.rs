//! regex(3): extended regular expressions.

use std::ffi::CStr;
use std::mem::MaybeUninit;

/// A compiled expression. It stays where it was compiled: POSIX does not say that it may move.
#[derive(Debug)]
pub struct Regex(Box<libc::regex_t>);

impl Regex {
    /// Compiles; what is wrong with it, in the C library's words.
    pub fn new(pattern: &CStr) -> Result<Self, String> {
        let mut compiled = Box::new(MaybeUninit::<libc::regex_t>::zeroed());
        let flags = libc::REG_EXTENDED | libc::REG_NOSUB;
        // SAFETY: regcomp writes the structure that it is given, and reads the string to its end.
        let code = unsafe { libc::regcomp(compiled.as_mut_ptr(), pattern.as_ptr(), flags) };
        if code != 0 {
            return Err(words(code, &compiled));
        }
        // SAFETY: it was zeroed, and regcomp has succeeded.
        Ok(Self(unsafe { compiled.assume_init() }))
    }

    /// Whether it is found somewhere in the text.
    pub fn is_in(&self, text: &CStr) -> bool {
        // SAFETY: the expression was compiled and is not freed yet; without room for matches none are written.
        let code = unsafe {
            libc::regexec(
                &raw const *self.0,
                text.as_ptr(),
                0,
                std::ptr::null_mut(),
                0,
            )
        };
        code == 0
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: compiled once, freed once.
        unsafe { libc::regfree(&raw mut *self.0) };
    }
}

fn words(code: i32, compiled: &MaybeUninit<libc::regex_t>) -> String {
    let mut text = [0_u8; 128];
    // SAFETY: regerror writes at most so many bytes, the last one 0; of a failed expression it reads nothing but the
    // code.
    unsafe {
        libc::regerror(
            code,
            compiled.as_ptr(),
            text.as_mut_ptr().cast(),
            text.len(),
        )
    };
    let end = CStr::from_bytes_until_nul(&text).unwrap_or_default();
    end.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_found_or_not() {
        let regex = Regex::new(c"^web-[0-9]+$").unwrap();
        assert!(regex.is_in(c"web-12") && !regex.is_in(c"web-x") && !regex.is_in(c"a-web-1"));
        assert!(Regex::new(c"b").unwrap().is_in(c"abc"));
        assert!(!Regex::new(c"a(").unwrap_err().is_empty());
    }
}
