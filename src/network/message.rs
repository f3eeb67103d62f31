//! The messages of rtnetlink(7), as bytes: made and taken apart, no system call.
//!
//! A message is a header, a fixed part that depends on its type, and attributes: length, type, value,
//! padded to four bytes. Numbers are in the machine's own order.

use crate::sys::Errno;

/// nlmsghdr.
const HEADER: usize = 16;
/// rtattr.
const ATTRIBUTE: usize = 4;
/// The attribute of an error that holds the kernel's words (NLMSGERR_ATTR_MSG).
const WORDS: u16 = 1;
/// NLM_F_ACK_TLVS: an error has attributes.
const HAS_ATTRIBUTES: u16 = 0x200;
/// NLM_F_DUMP_INTR: the list changed while it was told.
const INTERRUPTED: u16 = 0x10;

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request(Vec<u8>);

impl Request {
    /// A message of a type (RTM_*) with flags besides NLM_F_REQUEST, and its fixed part.
    pub fn new(kind: u16, flags: i32, fixed: &[u8]) -> Self {
        let flags = u16::try_from(libc::NLM_F_REQUEST | flags).unwrap_or_default();
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend(fixed);
        Self(bytes)
    }

    /// One attribute more.
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(ATTRIBUTE + value.len()).unwrap_or_default();
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// The message as it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.clone();
        let length = u32::try_from(bytes.len()).unwrap_or_default();
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }
}

/// One message of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What was asked for: all behind the header.
    Is(Vec<u8>),
    /// There is no more.
    Done,
    /// The list changed meanwhile, so it may be wrong.
    Torn,
    /// No: an errno and, where it has any, the kernel's words.
    No(Errno, String),
}

/// Takes an answer apart. What is cut off is not there.
pub fn answers(bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut rest = bytes;
    while let Some((header, behind)) = rest.split_at_checked(HEADER) {
        let length = number(header) as usize;
        let Some(body) = length
            .checked_sub(HEADER)
            .and_then(|length| behind.get(..length))
        else {
            break;
        };
        let (kind, flags) = (short(&header[4..]), short(&header[6..]));
        if flags & INTERRUPTED != 0 {
            answers.push(Answer::Torn);
        }
        answers.push(answer(kind, flags, body));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    answers
}

fn answer(kind: u16, flags: u16, body: &[u8]) -> Answer {
    let is_error = i32::from(kind) == libc::NLMSG_ERROR;
    // A list ends with the errno that ended it.
    if !is_error && i32::from(kind) != libc::NLMSG_DONE {
        return Answer::Is(body.to_owned());
    }
    match number(body).cast_signed() {
        errno if errno < 0 => {
            let words = if is_error {
                words(flags, body)
            } else {
                String::new()
            };
            Answer::No(Errno(errno.saturating_neg()), words)
        }
        _ => Answer::Done,
    }
}

/// Behind the errno stands the header of the question, then attributes.
fn words(flags: u16, body: &[u8]) -> String {
    let told = body
        .get(4 + HEADER..)
        .filter(|_| flags & HAS_ATTRIBUTES != 0);
    let told = told.and_then(|bytes| attribute(bytes, WORDS));
    told.map_or_else(String::new, |text| {
        let text = String::from_utf8_lossy(text);
        text.trim_end_matches('\0').to_owned()
    })
}

/// Type and value of each attribute.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (header, _) = bytes.split_at_checked(ATTRIBUTE)?;
        let length = usize::from(short(header));
        let value = bytes.get(ATTRIBUTE..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((short(&header[2..]), value))
    })
}

/// The value of the first attribute of a type.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(other, value)| (other == kind).then_some(value))
}

/// The first four bytes.
pub fn number(bytes: &[u8]) -> u32 {
    let four = bytes.first_chunk();
    four.map_or(0, |four| u32::from_ne_bytes(*four))
}

fn short(bytes: &[u8]) -> u16 {
    let two = bytes.first_chunk();
    two.map_or(0, |two| u16::from_ne_bytes(*two))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: i32, flags: u16, body: &[u8]) -> Vec<u8> {
        let kind = u16::try_from(kind).unwrap();
        let mut bytes = Request::new(kind, 0, body).to_bytes();
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes
    }

    #[test]
    fn attributes_are_padded_and_read_as_they_were_written() {
        let request = Request::new(16, 0, &[0; 16])
            .with(3, b"eth0\0")
            .with(28, &7_u32.to_ne_bytes());
        let bytes = request.to_bytes();
        assert_eq!(bytes.len(), 16 + 16 + 12 + 8);
        let [Answer::Is(body)] = &answers(&bytes)[..] else {
            panic!("{bytes:?}");
        };
        assert_eq!(attribute(&body[16..], 3), Some(&b"eth0\0"[..]));
        assert_eq!(attribute(&body[16..], 28).map(number), Some(7));
        assert_eq!(attribute(&body[16..], 4), None);
    }

    #[test]
    fn several_messages_come_at_once_and_a_torn_end_is_dropped() {
        let mut bytes = message(20, 0, b"first");
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(message(libc::NLMSG_DONE, 0, &[0; 4]));
        let expected = [Answer::Is(b"first".to_vec()), Answer::Done];
        assert_eq!(answers(&bytes), expected);
        for length in 0..bytes.len() {
            assert!(answers(&bytes[..length]).len() < 2);
        }
        let torn = answers(&message(libc::NLMSG_DONE, INTERRUPTED, &[0; 4]));
        assert_eq!(torn, [Answer::Torn, Answer::Done]);
    }

    #[test]
    fn a_refusal_has_its_errno_and_the_words_of_the_kernel() {
        let mut body = (-libc::EINVAL).to_ne_bytes().to_vec();
        assert_eq!(
            answers(&message(libc::NLMSG_ERROR, 0, &body)),
            [Answer::No(Errno(libc::EINVAL), String::new())]
        );
        body.extend([0; HEADER]);
        body.extend(&Request::new(0, 0, &[]).with(WORDS, b"not so\0").to_bytes()[HEADER..]);
        assert_eq!(
            answers(&message(libc::NLMSG_ERROR, HAS_ATTRIBUTES, &body)),
            [Answer::No(Errno(libc::EINVAL), "not so".to_owned())]
        );
        assert_eq!(
            answers(&message(libc::NLMSG_ERROR, 0, &[0; 20])),
            [Answer::Done]
        );
    }

    #[test]
    fn a_length_that_lies_is_no_panic() {
        for length in [0_u32, 1, 15, 17, 4096, u32::MAX] {
            let mut bytes = message(20, 0, b"body");
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(answers(&bytes).len() <= 1);
        }
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
    }
}
