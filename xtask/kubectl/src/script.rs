//! `Script`: a sequence of shell commands that run in one namespace. This module parses the files of `data/scripts`, and
//! runs no command.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use regex::Regex;
use serde::Deserialize;

/// A sequence of commands. The commands run in a namespace that is named after the script and the version of kubectl.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// The name of the file without its extension.
    #[serde(skip)]
    pub(crate) name: String,
    /// The files in the working folder of the commands, by name.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) steps: Vec<Step>,
    /// Whether the script needs the resource metrics API. Such a script runs only on a kube-sim that serves this API.
    #[serde(default)]
    pub(crate) metrics: bool,
    /// Commands that run at the end; their outputs are not compared.
    #[serde(default)]
    pub(crate) cleanup: Vec<String>,
}

/// One shell command, and how its result is compared.
#[derive(Debug, Deserialize)]
#[serde(from = "StepText")]
pub(crate) struct Step {
    pub(crate) run: String,
    /// Patterns to mask in the outputs of this command, in addition to the patterns in [`mask`](crate::mask).
    pub(crate) mask: Vec<String>,
    /// Patterns of lines that are not compared.
    pub(crate) ignore: Vec<String>,
    /// Whether the lines of an output may have any order.
    pub(crate) any_order: bool,
    /// The command is repeated until its standard output matches this pattern, or a time limit is exceeded.
    pub(crate) until: Option<String>,
    /// The expected standard output on kube-sim. If it is set, the command does not run on the real control plane.
    pub(crate) simulated: Option<String>,
    /// Whether only the exit code is compared, and not the output.
    pub(crate) quiet: bool,
}

/// A step as the file contains it: only a command, or a map with options.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum StepText {
    Command(String),
    Options(StepOptions),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepOptions {
    run: String,
    #[serde(default)]
    mask: Vec<String>,
    #[serde(default)]
    ignore: Vec<String>,
    #[serde(default)]
    any_order: bool,
    until: Option<String>,
    simulated: Option<String>,
    #[serde(default)]
    quiet: bool,
}

impl From<StepText> for Step {
    fn from(text: StepText) -> Self {
        let StepOptions { run, mask, ignore, any_order, until, simulated, quiet } = match text {
            StepText::Options(options) => options,
            StepText::Command(run) => StepOptions {
                run,
                mask: Vec::new(),
                ignore: Vec::new(),
                any_order: false,
                until: None,
                simulated: None,
                quiet: false,
            },
        };
        Self { run: run.trim_end().to_owned(), mask, ignore, any_order, until, simulated, quiet }
    }
}

impl Script {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// When the text is not a script, when it has no steps, or when a pattern in it is invalid. Also when a
    /// script with `metrics` has a step without an expected output.
    pub(crate) fn parse(name: &str, text: &str) -> anyhow::Result<Self> {
        let mut script: Self = yaml_serde::from_str(text).with_context(|| format!("cannot parse {name}"))?;
        name.clone_into(&mut script.name);
        ensure!(!script.steps.is_empty(), "{name} has no steps");
        let on_both = script.steps.iter().find(|step| script.metrics && step.simulated.is_none());
        if let Some(step) = on_both {
            bail!("{name}: `{}` has no expected output", step.run);
        }
        for step in &script.steps {
            for pattern in step.mask.iter().chain(&step.ignore).chain(&step.until) {
                Regex::new(pattern).with_context(|| format!("{name}: `{}`", step.run))?;
            }
        }
        Ok(script)
    }
}

/// Reads all scripts of a folder, in the order of their names.
///
/// # Errors
/// When a file cannot be read or parsed.
pub(crate) fn read_all(folder: &Path) -> anyhow::Result<Vec<Script>> {
    let mut scripts = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        scripts.push(Script::parse(&name, &text)?);
    }
    scripts.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(scripts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_command_or_a_map() {
        let text = "steps: ['kubectl get pods', {run: kubectl top nodes, simulated: 'x', mask: ['[0-9]+']}]";
        let script = Script::parse("x", text).unwrap();
        assert_eq!(script.steps[0].run, "kubectl get pods");
        assert_eq!(script.steps[1].simulated.as_deref(), Some("x"));
        assert_eq!(script.steps[1].mask, ["[0-9]+"]);
    }

    #[test]
    fn an_invalid_script_is_an_error() {
        let message = |text| format!("{:#}", Script::parse("x", text).unwrap_err());
        assert!(message("steps: []").contains("x has no steps"));
        assert!(message("steps: [{run: a, mask: ['(']}]").contains("x: `a`"));
        assert!(message("{metrics: true, steps: [a]}").contains("`a` has no expected output"));
        assert!(message("commands: []").contains("cannot parse x"));
    }

    #[test]
    fn the_scripts_of_this_repository_are_valid() {
        assert!(read_all(&crate::data_folder().join("scripts")).unwrap().len() > 3);
    }
}
