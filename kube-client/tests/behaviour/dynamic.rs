//! Tests of objects whose kind is set at run time, with the simulated server.

use futures::TryStreamExt;
use kube_client::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, NotUsed, Object};
use kube_client::core::TypeMeta;
use kube_client::{Api, Client};
use kube_sim::Sim;

#[tokio::test]
async fn items_of_lists_have_type_metadata() {
    let client = Client::new(Sim::new().service(), "default");
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
    let expected = Some(TypeMeta { api_version: "v1".into(), kind: "Namespace".into() });

    let namespaces: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let listed = namespaces.list(&ListParams::default()).await.unwrap();
    assert!(!listed.items.is_empty() && listed.iter().all(|namespace| namespace.types == expected));
    let metadata = namespaces.list_metadata(&ListParams::default()).await.unwrap();
    assert!(
        metadata.iter().all(|partial| partial.types != expected),
        "the server must set the kind of partial metadata"
    );

    let namespaces: Api<Object<NotUsed, NotUsed>> = Api::all_with(client, &kind);
    let streamed: Vec<_> =
        namespaces.list_stream(&ListParams::default()).await.unwrap().try_collect().await.unwrap();
    assert!(!streamed.is_empty() && streamed.iter().all(|namespace| namespace.types == expected));
}
