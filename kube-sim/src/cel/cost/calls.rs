//! The estimated cost of operators and functions.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators as op};

use super::range::Range;
use super::{EntrySizes, Estimator, LIST_CREATION_COST, REGEX_COST, TRAVERSAL_COST};
use crate::cel::types::Type;

/// A cost, and the size of the result; `None` if the size is not known.
type Estimate = (Range, Option<Range>);

impl Estimator<'_> {
    /// The estimate of a call that uses `overload`. The estimate includes `costs`, the costs of the arguments.
    pub(super) fn estimate_overload(
        &mut self,
        expr: &IdedExpr,
        call: &CallExpr,
        overload: &str,
        costs: &[Range],
    ) -> Estimate {
        let arguments = costs.iter().copied().fold(Range::ZERO, Range::plus);
        let own = self
            .estimate_list_or_set_function(call, overload)
            .or_else(|| self.estimate_kubernetes_function(call, overload))
            .or_else(|| self.estimate_standard_function(expr, call, overload, costs));
        match own {
            Some((cost, size)) if includes_argument_costs(overload) => (cost, size),
            Some((cost, size)) => (cost.plus(arguments), size),
            None => (arguments.plus(Range::ONE), None),
        }
    }

    /// The estimate of a function of CEL's list or set library; `None` for any other function.
    fn estimate_list_or_set_function(&mut self, call: &CallExpr, overload: &str) -> Option<Estimate> {
        let allocating = |factor: f64, size: Range| {
            Some((size.scaled(factor).plus(Range::fixed(LIST_CREATION_COST + 1)), Some(size)))
        };
        let target = call.target.as_deref().map(|target| self.size_or_unknown(target));
        match overload {
            "list_slice" => {
                let start = non_negative_literal(call.args.first()?).unwrap_or(0);
                let end = non_negative_literal(call.args.get(1)?).unwrap_or(target?.max);
                allocating(1.0, Range::fixed(end.wrapping_sub(start)))
            }
            "list_flatten_int" => {
                let depth = non_negative_literal(call.args.first()?).unwrap_or(u64::MAX);
                #[expect(clippy::cast_precision_loss, reason = "costs are estimates in floating point")]
                allocating(depth as f64, target?)
            }
            "lists_range" => {
                allocating(1.0, Range::fixed(non_negative_literal(call.args.first()?).unwrap_or(u64::MAX)))
            }
            "list_reverse" | "list_flatten" => allocating(1.0, target?),
            "list_distinct" => {
                let size = target?;
                allocating(2.0, size.times(size))
            }
            "list_sets_contains_list" | "list_sets_intersects_list" | "list_sets_equivalent_list" => {
                let sizes =
                    self.size_or_unknown(call.args.first()?).times(self.size_or_unknown(call.args.get(1)?));
                let factor = if overload == "list_sets_equivalent_list" { 2.0 } else { 1.0 };
                Some((sizes.scaled(factor).plus(Range::ONE), None))
            }
            sort if sort.ends_with("_sort") || sort.ends_with("_sortByAssociatedKeys") => {
                let size = match call.args.first() {
                    Some(keys) => self.size_or_unknown(keys),
                    None => target?,
                };
                let texts = sort.starts_with("list_string_") || sort.starts_with("list_bytes_");
                allocating(if texts { 2.0 + TRAVERSAL_COST } else { 2.0 }, size.times(size))
            }
            _ => None,
        }
    }

    /// The estimate of a function of the Kubernetes libraries or of the string library. Also estimates `==`
    /// for two values that have the same Kubernetes type, such as `kubernetes.URL`. `None` if the `match`
    /// below has no estimate for the call.
    fn estimate_kubernetes_function(&mut self, call: &CallExpr, overload: &str) -> Option<Estimate> {
        let first = call.args.first();
        let target = call.target.as_deref();
        match call.func_name.as_str() {
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
                Some(self.estimate_traversal(target?))
            }
            "url" => {
                let size = self.size_or_unknown(first?);
                Some((size.scaled(TRAVERSAL_COST), Some(size)))
            }
            "lowerAscii" | "upperAscii" | "substring" | "trim" => {
                let size = self.size_or_unknown(target?);
                Some((size.scaled(TRAVERSAL_COST), Some(size)))
            }
            "replace" => self.estimate_replace(target?, call),
            "split" => {
                let size = self.size_or_unknown(target?);
                let max = call.args.get(1).and_then(literal_int).map_or(size.max, i64::cast_unsigned);
                Some((size.scaled(2.0 * TRAVERSAL_COST), Some(Range { min: 0, max })))
            }
            "join" => Some(self.estimate_join(target?, first)),
            "find" | "findAll" => {
                let size = self.size_or_unknown(target?);
                let regex = self.size_or_unknown(first?).scaled(REGEX_COST);
                let text = size.plus(Range::ONE).scaled(TRAVERSAL_COST);
                Some((text.times(regex), Some(Range { min: 0, max: size.max })))
            }
            "ip" if overload == "cidr_ip" => Some((Range::ONE, None)),
            "cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver" => {
                Some((self.size_or_unknown(first?).scaled(TRAVERSAL_COST), None))
            }
            "ip.isCanonical" => Some((self.size_or_unknown(first?).scaled(2.0 * TRAVERSAL_COST), None)),
            "containsIP" | "containsCIDR" => {
                let address = Range { min: 4, max: 16 };
                let mut cost = address.plus(address).scaled(TRAVERSAL_COST);
                if call.func_name == "containsCIDR" {
                    cost = cost.plus(address.scaled(TRAVERSAL_COST)).plus(Range::ONE);
                }
                if overload.ends_with("_string") {
                    cost = cost.plus(self.size_or_unknown(first?).scaled(TRAVERSAL_COST));
                }
                Some((cost, None))
            }
            "validate" => {
                let size = self.size_or_unknown(first?);
                Some((size.scaled(TRAVERSAL_COST).scaled(128.0 * REGEX_COST), None))
            }
            "masked"
            | "prefixLength"
            | "family"
            | "isUnspecified"
            | "isLoopback"
            | "isLinkLocalMulticast"
            | "isLinkLocalUnicast"
            | "isGlobalUnicast"
            | "format.named"
            | "sign"
            | "asInteger"
            | "isInteger"
            | "asApproximateFloat"
            | "isGreaterThan"
            | "isLessThan"
            | "compareTo"
            | "add"
            | "sub"
            | "major"
            | "minor"
            | "patch"
            | "getScheme"
            | "getHostname"
            | "getHost"
            | "getPort"
            | "getEscapedPath"
            | "getQuery" => Some((Range::ONE, None)),
            op::EQUALS => {
                let Type::Named(name) = self.checked.type_of(first?) else { return None };
                if !self.checked.type_of(call.args.get(1)?).is_same(&Type::Named(name)) {
                    return None;
                }
                match name {
                    "kubernetes.NamedFormat" => {
                        Some((Range { min: 1, max: 64 }.scaled(TRAVERSAL_COST), None))
                    }
                    "kubernetes.URL" => {
                        let max = self.size(call.args.get(1)?).map_or(1, |size| size.max);
                        Some((Range { min: 1, max }.scaled(TRAVERSAL_COST), None))
                    }
                    _ => Some((Range::ONE, None)),
                }
            }
            _ => None,
        }
    }

    /// The estimate of a function that reads all items of a list, or all characters of a string.
    fn estimate_traversal(&mut self, target: &IdedExpr) -> Estimate {
        let size = self.size_or_unknown(target);
        match self.checked.type_of(target) {
            Type::List(element) => {
                let mut each = Range::ONE;
                if matches!(*element, Type::String | Type::Bytes) {
                    each = each.plus(self.item_size(target).scaled(TRAVERSAL_COST));
                }
                (size.times(each), None)
            }
            _ => (size.scaled(TRAVERSAL_COST), None),
        }
    }

    /// The size that the schema allows for an item of a list; [`Range::UNKNOWN`] if the list has no declared type.
    fn item_size(&self, list: &IdedExpr) -> Range {
        let size = self.known_path(list).and_then(|mut path| {
            path.push("@items".to_owned());
            self.declared_size(&path)
        });
        size.unwrap_or(Range::UNKNOWN)
    }

    /// The estimate of the string function `replace`.
    fn estimate_replace(&mut self, target: &IdedExpr, call: &CallExpr) -> Option<Estimate> {
        let size = self.size_or_unknown(target);
        let old = self.size_or_unknown(call.args.first()?);
        let new = self.size_or_unknown(call.args.get(1)?);
        let (mut replaced, mut retained) = (Range::ZERO, Range::ZERO);
        if old.min == 0 {
            // `replace('', x)` inserts `x` before each character and at the end.
            replaced.max = size.max.saturating_add(1);
            retained.max = size.max;
        } else if new.max <= old.min {
            retained.max = size.max;
        } else {
            replaced.max = size.max.div_ceil(old.min);
        }
        if old.max == 0 {
            replaced.min = size.min.saturating_add(1);
            retained.min = size.min;
        } else if old.max <= new.min {
            retained.min = size.min;
        } else {
            replaced.min = size.min.div_ceil(old.max);
        }
        Some((size.scaled(2.0 * TRAVERSAL_COST), Some(replaced.times(new).plus(retained))))
    }

    /// The estimate of the list function `join`.
    fn estimate_join(&mut self, target: &IdedExpr, separator: Option<&IdedExpr>) -> Estimate {
        let items = self.size_or_unknown(target);
        let mut size = match self.checked.type_of(target) {
            Type::List(_) => items.times(self.item_size(target)),
            _ => Range::ZERO,
        };
        if let Some(separator) = separator {
            let separators = Range { min: items.min.saturating_sub(1), max: items.max.saturating_sub(1) };
            size = size.plus(self.size_or_unknown(separator).times(separators));
        }
        (size.scaled(TRAVERSAL_COST), Some(size))
    }

    /// The estimate of an operator, a function of the standard library, `format` or `strings.quote`. `None` if the
    /// `match` below has no estimate for the call: the cost of such a call is 1 plus the costs of its arguments.
    fn estimate_standard_function(
        &mut self,
        expr: &IdedExpr,
        call: &CallExpr,
        overload: &str,
        costs: &[Range],
    ) -> Option<Estimate> {
        let first = call.args.first();
        let second = call.args.get(1);
        match overload {
            "string_format" => {
                Some((self.size_or_unknown(call.target.as_deref()?).scaled(TRAVERSAL_COST), None))
            }
            "string_to_bytes" => {
                let size = self.size_or_unknown(first?);
                let result = Range { min: size.min, max: size.max.wrapping_mul(4) };
                Some((size.scaled(TRAVERSAL_COST), Some(result)))
            }
            "bytes_to_string" => {
                let size = self.size_or_unknown(first?);
                Some((size.scaled(TRAVERSAL_COST), Some(Range { min: size.min / 4, max: size.max })))
            }
            "strings_quote" => {
                let size = self.size_or_unknown(first?);
                let result =
                    Range { min: size.min.wrapping_add(2), max: size.max.wrapping_mul(2).wrapping_add(2) };
                Some((size.scaled(TRAVERSAL_COST), Some(result)))
            }
            "starts_with_string" | "ends_with_string" => {
                Some((self.size_or_unknown(first?).scaled(TRAVERSAL_COST), None))
            }
            "in_list" => Some((self.size_or_unknown(second?), None)),
            "matches" => Some(self.estimate_regex_match(first?, second?)),
            "matches_string" => Some(self.estimate_regex_match(call.target.as_deref()?, first?)),
            "contains_string" => {
                let text = self.size_or_unknown(call.target.as_deref()?).scaled(TRAVERSAL_COST);
                let part = self.size_or_unknown(first?).scaled(TRAVERSAL_COST);
                Some((text.times(part), None))
            }
            "logical_and" | "logical_or" => {
                let (left, right) = (costs.first()?, costs.get(1)?);
                Some((Range { min: left.min, max: left.plus(*right).max }, None))
            }
            "conditional" => {
                let third = call.args.get(2)?;
                let size = self.size_or_unknown(second?).union(self.size_or_unknown(third));
                if let Some(entry) = EntrySizes::union(self.entry_sizes(second?), self.entry_sizes(third)) {
                    self.entry_sizes.insert(expr.id, entry);
                }
                Some((costs.first()?.plus(costs.get(1)?.union(*costs.get(2)?)), Some(size)))
            }
            "add_string" | "add_bytes" | "add_list" => {
                let size = self.size_or_unknown(first?).plus(self.size_or_unknown(second?));
                if let Some(entry) = EntrySizes::union(self.entry_sizes(first?), self.entry_sizes(second?)) {
                    self.entry_sizes.insert(expr.id, entry);
                }
                let cost = if overload == "add_list" { Range::ONE } else { size.scaled(TRAVERSAL_COST) };
                Some((cost, Some(size)))
            }
            "equals"
            | "not_equals"
            | "less_string"
            | "greater_string"
            | "less_equals_string"
            | "greater_equals_string"
            | "less_bytes"
            | "greater_bytes"
            | "less_equals_bytes"
            | "greater_equals_bytes" => {
                let max = self.size_or_unknown(first?).max.min(self.size_or_unknown(second?).max);
                Some((Range { min: max.min(1), max }.scaled(TRAVERSAL_COST), None))
            }
            _ => None,
        }
    }

    /// The estimate of the CEL function `matches`, which searches `text` for a match of `regex`.
    fn estimate_regex_match(&mut self, text: &IdedExpr, regex: &IdedExpr) -> Estimate {
        let text = self.size_or_unknown(text).plus(Range::ONE).scaled(TRAVERSAL_COST);
        let regex = self.size_or_unknown(regex).scaled(REGEX_COST);
        (text.times(regex), None)
    }
}

/// Whether the estimate of `estimate_standard_function` for this overload already includes the costs of the arguments.
fn includes_argument_costs(overload: &str) -> bool {
    matches!(overload, "logical_and" | "logical_or" | "conditional")
}

/// The value of an integer literal; `None` for any other expression.
fn literal_int(expr: &IdedExpr) -> Option<i64> {
    match &expr.expr {
        Expr::Literal(LiteralValue::Int(value)) => Some(*value.inner()),
        _ => None,
    }
}

/// The value of an integer literal, or 0 if it is negative; `None` for any other expression.
fn non_negative_literal(expr: &IdedExpr) -> Option<u64> {
    literal_int(expr).map(|value| u64::try_from(value).unwrap_or(0))
}
