//! The admission plugins of the simulation.

use std::fmt;

/// An admission plugin of kube-apiserver that the simulation has.
///
/// As in kube-apiserver, all plugins are enabled by default, except for those that need a controller. If
/// [`Controller::ServiceAccount`](crate::Controller) does not run, [`Self::ServiceAccount`] only sets the
/// name of the account. If [`Controller::NodeLifecycle`](crate::Controller) does not run,
/// [`Self::TaintNodesByCondition`] is disabled. The simulation does not have the controllers that
/// [`Self::StorageObjectInUseProtection`] needs, so this plugin is disabled.
/// [`SimBuilder::admission_plugin`](crate::SimBuilder::admission_plugin) enables a plugin, and
/// [`SimBuilder::without_admission_plugin`](crate::SimBuilder::without_admission_plugin) disables one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AdmissionPlugin {
    /// A user without the permission `approve` for a signer cannot approve or deny its certificate signing requests.
    CertificateApproval,
    /// A user without the permission `sign` for a signer cannot sign its certificate signing requests.
    CertificateSigning,
    /// Refuses requests for client certificates of the group `system:masters`.
    CertificateSubjectRestriction,
    /// A user without the permission `attest` for a signer cannot write its trust bundles.
    ClusterTrustBundleAttest,
    /// Sets the default class in new ingresses without a class.
    DefaultIngressClass,
    /// Sets the default storage class in new volume claims without a class.
    DefaultStorageClass,
    /// Adds two tolerations to pods: for 300 s, a pod tolerates the taints `node.kubernetes.io/not-ready` and
    /// `node.kubernetes.io/unreachable`.
    DefaultTolerationSeconds,
    /// Applies the defaults of `LimitRange` objects, and enforces their limits.
    LimitRanger,
    /// Applies `MutatingAdmissionPolicy` objects.
    MutatingAdmissionPolicy,
    /// Calls the webhooks of `MutatingWebhookConfiguration` objects.
    MutatingAdmissionWebhook,
    /// Refuses creates in missing or terminating namespaces, and deletions of the namespaces `default`, `kube-system`
    /// and `kube-public`.
    NamespaceLifecycle,
    /// Refuses an update of a pod if the update needs a feature that the node of the pod does not declare.
    NodeDeclaredFeatureValidator,
    /// Refuses to expand volume claims that are not bound, or whose storage class does not allow expansion.
    PersistentVolumeClaimResize,
    /// Refuses to resize pods beyond the allocatable resources of their nodes.
    PodResizeValidator,
    /// Enforces the Pod Security Standards that the labels of namespaces select.
    PodSecurity,
    /// Copies the zone and region labels of a node to the pods that are created on the node or bound to it.
    PodTopologyLabels,
    /// Sets the priority of pods from their priority class, and allows only one default class.
    Priority,
    /// Refuses objects that exceed a `ResourceQuota`.
    ResourceQuota,
    /// Applies the overhead, the node selectors and the tolerations of runtime classes to pods.
    RuntimeClass,
    /// Sets the service account of pods, mounts the token of the account, and adds the image pull secrets of the
    /// account. Refuses pods whose account does not exist.
    ServiceAccount,
    /// Adds finalizers to volumes, volume claims and volume attributes classes. Controllers of Kubernetes remove the
    /// finalizers from unused objects; this simulation does not have these controllers.
    StorageObjectInUseProtection,
    /// Adds the taint `node.kubernetes.io/not-ready` to new nodes.
    TaintNodesByCondition,
    /// Evaluates `ValidatingAdmissionPolicy` objects.
    ValidatingAdmissionPolicy,
    /// Calls the webhooks of `ValidatingWebhookConfiguration` objects.
    ValidatingAdmissionWebhook,
}

impl AdmissionPlugin {
    /// All plugins.
    pub const ALL: &[Self] = &[
        Self::CertificateApproval,
        Self::CertificateSigning,
        Self::CertificateSubjectRestriction,
        Self::ClusterTrustBundleAttest,
        Self::DefaultIngressClass,
        Self::DefaultStorageClass,
        Self::DefaultTolerationSeconds,
        Self::LimitRanger,
        Self::MutatingAdmissionPolicy,
        Self::MutatingAdmissionWebhook,
        Self::NamespaceLifecycle,
        Self::NodeDeclaredFeatureValidator,
        Self::PersistentVolumeClaimResize,
        Self::PodResizeValidator,
        Self::PodSecurity,
        Self::PodTopologyLabels,
        Self::Priority,
        Self::ResourceQuota,
        Self::RuntimeClass,
        Self::ServiceAccount,
        Self::StorageObjectInUseProtection,
        Self::TaintNodesByCondition,
        Self::ValidatingAdmissionPolicy,
        Self::ValidatingAdmissionWebhook,
    ];

    /// The plugin with this name. The names are those of the flag `--disable-admission-plugins` of kube-apiserver.
    ///
    /// # Examples
    /// ```
    /// use kube_sim::AdmissionPlugin;
    ///
    /// assert_eq!(AdmissionPlugin::from_name("PodSecurity"), Some(AdmissionPlugin::PodSecurity));
    /// assert_eq!(AdmissionPlugin::from_name("AlwaysPullImages"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|plugin| plugin.to_string() == name)
    }
}

/// Writes the name that the flags of kube-apiserver use for the plugin.
impl fmt::Display for AdmissionPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
