//! `crd_reflector` beside kubectl, as its header says. Without kubectl on the machine this says so and tests nothing.

use crate::support::{Cluster, Home};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

fn kubectl() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|file| file.is_file())
}

struct Kubectl {
    program: PathBuf,
    home: Home,
    kubeconfig: PathBuf,
    editor: PathBuf,
}

impl Kubectl {
    async fn run(&self, args: &[&str]) -> String {
        let mut command = self.home.command(&self.program);
        // The paths in an example's header count from the repository's root.
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
async fn apply_edit_and_delete_show_up() {
    let Some(program) = kubectl() else {
        println!("skipped: there is no kubectl in PATH");
        return;
    };
    let cluster = Cluster::new().await;
    let home = Home::new();
    let editor = home.write("editor", "#!/bin/sh\nsed -i 's/^  info: .*/  info: by hand/' \"$1\"\n");
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    let kubectl = Kubectl { program, home, kubeconfig: cluster.kubeconfig.clone(), editor };

    kubectl.run(&["apply", "-f", "examples/foo.yaml"]).await;
    let mut example = cluster.start("crd_reflector");
    example.says("0 foos").await;
    let said = kubectl.run(&["apply", "-f", "examples/crd-baz.yaml", "-n", "kube-system"]).await;
    assert!(said.contains("foo.clux.dev/baz created"), "{said}");
    let line = example.says("kube-system/baz").await;
    assert_eq!(line, "  kube-system/baz: baz, a thing that is there for others to look at");
    let said = kubectl.run(&["edit", "foos", "baz", "-n", "kube-system"]).await;
    assert!(said.contains("foo.clux.dev/baz edited"), "{said}");
    assert_eq!(example.says("by hand").await, "  kube-system/baz: baz, by hand");
    let said = kubectl.run(&["delete", "-f", "examples/crd-baz.yaml", "-n", "kube-system"]).await;
    assert!(said.contains("\"baz\" deleted"), "{said}");
    example.says("0 foos").await;
    example.stop().await;
}
