//! The rows `build-kinds` and `build-kinds-touch`: debug builds of two crates, each with 50 derived kinds. One crate
//! uses kube-derive, the other kube's derive macro. `build-kinds` measures a cold build, and `build-kinds-touch` a
//! build after a change of the crate's root file.
//!
//! Both crates are generated from the same text, except for the imports. For the schemas, each crate uses the fastest
//! derive of its project: kube's crate uses the `JsonSchema` of schemars, which builds faster than kube's `KubeSchema`. This
//! project's crate imports its own `KubeSchema` under the name `JsonSchema`. Cargo builds the two crates incrementally, but
//! not their dependencies.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use super::build::{Folders, run_cargo};
use super::build_times::{self, Comparison, Outcome, median};
use super::contender::Contender;
use super::{table, user_package};
use xtask_process::Scratch;
use xtask_process::progress::Progress;

/// The number of derived kinds.
const KINDS: usize = 50;
/// The number of changes of the root file in each round. A build follows each change, and the round's cost is the
/// median of these builds. A build after a change takes only seconds, so a short load from other programs on the
/// machine can distort the time of the build; the median reduces this effect.
const CHANGES_PER_ROUND: usize = 5;
/// The largest allowed ratio of this project's build time to kube's.
const MAX_RATIO: f64 = 0.8;

/// The cost of one build.
#[derive(Debug, Clone, Copy)]
struct BuildCost {
    wall: Duration,
    /// The processor time of cargo and its child processes. Other programs on the machine distort the processor time less
    /// than they distort `wall`.
    cpu: Duration,
}

/// The cost of a round's cold build, and the median cost of the round's builds after a change.
#[derive(Debug, Clone, Copy)]
struct RoundCosts {
    cold: BuildCost,
    touched: BuildCost,
}

/// Measures this project's crate and kube's crate alternately, `rounds` times each, and compares the medians. One
/// measurement is a cold build, and the builds after [`CHANGES_PER_ROUND`] changes.
///
/// # Errors
/// If a crate cannot be generated or does not build.
///
/// # Cancel safety
/// Cancelling terminates the build.
pub(super) async fn run(
    folders: &Folders,
    scratch: &Scratch,
    progress: &Progress,
    rounds: usize,
) -> anyhow::Result<Outcome> {
    let name = format!("{KINDS} derived kinds");
    let (ours, kube) = build_times::build_alternately(&name, rounds, progress, async |contender| {
        build(folders, scratch, contender).await
    })
    .await?;
    let pick = |part: fn(&RoundCosts) -> BuildCost| {
        let median = |costs: &[RoundCosts]| median(costs, |costs| part(costs).wall).map(|costs| part(&costs));
        anyhow::Ok((median(&ours)?, median(&kube)?))
    };
    let rows =
        [("build-kinds", pick(|costs| costs.cold)?), ("build-kinds-touch", pick(|costs| costs.touched)?)];
    let mut text =
        table::table_with_header(&["row", "", "wall", "cpu", &format!("target: <= {MAX_RATIO} x kube's")]);
    let (mut met, mut json) = (0, json!({}));
    for (name, (ours, kube)) in rows {
        let comparison = Comparison::new(ours.wall, kube.wall, MAX_RATIO);
        met += usize::from(comparison.is_met);
        for (name, contender, cost, word) in
            [(name, Contender::Ours, ours, comparison.cell()), ("", Contender::Kube, kube, String::new())]
        {
            let seconds =
                |time: Duration| table::right_aligned_cell(table::format_seconds(time.as_secs_f64()));
            text.add_row([name.into(), contender.into(), seconds(cost.wall), seconds(cost.cpu), word.into()]);
        }
        json[name] = json!({
            "ours_s": ours.wall.as_secs_f64(), "kube_s": kube.wall.as_secs_f64(), "ratio": comparison.ratio,
            "ours_cpu_s": ours.cpu.as_secs_f64(), "kube_cpu_s": kube.cpu.as_secs_f64(),
        });
    }
    Ok(Outcome { text: text.to_string(), json, met })
}

/// Builds a contender's crate in an empty folder, and once more after each of [`CHANGES_PER_ROUND`] changes of the root
/// file.
async fn build(folders: &Folders, scratch: &Scratch, contender: Contender) -> anyhow::Result<RoundCosts> {
    let package = folders.build_folder("kinds").join(contender.to_string());
    let target = package.join("target");
    write_package(folders, &package, contender)?;
    // The packages are downloaded before the measurement starts.
    run_cargo(scratch, &package, &target, &["fetch", "--quiet"]).await?;
    let timed = async || {
        let (started, cpu) = (Instant::now(), cpu_time_of_children()?);
        run_cargo(scratch, &package, &target, &["build", "--offline", "--quiet"]).await?;
        anyhow::Ok(BuildCost { wall: started.elapsed(), cpu: cpu_time_of_children()?.saturating_sub(cpu) })
    };
    let cold = timed().await?;
    let root = package.join("src/lib.rs");
    let mut text = fs::read_to_string(&root).with_context(|| format!("cannot read {}", root.display()))?;
    let mut touched = Vec::new();
    for n in 0..CHANGES_PER_ROUND {
        let _ = write!(text, "\n/// A change.\npub fn changed{n}() {{}}\n");
        fs::write(&root, &text).with_context(|| format!("cannot change {}", root.display()))?;
        touched.push(timed().await?);
    }
    let touched = median(&touched, |cost| cost.wall)?;
    user_package::remove(&package)?;
    Ok(RoundCosts { cold, touched })
}

/// The processor time of the ended child processes of this process.
fn cpu_time_of_children() -> anyhow::Result<Duration> {
    let text = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    cpu_time_in_stat(&text).context("/proc/self/stat has no times of child processes")
}

/// The sum of the times `cutime` and `cstime` in the text of a `/proc/PID/stat` file; `None` if the text does not have
/// them. The name of the process is in parentheses, and may contain spaces and parentheses.
fn cpu_time_in_stat(text: &str) -> Option<Duration> {
    /// The unit of the two times: a hundredth of a second, because `USER_HZ` is 100.
    const TICK: Duration = Duration::from_millis(10);
    let (_, fields) = text.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(13).map_while(|field| field.parse::<u32>().ok());
    let (user, system) = (times.next()?, times.next()?);
    Some(TICK * (user + system))
}

/// The manifest lines for the dependencies that this project's crate and kube's crate both have.
/// [`user_package::write`] adds the lines for the packages of the contender.
const DEPENDENCIES: &str =
    "schemars = \"1\"\nserde = { version = \"1\", features = [\"derive\"] }\nserde_json = \"1\"\n";

fn write_package(folders: &Folders, package: &Path, contender: Contender) -> anyhow::Result<()> {
    let (derives, extension) = if contender == Contender::Kube {
        (["kube::CustomResource", "schemars::JsonSchema"], "kube::CustomResourceExt")
    } else {
        (
            ["kube_derive::CustomResource", "kube_derive::KubeSchema as JsonSchema"],
            "kube_client::CustomResourceExt",
        )
    };
    let mut files = vec![("lib.rs".to_owned(), root_text(extension))];
    files.extend((0..KINDS).map(|n| (format!("kind{n}.rs"), kind_text(n, derives))));
    user_package::write(folders, package, contender, DEPENDENCIES, &files)
}

/// The text of the root file: the modules of the kinds, and a function that uses all kinds. `extension` is the path of
/// the trait `CustomResourceExt`.
fn root_text(extension: &str) -> String {
    let mut text = String::from("//! Derived kinds.\n\n");
    let _ = writeln!(text, "use {extension} as _;\n");
    for n in 0..KINDS {
        let _ = writeln!(text, "pub mod kind{n};");
    }
    text.push_str("\n/// The CRDs as JSON.\npub fn crds() -> Vec<serde_json::Value> {\n    vec![\n");
    for n in 0..KINDS {
        let _ = writeln!(text, "        serde_json::to_value(kind{n}::Kind{n}::crd()).unwrap_or_default(),");
    }
    text.push_str("    ]\n}\n");
    text
}

/// The text of the file of kind number `n`. `imports` contains the import paths of the macros `CustomResource` and
/// `JsonSchema`.
fn kind_text(n: usize, imports: [&str; 2]) -> String {
    let [custom_resource, json_schema] = imports;
    let derives = "Clone, Debug, Serialize, Deserialize, JsonSchema";
    format!(
        r##"//! A derived kind.

use {custom_resource};
use {json_schema};
use serde::{{Deserialize, Serialize}};
use std::collections::BTreeMap;

/// The desired state.
#[derive(CustomResource, {derives})]
#[kube(group = "bench.example.com", version = "v1", kind = "Kind{n}", namespaced, status = "Status", shortname = "k{n}")]
#[kube(printcolumn = r#"{{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}}"#)]
#[serde(rename_all = "camelCase")]
pub struct Kind{n}Spec {{
    /// The size.
    pub size: i32,
    pub display_name: String,
    #[serde(default)]
    pub paused: bool,
    pub labels: BTreeMap<String, String>,
    pub ports: Vec<Port>,
    pub mode: Mode,
    pub template: Option<Template>,
    pub timeout_seconds: Option<u32>,
}}

/// A port.
#[derive({derives})]
#[serde(rename_all = "camelCase")]
pub struct Port {{
    pub name: String,
    pub container_port: u16,
    pub protocol: Option<String>,
}}

/// A mode.
#[derive({derives})]
pub enum Mode {{
    Fast,
    Careful,
}}

/// A template.
#[derive({derives})]
#[serde(rename_all = "camelCase")]
pub struct Template {{
    pub image: String,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub port: Option<Port>,
}}

/// The observed state.
#[derive({derives})]
#[serde(rename_all = "camelCase")]
pub struct Status {{
    pub ready: bool,
    pub observed_generation: Option<i64>,
    pub message: Option<String>,
}}
"##
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_child_processes_are_read() {
        let text = "7 (a (b) c) S 1 7 7 0 -1 4194304 1 2 3 4 10 20 150 25 20 0 1 0";
        assert_eq!(cpu_time_in_stat(text), Some(Duration::from_millis(1750)));
        assert_eq!(cpu_time_in_stat("7 (a) S 1"), None);
    }
}
