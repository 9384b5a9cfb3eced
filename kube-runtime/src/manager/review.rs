//! Authenticates and authorizes the requests to the manager's HTTP server: sends a `TokenReview` and a
//! `SubjectAccessReview` to the API server. Retries a review after a retryable failure, within a time limit.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube_client::api::PostParams;
use kube_client::{Api, Client, Resource};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The time limit of a review, including its retries.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The wait before each retry.
const RETRY_WAITS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_millis(750),
    Duration::from_millis(1125),
    Duration::from_millis(1688),
];

/// The reason that a review has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReviewError {
    #[error("{0}")]
    Request(kube_client::Error),
    #[error("the API server did not answer within {TIMEOUT:?}")]
    Timeout,
}

/// Asks the API server for the user of a bearer token. Returns `None` if the API server rejects the token.
pub(super) async fn authenticate(client: &Client, token: &str) -> Result<Option<UserInfo>, ReviewError> {
    let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
    let review = TokenReview { spec, ..TokenReview::default() };
    let status = create_with_retries(client, &review)
        .await?
        .status
        .filter(|status| status.authenticated == Some(true));
    Ok(status.map(|status| status.user.unwrap_or_default()))
}

/// The spec of a review that asks whether a user may use a verb on a non-resource URL.
pub(super) fn access_spec(user: &UserInfo, verb: &str, path: &str) -> SubjectAccessReviewSpec {
    let attributes = NonResourceAttributes { path: Some(path.to_owned()), verb: Some(verb.to_owned()) };
    SubjectAccessReviewSpec {
        user: user.username.clone(),
        groups: user.groups.clone(),
        uid: user.uid.clone(),
        extra: user.extra.clone(),
        non_resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    }
}

/// Asks the API server whether the user in `spec` has the permission in `spec`.
pub(super) async fn authorize(client: &Client, spec: SubjectAccessReviewSpec) -> Result<bool, ReviewError> {
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let status = create_with_retries(client, &review).await?.status;
    Ok(status.is_some_and(|status| status.allowed && status.denied != Some(true)))
}

/// Creates a review. Repeats the request after a retryable failure, at most four times. A review has no side effect, so
/// a repetition is harmless.
async fn create_with_retries<K>(client: &Client, review: &K) -> Result<K, ReviewError>
where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
{
    let reviews = Api::<K>::all(client.clone());
    let attempts = async {
        for wait in RETRY_WAITS {
            match reviews.create(&PostParams::default(), review).await {
                Err(error) if error.is_retryable() => sleep(wait).await,
                answer => return answer,
            }
        }
        reviews.create(&PostParams::default(), review).await
    };
    timeout(TIMEOUT, attempts).await.map_err(|_| ReviewError::Timeout)?.map_err(ReviewError::Request)
}
