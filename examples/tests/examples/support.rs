//! Test support: a simulated cluster, and a running example. This module must not assert the output of a particular
//! example.

use kube_sim::{Server, Sim};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};

/// The timeout of each wait. Only a failing test reaches this timeout.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A temporary directory for the files of a test. It is also the `HOME` of the programs that the test starts.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The path of the file `name` in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and returns its path.
    pub(crate) fn write_file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Builds a command whose environment contains only `HOME`, `PATH` and `RUST_BACKTRACE`, not the proxy and
    /// kubeconfig of the user.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.0.path()).env("RUST_BACKTRACE", "1");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Builds the command that runs an example with `kubeconfig`.
    pub(crate) fn example_command(&self, name: &str, kubeconfig: &Path) -> Command {
        let mut command = self.command(&example_path(name));
        command.env("KUBECONFIG", kubeconfig);
        command
    }
}

/// Returns the path of a built example. Cargo writes this test to `target/debug/deps`, and examples to
/// `target/debug/examples`.
fn example_path(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let path = target.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is not built: run `cargo build -p examples --examples` first, or all of `cargo test -p examples`",
        path.display()
    );
    path
}

/// A simulated cluster with an HTTPS server and a kubeconfig.
pub(crate) struct Cluster {
    pub(crate) sim: Sim,
    pub(crate) server: Server,
    pub(crate) home: Home,
    pub(crate) kubeconfig: PathBuf,
}

impl Cluster {
    pub(crate) async fn new() -> Self {
        Self::with_sim(Sim::new()).await
    }

    /// Serves `sim` with HTTPS and writes the kubeconfig.
    pub(crate) async fn with_sim(sim: Sim) -> Self {
        let server = sim.serve_https("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let home = Home::new();
        let kubeconfig = home.write_file("kubeconfig", &server.kubeconfig());
        Self { sim, server, home, kubeconfig }
    }

    /// Starts an example with the kubeconfig of this cluster.
    pub(crate) fn start(&self, example: &str) -> RunningExample {
        RunningExample::new(self.home.example_command(example, &self.kubeconfig))
    }

    pub(crate) fn create(&self, object: &Value) {
        self.sim.create(object).unwrap();
    }

    /// Edits an object with `edit`. If `edit` changes the status, updates only the status.
    pub(crate) fn edit_object(
        &self,
        (api_version, kind, namespace, name): ObjectKey<'_>,
        edit: impl FnOnce(&mut Value),
    ) {
        let mut object = self.sim.get(api_version, kind, namespace, name).unwrap();
        let status = object["status"].clone();
        edit(&mut object);
        if object["status"] == status { self.sim.update(&object) } else { self.sim.update_status(&object) }
            .unwrap();
    }

    pub(crate) fn delete(&self, (api_version, kind, namespace, name): ObjectKey<'_>) {
        self.sim.delete(api_version, kind, namespace, name).unwrap();
    }
}

/// The API version, kind, namespace and name of an object.
pub(crate) type ObjectKey<'a> = (&'a str, &'a str, &'a str, &'a str);

/// A pod in the namespace `default`, bound to `node`.
pub(crate) fn pod(name: &str, node: &str) -> Value {
    let container = json!({"name": "main", "image": "registry.example/web:1"});
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 0},
    })
}

/// A running example. Dropping the value kills the process.
pub(crate) struct RunningExample {
    child: Child,
    output: Arc<Output>,
    readers: [JoinHandle<()>; 2],
    /// The number of lines of stdout and of stderr that previous waits have searched.
    searched_lines: [usize; 2],
}

/// The output that a program has written so far. Stream 0 is stdout, and stream 1 is stderr.
#[derive(Default)]
struct Output {
    lines: Mutex<[Vec<String>; 2]>,
    /// Notified after each new line.
    new_line: Notify,
}

impl Output {
    /// Returns the first line that contains `text` and has at least the index `from`. Also returns the index of the next
    /// line.
    fn find_line(&self, stream: usize, from: usize, text: &str) -> Option<(String, usize)> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = lines[stream].iter().enumerate().skip(from);
        rest.find(|(_, line)| line.contains(text)).map(|(at, line)| (line.clone(), at + 1))
    }

    /// All lines of a stream, separated by line feeds.
    fn joined_lines(&self, stream: usize) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)[stream].join("\n")
    }

    /// Appends the lines of `pipe` to a stream of the output, until the pipe ends.
    async fn read_lines(self: Arc<Self>, stream: usize, pipe: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            self.lines.lock().unwrap_or_else(PoisonError::into_inner)[stream].push(line);
            self.new_line.notify_one();
        }
    }
}

impl RunningExample {
    pub(crate) fn new(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let output = Arc::new(Output::default());
        let readers = [
            tokio::spawn(output.clone().read_lines(0, child.stdout.take().unwrap())),
            tokio::spawn(output.clone().read_lines(1, child.stderr.take().unwrap())),
        ];
        Self { child, output, readers, searched_lines: [0; 2] }
    }

    /// Waits for the next line with `text` on stdout, and returns the line.
    pub(crate) async fn wait_for_stdout(&mut self, text: &str) -> String {
        self.wait_for_line(0, text).await
    }

    /// Waits for the next line with `text` on stderr, and returns the line.
    pub(crate) async fn wait_for_stderr(&mut self, text: &str) -> String {
        self.wait_for_line(1, text).await
    }

    /// Waits for the next line with `text` on a stream, and returns the line. Lines that previous waits have searched do not
    /// count.
    async fn wait_for_line(&mut self, stream: usize, text: &str) -> String {
        let output = self.output.clone();
        let found = async {
            loop {
                match output.find_line(stream, self.searched_lines[stream], text) {
                    Some((line, next)) => {
                        self.searched_lines[stream] = next;
                        return line;
                    }
                    None => output.new_line.notified().await,
                }
            }
        };
        match timeout(TIMEOUT, found).await {
            Ok(line) => line,
            Err(elapsed) => panic!("no line with `{text}`: {elapsed}\n{}", self.transcript()),
        }
    }

    pub(crate) fn stdout(&self) -> String {
        self.output.joined_lines(0)
    }

    pub(crate) fn stderr(&self) -> String {
        self.output.joined_lines(1)
    }

    /// The output of both streams, for panic messages.
    fn transcript(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout(), self.stderr())
    }

    pub(crate) fn send_signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.try_into().unwrap())).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until the program has exited and all of its output has been read.
    pub(crate) async fn wait_for_exit(&mut self) -> ExitStatus {
        match timeout(TIMEOUT, self.child.wait()).await {
            Ok(status) => {
                for reader in &mut self.readers {
                    reader.await.unwrap();
                }
                status.unwrap()
            }
            Err(elapsed) => panic!("the program does not exit: {elapsed}\n{}", self.transcript()),
        }
    }

    /// Sends SIGTERM, and asserts a successful exit.
    pub(crate) async fn stop(mut self) {
        self.send_signal(Signal::TERM);
        let status = self.wait_for_exit().await;
        assert!(status.success(), "{status}\n{}", self.transcript());
    }

    /// Waits until the program has exited, and returns its error message. Asserts exit code 1, and a single error message,
    /// which must be the last line of stderr. Also asserts that stderr contains no panic, logged warning or logged error.
    pub(crate) async fn wait_for_failure(mut self) -> String {
        let status = self.wait_for_exit().await;
        let transcript = self.transcript();
        assert_eq!(status.code(), Some(1), "{status}\n{transcript}");
        let stderr = self.stderr();
        let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "expected one error\n{transcript}");
        for unwanted in ["panicked", "stack backtrace", "WARN", "ERROR"] {
            assert!(!stderr.contains(unwanted), "{unwanted}\n{transcript}");
        }
        assert!(stderr.ends_with(errors[0]), "the error is not the last line\n{transcript}");
        errors[0].to_owned()
    }
}

#[track_caller]
pub(crate) fn assert_contains(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in\n{message}");
    }
}
