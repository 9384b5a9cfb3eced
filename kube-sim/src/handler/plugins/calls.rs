//! Runs the plugins for requests that store no object: requests that connect to a pod (the operation
//! `CONNECT`), deletions, and requests whose body is not stored, such as an eviction.

use serde_json::{Value, json};

use super::attributes::ObjectKind;
use super::{Attributes, Phase, has_plugins_to_run, mutate, validate};
use crate::handler::Call;
use crate::handler::object_meta;
use crate::handler::options::parse_flag;
use crate::handler::target::Target;
use crate::status::SimError;

impl Call<'_> {
    /// Runs the plugins on a body that is not stored, such as an eviction. The operation is an update if `old` is
    /// `Some`, or else a create. Returns the body, which the plugins may have changed.
    ///
    /// # Errors
    /// The response to a request that a plugin refuses.
    pub(crate) async fn admit_body(
        &self,
        mut body: Value,
        name: &str,
        old: Option<Value>,
    ) -> Result<Value, SimError> {
        if !self.has_plugins() || !body.is_object() {
            return Ok(body);
        }
        let kind = ObjectKind::of(&self.target.resource, &self.target.subresource);
        body["kind"] = kind.kind.as_str().into();
        body["apiVersion"] = kind.api_version().into();
        object_meta::metadata_mut(&mut body)?;
        let mut attributes = Attributes::of_write(self.request, self.target, self.options, name, body, old);
        self.run_plugins(&mut attributes, &mut self.warnings.new_buffer()).await?;
        Ok(attributes.object.unwrap_or_default())
    }

    /// Runs the plugins on a request that connects to a pod.
    ///
    /// # Errors
    /// The response to a request that a plugin refuses.
    pub(crate) async fn admit_connection(&self) -> Result<(), SimError> {
        if !self.has_plugins() {
            return Ok(());
        }
        let options = self.connection_options();
        let mut attributes = Attributes::of_connection(self.request, self.target, options);
        self.run_plugins(&mut attributes, &mut self.warnings.new_buffer()).await
    }

    /// Runs the plugins on the deletion of the object of `target`. `name` is empty in the deletion of a collection.
    /// `old` returns the object, the `DeleteOptions` and whether the deletion is a dry run. `old` is called only if
    /// plugins have to run.
    ///
    /// # Errors
    /// The response to a request that a plugin refuses.
    pub(crate) async fn admit_deletion(
        &self,
        target: &Target,
        name: &str,
        old: impl FnOnce() -> (Value, Value, bool),
        warnings: &mut Vec<String>,
    ) -> Result<(), SimError> {
        if !self.has_plugins() {
            return Ok(());
        }
        let (old_object, options, dry_run) = old();
        let mut attributes =
            Attributes::of_deletion(self.request, target, name, old_object, options, dry_run);
        self.run_plugins(&mut attributes, warnings).await
    }

    fn has_plugins_in(&self, phase: Phase) -> bool {
        has_plugins_to_run(self.inner, self.request, phase)
    }

    fn has_plugins(&self) -> bool {
        self.has_plugins_in(Phase::Mutating) || self.has_plugins_in(Phase::Validating)
    }

    /// Runs the plugins of both phases.
    async fn run_plugins(
        &self,
        attributes: &mut Attributes<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<(), SimError> {
        if self.has_plugins_in(Phase::Mutating) {
            // No built-in plugin changes the object of these requests.
            mutate(self.inner, attributes, |_| Ok(()), warnings).await?;
        }
        if self.has_plugins_in(Phase::Validating) {
            validate(self.inner, attributes, warnings).await?;
        }
        Ok(())
    }

    /// The options of a connection, such as `PodExecOptions`, from the query.
    fn connection_options(&self) -> Value {
        let kind = ObjectKind::of(&self.target.resource, &self.target.subresource);
        let mut options = json!({"kind": kind.kind, "apiVersion": kind.api_version()});
        for (key, value) in form_urlencoded::parse(self.request.query.as_bytes()) {
            match &*key {
                "stdin" | "stdout" | "stderr" | "tty" if parse_flag(&value) => options[&*key] = true.into(),
                "container" => options["container"] = value.as_ref().into(),
                "command" => append(&mut options["command"], value.as_ref().into()),
                "ports" => {
                    for port in value.split(',').filter_map(|port| port.parse::<u16>().ok()) {
                        append(&mut options["ports"], port.into());
                    }
                }
                _ => {}
            }
        }
        options
    }
}

/// Appends an item to a list, which may be absent.
fn append(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        list => *list = Value::Array(vec![item]),
    }
}
