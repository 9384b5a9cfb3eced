//! Requests that a client sends directly to the kubelet of a pod's node, without the API server: exec, attach,
//! port-forward and logs.
//!
//! The paths and parameters of a kubelet differ from those of the API server.

use super::super::params::{AttachParams, LogParams, Query};
use super::streams::{append_command, check_ports};
use super::{ESCAPED_IN_PATH_SEGMENT, Error, Request, build_request, check_path_segment};
use http::{Method, header};

/// Identifies the pod of a request to a kubelet.
///
/// ```
/// use kube_core::{AttachParams, Request, kubelet_debug::KubeletDebugParams};
///
/// let pod = KubeletDebugParams { name: "web", namespace: "default", pod_uid: None };
/// let request = Request::kubelet_node_exec(&pod, "main", ["id"], &AttachParams::default())?;
/// assert_eq!(request.uri(), "/exec/default/web/main?output=1&error=1&command=id");
/// # Ok::<(), kube_core::request::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KubeletDebugParams<'a> {
    /// The name of the pod.
    pub name: &'a str,
    /// The namespace of the pod.
    pub namespace: &'a str,
    /// The uid of the pod. `None` omits the uid from the path of the request. Requests for logs always omit the uid.
    pub pod_uid: Option<&'a str>,
}

impl KubeletDebugParams<'_> {
    /// The path of an endpoint for this pod and, if `container` is set, for that container. `with_uid` is false for an
    /// endpoint whose path has no uid.
    fn path(&self, endpoint: &str, container: Option<&str>, with_uid: bool) -> Result<String, Error> {
        let uid = self.pod_uid.filter(|_| with_uid);
        let segments = [
            ("namespace of a pod", Some(self.namespace)),
            ("name of a pod", Some(self.name)),
            ("uid of a pod", uid),
            ("name of a container", container),
        ];
        let mut path = format!("/{endpoint}");
        for (what, segment) in segments.into_iter().filter_map(|(what, segment)| Some((what, segment?))) {
            check_path_segment(format_args!("{what}"), segment)?;
            path.push('/');
            path.extend(percent_encoding::utf8_percent_encode(segment, ESCAPED_IN_PATH_SEGMENT));
        }
        Ok(path)
    }
}

impl Request {
    /// Builds a kubelet request that runs a command in a container. Send the request with `Client::connect`.
    ///
    /// # Errors
    ///
    /// If a name or the uid is not a valid path segment, the parameters are invalid, or the command is empty.
    pub fn kubelet_node_exec<I, T>(
        kubelet_debug_params: &KubeletDebugParams<'_>,
        container: &str,
        command: I,
        ap: &AttachParams,
    ) -> Result<http::Request<Vec<u8>>, Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<String>,
    {
        let mut query = Query::new();
        ap.populate_kubelet_query(&mut query)?;
        append_command(&mut query, command)?;
        let path = kubelet_debug_params.path("exec", Some(container), true)?;
        build_request(Method::GET, &path, query, &[], Vec::new())
    }

    /// Builds a kubelet request that connects to the first process of a container. Send the request with
    /// `Client::connect`.
    ///
    /// # Errors
    ///
    /// If a name or the uid is not a valid path segment, or the parameters are invalid.
    pub fn kubelet_node_attach(
        kubelet_debug_params: &KubeletDebugParams<'_>,
        container: &str,
        ap: &AttachParams,
    ) -> Result<http::Request<Vec<u8>>, Error> {
        let mut query = Query::new();
        ap.populate_kubelet_query(&mut query)?;
        let path = kubelet_debug_params.path("attach", Some(container), true)?;
        build_request(Method::GET, &path, query, &[], Vec::new())
    }

    /// Builds a kubelet request that forwards ports of a pod. Send the request with `Client::connect`.
    ///
    /// # Errors
    ///
    /// If a name or the uid is not a valid path segment, or if `ports` is empty, has more than 128 ports, or contains 0 or
    /// a duplicate.
    pub fn kubelet_node_portforward(
        kubelet_debug_params: &KubeletDebugParams<'_>,
        ports: &[u16],
    ) -> Result<http::Request<Vec<u8>>, Error> {
        check_ports(ports)?;
        let mut query = Query::new();
        for port in ports {
            query.append_pair("port", &port.to_string());
        }
        let path = kubelet_debug_params.path("portForward", None, true)?;
        build_request(Method::GET, &path, query, &[], Vec::new())
    }

    /// Builds a kubelet request that reads the logs of a container. [`LogParams::container`] has no effect.
    ///
    /// # Errors
    ///
    /// If a name is not a valid path segment, or the parameters contradict each other.
    pub fn kubelet_node_logs(
        kubelet_debug_params: &KubeletDebugParams<'_>,
        container: &str,
        lp: &LogParams,
    ) -> Result<http::Request<Vec<u8>>, Error> {
        let mut query = Query::new();
        LogParams { container: None, ..lp.clone() }.populate_query(&mut query)?;
        let path = kubelet_debug_params.path("containerLogs", Some(container), false)?;
        build_request(Method::GET, &path, query, &[(header::ACCEPT, "*/*")], Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: KubeletDebugParams<'static> =
        KubeletDebugParams { name: "web", namespace: "ns", pod_uid: Some("1-2") };

    #[test]
    fn requests_have_the_paths_and_parameters_of_the_kubelet() {
        let tty = AttachParams::interactive_tty();
        let follow = LogParams { follow: true, container: Some("other".into()), ..LogParams::default() };
        for (request, expected) in [
            (
                Request::kubelet_node_exec(&POD, "main", ["a b", "c"], &tty),
                "/exec/ns/web/1-2/main?input=1&output=1&tty=1&command=a+b&command=c",
            ),
            (
                Request::kubelet_node_attach(&POD, "main", &AttachParams::default()),
                "/attach/ns/web/1-2/main?output=1&error=1",
            ),
            (Request::kubelet_node_portforward(&POD, &[80, 81]), "/portForward/ns/web/1-2?port=80&port=81"),
            (Request::kubelet_node_logs(&POD, "main", &follow), "/containerLogs/ns/web/main?follow=true"),
        ] {
            assert_eq!(request.unwrap().uri(), expected);
        }
    }

    #[test]
    fn an_invalid_name_an_empty_command_and_an_empty_port_list_are_rejected() {
        let wrong = KubeletDebugParams { namespace: "a/b", ..POD };
        let error = Request::kubelet_node_portforward(&wrong, &[80]).unwrap_err().to_string();
        assert!(error.contains("namespace of a pod"), "{error}");
        let error = Request::kubelet_node_logs(&POD, "..", &LogParams::default()).unwrap_err().to_string();
        assert!(error.contains("name of a container"), "{error}");
        assert!(Request::kubelet_node_exec(&POD, "main", [""; 0], &AttachParams::default()).is_err());
        assert!(Request::kubelet_node_portforward(&POD, &[]).is_err());
    }
}
