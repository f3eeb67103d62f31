//! Sizes and numbers as people type them: `512m`, `1.5`.

use crate::error::{Code, Failure, Result};

fn wrong(flag: &str, text: &str, what: &str) -> Failure {
    Failure::new(Code::Usage, format!("{flag}: {text:?} is not {what}"))
}

/// Bytes: a number with an optional b, k, m, g or t, in steps of 1024 as Docker counts; -1 is unlimited.
pub fn bytes(flag: &str, text: &str) -> Result<i64> {
    if text == "-1" {
        return Ok(-1);
    }
    let what = "a size such as 512m";
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, shift) = match number.char_indices().last() {
        Some((place, 'k')) => (&number[..place], 10),
        Some((place, 'm')) => (&number[..place], 20),
        Some((place, 'g')) => (&number[..place], 30),
        Some((place, 't')) => (&number[..place], 40),
        _ => (number, 0),
    };
    scaled(digits, 1 << shift).ok_or_else(|| wrong(flag, text, what))
}

/// A number, with up to nine digits behind the point, times a unit.
fn scaled(digits: &str, unit: i64) -> Option<i64> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(part) || part.len() > 9 || whole.len() + part.len() == 0 {
        return None;
    }
    let number = |digits: &str| match digits {
        "" => Some(0),
        digits => digits.parse::<i64>().ok(),
    };
    let billionths = i128::from(number(&format!("{part:0<9}"))?) * i128::from(unit);
    let below = i64::try_from(billionths / 1_000_000_000).ok()?;
    number(whole)?.checked_mul(unit)?.checked_add(below)
}

/// Processors, `1.5` or `.5`, as microseconds of a period of 100 milliseconds; at least a hundredth.
pub fn cpu_quota(text: &str) -> Result<i64> {
    let what = "a number of processors such as 1.5";
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 5 || (whole.is_empty() && part.is_empty()) {
        return Err(wrong("--cpus", text, what));
    }
    let number = |digits: &str| match digits {
        "" => Ok(0),
        digits => digits
            .parse::<i64>()
            .map_err(|_| wrong("--cpus", text, what)),
    };
    let quota = number(whole)?
        .checked_mul(100_000)
        .and_then(|whole| whole.checked_add(number(&format!("{part:0<5}")).ok()?));
    quota
        .filter(|quota| *quota >= 1000)
        .ok_or_else(|| wrong("--cpus", text, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_counted_in_steps_of_1024() {
        for (text, size) in [
            ("0", 0),
            ("10", 10),
            ("1k", 1024),
            ("512M", 512 << 20),
            ("2gb", 2 << 30),
            ("2GiB", 2 << 30),
            ("1.5g", 3 << 29),
            (".5k", 512),
            ("1.", 1),
            ("0.0001k", 0),
            ("-1", -1),
        ] {
            assert_eq!(bytes("--memory", text).unwrap(), size, "{text}");
        }
        for text in ["", ".", "m", "-2", "1x", "1.5.5m", "1.-5m", "99999999999g"] {
            assert!(bytes("--memory", text).is_err(), "{text}");
        }
    }

    #[test]
    fn processors_become_a_quota() {
        for (text, quota) in [
            ("1", 100_000),
            ("1.5", 150_000),
            (".25", 25_000),
            ("0.01", 1000),
        ] {
            assert_eq!(cpu_quota(text).unwrap(), quota, "{text}");
        }
        for text in ["", ".", "-1", "0", "0.001", "1.000001", "x"] {
            assert!(cpu_quota(text).is_err(), "{text}");
        }
    }
}
