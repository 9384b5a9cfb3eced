//! The strategies of the API groups that have no file of their own. These strategies contain no functions.

use super::deletion::Deletion;
use super::fields::SelectableField;
use super::{InitialStatus, Strategy};

/// The part of the strategy that the kinds of `certificates.k8s.io` share.
const CERTIFICATES: Strategy = Strategy { group: "certificates.k8s.io", ..Strategy::DEFAULT };

/// The part of the strategy that the kinds of `flowcontrol.apiserver.k8s.io` share.
const FLOW_CONTROL: Strategy =
    Strategy { group: "flowcontrol.apiserver.k8s.io", has_generation: true, ..Strategy::DEFAULT };

/// The part of the strategy that the kinds of `resource.k8s.io` share.
const DYNAMIC_RESOURCE_ALLOCATION: Strategy =
    Strategy { group: "resource.k8s.io", deletion: Deletion::RETURNS_OBJECT, ..Strategy::DEFAULT };

pub(super) static STRATEGIES: [Strategy; 13] = [
    Strategy {
        group: "apiregistration.k8s.io",
        kind: "APIService",
        initial_status: InitialStatus::Kept,
        ..Strategy::DEFAULT
    },
    Strategy {
        kind: "CertificateSigningRequest",
        name_problem: |_| None,
        status_reset_fields: &["spec", "status.conditions"],
        selectable_fields: &[SelectableField::new("spec.signerName")],
        ..CERTIFICATES
    },
    Strategy {
        kind: "ClusterTrustBundle",
        selectable_fields: &[SelectableField::new("spec.signerName")],
        ..CERTIFICATES
    },
    Strategy { kind: "PodCertificateRequest", ..CERTIFICATES },
    Strategy { kind: "FlowSchema", ..FLOW_CONTROL },
    Strategy { kind: "PriorityLevelConfiguration", ..FLOW_CONTROL },
    Strategy {
        group: "node.k8s.io",
        kind: "RuntimeClass",
        allow_create_on_update: true,
        allow_unconditional_update: false,
        ..Strategy::DEFAULT
    },
    Strategy { kind: "DeviceClass", has_generation: true, ..DYNAMIC_RESOURCE_ALLOCATION },
    Strategy { kind: "DeviceTaintRule", has_generation: true, ..DYNAMIC_RESOURCE_ALLOCATION },
    Strategy { kind: "ResourceClaim", ..DYNAMIC_RESOURCE_ALLOCATION },
    Strategy { kind: "ResourceClaimTemplate", ..DYNAMIC_RESOURCE_ALLOCATION },
    Strategy {
        kind: "ResourceSlice",
        has_generation: true,
        selectable_fields: &[
            SelectableField::new("spec.nodeName"),
            SelectableField::new("spec.driver"),
            SelectableField::new("spec.pool.name"),
        ],
        ..DYNAMIC_RESOURCE_ALLOCATION
    },
    Strategy {
        group: "storagemigration.k8s.io",
        kind: "StorageVersionMigration",
        allow_unconditional_update: false,
        ..Strategy::DEFAULT
    },
];
