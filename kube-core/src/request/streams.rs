//! Requests that upgrade the connection to a WebSocket: exec, attach and port-forward.
//!
//! The requests have the method GET, as WebSockets require (RFC 6455). `Client::connect` adds the headers of the handshake.

use super::super::params::{AttachParams, Query};
use super::{Error, Request, build_request};
use http::Method;

impl Request {
    /// Builds a request that runs a command in a container. Send the request with `Client::connect`.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_core::{AttachParams, Request, Resource};
    ///
    /// let pods = Request::new(Pod::url_path(&(), Some("web")));
    /// let request = pods.exec("a", ["cat", "my file"], &AttachParams::default().stderr(false))?;
    /// assert_eq!(request.uri(), "/api/v1/namespaces/web/pods/a/exec?stdout=true&command=cat&command=my+file");
    /// # Ok::<(), kube_core::request::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If `name` is not a valid path segment, the parameters are invalid, or the command is empty.
    pub fn exec<I, T>(
        &self,
        name: &str,
        command: I,
        ap: &AttachParams,
    ) -> Result<http::Request<Vec<u8>>, Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<String>,
    {
        let mut query = Query::new();
        ap.populate_query(&mut query)?;
        append_command(&mut query, command)?;
        build_request(Method::GET, &self.object_path(name, Some("exec"))?, query, &[], Vec::new())
    }

    /// Builds a request that connects to the first process of a container. Send the request with `Client::connect`.
    ///
    /// # Errors
    ///
    /// If `name` is not a valid path segment, or the parameters are invalid.
    pub fn attach(&self, name: &str, ap: &AttachParams) -> Result<http::Request<Vec<u8>>, Error> {
        let mut query = Query::new();
        ap.populate_query(&mut query)?;
        build_request(Method::GET, &self.object_path(name, Some("attach"))?, query, &[], Vec::new())
    }

    /// Builds a request that forwards ports of a pod. Send the request with `Client::connect`.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_core::{Request, Resource};
    ///
    /// let pods = Request::new(Pod::url_path(&(), Some("web")));
    /// let request = pods.portforward("a", &[80, 443])?;
    /// assert_eq!(request.uri(), "/api/v1/namespaces/web/pods/a/portforward?ports=80%2C443");
    /// # Ok::<(), kube_core::request::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If `name` is not a valid path segment, or if `ports` is empty, has more than 128 ports, or contains 0 or a
    /// duplicate.
    pub fn portforward(&self, name: &str, ports: &[u16]) -> Result<http::Request<Vec<u8>>, Error> {
        check_ports(ports)?;
        let mut query = Query::new();
        let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
        query.append_pair("ports", &ports.join(","));
        build_request(Method::GET, &self.object_path(name, Some("portforward"))?, query, &[], Vec::new())
    }
}

/// The maximum number of ports in a request. In the protocol, each port has two channels, and one byte
/// identifies a channel.
const MAX_PORTS: usize = 128;

/// Adds the command to the query. An empty command is an error.
pub(super) fn append_command<T: Into<String>>(
    query: &mut Query,
    command: impl IntoIterator<Item = T>,
) -> Result<(), Error> {
    let mut parts = command.into_iter().peekable();
    if parts.peek().is_none() {
        return Err(Error::Validation("the command is empty".to_owned()));
    }
    for part in parts {
        query.append_pair("command", &part.into());
    }
    Ok(())
}

pub(super) fn check_ports(ports: &[u16]) -> Result<(), Error> {
    let twice = ports.iter().enumerate().find(|(index, port)| ports[..*index].contains(port));
    let problem = match (ports.len(), twice) {
        (0, _) => "no port is given".to_owned(),
        (count, _) if count > MAX_PORTS => {
            format!("{count} ports are given, and a request may have {MAX_PORTS}")
        }
        _ if ports.contains(&0) => "0 is not a port".to_owned(),
        (_, Some((_, port))) => format!("the port {port} is given twice"),
        _ => return Ok(()),
    };
    Err(Error::Validation(format!("cannot forward ports: {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> Request {
        Request::new("/api/v1/namespaces/web/pods")
    }

    #[test]
    fn queries_contain_streams_and_container_and_command() {
        let ap = AttachParams::interactive_tty().container("main");
        let request = pods().attach("a", &ap).unwrap();
        let expected = "/api/v1/namespaces/web/pods/a/attach?stdin=true&stdout=true&tty=true&container=main";
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::GET, expected));
        let request = pods().exec("a", ["sh", "-c", "a&b=c"], &AttachParams::default()).unwrap();
        assert!(
            request.uri().query().unwrap().ends_with("command=sh&command=-c&command=a%26b%3Dc"),
            "{request:?}"
        );
    }

    #[test]
    fn invalid_parameters_are_rejected() {
        let none = AttachParams::default().stdout(false).stderr(false);
        let empty = AttachParams::default().max_stdout_buf_size(0);
        for (ap, part) in [(none, "no stream"), (AttachParams::default().tty(true), "tty"), (empty, "size")] {
            let error = pods().attach("a", &ap).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(pods().exec("a", Vec::<String>::new(), &AttachParams::default()).is_err());
        assert!(pods().exec("a/b", ["sh"], &AttachParams::default()).is_err());
        let many: Vec<u16> = (1..=129).collect();
        for (ports, part) in [(&[][..], "no port"), (&[0], "0"), (&[80, 80], "twice"), (&many, "129 ports")] {
            let error = pods().portforward("a", ports).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
