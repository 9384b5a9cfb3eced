//! Token files on file systems that do not respond.

use futures::poll;
use std::{fs, pin::pin, process::Command, sync::mpsc, time::Duration};
use tokio::{runtime::Builder, task::spawn_blocking, time::advance};

use crate::client::auth::token_file::{READ_TIMEOUT, TokenFile};

/// A time limit for a wait on the real clock. The test does not assert how long the wait takes.
const WAIT_LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_file_that_does_not_respond_blocks_at_most_one_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "one").unwrap();
    let (file, _) = TokenFile::open(path.clone(), None).unwrap();
    // Replace the file with a named pipe. A thread that opens this pipe for reading waits until another thread
    // opens it for writing.
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).max_blocking_threads(2).build().unwrap();
    let (sender, receiver) = mpsc::channel();
    runtime.block_on(async {
        for _ in 0..2 {
            let mut read = pin!(file.read());
            assert!(poll!(&mut read).is_pending());
            advance(READ_TIMEOUT).await;
            assert!(read.await.err().unwrap().to_string().contains("cannot read the token file"));
        }
        drop(spawn_blocking(move || sender.send(())));
    });
    let has_free_thread = receiver.recv_timeout(WAIT_LIMIT).is_ok();
    // A blocked thread holds the lock of `TokenFile`. Opening the pipe for writing unblocks the thread. The
    // thread then releases the lock, so the next read can start.
    drop(fs::OpenOptions::new().write(true).open(&path).unwrap());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "two").unwrap();
    assert!(has_free_thread);
    let token = runtime.block_on(file.read()).unwrap();
    assert_eq!(token.header.unwrap(), "Bearer two");
}
