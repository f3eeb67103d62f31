//! The values that properties of units take, and the text by which annotations give them.

/// One D-Bus value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `b`.
    Bool(bool),
    /// `i`.
    I32(i32),
    /// `u`.
    U32(u32),
    /// `x`.
    I64(i64),
    /// `t`.
    U64(u64),
    /// `s`.
    Text(String),
    /// `as`.
    Texts(Vec<String>),
    /// `au`.
    Numbers(Vec<u32>),
    /// `ay`.
    Bytes(Vec<u8>),
}

/// The text form of GVariant, as far as engines use it: `true`, `5`, `uint64 5`, `'a'`, `['a', "b"]`.
pub fn parse(text: &str) -> Result<Value, String> {
    let text = text.trim();
    match text {
        "true" => return Ok(Value::Bool(true)),
        "false" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or("the array has no end")?;
        return texts(inner).map(Value::Texts);
    }
    if text.starts_with(['\'', '"']) {
        return match string(text)? {
            (value, "") => Ok(Value::Text(value)),
            (_, rest) => Err(format!("{rest:?} follows the string")),
        };
    }
    number(text)
}

fn number(text: &str) -> Result<Value, String> {
    let wrong = |_| format!("{text:?} is no value");
    let Some((kind, digits)) = text.split_once(' ') else {
        return text.parse().map(Value::I32).map_err(wrong);
    };
    let digits = digits.trim();
    match kind {
        "int32" => digits.parse().map(Value::I32),
        "uint32" => digits.parse().map(Value::U32),
        "int64" => digits.parse().map(Value::I64),
        "uint64" => digits.parse().map(Value::U64),
        other => return Err(format!("{other:?} is no type of a property")),
    }
    .map_err(wrong)
}

/// Seconds as microseconds: `5`, `uint32 5`, `1.5`.
pub fn microseconds(text: &str) -> Result<Value, String> {
    let text = text.trim();
    let digits = text.rsplit_once(' ').map_or(text, |(_, digits)| digits);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let seconds: Option<u64> = whole.parse().ok();
    let part: Option<u64> = format!("{part:0<6}")
        .get(..6)
        .and_then(|six| six.parse().ok());
    let sum = |seconds: u64, part: u64| seconds.checked_mul(1_000_000)?.checked_add(part);
    seconds
        .zip(part)
        .and_then(|(seconds, part)| sum(seconds, part))
        .map(Value::U64)
        .ok_or_else(|| format!("{text:?} is no number of seconds"))
}

fn texts(mut rest: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(values);
        }
        let (value, after) = string(rest)?;
        values.push(value);
        rest = match after.trim_start() {
            "" => "",
            after => after
                .strip_prefix(',')
                .ok_or("a comma is missing in the array")?,
        };
    }
}

/// The string at the beginning, and what follows it.
fn string(text: &str) -> Result<(String, &str), String> {
    let mut letters = text.char_indices();
    let Some((_, quote @ ('\'' | '"'))) = letters.next() else {
        return Err(format!("{text:?} is not a string in quotes"));
    };
    let mut value = String::new();
    while let Some((index, letter)) = letters.next() {
        match letter {
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            letter if letter == quote => return Ok((value, &text[index + 1..])),
            letter => value.push(letter),
        }
    }
    Err("the string has no end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_write_is_read() {
        let texts = |list: &[&str]| Value::Texts(list.iter().map(|&text| text.into()).collect());
        for (text, value) in [
            ("true", Value::Bool(true)),
            (" 15", Value::I32(15)),
            ("-1", Value::I32(-1)),
            ("uint64 10000000", Value::U64(10_000_000)),
            ("int64 -7", Value::I64(-7)),
            ("uint32 3", Value::U32(3)),
            (
                "'inactive-or-failed'",
                Value::Text("inactive-or-failed".into()),
            ),
            (r#""it\"s""#, Value::Text("it\"s".into())),
            ("['crio.service']", texts(&["crio.service"])),
            (r#"['a' , "b"]"#, texts(&["a", "b"])),
            ("[]", texts(&[])),
        ] {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
        for text in [
            "",
            "yes",
            "'a",
            "['a'",
            "['a' 'b']",
            "uint64",
            "byte 1",
            "'a' b",
            "uint32 -1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_become_microseconds() {
        for (text, value) in [
            ("5", 5_000_000),
            ("uint32 2", 2_000_000),
            ("1.5", 1_500_000),
            ("0.0000019", 1),
        ] {
            assert_eq!(microseconds(text), Ok(Value::U64(value)), "{text}");
        }
        for text in ["", "-1", "x", "99999999999999999", "1.x"] {
            assert!(microseconds(text).is_err(), "{text}");
        }
    }
}
