//! The main function of the programs that `cargo xtask` starts. Each program passes a function that runs its task.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Command};

use crate::{exec, supervise};

/// Runs the task `cargo xtask NAME` with the arguments of this process, and prints its error.
///
/// A supervisor is another process of the same binary (see [`crate`]). Therefore the `main` of every program that uses
/// [`SupervisedProgram`](crate::SupervisedProgram) must only call this function.
pub fn main<A: Args>(name: &'static str, task: impl FnOnce(A) -> anyhow::Result<ExitCode>) -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let outcome = match arguments.get(1).and_then(|argument| argument.to_str()) {
        Some(supervise::SUBCOMMAND) => supervise::run(&parse(supervise::SUBCOMMAND, &arguments[1..])),
        Some(exec::SUBCOMMAND) => exec::run(&parse(exec::SUBCOMMAND, &arguments[1..])),
        _ => task(parse(name, &arguments)),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Parses the arguments. If the arguments are invalid or request help, prints a message and exits the process.
fn parse<A: Args>(name: &'static str, arguments: &[OsString]) -> A {
    let command = A::augment_args(Command::new(name).bin_name(format!("cargo xtask {name}")));
    let matches = command.clone().get_matches_from(arguments);
    A::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command.clone()).exit())
}
