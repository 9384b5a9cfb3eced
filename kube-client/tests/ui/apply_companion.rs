//! Types `T` without the apply configuration `TApply`, their companion. The error has the span of the type.

use kube_derive::{ApplyConfiguration, CustomResource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct WithoutCompanion {
    a: u8,
}

#[derive(ApplyConfiguration)]
struct Parent {
    nested: Vec<WithoutCompanion>,
}

#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Site", apply)]
struct SiteSpec {
    title: String,
}

fn main() {}
