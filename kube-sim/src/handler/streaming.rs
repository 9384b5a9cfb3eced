//! The subresources that connect a client to a container: `log`, `exec`, `attach` and `portforward`. Handlers that a test
//! sets ([`crate::containers`]) answer the requests.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::StatusCode;
use serde_json::Value;

use super::options::parse_flag;
use super::reply::{Content, Reply};
use super::{Call, object_meta, read};
use crate::containers::{AttachRequest, ContainerError, ExecRequest, LogRequest, PortForwardRequest};
use crate::status::SimError;
use crate::streams::{self, Offer, RequestedStreams, Upgrade};

/// The subprotocols of log responses over WebSocket.
const LOG_PROTOCOLS: &[&str] = &["", "binary.k8s.io"];

/// The query parameters of a request.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(call: &Call<'_>) -> Self {
        Self(form_urlencoded::parse(call.request.query.as_bytes()).into_owned().collect())
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    fn text(&self, key: &str) -> &str {
        self.all(key).next().unwrap_or_default()
    }

    fn flag(&self, key: &str) -> bool {
        self.all(key).next().is_some_and(parse_flag)
    }

    fn number<N: FromStr>(&self, key: &str) -> Result<Option<N>, SimError> {
        let Some(text) = self.all(key).next().filter(|text| !text.is_empty()) else { return Ok(None) };
        let invalid =
            |_| SimError::bad_request(format!("the query parameter {key} has the invalid value {text:?}"));
        text.parse().map(Some).map_err(invalid)
    }
}

/// The name of the container that a request is for: `wanted`, or the only container of the pod if `wanted` is empty. Checks
/// that the pod has a container `wanted`.
fn find_container(pod: &Value, name: &str, wanted: &str) -> Result<String, SimError> {
    let names = |list: &str| -> Vec<&str> {
        pod["spec"][list].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect()
    };
    let containers = names("containers");
    let all = || [names("initContainers"), containers.clone(), names("ephemeralContainers")].concat();
    if !wanted.is_empty() {
        if all().contains(&wanted) {
            return Ok(wanted.to_owned());
        }
        return Err(SimError::bad_request(format!("container {wanted} is not valid for pod {name}")));
    }
    match containers.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(SimError::bad_request(format!("a container name must be specified for pod {name}"))),
        _ => Err(SimError::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            all().join(" ")
        ))),
    }
}

/// Handles a request for the log of a container.
pub(super) fn log(call: &Call<'_>) -> Result<Reply, SimError> {
    let pod = read::find(call.inner.lock().view(), call.target)?.value();
    let parameters = Parameters::of(call);
    let limit = parameters.number::<usize>("limitBytes")?;
    let request = LogRequest {
        namespace: call.target.namespace.clone(),
        pod: call.target.name.clone(),
        container: find_container(&pod, &call.target.name, parameters.text("container"))?,
        follow: parameters.flag("follow"),
        previous: parameters.flag("previous"),
        timestamps: parameters.flag("timestamps"),
        since_seconds: parameters.number("sinceSeconds")?,
        since_time: Some(parameters.text("sinceTime").to_owned()).filter(|time| !time.is_empty()),
        tail_lines: parameters.number("tailLines")?,
        created: object_meta::text(&pod, "creationTimestamp").to_owned(),
    };
    let protocol = call.request.upgrade.as_ref().map(|offer| offer.select(LOG_PROTOCOLS)).transpose()?;
    let text = (call.inner.settings.handlers.logs)(request)?;
    // The log ends with the part that reaches the limit.
    let text = stream::unfold((text, limit.unwrap_or(usize::MAX)), |(mut text, left)| async move {
        let mut part: Bytes = if left == 0 { None } else { text.next().await }?;
        part.truncate(left);
        let left = left - part.len();
        Some((part, (text, left)))
    });
    let text = text.boxed();
    let mut reply = Reply::whole(StatusCode::OK, "text/plain", "");
    reply.content = match protocol {
        Some(protocol) => {
            Content::Upgrade(Upgrade::new(protocol, |socket| streams::send_messages(socket, text)))
        }
        None => Content::Stream(text),
    };
    Ok(reply)
}

/// The pod of a request, and the name of the container that [`find_container`] finds for `container`. If `container` is
/// `None`, the name is empty. The pod must be assigned to a node that exists.
fn find_pod_on_node(call: &Call<'_>, container: Option<&str>) -> Result<(Value, String), SimError> {
    let name = &call.target.name;
    let state = call.inner.lock();
    let pod = read::find(state.view(), call.target)?.value();
    let container = container.map(|wanted| find_container(&pod, name, wanted)).transpose()?;
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if node.is_empty() {
        return Err(SimError::bad_request(format!("pod {name} does not have a host assigned")));
    }
    if state.get("/nodes", node).is_none() {
        return Err(SimError::not_found("", "nodes", node));
    }
    Ok((pod, container.unwrap_or_default()))
}

/// The WebSocket parameters of a request. The error is 400 if the request does not ask for an upgrade to WebSocket.
fn required_upgrade<'a>(call: &'a Call<'_>) -> Result<&'a Offer, SimError> {
    call.request.upgrade.as_ref().ok_or_else(|| {
        SimError::bad_request("Upgrade request required: the simulation serves WebSocket, but not SPDY")
    })
}

fn upgrade_reply(upgrade: Upgrade) -> Reply {
    let mut reply = Reply::whole(StatusCode::SWITCHING_PROTOCOLS, "", "");
    reply.content = Content::Upgrade(upgrade);
    reply
}

/// The streams for which the query asks. The error is 400 if the query asks for none.
fn requested_streams(parameters: &Parameters) -> Result<RequestedStreams, SimError> {
    let tty = parameters.flag("tty");
    let requested = RequestedStreams {
        stdin: parameters.flag("stdin"),
        stdout: parameters.flag("stdout"),
        stderr: parameters.flag("stderr") && !tty,
        tty,
    };
    if requested.stdin || requested.stdout || requested.stderr {
        return Ok(requested);
    }
    Err(SimError::bad_request("you must specify at least 1 of stdin, stdout, stderr"))
}

/// Handles a request to run a command in a container.
pub(super) fn exec(call: &Call<'_>) -> Result<Reply, SimError> {
    let parameters = Parameters::of(call);
    let (_, container) = find_pod_on_node(call, Some(parameters.text("container")))?;
    let offer = required_upgrade(call)?;
    let requested = requested_streams(&parameters)?;
    let request = ExecRequest {
        namespace: call.target.namespace.clone(),
        pod: call.target.name.clone(),
        container,
        command: parameters.all("command").map(str::to_owned).collect(),
        tty: requested.tty,
    };
    if request.command.is_empty() {
        return Err(SimError::bad_request("the query has no parameter command"));
    }
    let protocol = streams::select_command_protocol(offer)?;
    let handler = call.inner.settings.handlers.exec.clone();
    Ok(upgrade_reply(Upgrade::new(protocol, move |socket| {
        streams::run_process(socket, protocol, requested, move |streams| {
            let result = handler(request, streams);
            Box::pin(async { result.await.map_err(|e| format!("error executing command in container: {e}")) })
        })
    })))
}

/// Handles a request to attach to the process of a container.
pub(super) fn attach(call: &Call<'_>) -> Result<Reply, SimError> {
    let parameters = Parameters::of(call);
    let (_, container) = find_pod_on_node(call, Some(parameters.text("container")))?;
    let offer = required_upgrade(call)?;
    let requested = requested_streams(&parameters)?;
    let request = AttachRequest {
        namespace: call.target.namespace.clone(),
        pod: call.target.name.clone(),
        container,
        tty: requested.tty,
    };
    let protocol = streams::select_command_protocol(offer)?;
    let handler = call.inner.settings.handlers.attach.clone();
    Ok(upgrade_reply(Upgrade::new(protocol, move |socket| {
        streams::run_process(socket, protocol, requested, move |streams| {
            let result = handler(request, streams);
            Box::pin(async {
                match result.await {
                    Ok(()) => Ok(0),
                    Err(e) => Err(format!("error attaching to container: {e}")),
                }
            })
        })
    })))
}

/// Handles a request to forward ports of a pod.
pub(super) fn port_forward(call: &Call<'_>) -> Result<Reply, SimError> {
    let (pod, _) = find_pod_on_node(call, None)?;
    let offer = required_upgrade(call)?;
    let (namespace, name) = (call.target.namespace.clone(), call.target.name.clone());
    let uid = object_meta::text(&pod, "uid").to_owned();
    let describe = {
        let name = name.clone();
        Arc::new(move |port: u16, error: ContainerError| {
            format!("error forwarding port {port} to pod {name}, uid {uid}: {error}")
        })
    };
    let describe = move |port: u16, error: ContainerError| describe(port, error);
    let forward = call.inner.settings.handlers.port_forward.clone();
    let handler = move |port, connection| {
        let request = PortForwardRequest { namespace: namespace.clone(), pod: name.clone(), port };
        forward(request, connection)
    };
    if let Ok(protocol) = offer.select(streams::TUNNEL_PROTOCOLS) {
        return Ok(upgrade_reply(Upgrade::new(protocol, move |socket| {
            streams::forward_tunnel(socket, handler, describe)
        })));
    }
    let protocol = offer.select(streams::PORT_CHANNEL_PROTOCOLS)?;
    let ports = requested_ports(&Parameters::of(call))?;
    Ok(upgrade_reply(Upgrade::new(protocol, move |socket| {
        streams::forward_channels(socket, ports, handler, describe)
    })))
}

/// The ports in the parameters `ports` of the query. Each parameter can contain several ports, separated by commas.
fn requested_ports(parameters: &Parameters) -> Result<Vec<u16>, SimError> {
    let mut ports = Vec::new();
    for text in parameters.all("ports").flat_map(|list| list.split(',')) {
        match text.parse() {
            Ok(port @ 1..) => ports.push(port),
            _ => return Err(SimError::bad_request(format!("unable to parse \"{text}\" as a port"))),
        }
    }
    match ports.len() {
        0 => Err(SimError::bad_request("query parameter \"ports\" is required")),
        1..=127 => Ok(ports),
        _ => Err(SimError::bad_request("more than 127 ports are requested")),
    }
}
