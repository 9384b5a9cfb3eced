//! The strategy of pod templates.

use super::pod;
use crate::strategy::Strategy;
use crate::strategy::deletion::Deletion;

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "PodTemplate",
    has_generation: true,
    set_defaults: |_, object| pod::set_template_defaults(object),
    validate: |object, out| pod::check_spec("template.spec", &object["template"]["spec"], out),
    deletion: Deletion::RETURNS_OBJECT,
    ..Strategy::DEFAULT
};
