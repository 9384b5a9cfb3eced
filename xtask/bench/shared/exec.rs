//! The rows of the bench's tables that measure `exec`: reading the standard output of a process in a pod, and writing to
//! its standard input.

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::stream_data::{BLOCK_LEN, MIB, StreamChecker, data_block};
use super::{Job, Measure, Outcome};
use crate::library::{Api, AttachParams};

/// The size in bytes of the buffer that [`read_output`] reads into.
const READ_BYTES: usize = 64 << 10;

/// Measures reading the standard output of a process. Fails if the output does not consist of repetitions of [`data_block`].
pub(crate) async fn read_output(job: &Job) -> anyhow::Result<Outcome> {
    let pods: Api<Pod> = Api::namespaced(job.client()?, "default");
    let params = AttachParams::default().stderr(false);
    let mut process = pods.exec("bench", ["send".to_owned(), job.calls.to_string()], &params).await?;
    let mut stdout = process.stdout().context("there is no standard output")?;
    let (mut checker, mut buffer) = (StreamChecker::default(), vec![0; READ_BYTES]);
    let running = Measure::start()?;
    loop {
        let count = stdout.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        anyhow::ensure!(checker.check_next(&buffer[..count]), "other data arrived than the process sent");
    }
    let measure = running.stop()?;
    anyhow::ensure!(
        checker.compared_bytes() == (job.calls * MIB) as u64,
        "{} bytes arrived instead of {} MiB",
        checker.compared_bytes(),
        job.calls
    );
    process.join().await?;
    Ok(Outcome::new(job.calls, &measure))
}

/// Writes repetitions of [`data_block`] to the standard input of a process. The measurement begins before the
/// first write, and ends when the process has read all the data. The process fails if it receives other data.
pub(crate) async fn write_input(job: &Job) -> anyhow::Result<Outcome> {
    let pods: Api<Pod> = Api::namespaced(job.client()?, "default");
    let params = AttachParams::default().stdin(true).stderr(false);
    let mut process = pods.exec("bench", ["receive".to_owned()], &params).await?;
    let mut stdin = process.stdin().context("there is no standard input")?;
    let mut stdout = process.stdout().context("there is no standard output")?;
    let block = data_block();
    let running = Measure::start()?;
    for _ in 0..job.calls * MIB / BLOCK_LEN {
        stdin.write_all(&block).await?;
    }
    stdin.shutdown().await?;
    drop(stdin);
    let mut answer = String::new();
    stdout.read_to_string(&mut answer).await?;
    let measure = running.stop()?;
    anyhow::ensure!(
        answer == (job.calls * MIB).to_string(),
        "the process has received {answer:?} bytes instead of {} MiB",
        job.calls
    );
    process.join().await?;
    Ok(Outcome::new(job.calls, &measure))
}
