//! `validate`: everything that is wrong with a configuration, at once.

use std::path::PathBuf;

use clap::ValueEnum;

use super::flags::{choices, flags};
use super::{Call, Subcommand, Words, absolute, page, print};
use crate::engine::CreateRequest;
use crate::error::Result;
use crate::state::Id;
use crate::validate::{self, Scope, show};

flags! {
    /// Flags and words.
    pub(super) struct Validate {
        /// Directory of config.json [default: the working directory]
        #[arg(short, long, value_name = "DIR")]
        bundle: Option<PathBuf>,
        /// Read this file instead of the bundle's config.json
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Look also for what this machine cannot do
        #[arg(long)]
        host: bool,
        /// How to print what is found
        #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "text")]
        format: Format,
        /// The bundle; the same as --bundle
        #[arg(value_name = "BUNDLE")]
        directory: Option<PathBuf>,
    }
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, and for editors: FILE:LINE:COLUMN: what.
    Text,
    /// For programs.
    Json,
    /// SARIF 2.1.0, for editors and code hosting services.
    Sarif,
}

choices!(Format);

impl Subcommand for Validate {
    const NAME: &'static str = "validate";
    const ABOUT: &'static str = "Find everything that is wrong with a configuration";
    const WORDS: Words = Words::Between(0, 1);
    // 1 is for warnings.
    const FAILURE: u8 = 2;

    fn run(self, call: &Call) -> Result<u8> {
        let bundle = self.directory.or(self.bundle);
        let bundle = absolute(&bundle.unwrap_or_else(|| PathBuf::from(".")))?;
        let id = Id::parse("validated")?;
        let create = CreateRequest {
            config: self.config.map(|path| absolute(&path)).transpose()?,
            data: call.globals.data()?,
            cgroup_driver: call.globals.cgroup_driver(),
            rootless: call.globals.rootless()?,
            log: call.log.clone(),
            ..CreateRequest::new(id, bundle, call.root()?)
        };
        let scope = if self.host {
            Scope::Host
        } else {
            Scope::Configuration
        };
        let report = validate::validate(&create, scope)?;
        print(&match self.format {
            Format::Text => show::text(&report, page::colours()),
            Format::Json => format!("{:#}\n", show::json(&report)),
            Format::Sarif => format!("{:#}\n", show::sarif(&report)),
        })?;
        Ok(report.status())
    }
}
