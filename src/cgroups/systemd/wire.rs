//! D-Bus messages as bytes (D-Bus Specification, Message Protocol), as far as systemd is asked.

use super::value::Value;

/// No answer of systemd's is longer.
pub const LONGEST: usize = 1 << 20;

/// A call to write.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    pub signature: &'a str,
}

/// Little endian, each value at a multiple of its size.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub fn u32(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.align(8);
        self.0.extend(number.to_le_bytes());
    }

    pub fn bool(&mut self, flag: bool) {
        self.u32(u32::from(flag));
    }

    pub fn string(&mut self, text: &str) {
        self.u32(length(text.len()));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.extend(text.len().to_le_bytes().first());
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// The length stands before the padding of the first element, and does not count it.
    pub fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Self)) {
        self.u32(0);
        let at = self.0.len() - 4;
        self.align(alignment);
        let start = self.0.len();
        elements(self);
        let count = length(self.0.len() - start).to_le_bytes();
        self.0[at..at + 4].copy_from_slice(&count);
    }

    /// `a(sv)`.
    pub fn properties<'a>(&mut self, properties: impl Iterator<Item = (&'a str, &'a Value)>) {
        self.array(8, |writer| {
            for (name, value) in properties {
                writer.align(8);
                writer.string(name);
                writer.variant(value);
            }
        });
    }

    fn variant(&mut self, value: &Value) {
        self.signature(match value {
            Value::Bool(_) => "b",
            Value::I32(_) => "i",
            Value::U32(_) => "u",
            Value::I64(_) => "x",
            Value::U64(_) => "t",
            Value::Text(_) => "s",
            Value::Texts(_) => "as",
            Value::Numbers(_) => "au",
            Value::Bytes(_) => "ay",
        });
        match value {
            Value::Bool(flag) => self.bool(*flag),
            Value::I32(number) => self.u32(number.cast_unsigned()),
            Value::U32(number) => self.u32(*number),
            Value::I64(number) => self.u64(number.cast_unsigned()),
            Value::U64(number) => self.u64(*number),
            Value::Text(text) => self.string(text),
            Value::Texts(texts) => self.array(4, |writer| {
                texts.iter().for_each(|text| writer.string(text))
            }),
            Value::Numbers(numbers) => {
                self.array(4, |writer| {
                    numbers.iter().for_each(|number| writer.u32(*number))
                });
            }
            Value::Bytes(bytes) => self.array(1, |writer| writer.0.extend(bytes)),
        }
    }

    fn field(&mut self, code: u8, kind: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        self.align(8);
        self.0.push(code);
        self.signature(kind);
        match kind {
            "g" => self.signature(text),
            _ => self.string(text),
        }
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// A method call, whole.
pub fn message(call: Call<'_>, serial: u32, body: &Writer) -> Vec<u8> {
    // Little endian, method call, no flags, version 1.
    let mut writer = Writer(vec![b'l', 1, 0, 1]);
    writer.u32(length(body.0.len()));
    writer.u32(serial);
    writer.array(8, |writer| {
        writer.field(1, "o", call.path);
        writer.field(2, "s", call.interface);
        writer.field(3, "s", call.member);
        writer.field(6, "s", call.destination);
        writer.field(8, "g", call.signature);
    });
    writer.align(8);
    writer.0.extend(&body.0);
    writer.0
}

/// A message that was read, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// 2 an answer, 3 an error, 4 a signal.
    pub kind: u8,
    /// Which call it answers.
    pub answers: u32,
    /// The name of the signal.
    pub member: String,
    /// The name of the error.
    pub error: String,
    /// The values.
    pub body: Vec<u8>,
    is_big: bool,
}

impl Message {
    /// The values, from the first.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            bytes: &self.body,
            at: 0,
            is_big: self.is_big,
        }
    }
}

/// The length of the fixed part.
pub const HEAD: usize = 16;

/// How much follows the fixed part; none if that is no message.
pub fn rest(head: &[u8; HEAD]) -> Option<usize> {
    let mut reader = Reader {
        bytes: head,
        at: 4,
        is_big: head[0] == b'B',
    };
    let body = usize::try_from(reader.u32()?).ok()?;
    reader.at = 12;
    let fields = usize::try_from(reader.u32()?).ok()?;
    let rest = fields.checked_next_multiple_of(8)?.checked_add(body)?;
    (rest <= LONGEST && matches!(head[0], b'l' | b'B')).then_some(rest)
}

/// Reads a message of which [`rest`] told the length.
pub fn read(bytes: &[u8]) -> Option<Message> {
    let is_big = *bytes.first()? == b'B';
    let mut message = Message {
        kind: *bytes.get(1)?,
        is_big,
        ..Message::default()
    };
    let mut reader = Reader {
        bytes,
        at: 12,
        is_big,
    };
    let end = usize::try_from(reader.u32()?).ok()?.checked_add(HEAD)?;
    let fields = bytes.get(..end)?;
    let mut reader = Reader {
        bytes: fields,
        at: HEAD,
        is_big,
    };
    while reader.at < end {
        reader.align(8);
        let code = reader.byte()?;
        match (code, reader.signature()?.as_str()) {
            (3, "s") => message.member = reader.string()?,
            (4, "s") => message.error = reader.string()?,
            (5, "u") => message.answers = reader.u32()?,
            (_, "u") => drop(reader.u32()?),
            (_, "g") => drop(reader.signature()?),
            (_, "s" | "o") => drop(reader.string()?),
            _ => return None,
        }
    }
    message.body = bytes.get(end.checked_next_multiple_of(8)?..)?.to_vec();
    Some(message)
}

/// Reads values one after the other; none where there is no such value.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    is_big: bool,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let end = self.at.checked_add(count)?;
        let bytes = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.align(4);
        let is_big = self.is_big;
        let bytes = self.take(4)?.try_into().ok()?;
        Some(if is_big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    pub fn string(&mut self) -> Option<String> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.text(length)
    }

    pub fn signature(&mut self) -> Option<String> {
        let length = self.byte()?;
        self.text(usize::from(length))
    }

    fn text(&mut self, length: usize) -> Option<String> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.byte()?;
        Some(text)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A message of systemd's.
    pub fn any(
        kind: u8,
        fields: &[(u8, &str, &str)],
        answers: Option<u32>,
        body: &Writer,
    ) -> Vec<u8> {
        let mut writer = Writer(vec![b'l', kind, 0, 1]);
        writer.u32(length(body.0.len()));
        writer.u32(9);
        writer.array(8, |writer| {
            for (code, kind, text) in fields {
                writer.field(*code, kind, text);
            }
            if let Some(serial) = answers {
                writer.align(8);
                writer.0.push(5);
                writer.signature("u");
                writer.u32(serial);
            }
        });
        writer.align(8);
        writer.0.extend(&body.0);
        writer.0
    }

    const CALL: Call<'_> = Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "StopUnit",
        signature: "ss",
    };

    #[test]
    fn a_message_reads_as_it_was_written() {
        let mut body = Writer::default();
        body.string("a.scope");
        body.string("replace");
        let bytes = message(CALL, 7, &body);
        let head = bytes[..HEAD].try_into().unwrap();
        assert_eq!(rest(&head), Some(bytes.len() - HEAD));
        let message = read(&bytes).unwrap();
        assert_eq!((message.kind, message.member.as_str()), (1, "StopUnit"));
        let mut reader = message.reader();
        assert_eq!(reader.string().unwrap(), "a.scope");
        assert_eq!(reader.string().unwrap(), "replace");
        assert_eq!(reader.string(), None);
    }

    #[test]
    fn properties_are_padded_as_the_protocol_asks() {
        let mut body = Writer::default();
        body.properties([("Ab", &Value::U64(1)), ("C", &Value::Bool(true))].into_iter());
        let expected: &[u8] = &[
            36, 0, 0, 0, 0, 0, 0, 0, // length of the array, padding
            2, 0, 0, 0, b'A', b'b', 0, 1, b't', 0, 0, 0, 0, 0, 0,
            0, // the number at a multiple of 8
            1, 0, 0, 0, 0, 0, 0, 0, // 1
            1, 0, 0, 0, b'C', 0, 1, b'b', 0, 0, 0, 0, 1, 0, 0, 0,
        ];
        let mut expected = expected.to_vec();
        let count = u8::try_from(expected.len() - 8).unwrap();
        expected[0] = count;
        assert_eq!(body.0, expected);
    }

    #[test]
    fn no_bytes_are_too_wrong_to_read() {
        let mut body = Writer::default();
        body.string("x");
        let bytes = message(CALL, 7, &body);
        for length in 0..bytes.len() {
            let torn = read(&bytes[..length]);
            assert!(torn.is_none_or(|message| message.reader().string().is_none()));
        }
        for index in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[index] = 0xff;
            drop(read(&wrong));
        }
        assert_eq!(rest(&[0xff; HEAD]), None);
    }
}
