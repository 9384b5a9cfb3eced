//! The folder that `kube-sim assets` creates, and the processes of the programs in this folder.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The time limit of [`wait_until`] and [`RunningProgram::terminate`].
const TIME_LIMIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A temporary folder. It contains the programs that `kube-sim assets` has created.
pub(crate) struct Assets(TempDir);

impl Assets {
    pub(crate) fn create() -> Self {
        let assets = Self(tempfile::tempdir().unwrap());
        let output = assets.run_assets_command();
        assert!(output.status.success(), "{output:?}");
        assets
    }

    /// Runs `kube-sim assets` for this folder, which may already contain the programs.
    pub(crate) fn run_assets_command(&self) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kube-sim"));
        command.args(["assets", "--dir"]).arg(self.0.path()).output().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Starts a program of the folder.
    pub(crate) fn start(&self, name: &str, arguments: &[String]) -> RunningProgram {
        let log = self.path(&format!("{name}.log"));
        let child = Command::new(self.path(name))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        RunningProgram { child, log }
    }
}

/// A started program. The process is killed when this handle is dropped.
pub(crate) struct RunningProgram {
    child: Child,
    log: PathBuf,
}

impl RunningProgram {
    /// Sends SIGTERM and waits for the end of the program. Returns the exit code and the log.
    pub(crate) async fn terminate(mut self) -> (Option<i32>, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut status = None;
        wait_until("the program ends", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        (status.unwrap().code(), std::fs::read_to_string(&self.log).unwrap())
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that no program listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `check` returns true. After [`TIME_LIMIT`], panics with `what`.
pub(crate) async fn wait_until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !check().await {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    assert!(tokio::time::timeout(TIME_LIMIT, waiting).await.is_ok(), "timeout: {what}");
}

/// Sends a GET request over HTTP without TLS. Returns the response, or `None` if the connection fails.
pub(crate) async fn get_without_tls(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await.ok()?;
    Some(response)
}
