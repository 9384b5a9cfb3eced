//! Tests that the manifest and the code of the README build and run in an empty directory outside of the workspace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Returns the content of the first code block in the language `language`.
fn code_block<'t>(text: &'t str, language: &str) -> &'t str {
    let begin = format!("```{language}\n");
    let rest = text.split_once(&begin).expect("the README has such a block").1;
    rest.split_once("```").expect("the block ends").0
}

#[test]
fn the_first_controller_builds_and_runs_in_an_empty_directory() {
    let checkout =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("examples is a folder of the checkout");
    let readme = include_str!("../../README.md");
    let folder = tempfile::tempdir().unwrap();
    let manifest = code_block(readme, "toml").replace("../checkout", checkout.to_str().unwrap());
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("src/main.rs"), code_block(readme, "rust")).unwrap();
    // Use the locked versions of the workspace, which are already downloaded.
    std::fs::copy(checkout.join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();

    // Share the target directory and profile of the workspace, so that dependencies are not rebuilt.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet"]).current_dir(folder.path()).env("CARGO_TARGET_DIR", target);
    // CI sets the debug level of all builds with `CARGO_PROFILE_DEV_DEBUG`. `--config` would override this level.
    if std::env::var_os("CARGO_PROFILE_DEV_DEBUG").is_none() {
        cargo.args(["--config", "profile.dev.debug='line-tables-only'"]);
    }
    cargo.args(["--config", "profile.dev.package.'*'.debug=false"]);
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_"))) {
        cargo.env_remove(name);
    }
    let built = cargo.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let program = target.join("debug/first-controller");
    let mut controller = ControllerProcess(Command::new(program).stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(controller.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut missing = vec!["default", "kube-node-lease", "kube-public", "kube-system"];
    for line in lines {
        assert!(line.starts_with("reconciled "), "{line}");
        missing.retain(|namespace| !line.contains(namespace));
        if missing.is_empty() {
            return;
        }
    }
    panic!("the controller exited without printing {missing:?}");
}

/// The process of the controller. Dropping the value kills the process.
struct ControllerProcess(Child);

impl Drop for ControllerProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
