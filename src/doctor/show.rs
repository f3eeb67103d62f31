//! The answer as text: a line each; what is not well says why it matters and what mends it.

use super::{Check, State};
use crate::inspect::plain;

/// All of it, and how many of each.
pub fn text(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let line = format!(
            "{:<4}  {:<width$}  {}",
            word(check.state),
            check.name,
            check.found
        );
        text += &(plain(&line) + "\n");
        if let Some(mend) = &check.mend {
            text += &format!("      why   {}\n      mend  {}\n", check.why, plain(mend));
        }
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let (ok, warn, fail) = (count(State::Ok), count(State::Warn), count(State::Fail));
    text + &format!("{ok} ok, {warn} to know, {fail} to mend\n")
}

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Warn => "warn",
        State::Fail => "fail",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_well_has_a_remedy() {
        let check = |name, state, mend: Option<&str>| Check {
            name,
            state,
            found: "found".to_owned(),
            why: "because",
            mend: mend.map(str::to_owned),
        };
        let text = text(&[
            check("a", State::Ok, None),
            check("long", State::Fail, Some("do it")),
        ]);
        let expected = "ok    a     found\nfail  long  found\n      why   because\n      mend  do it\n1 ok, 0 to know, 1 to mend\n";
        assert_eq!(text, expected);
    }
}
