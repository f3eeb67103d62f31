//! The last of what a program printed, in a fixed buffer: Init has no other.

/// How much is kept.
const SIZE: usize = 4096;

/// The last 4 KiB of a stream.
#[derive(Clone, Debug)]
pub struct Tail {
    bytes: [u8; SIZE],
    length: usize,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            bytes: [0; SIZE],
            length: 0,
        }
    }
}

impl Tail {
    /// Appends, and forgets as much at the front as there is no room for.
    pub fn push(&mut self, new: &[u8]) {
        let new = &new[new.len().saturating_sub(SIZE)..];
        let kept = self.length.min(SIZE - new.len());
        self.bytes.copy_within(self.length - kept..self.length, 0);
        self.bytes[kept..kept + new.len()].copy_from_slice(new);
        self.length = kept + new.len();
    }

    /// What is kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// As text without the white space around it, for an error; none if there is nothing to say.
    pub fn text(&self) -> Option<String> {
        let text = String::from_utf8_lossy(self.bytes()).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_the_beginning_forgotten() {
        let mut tail = Tail::default();
        assert_eq!(tail.text(), None);
        tail.push(b"one ");
        tail.push(b"two\n");
        assert_eq!(tail.text().unwrap(), "one two");
        tail.push(&[b'x'; SIZE - 1]);
        assert_eq!(tail.bytes().len(), SIZE);
        assert_eq!(tail.bytes()[0], b'\n');
        tail.push(&[vec![b'y'; SIZE], b"end".to_vec()].concat());
        assert_eq!(
            (tail.bytes().len(), &tail.bytes()[SIZE - 4..]),
            (SIZE, &b"yend"[..])
        );
    }
}
