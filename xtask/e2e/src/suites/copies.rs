//! Copies of files and folders into and out of containers.

use std::fs;

use kube_client::api::{AttachParams, CopyParams};

use super::running_pod::{create_running_pod, wait_with_output};
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};

suite!("copies":
    a_folder_is_copied_into_a_pod_and_back [Processes],
    a_failed_copy_reports_the_cause [Processes],
);

/// The maximum number of times that a case tries a copy until the copy fails as expected.
const MAX_COPY_ATTEMPTS: usize = 5;

async fn a_folder_is_copied_into_a_pod_and_back(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    let folder = tempfile::tempdir()?;
    let (source, in_pod) = (folder.path().join("source"), folder.path().join("in-pod"));
    let large = vec![7; 3 << 20];
    fs::create_dir_all(source.join("deep/empty"))?;
    fs::write(source.join("deep/file name"), "text")?;
    fs::write(source.join("large"), &large)?;
    let path = in_pod.to_string_lossy();
    pods.copy_to("web", &source, &path, &CopyParams::default()).await?;
    let command = ["cat", &format!("{path}/deep/file name")];
    let (text, ..) = wait_with_output(pods.exec("web", command, &AttachParams::default()).await?).await?;
    check_eq!(text, "text");

    let target = folder.path().join("target");
    let params = CopyParams::default().container("main");
    let copied = pods.copy_from("web", &path, &target, &params).await?;
    check_eq!((copied.files, copied.bytes), (2, 4 + large.len() as u64));
    check_eq!(fs::read_to_string(target.join("deep/file name"))?, "text");
    check!(fs::read(target.join("large"))? == large && target.join("deep/empty").is_dir());

    // `copy_from` also copies a single file, here to another name.
    let file = folder.path().join("file");
    pods.copy_from("web", &format!("{path}/deep/file name"), &file, &params).await?;
    check_eq!(fs::read_to_string(file)?, "text");
    Ok(())
}

async fn a_failed_copy_reports_the_cause(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    let folder = tempfile::tempdir()?;
    let (file, params) = (folder.path().join("file"), CopyParams::default());
    fs::write(&file, "text")?;
    let error = refused!(pods.copy_from("web", "/no/such/file", &folder.path().join("copy"), &params).await);
    check!(error.to_string().contains("/no/such"), "{error}");
    check!(error.to_string().contains("No such file"), "{error}");
    // `tar` cannot replace a folder that is not empty, and fails. kube-apiserver can report success for this copy, because it
    // treats a missing result of the kubelet as success (kubernetes/kubernetes#137404). The result is missing if the
    // connection to the kubelet breaks: for example, if `tar` ends while kube-apiserver sends the rest of the archive.
    let target = folder.path().join("target");
    fs::create_dir_all(target.join("entry"))?;
    let mut result = Ok(());
    for _ in 0..MAX_COPY_ATTEMPTS {
        result = pods.copy_to("web", &file, &target.to_string_lossy(), &params).await;
        if result.is_err() {
            break;
        }
    }
    let error = refused!(result);
    check!(error.to_string().contains("Cannot open"), "{error}");
    let missing = folder.path().join("missing");
    let error = refused!(pods.copy_to("web", &missing, "/tmp/never", &params).await);
    check!(error.to_string().contains("missing"), "{error}");
    Ok(())
}
