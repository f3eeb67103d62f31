//! A length of time as Go's time.ParseDuration reads it (`1m30s`, `500ms`), or plain seconds (`10`).

use std::time::Duration;

/// For clap: a value, or what is wrong with it.
pub fn parse(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let (seconds, tail) =
            unit(tail).ok_or_else(|| format!("{text:?} is not a duration such as 1m30s"))?;
        let number: f64 = number
            .parse()
            .map_err(|_| format!("{text:?} is not a duration such as 1m30s"))?;
        let part =
            Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())?;
        total = total.checked_add(part).ok_or("too long")?;
        rest = tail;
    }
    if text.is_empty() {
        Err("a duration cannot be empty".to_owned())
    } else {
        Ok(total)
    }
}

/// The seconds of the unit that comes first, and the rest.
fn unit(text: &str) -> Option<(f64, &str)> {
    // `ms` before `m`: the longer word first.
    const UNITS: &[(&str, f64)] = &[
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    UNITS
        .iter()
        .find_map(|(word, seconds)| Some((*seconds, text.strip_prefix(word)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_s_or_seconds() {
        for (text, milliseconds) in [
            ("5s", 5000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("10", 10_000),
            ("1.5s", 1500),
            ("2h", 7_200_000),
            ("0", 0),
        ] {
            assert_eq!(
                parse(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in ["", "s", "5x", "-1", "1s1", "inf", "1e300h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
