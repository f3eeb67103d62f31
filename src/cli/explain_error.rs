//! `explain-error`: what a failure of some number means, and what to do.

use super::flags::flags;
use super::{Call, Subcommand, Words, print};
use crate::error::{Code, Failure, Kind, Result};

flags! {
    /// Flags and words.
    pub(super) struct ExplainError {
        /// The number, such as E0201; all are listed without one
        #[arg(value_name = "NUMBER")]
        number: Option<String>,
    }
}

impl Subcommand for ExplainError {
    const NAME: &'static str = "explain-error";
    const ABOUT: &'static str = "Say what an error means, what usually causes it, and what to do";
    const WORDS: Words = Words::Between(0, 1);

    fn run(self, call: &Call) -> Result<u8> {
        let Some(number) = self.number else {
            let lines = Kind::ALL
                .iter()
                .map(|kind| format!("{}  {}\n", kind.number(), kind.page().title));
            return print(&lines.collect::<String>()).map(|()| 0);
        };
        let kind = Kind::of_number(&number).ok_or_else(|| {
            Failure::new(Code::Usage, format!("no such error: {number:?}"))
                .hint(format!("{} explain-error lists them", call.program.name()))
        })?;
        print(&kind.text())?;
        Ok(0)
    }
}
