//! The strategy of pod templates.

use super::pod;
use crate::strategy::Strategy;
use crate::strategy::apps::workload::container_names_and_images;
use crate::strategy::deletion::DeletionStrategy;
use crate::strategy::printer::{Printer, name_cell, pairs_cell};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "PodTemplate",
    has_generation: true,
    set_defaults: |_, object| pod::set_template_defaults(object),
    validate: |object, out| pod::check_spec("template.spec", &object["template"]["spec"], out),
    warn: |old, new, out| pod::warn_of_template("template", old, new, out),
    printer: Printer::new(|object, _| {
        let [names, images] = container_names_and_images(&object["template"]);
        vec![name_cell(object), names, images, pairs_cell(&object["template"]["metadata"]["labels"])]
    }),
    deletion: DeletionStrategy::RETURNS_OBJECT,
    ..Strategy::DEFAULT
};
