//! `features`: what this program can do, as JSON. Nothing goes to stderr, which CRI-O reads as well.

use super::flags::flags;
use super::{Call, Subcommand, Words, print};
use crate::error::Result;
use crate::features;

flags! {
    /// Nothing.
    pub(super) struct Features {}
}

impl Subcommand for Features {
    const NAME: &'static str = "features";
    const ABOUT: &'static str = "Print what this program can do as JSON";
    const WORDS: Words = Words::Exactly(0);

    fn run(self, _: &Call) -> Result<u8> {
        print(&format!("{:#}\n", features::features()))?;
        Ok(0)
    }
}
