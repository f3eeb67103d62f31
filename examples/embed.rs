//! A program that links the runtime: prints what would be done for a bundle, then runs it.
//!
//! ```console
//! # cargo run --example embed -- STATE_DIRECTORY BUNDLE ID
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use corten::engine::{
    self, AtEnd, Attachment, CreateRequest, ExplainFormat, ExplainRequest, RunRequest, Subreaper,
};
use corten::plan::show::Look;
use corten::state::{Id, Root};

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    ensure!(words.len() == 3, "usage: embed STATE_DIRECTORY BUNDLE ID");
    let bundle = PathBuf::from(&words[1]);
    let create = || -> Result<CreateRequest> {
        let root = Root::given(words[0].as_ref())?;
        let id = Id::parse(&words[2])?;
        Ok(CreateRequest::new(id, std::path::absolute(&bundle)?, root))
    };

    let plan = engine::explain(&ExplainRequest {
        create: create()?,
        format: ExplainFormat::Text,
        look: Look::default(),
        other: None,
    });
    eprint!("{}", plan.context("the bundle has no plan")?);

    let status = engine::run(&RunRequest {
        create: create()?,
        attachment: Attachment::Foreground,
        at_end: AtEnd::Delete,
        subreaper: Subreaper::Runtime,
        stop_timeout: None,
    });
    Ok(ExitCode::from(status.context("the container has not run")?))
}
