//! What schemas do to objects: what is refused, dropped, filled in, and how values are stored.

use kube_client::Api;
use kube_client::api::PostParams;
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};

suite!("schemas":
    times_of_built_in_kinds_are_stored_in_utc,
);

async fn times_of_built_in_kinds_are_stored_in_utc(env: Env) -> Outcome {
    let gvk = GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "leases");
    let leases: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let micro = async |name: &str, time: &str| {
        let lease = DynamicObject::new(name, &resource).data(json!({"spec": {"renewTime": time}}));
        leases
            .create(&PostParams::default(), &lease)
            .await
            .map(|lease| lease.data["spec"]["renewTime"].clone())
    };
    check_eq!(micro("a", "2024-02-03T04:05:06.123456+02:00").await?, json!("2024-02-03T02:05:06.123456Z"));
    check_eq!(micro("b", "9999-12-31T23:59:59.999999Z").await?, json!("9999-12-31T23:59:59.999999Z"));
    check_eq!(micro("c", "0001-01-01T00:00:00.000000Z").await?, Value::Null);
    for (time, problem) in [
        ("2024-02-03T04:05:06Z", "cannot parse \"Z\" as \".000000\""),
        ("2024-02-03T04:05:06.123Z", "cannot parse \".123Z\" as \".000000\""),
        ("2024-02-03T04:05:06.123456789Z", "cannot parse \"789Z\" as \"Z07:00\""),
        ("2024-02-03t04:05:06.123456z", "cannot parse \"t04:05:06.123456z\" as \"T\""),
        ("2024-02-03 04:05:06.123456Z", "cannot parse \" 04:05:06.123456Z\" as \"T\""),
    ] {
        let error = refused!(micro("d", time).await);
        check_eq!(error.status().map(|status| status.code), Some(400));
        check!(error.to_string().contains(problem), "{time}: {error}");
    }
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Event"), "events");
    let events: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let whole = async |name: &str, time: &str| {
        let involved = json!({"namespace": env.namespace()});
        let event = DynamicObject::new(name, &resource)
            .data(json!({"involvedObject": involved, "firstTimestamp": time}));
        events.create(&PostParams::default(), &event).await.map(|event| event.data["firstTimestamp"].clone())
    };
    check_eq!(whole("a", "2024-02-03T04:05:06.9+02:00").await?, json!("2024-02-03T02:05:06Z"));
    let error = refused!(whole("b", "2024-02-03t04:05:06z").await);
    check_eq!(error.status().map(|status| status.code), Some(400));
    Ok(())
}
