//! x
use std::process::ExitCode;
/// x
#[derive(Debug, clap::Args)]
pub struct Args {}
/// x
/// # Errors
/// x
pub fn run(_: &Args) -> anyhow::Result<ExitCode> { Ok(ExitCode::SUCCESS) }
