//! The user of `exec --user`.

use crate::error::{Code, Failure, Result};

/// `UID[:GID]`, numbers only: a name would have to be looked up in a file that the container wrote.
/// The largest number means "no change" to setresuid(2), hence is no user (CVE-2026-30892's class).
pub fn parse(text: &str) -> Result<(u32, Option<u32>)> {
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .parse()
            .ok()
            .filter(|number| plain && *number != u32::MAX)
    };
    let (uid, gid) = text
        .split_once(':')
        .map_or((text, None), |(uid, gid)| (uid, Some(gid)));
    match (number(uid), gid.map(number)) {
        (Some(uid), None) => Ok((uid, None)),
        (Some(uid), Some(Some(gid))) => Ok((uid, Some(gid))),
        _ => Err(Failure::new(
            Code::Usage,
            format!("--user: {text:?} is not UID[:GID] in numbers"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_numbers_and_nothing_else() {
        assert_eq!(parse("1").unwrap(), (1, None));
        assert_eq!(parse("0:0").unwrap(), (0, Some(0)));
        assert_eq!(parse("1000:100").unwrap(), (1000, Some(100)));
        for text in [
            "",
            ":",
            "1:",
            ":1",
            "root",
            "-1",
            "+1",
            "4294967295",
            "4294967296",
            "1:4294967295",
            "1:2:3",
            " 1",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
