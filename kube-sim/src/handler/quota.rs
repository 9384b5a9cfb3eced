//! The usage of resource quotas, and the admission plugin ResourceQuota, which refuses objects that exceed a quota.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::admission_plugin::AdmissionPlugin;
use crate::registry::Resource;
use crate::schema::{self, NANOS_PER_MILLI, NANOS_PER_UNIT};
use crate::status::SimError;
use crate::store::State;

/// The name of the table that contains the resource quotas.
pub(crate) const QUOTAS: &str = "/resourcequotas";

/// Amounts by the name of the resource, in units of 10^-9.
pub(crate) type Amounts = BTreeMap<String, i128>;

/// The current usage of the resources that a quota limits.
pub(crate) fn usage(state: &State, quota: &Value) -> Amounts {
    let namespace = quota["metadata"]["namespace"].as_str().unwrap_or_default();
    let hard = parse_amounts(&quota["spec"]["hard"]);
    let mut used: Amounts = hard.keys().map(|name| (name.clone(), 0)).collect();
    for (storage, table) in state.tables() {
        let concerned = hard.keys().any(|name| applies_to_table(name, storage));
        if !concerned {
            continue;
        }
        for object in table.objects(namespace) {
            add_to_existing_entries(&mut used, &cost(storage, &object.value(), &quota["spec"]));
        }
    }
    used
}

/// Checks a new object against the quotas in its namespace.
///
/// # Errors
/// 403 if the object exceeds a quota, or if a container of a pod does not specify a compute resource that a quota limits.
pub(crate) fn check_create(state: &State, resource: &Resource, object: &Value) -> Result<(), SimError> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let enforced = !namespace.is_empty() && state.has_plugin(AdmissionPlugin::ResourceQuota);
    let Some(table) = state.table(QUOTAS).filter(|_| enforced) else { return Ok(()) };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let refuse = |why: &str| Err(SimError::forbidden(&resource.group, &resource.plural, name, why));
    for quota in table.objects(namespace) {
        let quota_name = quota.name().to_owned();
        let quota = quota.value();
        let hard = parse_amounts(&quota["spec"]["hard"]);
        let requested: Amounts = cost(&resource.storage, object, &quota["spec"])
            .into_iter()
            .filter(|(name, amount)| hard.contains_key(name) && *amount > 0)
            .collect();
        if &*resource.storage == "/pods" && in_scope(object, &quota["spec"]) {
            let missing = unspecified_resources(object, &hard);
            if !missing.is_empty() {
                return refuse(&format!("failed quota: {quota_name}: must specify {missing}"));
            }
        }
        if requested.is_empty() {
            continue;
        }
        let used = usage(state, &quota);
        let exceeded: Vec<&String> = requested
            .iter()
            .filter(|(name, amount)| used[*name].saturating_add(**amount) > hard[*name])
            .map(|(name, _)| name)
            .collect();
        if !exceeded.is_empty() {
            let list = |amounts: &Amounts| -> String {
                let texts =
                    exceeded.iter().map(|name| format!("{name}={}", format_amount(name, amounts[*name])));
                texts.collect::<Vec<_>>().join(",")
            };
            return refuse(&format!(
                "exceeded quota: {quota_name}, requested: {}, used: {}, limited: {}",
                list(&requested),
                list(&used),
                list(&hard)
            ));
        }
    }
    Ok(())
}

/// Formats an amount of a resource as a quantity. `amount` is in units of 10^-9. A fractional amount is
/// rounded up to thousandths, and gets the suffix `m`. A whole amount of memory or storage gets the largest
/// suffix of `Ki`, `Mi`, `Gi` and `Ti` that needs no fraction. Every other amount gets no suffix.
pub(crate) fn format_amount(resource: &str, amount: i128) -> String {
    let is_memory = resource.contains("memory") || resource.contains("storage");
    let units = amount / NANOS_PER_UNIT;
    if amount % NANOS_PER_UNIT != 0 {
        return format!("{}m", schema::divide_rounding_up(amount, NANOS_PER_MILLI));
    }
    if is_memory {
        for (suffix, power) in [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)] {
            if units != 0 && units % (1 << power) == 0 {
                return format!("{}{suffix}", units >> power);
            }
        }
    }
    units.to_string()
}

fn parse_amounts(list: &Value) -> Amounts {
    let pairs = list.as_object().into_iter().flatten();
    let parsed = pairs.filter_map(|(name, quantity)| {
        let text = quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned);
        Some((name.clone(), schema::parse_quantity(&text).ok()?))
    });
    parsed.collect()
}

fn add_to_existing_entries(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        if let Some(entry) = sum.get_mut(name) {
            *entry = entry.saturating_add(*amount);
        }
    }
}

/// Whether the objects of the table `storage` can count towards `resource`, a key of the quota's `spec.hard` such as
/// `requests.cpu`.
fn applies_to_table(resource: &str, storage: &str) -> bool {
    match storage {
        "/pods" => {
            resource == "pods"
                || resource == count_name(storage)
                || COMPUTE_RESOURCES.contains(&resource)
                || resource.starts_with("requests.") && !resource.starts_with("requests.storage")
                || resource.starts_with("limits.")
        }
        "/services" => {
            resource == "services" || resource.starts_with("services.") || resource == count_name(storage)
        }
        "/persistentvolumeclaims" => {
            resource == "persistentvolumeclaims"
                || resource.starts_with("requests.storage")
                || resource == count_name(storage)
        }
        _ => {
            resource == count_name(storage)
                || PLAIN_NAMES.iter().any(|name| *name == resource && storage == format!("/{name}"))
        }
    }
}

/// The names of the compute resources. In a quota, `cpu` has the same meaning as `requests.cpu`.
const COMPUTE_RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// A quota counts these resources of the core group by their plain names, such as `secrets`. Pods, services and
/// persistent volume claims are also counted by their plain names, but have their own rules.
const PLAIN_NAMES: [&str; 4] = ["configmaps", "secrets", "replicationcontrollers", "resourcequotas"];

/// The name under which a quota counts the objects of the table `storage`, for example `count/deployments.apps`.
fn count_name(storage: &str) -> String {
    match storage.split_once('/') {
        Some(("", plural)) => format!("count/{plural}"),
        Some((group, plural)) => format!("count/{plural}.{group}"),
        None => String::new(),
    }
}

/// The amounts by which an object raises the usage of a quota.
fn cost(storage: &str, object: &Value, quota: &Value) -> Amounts {
    let mut cost = Amounts::from([(count_name(storage), NANOS_PER_UNIT)]);
    let plain = storage.strip_prefix('/').unwrap_or_default();
    if PLAIN_NAMES.contains(&plain) {
        cost.insert(plain.to_owned(), NANOS_PER_UNIT);
    }
    match storage {
        "/pods" => add_pod(&mut cost, object, quota),
        "/services" => {
            cost.insert("services".to_owned(), NANOS_PER_UNIT);
            let spec = &object["spec"];
            let ports = i128::try_from(spec["ports"].as_array().map_or(0, Vec::len)).unwrap_or(0);
            match spec["type"].as_str() {
                Some("NodePort") => {
                    cost.insert("services.nodeports".to_owned(), ports * NANOS_PER_UNIT);
                }
                Some("LoadBalancer") => {
                    cost.insert("services.loadbalancers".to_owned(), NANOS_PER_UNIT);
                    if spec["allocateLoadBalancerNodePorts"] != false {
                        cost.insert("services.nodeports".to_owned(), ports * NANOS_PER_UNIT);
                    }
                }
                _ => {}
            }
        }
        "/persistentvolumeclaims" => {
            cost.insert("persistentvolumeclaims".to_owned(), NANOS_PER_UNIT);
            let requests = parse_amounts(&object["spec"]["resources"]["requests"]);
            cost.insert("requests.storage".to_owned(), requests.get("storage").copied().unwrap_or(0));
        }
        _ => {}
    }
    cost
}

fn add_amount(amounts: &mut Amounts, name: String, amount: i128) {
    let sum = amounts.entry(name).or_default();
    *sum = sum.saturating_add(amount);
}

/// Adds a pod to `cost`: 1 to the number of pods, and the requests and the limits of the pod. Does nothing if the
/// pod has ended, or if the scopes of the quota do not include the pod.
fn add_pod(cost: &mut Amounts, pod: &Value, quota: &Value) {
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if ended || !in_scope(pod, quota) {
        return;
    }
    cost.insert("pods".to_owned(), NANOS_PER_UNIT);
    for (kind, prefix) in [("requests", "requests."), ("limits", "limits.")] {
        for container in containers(pod) {
            for (name, amount) in parse_amounts(&container["resources"][kind]) {
                add_amount(cost, format!("{prefix}{name}"), amount);
                if kind == "requests" && COMPUTE_RESOURCES.contains(&name.as_str()) {
                    add_amount(cost, name, amount);
                }
            }
        }
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["spec"]["containers"].as_array().into_iter().flatten()
}

/// Whether the scopes of a quota include the pod.
fn in_scope(pod: &Value, quota: &Value) -> bool {
    let is_best_effort = pod["status"]["qosClass"] == "BestEffort";
    let ends = pod["spec"]["activeDeadlineSeconds"].is_number();
    let mut scopes = quota["scopes"].as_array().into_iter().flatten();
    scopes.all(|scope| match scope.as_str() {
        Some("BestEffort") => is_best_effort,
        Some("NotBestEffort") => !is_best_effort,
        Some("Terminating") => ends,
        Some("NotTerminating") => !ends,
        _ => true,
    })
}

/// Lists the compute resources that the quota limits, but that some containers of the pod do not specify.
/// After each resource, lists the names of these containers.
fn unspecified_resources(pod: &Value, hard: &Amounts) -> String {
    let mut problems = Vec::new();
    for name in hard.keys() {
        let (kind, resource) = match name.split_once('.') {
            Some((kind @ ("requests" | "limits"), resource)) => (kind, resource),
            _ if COMPUTE_RESOURCES.contains(&name.as_str()) => ("requests", name.as_str()),
            _ => continue,
        };
        if !COMPUTE_RESOURCES.contains(&resource) {
            continue;
        }
        let lacking = containers(pod).filter(|container| container["resources"][kind][resource].is_null());
        let lacking: Vec<&str> = lacking.filter_map(|container| container["name"].as_str()).collect();
        if !lacking.is_empty() {
            problems.push(format!("{name} for: {}", lacking.join(",")));
        }
    }
    problems.join("; ")
}
