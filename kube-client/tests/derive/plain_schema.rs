//! `#[derive(KubeSchema)]` generates the schemas of plain types without the derive of schemars. These tests derive the
//! same types with both derives, and compare the schemas.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

/// Defines the types in two modules: with the derive of schemars, and with `KubeSchema`. Defines `assert_equal_schemas`,
/// which compares the schemas of both modules for the given types.
macro_rules! define_twice {
    ($($name:ident),*; $($items:tt)*) => {
        define_twice!(@module by_schemars, schemars::JsonSchema, $($items)*);
        define_twice!(@module by_kube_schema, kube_derive::KubeSchema, $($items)*);

        fn assert_equal_schemas() {
            $({
                use JsonSchema as S;
                let (expected, schemas) =
                    (schemas_of::<by_schemars::$name>(), schemas_of::<by_kube_schema::$name>());
                assert!(schemas == expected, "{}: {schemas:#} instead of {expected:#}", stringify!($name));
                let name = <by_schemars::$name as S>::schema_name();
                assert_eq!(<by_kube_schema::$name as S>::schema_name(), name);
                let id = <by_schemars::$name as S>::schema_id().replace("by_schemars", "by_kube_schema");
                assert_eq!(<by_kube_schema::$name as S>::schema_id(), id);
                assert_eq!(<by_schemars::$name as S>::inline_schema(), <by_kube_schema::$name as S>::inline_schema());
            })*
        }
    };
    (@module $module:ident, $derive:path, $($items:tt)*) => {
        #[allow(dead_code, non_snake_case, reason = "only the schemas of these types are used")]
        mod $module {
            use $derive as Schema;
            use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
            use serde::{Deserialize, Serialize};
            use std::collections::BTreeMap;

            $($items)*
        }
    };
}

/// The schemas of `T` for both contracts, with the schemas of all types that `T` contains: first in `$defs`, then in the
/// places of use, as in a CRD.
fn schemas_of<T: JsonSchema + ?Sized>() -> Value {
    let contracts = [SchemaSettings::for_deserialize, SchemaSettings::for_serialize];
    let schemas = contracts.map(|contract| {
        [false, true].map(|inline_subschemas| {
            let mut settings = contract(SchemaSettings::draft2020_12());
            settings.inline_subschemas = inline_subschemas;
            SchemaGenerator::new(settings).into_root_schema_for::<T>()
        })
    });
    json!(schemas)
}

define_twice! {
    Site, Empty, Port, Names, Camel, Kebab, Screaming, Snake, Lower, Mode, CamelMode, LowerMode, UpperMode,
    PascalMode, SnakeMode, DocumentedMode, Titled, Rules, Denies, Never, Unit, Pair, Tagged, Unserializable, Unsized, Recursive, Generated,
    GeneratedMode, FieldTypes, Node, Leaf, Shadowing, TwoPorts, Mixed, SameNames, UnusualNames;

    /// A website.
    ///
    ///  * Indented text.
    ///
    /// The last paragraph.
    #[derive(Schema, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Site {
        /// The address,
        /// on two lines.
        pub(super) main_url: String,
        pub(super) replicas: Option<u32>,
        #[serde(default)]
        pub(super) paused: bool,
        #[serde(default = "default_size")]
        pub(super) size: i64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub(super) ports: Vec<Port>,
        #[serde(default = "default_labels", skip_serializing_if = "BTreeMap::<String, String>::is_empty")]
        pub(super) labels: BTreeMap<String, String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) mode: Option<Mode>,
        #[serde(skip_serializing_if = "<str>::is_empty")]
        pub(super) note: String,
        #[serde(default)]
        pub(super) parent: Option<Box<Site>>,
        /// The port of the service.
        pub(super) service_port: Port,
        pub(super) maybe: Maybe,
        pub(super) boxed: Box<Option<u8>>,
        pub(super) transparent: Transparent,
        /// Any value.
        pub(super) value: serde_json::Value,
        #[serde(default)]
        pub(super) any: serde_json::Value,
        pub(super) target: IntOrString,
        pub(super) nested: Vec<BTreeMap<String, Option<Vec<Camel>>>>,
        pub(super) pair: (u8, String),
        pub(super) unit: (),
    }

    fn default_size() -> i64 {
        3
    }

    fn default_labels() -> BTreeMap<String, String> {
        [("a".to_owned(), "b".to_owned())].into()
    }

    type Maybe = Option<String>;

    #[derive(schemars::JsonSchema, Serialize, Deserialize)]
    #[serde(transparent)]
    pub(super) struct Transparent {
        value: Option<u8>,
    }

    #[derive(Schema, Serialize, Deserialize)]
    pub(super) struct Empty {}

    /**
     A port.
     */
    #[derive(Schema, Serialize, Deserialize, Clone, Debug)]
    #[allow(clippy::struct_field_names, reason = "the names do not matter")]
    pub(super) struct Port {
        #[serde(rename = "the number")]
        pub(super) port_number: u16,
        pub(super) r#type: String,
        #[doc = "The protocol."]
        pub(super) protocol: Option<String>,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Names {
        #[serde(rename = "kept_as_is")]
        pub(super) a_b: u8,
        pub(super) __two__words_: u8,
        pub(super) URL: u8,
        pub(super) Some_Name: u8,
        pub(super) r#in_use: u8,
        pub(super) a1_2b: u8,
        pub(super) größe_ß: u8,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Camel {
        pub(super) first_word: u8,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub(super) struct Kebab {
        pub(super) first_word: u8,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
    pub(super) struct Screaming {
        pub(super) first_word: u8,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub(super) struct Snake {
        pub(super) First_word: u8,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[serde(rename_all(serialize = "lowercase", deserialize = "UPPERCASE"))]
    pub(super) struct Lower {
        pub(super) First_word: u8,
    }

    /// A mode.
    #[derive(Schema, Serialize, Deserialize, Default)]
    pub(super) enum Mode {
        #[default]
        FastMode,
        #[serde(rename = "slow")]
        SlowMode = 7,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) enum CamelMode {
        FastMode,
        HTTPMode,
        X,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub(super) enum LowerMode {
        FastMode,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    pub(super) enum UpperMode {
        FastMode,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    pub(super) enum PascalMode {
        FastMode,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub(super) enum SnakeMode {
        FastMode,
    }

    /// A mode.
    #[derive(Schema, Serialize, Deserialize)]
    pub(super) enum DocumentedMode {
        /// The fast mode.
        Fast,
        Slow,
        #[serde(skip)]
        Hidden,
    }

    /// # The title
    ///
    /// The description.
    #[derive(Schema, Serialize, Deserialize)]
    pub(super) struct Titled {
        /// # Only a title
        pub(super) value: u8,
    }

    #[derive(Schema, Serialize, Deserialize)]
    pub(super) struct Rules {
        #[schemars(length(min = 1))]
        pub(super) name: String,
        #[deprecated]
        pub(super) old: Option<u8>,
        #[serde(alias = "other")]
        pub(super) aliased: u8,
        #[serde(skip)]
        pub(super) skipped: u8,
        #[serde(flatten)]
        pub(super) flattened: Camel,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Denies {
        pub(super) value: u8,
    }

    #[derive(Schema, Serialize, Deserialize)]
    pub(super) enum Never {}

    #[derive(Schema, Serialize, Deserialize)]
    pub(super) struct Unit;

    #[derive(Schema, Serialize, Deserialize)]
    pub(super) struct Pair(u8, String);

    #[derive(Schema, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    pub(super) enum Tagged {
        First,
        Second,
    }

    #[derive(Schema, Deserialize)]
    pub(super) struct Unserializable {
        #[serde(default)]
        pub(super) value: OnlyDeserialize,
    }

    #[derive(Schema, Deserialize, Default)]
    pub(super) struct OnlyDeserialize {
        pub(super) value: u8,
    }

    #[derive(Schema)]
    pub(super) struct Unsized {
        pub(super) size: u8,
        pub(super) text: str,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[doc = concat!("A ", "text.")]
    pub(super) struct Recursive {
        #[doc(hidden)]
        pub(super) children: Vec<Self>,
        pub(super) array: [Option<u8>; 3],
        #[serde(default)]
        #[serde(rename = "größe", skip_serializing_if = "Option::is_none")]
        pub(super) größe: Option<f32>,
    }

    #[derive(Schema, Serialize, Deserialize)]
    #[allow(clippy::option_option, reason = "schemars accepts the type")]
    pub(super) struct FieldTypes {
        pub(super) integers: (i8, i128),
        pub(super) number: f64,
        pub(super) character: char,
        pub(super) twice_optional: Option<Option<u8>>,
        pub(super) boxed_port: Box<Port>,
        pub(super) optional_box: Option<Box<Mode>>,
        pub(super) lists: Vec<Vec<Port>>,
        pub(super) optional_list: Option<Vec<Mode>>,
        pub(super) list_of_options: Vec<Option<Port>>,
        pub(super) map: BTreeMap<String, BTreeMap<String, Option<Port>>>,
        pub(super) map_of_numbers: BTreeMap<u8, Port>,
        pub(super) hash_map: std::collections::HashMap<String, Port>,
        pub(super) set: std::collections::BTreeSet<String>,
        pub(super) transparents: Vec<Transparent>,
        pub(super) optional_transparent: Option<Transparent>,
        pub(super) values: Vec<serde_json::Value>,
        pub(super) optional_target: Option<IntOrString>,
        pub(super) optional_pair: Option<Pair>,
        pub(super) tagged: Vec<Tagged>,
        #[serde(default)]
        pub(super) mode: Option<Mode>,
        /// A list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub(super) described_list: Option<Vec<u8>>,
    }

    #[derive(Schema, Serialize, Deserialize)]
    pub(super) struct Node {
        pub(super) leaf: Option<Box<Leaf>>,
        pub(super) nodes: BTreeMap<String, Node>,
    }

    #[derive(Schema, Serialize, Deserialize)]
    pub(super) struct Leaf {
        pub(super) owner: Option<Box<Node>>,
        pub(super) leaves: Vec<Option<Leaf>>,
    }

    /// Types with the names of known types.
    mod shadows {
        use serde::{Deserialize, Serialize};

        #[derive(schemars::JsonSchema, Serialize, Deserialize)]
        pub(crate) struct Option<T> {
            pub(crate) some: T,
        }

        #[derive(super::Schema, Serialize, Deserialize)]
        pub(crate) struct String {
            pub(crate) bytes: Vec<u8>,
        }

        #[derive(super::Schema, Serialize, Deserialize)]
        pub(crate) struct Port {
            pub(crate) name: String,
        }
    }

    #[derive(Schema, Serialize, Deserialize)]
    pub(super) struct Shadowing {
        pub(super) option: shadows::Option<u8>,
        pub(super) option_of_string: shadows::Option<shadows::String>,
        pub(super) string: shadows::String,
        pub(super) strings: Vec<shadows::String>,
    }

    #[derive(Schema, Serialize, Deserialize)]
    pub(super) struct TwoPorts {
        pub(super) first: Vec<shadows::Port>,
        pub(super) second: Option<Port>,
        pub(super) third: shadows::Port,
        pub(super) fourth: Port,
    }

    #[derive(Schema, Serialize)]
    pub(super) struct SameNames {
        #[serde(rename = "name", default, skip_serializing_if = "Option::is_none")]
        pub(super) first: Option<u8>,
        #[serde(rename = "name")]
        pub(super) second: String,
    }

    trait FieldType {
        fn field_type() -> u8 {
            1
        }
    }

    impl<T: ?Sized> FieldType for T {}

    #[derive(Schema, Serialize, Deserialize)]
    pub(super) struct __TypeOf {
        #[serde(default = "default_number", skip_serializing_if = "__default")]
        pub(super) number: u8,
    }

    fn default_number() -> u8 {
        <u8 as FieldType>::field_type()
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn __default(number: &u8) -> bool {
        *number == 2
    }

    #[derive(Schema, Serialize, Deserialize)]
    pub(super) struct UnusualNames {
        pub(super) value: __TypeOf,
        pub(super) array: [u8; 2],
    }

    #[derive(schemars::JsonSchema, Serialize, Deserialize)]
    pub(super) struct Mixed {
        pub(super) ports: TwoPorts,
        pub(super) port: Option<Port>,
        pub(super) fields: Vec<FieldTypes>,
        pub(super) next: Option<Box<Mixed>>,
        pub(super) inner: Box<InMixed>,
    }

    #[derive(Schema, Serialize, Deserialize)]
    pub(super) struct InMixed {
        pub(super) mixed: Option<Box<Mixed>>,
        pub(super) list: Vec<Mixed>,
        pub(super) port: Port,
    }

    macro_rules! define {
        ($(#[$attribute:meta])* $name:ident, $type:ty, $rename:literal, $mode:ident { $($variant:ident),* }) => {
            #[derive(Schema, Serialize, Deserialize)]
            $(#[$attribute])*
            pub(super) struct $name {
                #[serde(rename = $rename, default = "default_size")]
                pub(super) first_field: $type,
                pub(super) second_field: Option<$type>,
            }

            #[derive(Schema, Serialize, Deserialize)]
            pub(super) enum $mode {
                $($variant),*
            }
        };
    }

    define!(
        /// A generated type.
        #[serde(rename_all = "camelCase")]
        Generated, i64, "third_field", GeneratedMode { On, Off }
    );
}

#[test]
fn kube_schema_and_schemars_derive_equal_schemas() {
    assert_equal_schemas();
}
