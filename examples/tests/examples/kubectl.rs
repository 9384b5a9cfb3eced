//! Tests the kubectl commands in the header of `crd_reflector`. If kubectl is not installed, the test prints a message
//! and skips the commands.

use crate::support::{Cluster, Home};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Returns the path of kubectl, if a directory of `PATH` contains kubectl.
fn find_kubectl() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|file| file.is_file())
}

/// Runs kubectl with the kubeconfig of a simulated cluster.
struct Kubectl {
    program: PathBuf,
    home: Home,
    kubeconfig: PathBuf,
    /// The program that `kubectl edit` starts.
    editor: PathBuf,
}

impl Kubectl {
    /// Runs a command of kubectl, asserts its success, and returns its stdout.
    async fn run(&self, args: &[&str]) -> String {
        let mut command = self.home.command(&self.program);
        // The kubectl commands in the documentation of `crd_reflector` contain paths relative to the root
        // of the repository.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        command
            .args(args)
            .current_dir(root)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBE_EDITOR", &self.editor);
        let output = command.output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "kubectl {args:?}: {}\n{stdout}\n{stderr}", output.status);
        stdout
    }
}

#[tokio::test]
async fn crd_reflector_prints_the_changes_that_kubectl_makes() {
    let Some(program) = find_kubectl() else {
        println!("skipped: there is no kubectl in PATH");
        return;
    };
    let cluster = Cluster::new().await;
    let home = Home::new();
    let editor = home.write_file("editor", "#!/bin/sh\nsed -i 's/^  info: .*/  info: by hand/' \"$1\"\n");
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    let kubectl = Kubectl { program, home, kubeconfig: cluster.kubeconfig.clone(), editor };

    kubectl.run(&["apply", "-f", "examples/foo.yaml"]).await;
    let mut example = cluster.start("crd_reflector");
    example.wait_for_stdout("0 foos").await;
    let output = kubectl.run(&["apply", "-f", "examples/crd-baz.yaml", "-n", "kube-system"]).await;
    assert!(output.contains("foo.clux.dev/baz created"), "{output}");
    let line = example.wait_for_stdout("kube-system/baz").await;
    assert_eq!(line, "  kube-system/baz: baz, an example object");
    let output = kubectl.run(&["edit", "foos", "baz", "-n", "kube-system"]).await;
    assert!(output.contains("foo.clux.dev/baz edited"), "{output}");
    assert_eq!(example.wait_for_stdout("by hand").await, "  kube-system/baz: baz, by hand");
    let output = kubectl.run(&["delete", "-f", "examples/crd-baz.yaml", "-n", "kube-system"]).await;
    assert!(output.contains("\"baz\" deleted"), "{output}");
    example.wait_for_stdout("0 foos").await;
    example.stop().await;
}
