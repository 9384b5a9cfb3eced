//! A folder of assets, and the processes of its programs.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The time limit of [`eventually`] and [`Running::terminate`].
const LIMIT: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(20);

/// The folder that `kube-sim assets` has created.
pub(crate) struct Assets(TempDir);

impl Assets {
    pub(crate) fn create() -> Self {
        let assets = Self(tempfile::tempdir().unwrap());
        let output = assets.create_again();
        assert!(output.status.success(), "{output:?}");
        assets
    }

    /// Runs `kube-sim assets` for the folder.
    pub(crate) fn create_again(&self) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kube-sim"));
        command.args(["assets", "--dir"]).arg(self.0.path()).output().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Starts a program of the folder.
    pub(crate) fn start(&self, name: &str, arguments: &[String]) -> Running {
        let log = self.path(&format!("{name}.log"));
        let child = Command::new(self.path(name))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Running { child, log }
    }
}

/// A process, which is killed when this handle is dropped.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Sends SIGTERM, and returns the exit code and the log.
    pub(crate) async fn terminate(mut self) -> (Option<i32>, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut status = None;
        eventually("the program ends", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        (status.unwrap().code(), std::fs::read_to_string(&self.log).unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that no program listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `check` returns true.
pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !check().await {
            tokio::time::sleep(INTERVAL).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, waiting).await.is_ok(), "timeout: {what}");
}

/// The response to a plain HTTP request; `None` if the server cannot be reached.
pub(crate) async fn plain_get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await.ok()?;
    Some(response)
}
