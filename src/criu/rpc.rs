//! Messages of criu's protocol: protocol buffers, by hand, because there are two of them.
//!
//! A field is a varint of number and kind, then a varint (kind 0), or a length and bytes (kind 2). The
//! numbers are those of criu's images/rpc.proto.

/// What is asked: criu_req_type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A checkpoint.
    Dump = 1,
    /// The way back.
    Restore = 2,
    /// The answer to what criu tells on its way.
    Notify = 6,
    /// Memory alone, ahead of a dump; and then criu ends.
    PreDump = 13,
}

/// A message in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// Adds an integer.
    pub fn number(&mut self, field: u8, value: u64) -> &mut Self {
        self.varint(u64::from(field) << 3);
        self.varint(value);
        self
    }

    /// Adds a descriptor or a process number.
    pub fn descriptor(&mut self, field: u8, value: i32) -> &mut Self {
        self.number(field, u64::from(value.unsigned_abs()))
    }

    /// Adds a boolean that is true; false is the default of all of them.
    pub fn flag(&mut self, field: u8, value: bool) -> &mut Self {
        if value {
            self.number(field, 1);
        }
        self
    }

    /// Adds a string.
    pub fn text(&mut self, field: u8, value: &[u8]) -> &mut Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Adds a message.
    pub fn message(&mut self, field: u8, value: &Self) -> &mut Self {
        self.text(field, &value.0)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }
}

/// criu_req.
pub fn request(kind: Kind, options: &Message) -> Message {
    let mut request = Message::default();
    request.number(1, kind as u64).message(2, options);
    request
}

/// criu_req that answers a notification.
pub fn acknowledgement() -> Message {
    let mut request = Message::default();
    request.number(1, Kind::Notify as u64).number(3, 1);
    request
}

/// criu_resp, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// criu_req_type.
    pub kind: u64,
    /// Whether it was done.
    pub success: bool,
    /// The restored process.
    pub pid: Option<i32>,
    /// What criu is about to do, or has done: `post-dump`, `setup-namespaces`.
    pub script: Option<String>,
    /// The process that the notification is about.
    pub script_pid: Option<i32>,
    /// criu's own words.
    pub words: Option<String>,
}

/// Reads one; None if it is none.
pub fn parse(bytes: &[u8]) -> Option<Response> {
    let mut response = Response::default();
    for field in Fields(bytes) {
        match field? {
            (1, Value::Number(kind)) => response.kind = kind,
            (2, Value::Number(success)) => response.success = success != 0,
            (4, Value::Bytes(restored)) => response.pid = pid(restored, 1)?,
            (5, Value::Bytes(notify)) => {
                response.script_pid = pid(notify, 2)?;
                response.script = Fields(notify).flatten().find_map(|field| match field {
                    (1, Value::Bytes(text)) => Some(String::from_utf8_lossy(text).into_owned()),
                    _ => None,
                });
            }
            (9, Value::Bytes(words)) => {
                response.words = Some(String::from_utf8_lossy(words).into_owned());
            }
            _ => {}
        }
    }
    Some(response)
}

fn pid(bytes: &[u8], wanted: u64) -> Option<Option<i32>> {
    let mut found = None;
    for field in Fields(bytes) {
        if let (number, Value::Number(value)) = field?
            && number == wanted
        {
            found = Some(i32::try_from(value.cast_signed()).ok()?);
        }
    }
    Some(found)
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message; None where it breaks.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let head = self.varint()?;
        let value = match head & 7 {
            0 => Value::Number(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        Some((head >> 3, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_encoded_as_protocol_buffers_are() {
        let mut options = Message::default();
        options.number(1, 300).flag(3, true).flag(4, false);
        options.text(37, b"a");
        let request = request(Kind::Restore, &options);
        let expected = [8, 2, 18, 9, 8, 0xac, 2, 24, 1, 0xaa, 2, 1, b'a'];
        // Field 37 needs two bytes: 37 << 3 | 2 = 298.
        assert_eq!(request.bytes()[..2], expected[..2]);
        assert_eq!(request.bytes()[2..], expected[2..]);
    }

    #[test]
    fn a_response_is_read_and_a_torn_one_is_none() {
        let mut restored = Message::default();
        restored.number(1, 4711);
        let mut notify = Message::default();
        notify.text(1, b"setup-namespaces").number(2, 7);
        let mut message = Message::default();
        message
            .number(1, 2)
            .number(2, 1)
            .message(4, &restored)
            .message(5, &notify)
            .number(7, u64::MAX)
            .text(9, b"no");
        let response = parse(message.bytes()).unwrap();
        assert_eq!((response.kind, response.success), (2, true));
        assert_eq!((response.pid, response.script_pid), (Some(4711), Some(7)));
        assert_eq!(response.script.as_deref(), Some("setup-namespaces"));
        assert_eq!(response.words.as_deref(), Some("no"));
        let whole = message.bytes();
        assert_eq!(parse(&whole[..whole.len() - 1]), None);
        assert_eq!(parse(&[0xff; 12]), None);
    }
}
