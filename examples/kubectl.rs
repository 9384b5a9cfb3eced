//! A small kubectl: commands for objects of any kind, for logs and for processes in pods.
//!
//! ```sh
//! cargo run -p examples --example kubectl -- get pods -A
//! cargo run -p examples --example kubectl -- apply -f examples/crd-baz.yaml
//! cargo run -p examples --example kubectl -- exec web -- sh -c 'echo hello'
//! ```

use anyhow::{Context, bail, ensure};
use clap::{Parser, Subcommand};
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube_client::{
    Api, Client, Config, ResourceExt,
    api::{
        AttachParams, DeleteParams, DynamicObject, GroupVersionKind, ListParams, LogParams, PatchParams,
        PostParams,
    },
    discovery::RestMapper,
};
use kube_runtime::watcher::{self, Event, watcher};
use serde::Deserialize;
use std::{
    env,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};
use tokio::io::{copy, stderr, stdin, stdout};

#[derive(Parser)]
struct Arguments {
    /// The namespace [default: the namespace of the kubeconfig]
    #[arg(short, long, global = true)]
    namespace: Option<String>,
    /// All namespaces, for `get` without a name and for `watch`
    #[arg(short = 'A', long, global = true, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints a table of objects, or one object as YAML
    Get {
        resource: String,
        name: Option<String>,
        #[arg(short = 'l', long, default_value = "")]
        selector: String,
    },
    /// Creates or changes the objects of a YAML file, with server-side apply
    Apply {
        #[arg(short)]
        file: PathBuf,
    },
    /// Deletes an object
    Delete { resource: String, name: String },
    /// Opens an object in the editor that KUBE_EDITOR or EDITOR names, and writes the edited object
    Edit { resource: String, name: String },
    /// Prints the existing objects and each change, until the program is interrupted
    Watch {
        resource: String,
        #[arg(short = 'l', long, default_value = "")]
        selector: String,
    },
    /// Prints the logs of a pod
    Logs {
        pod: String,
        #[arg(short, long)]
        follow: bool,
        #[arg(short, long)]
        container: Option<String>,
    },
    /// Runs a command in a pod, and ends with the exit code of the command
    Exec {
        pod: String,
        #[arg(short = 'i', long)]
        stdin: bool,
        #[arg(short, long)]
        container: Option<String>,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

impl Command {
    /// Whether the command accepts `-A`.
    fn accepts_all_namespaces(&self) -> bool {
        matches!(self, Self::Get { name: None, .. } | Self::Watch { .. })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    examples::run(run_command(arguments))
}

async fn run_command(arguments: Arguments) -> anyhow::Result<()> {
    ensure!(
        !arguments.all_namespaces || arguments.command.accepts_all_namespaces(),
        "-A is only for `get` without a name and for `watch`: other commands use -n"
    );
    let mut config = Config::infer().await?;
    if let Some(namespace) = arguments.namespace {
        config.default_namespace = namespace;
    }
    let client = Client::try_from(config)?;
    let cluster =
        Cluster { mapper: RestMapper::new(client.clone()), client, all_namespaces: arguments.all_namespaces };
    let pods: Api<Pod> = Api::default_namespaced(cluster.client.clone());
    match arguments.command {
        Command::Get { resource, name, selector } => cluster.get(&resource, name, &selector).await,
        Command::Apply { file } => cluster.apply(&std::fs::read_to_string(file)?).await,
        Command::Delete { resource, name } => {
            cluster.api(&resource).await?.delete(&name, &DeleteParams::default()).await?;
            writeln!(io::stdout(), "{resource}/{name} deleted")?;
            Ok(())
        }
        Command::Edit { resource, name } => cluster.edit(&resource, &name).await,
        Command::Watch { resource, selector } => cluster.watch(&resource, &selector).await,
        Command::Logs { pod, follow, container } => {
            let params = LogParams { follow, container, ..LogParams::default() };
            let mut lines = pods.log_stream(&pod, &params).await?.lines();
            while let Some(line) = lines.try_next().await? {
                writeln!(io::stdout(), "{line}")?;
            }
            Ok(())
        }
        Command::Exec { pod, stdin, container, command } => {
            let params = AttachParams { stdin, container, ..AttachParams::default() };
            exec(&pods, &pod, command, &params).await
        }
    }
}

/// Runs the commands for objects of any kind.
struct Cluster {
    client: Client,
    mapper: RestMapper,
    /// Whether the commands concern all namespaces.
    all_namespaces: bool,
}

impl Cluster {
    /// Returns the API of a resource. `resource` is the text of the user, in one of the forms that kubectl
    /// accepts: `po`, `pods`, `Deployment`, `deploy.v1.apps`.
    async fn api(&self, resource: &str) -> anyhow::Result<Api<DynamicObject>> {
        let (resource, capabilities) = self.mapper.resolve(resource).await?;
        let api = Api::dynamic(self.client.clone(), &resource, &capabilities.scope);
        Ok(if self.all_namespaces { api } else { api.constrain_default() })
    }

    async fn get(&self, resource: &str, name: Option<String>, selector: &str) -> anyhow::Result<()> {
        let api = self.api(resource).await?;
        if let Some(name) = name {
            write!(io::stdout(), "{}", yaml_serde::to_string(&api.get(&name).await?)?)?;
            return Ok(());
        }
        // The server defines the columns for every kind, including custom resources.
        let table = api.list_table(&ListParams::default().labels(selector)).await?;
        let shown: Vec<bool> = table.column_definitions.iter().map(|column| column.priority == 0).collect();
        let mut rows =
            vec![table.column_definitions.iter().map(|column| column.name.to_uppercase()).collect()];
        rows.extend(table.rows.iter().map(|row| row.texts().collect()));
        print_table(&rows, &shown)?;
        Ok(())
    }

    async fn apply(&self, text: &str) -> anyhow::Result<()> {
        for document in yaml_serde::Deserializer::from_str(text) {
            let object = DynamicObject::deserialize(document).context("the file is not YAML of objects")?;
            let types = object.types.as_ref().context("an object has no apiVersion and kind")?;
            let kind = GroupVersionKind::try_from(types)?;
            let (resource, capabilities) = self.mapper.resolve_gvk(&kind).await?;
            let api: Api<DynamicObject> = Api::dynamic(self.client.clone(), &resource, &capabilities.scope);
            let api = match object.namespace() {
                Some(namespace) => api.constrain(&namespace),
                None => api.constrain_default(),
            };
            let applied = api.apply(&PatchParams::apply("kubectl-example"), &object).await?;
            writeln!(io::stdout(), "{}/{} applied", resource.kind, applied.name_any())?;
        }
        Ok(())
    }

    async fn edit(&self, resource: &str, name: &str) -> anyhow::Result<()> {
        let api = self.api(resource).await?;
        let mut object = api.get(name).await?;
        object.managed_fields_mut().clear();
        let before = yaml_serde::to_string(&object)?;
        let mut file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
        file.write_all(before.as_bytes())?;
        let editor =
            env::var("KUBE_EDITOR").or_else(|_| env::var("EDITOR")).unwrap_or_else(|_| "vi".to_owned());
        let ended = tokio::process::Command::new(&editor).arg(file.path()).status().await;
        let ended = ended.with_context(|| format!("cannot start {editor}"))?;
        ensure!(ended.success(), "{editor} has failed ({ended})");
        let after = std::fs::read_to_string(file.path())?;
        if after == before {
            bail!("{resource}/{name} was not changed");
        }
        let edited: DynamicObject = yaml_serde::from_str(&after).context("the file is not an object")?;
        // The edited object still contains the resource version that was read, so the server refuses to overwrite a
        // later change.
        api.replace(name, &PostParams::default(), &edited).await?;
        writeln!(io::stdout(), "{resource}/{name} edited")?;
        Ok(())
    }

    async fn watch(&self, resource: &str, selector: &str) -> anyhow::Result<()> {
        let config = watcher::Config::default().labels(selector);
        let mut events = Box::pin(watcher(self.api(resource).await?, config));
        while let Some(event) = events.try_next().await? {
            let (change, object) = match &event {
                Event::InitApply(object) => ("exists ", object),
                Event::Apply(object) => ("changed", object),
                Event::Delete(object) => ("deleted", object),
                Event::Init | Event::InitDone => continue,
            };
            writeln!(
                io::stdout(),
                "{change} {}/{}",
                object.namespace().unwrap_or_default(),
                object.name_any()
            )?;
        }
        Ok(())
    }
}

/// Prints the columns that `shown` selects, aligned.
fn print_table(rows: &[Vec<String>], shown: &[bool]) -> io::Result<()> {
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max();
    let widths: Vec<usize> = (0..shown.len()).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).zip(shown).filter(|(_, is_shown)| **is_shown);
        let cells: Vec<_> = cells.map(|((cell, width), _)| format!("{cell:width$}")).collect();
        writeln!(io::stdout(), "{}", cells.join("   ").trim_end())?;
    }
    Ok(())
}

/// Connects the program to a command in a pod, and ends the program with the exit code of the command.
async fn exec(pods: &Api<Pod>, pod: &str, command: Vec<String>, params: &AttachParams) -> anyhow::Result<()> {
    let mut process = pods.exec(pod, command, params).await?;
    if let Some(mut to_process) = process.stdin() {
        // Dropping `to_process` closes the standard input of the command.
        tokio::spawn(async move { copy(&mut stdin(), &mut to_process).await });
    }
    let (mut output, mut error) = (process.stdout().context("stdout")?, process.stderr().context("stderr")?);
    let status = process.take_status().context("status")?;
    let (mut to_stdout, mut to_stderr) = (stdout(), stderr());
    tokio::try_join!(copy(&mut output, &mut to_stdout), copy(&mut error, &mut to_stderr))?;
    process.join().await?;
    let status = status.await.context("the server has sent no status")?;
    // Exit immediately: a return from `main` would wait for the thread that reads the standard input.
    std::process::exit(status.exit_code().with_context(|| format!("the command did not run: {status}"))?)
}
