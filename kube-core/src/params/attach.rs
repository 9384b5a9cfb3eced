//! Parameters of a connection to a process in a container.

use super::{Error, Query, validation_error};

/// Parameters of a connection to a process in a container (`core/v1 PodExecOptions` and `PodAttachOptions`).
///
/// By default, standard output and standard error are connected, and standard input is not.
///
/// ```
/// use kube_core::AttachParams;
///
/// let ap = AttachParams::default().container("main").stdin(true);
/// assert!(ap.stdin && ap.stdout && ap.stderr && !ap.tty);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent parameters, named as in the API")]
pub struct AttachParams {
    /// The name of the container. `None` selects the only container of the pod; the server rejects `None` if the pod has
    /// several containers. The server ignores the annotation `kubectl.kubernetes.io/default-container`, which is only for
    /// kubectl.
    pub container: Option<String>,
    /// Whether to connect standard input.
    pub stdin: bool,
    /// Whether to connect standard output.
    pub stdout: bool,
    /// Whether to connect standard error. Cannot be set together with `tty`, because a terminal has only one output.
    pub stderr: bool,
    /// Whether the process has a terminal. For `attach`, the container must have been created with a terminal.
    pub tty: bool,
    /// The size, in bytes, of the buffer of standard input; `None` for 128 KiB. A write waits while the buffer is full.
    pub max_stdin_buf_size: Option<usize>,
    /// The size, in bytes, of the buffer of standard output; `None` for 256 KiB. While the buffer is full, the client
    /// does not read from the connection, and the process blocks. One message from the server may exceed the size.
    pub max_stdout_buf_size: Option<usize>,
    /// Like `max_stdout_buf_size`, for standard error.
    pub max_stderr_buf_size: Option<usize>,
}

impl Default for AttachParams {
    fn default() -> Self {
        Self {
            container: None,
            stdin: false,
            stdout: true,
            stderr: true,
            tty: false,
            max_stdin_buf_size: None,
            max_stdout_buf_size: None,
            max_stderr_buf_size: None,
        }
    }
}

impl AttachParams {
    /// Creates the parameters of an interactive terminal: `stdin`, `stdout` and `tty` are true, `stderr` is false.
    pub fn interactive_tty() -> Self {
        Self { stdin: true, stderr: false, tty: true, ..Self::default() }
    }

    /// Sets the container.
    #[must_use]
    pub fn container<T: Into<String>>(mut self, container: T) -> Self {
        self.container = Some(container.into());
        self
    }

    /// Sets whether standard input is connected.
    #[must_use]
    pub fn stdin(mut self, enable: bool) -> Self {
        self.stdin = enable;
        self
    }

    /// Sets whether standard output is connected.
    #[must_use]
    pub fn stdout(mut self, enable: bool) -> Self {
        self.stdout = enable;
        self
    }

    /// Sets whether standard error is connected.
    #[must_use]
    pub fn stderr(mut self, enable: bool) -> Self {
        self.stderr = enable;
        self
    }

    /// Sets whether the process has a terminal.
    #[must_use]
    pub fn tty(mut self, enable: bool) -> Self {
        self.tty = enable;
        self
    }

    /// Sets the size of the buffer of standard input, in bytes.
    #[must_use]
    pub fn max_stdin_buf_size(mut self, size: usize) -> Self {
        self.max_stdin_buf_size = Some(size);
        self
    }

    /// Sets the size of the buffer of standard output, in bytes.
    #[must_use]
    pub fn max_stdout_buf_size(mut self, size: usize) -> Self {
        self.max_stdout_buf_size = Some(size);
        self
    }

    /// Sets the size of the buffer of standard error, in bytes.
    #[must_use]
    pub fn max_stderr_buf_size(mut self, size: usize) -> Self {
        self.max_stderr_buf_size = Some(size);
        self
    }

    /// Rejects parameters without a stream, `tty` together with `stderr`, and buffer sizes of 0.
    fn validate(&self) -> Result<(), Error> {
        if !self.stdin && !self.stdout && !self.stderr {
            return validation_error("AttachParams connects no stream: set stdin, stdout or stderr");
        }
        if self.tty && self.stderr {
            return validation_error(
                "AttachParams::tty and AttachParams::stderr exclude each other: a terminal has one output",
            );
        }
        let sizes = [self.max_stdin_buf_size, self.max_stdout_buf_size, self.max_stderr_buf_size];
        if sizes.contains(&Some(0)) {
            return validation_error("a buffer size of AttachParams is 0: no byte could pass");
        }
        Ok(())
    }

    pub(crate) fn populate_query(&self, query: &mut Query) -> Result<(), Error> {
        self.validate()?;
        query
            .append_flag("stdin", self.stdin)
            .append_flag("stdout", self.stdout)
            .append_flag("stderr", self.stderr)
            .append_flag("tty", self.tty)
            .append_optional("container", self.container.as_deref());
        Ok(())
    }

    /// Appends these parameters to a query, with the names that a kubelet uses. Omits the container, which is in the
    /// path of the request.
    pub(crate) fn populate_kubelet_query(&self, query: &mut Query) -> Result<(), Error> {
        self.validate()?;
        let streams =
            [("input", self.stdin), ("output", self.stdout), ("error", self.stderr), ("tty", self.tty)];
        for (name, _) in streams.into_iter().filter(|(_, is_set)| *is_set) {
            query.append_pair(name, "1");
        }
        Ok(())
    }
}
